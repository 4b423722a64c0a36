//! Why a service cannot be used, in words for an operator.

use std::fmt;

use parlor_runtime::exit;

/// A service that nodes share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Postgres,
    Nats,
    Redis,
}

impl Service {
    /// Returns the variable that names it.
    pub(crate) const fn variable(self) -> &'static str {
        match self {
            Self::Postgres => "DATABASE_URL",
            Self::Nats => "NATS_URL",
            Self::Redis => "REDIS_URL",
        }
    }

    /// Returns a word for one line of a table.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Nats => "nats",
            Self::Redis => "redis",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Postgres => "PostgreSQL",
            Self::Nats => "NATS",
            Self::Redis => "Redis",
        })
    }
}

/// A service cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot use {service} at {place} ({}): {why}", service.variable())]
pub(crate) struct ServiceFault {
    pub(crate) service: Service,
    place: String,
    pub(crate) why: String,
    kind: Kind,
}

/// What can be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It is not there, or not ready; it may come.
    Away,
    /// It is there, but not as it has to be, such as with another schema.
    Unfit,
    /// The setting is wrong.
    Wrong,
}

impl ServiceFault {
    /// It is not there; it may come.
    pub(crate) fn away(service: Service, place: &str, why: &str) -> Self {
        Self::new(service, place, why, Kind::Away)
    }

    /// It is there, but does not fit this version.
    pub(crate) fn unfit(service: Service, place: &str, why: &str) -> Self {
        Self::new(service, place, why, Kind::Unfit)
    }

    /// The setting is wrong.
    pub(crate) fn wrong(service: Service, place: &str, why: &str) -> Self {
        Self::new(service, place, why, Kind::Wrong)
    }

    fn new(service: Service, place: &str, why: &str, kind: Kind) -> Self {
        Self { service, place: place.to_owned(), why: why.to_owned(), kind }
    }

    /// Tells whether waiting can help.
    pub(crate) fn may_pass(&self) -> bool {
        self.kind == Kind::Away
    }

    /// Returns the exit code of a program that ends because of it.
    pub(crate) const fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::Wrong => exit::USAGE,
            Kind::Away | Kind::Unfit => exit::UNAVAILABLE,
        }
    }

    /// Returns what can be done.
    pub(crate) const fn hint(&self) -> &'static str {
        match self.kind {
            Kind::Away => "start it, or correct the address; `parlor doctor` tells more",
            Kind::Unfit => "`parlor doctor` tells more",
            Kind::Wrong => "correct the setting; `parlor doctor` tells more",
        }
    }
}

/// Returns an error with its causes, each once.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let part = source.to_string();
        if !text.contains(&part) {
            text = format!("{text}: {part}");
        }
        cause = source.source();
    }
    text
}

//! Why Redis cannot be used, as a sentence for whoever starts the program.

use std::error::Error as _;
use std::io;
use std::sync::Arc;

use ::redis::{ErrorKind, RedisError, ServerErrorKind};

type Cause = dyn std::error::Error + Send + Sync;

/// Redis could not be used at the start. Names the host, and never the user or the password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address is none.
    #[error("the address of Redis is not valid; it is like redis://HOST:6379")]
    Address,
    /// The file with certificates cannot be used.
    #[error("the certificates in {path} cannot be read")]
    Certificates {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: Box<Cause>,
    },
    /// Nothing listens there.
    #[error("nothing listens at {host}: is Redis running?")]
    Refused {
        /// Host and port.
        host: String,
    },
    /// The host is unknown or cannot be reached.
    #[error("{host} cannot be reached")]
    Unreachable {
        /// Host and port.
        host: String,
        /// The driver's error.
        #[source]
        source: RedisError,
    },
    /// The connection cannot be encrypted, or the server is not who it should be.
    #[error(
        "{host} cannot be trusted or does not speak TLS; a private authority is named by cluster.tls_ca"
    )]
    Tls {
        /// Host and port.
        host: String,
        /// The driver's error.
        #[source]
        source: RedisError,
    },
    /// There was no answer in time.
    #[error("{host} does not answer")]
    Silent {
        /// Host and port.
        host: String,
    },
    /// User or password is wrong or missing.
    #[error("Redis at {host} does not accept the user or the password")]
    Password {
        /// Host and port.
        host: String,
    },
    /// The user may not do what is needed.
    #[error("the user of Redis at {host} may not run scripts on the keys with the prefix")]
    Forbidden {
        /// Host and port.
        host: String,
        /// The driver's error.
        #[source]
        source: RedisError,
    },
    /// Something else listens there.
    #[error("what listens at {host} is not Redis")]
    NotRedis {
        /// Host and port.
        host: String,
        /// The driver's error.
        #[source]
        source: RedisError,
    },
    /// The version is not supported.
    #[error("Redis at {host} is too old; 7.0 is the oldest that works")]
    TooOld {
        /// Host and port.
        host: String,
    },
    /// There is no database of that number.
    #[error("Redis at {host} has no database of the number that the address ends with")]
    Database {
        /// Host and port.
        host: String,
    },
    /// It loads its data, follows another server, or is part of a failed cluster.
    #[error("Redis at {host} is not ready to write")]
    NotReady {
        /// Host and port.
        host: String,
        /// The driver's error.
        #[source]
        source: RedisError,
    },
    /// A metric's name is wrong or used twice.
    #[error("metrics cannot be registered")]
    Metrics(#[from] prometheus::Error),
}

impl ConnectError {
    /// Tells whether the same may succeed in a moment, because Redis is starting.
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Refused { .. }
                | Self::Unreachable { .. }
                | Self::Silent { .. }
                | Self::NotReady { .. }
        )
    }

    pub(super) fn of(host: &str, source: RedisError) -> Self {
        let host = host.to_owned();
        let code = source.code().unwrap_or_default();
        if matches!(code, "WRONGPASS" | "NOAUTH")
            || source.kind() == ErrorKind::AuthenticationFailed
        {
            return Self::Password { host };
        }
        match source.kind() {
            ErrorKind::Server(ServerErrorKind::ResponseError)
                if source.detail().is_some_and(|detail| detail.contains("DB index")) =>
            {
                Self::Database { host }
            }
            ErrorKind::RESP3NotSupported | ErrorKind::Server(ServerErrorKind::ResponseError) => {
                Self::TooOld { host }
            }
            ErrorKind::Server(ServerErrorKind::NoPerm) => Self::Forbidden { host, source },
            ErrorKind::Server(_) => Self::NotReady { host, source },
            ErrorKind::Parse | ErrorKind::UnexpectedReturnType => Self::NotRedis { host, source },
            ErrorKind::InvalidClientConfig => Self::Address,
            _ if is_tls(&source) => Self::Tls { host, source },
            _ if source.is_connection_refusal() => Self::Refused { host },
            _ if source.is_timeout() => Self::Silent { host },
            _ => Self::Unreachable { host, source },
        }
    }
}

/// Tells whether the handshake failed, rather than the connection: rustls calls that invalid data.
fn is_tls(error: &RedisError) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<Arc<Cause>>());
    let cause = cause.and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::InvalidData)
}

//! Failures of the database server and of the way to it, sorted by what they mean for the store.

use tokio_postgres::Error as PgError;
use tokio_postgres::error::SqlState;

use crate::append::AppendRefused;
use crate::error::StoreError;

/// A failure of the database, as opposed to a refusal by the rules.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// No connection can be made.
    #[error("the database cannot be reached")]
    Connect(#[source] PgError),
    /// All connections are busy for too long.
    #[error("no connection to the database became free in time")]
    Starved,
    /// Too many callers wait for a connection already.
    #[error("too many wait for a connection to the database")]
    Crowded,
    /// The server only follows another one.
    #[error("the database server is a standby")]
    Standby,
    /// What identifies the logs cannot be read.
    #[error("the database does not tell the identity of its logs")]
    Nameless,
    /// The server or the driver reports it.
    #[error("the database failed")]
    Sql(#[source] PgError),
    /// There is no answer within the time that a call may take.
    #[error("the database did not answer in time")]
    Slow,
    /// The commit was asked for and what came of it is not known.
    #[error("the outcome of the commit is unknown")]
    Commit(#[source] Box<Fault>),
    /// The server has committed without waiting for its standby.
    #[error("the standby may not have the commit")]
    Unconfirmed,
    /// A stored document cannot be read.
    #[error("a stored document cannot be read")]
    Document(#[source] serde_json::Error),
    /// Rows contradict each other.
    #[error("{0}")]
    Contradiction(&'static str),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

/// The result of work on the database.
pub(super) type Outcome<T> = Result<T, Fault>;

/// What a failure of the server means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// The connection is gone.
    Lost,
    /// The transaction met another one; it may be repeated at once.
    Conflict,
    /// What this connection knows about a statement is out of date.
    Stale,
    /// The server has not got the means now.
    Short,
    /// The server takes no writes.
    ReadOnly,
    /// Anything else: program and data do not fit.
    Wrong,
}

fn meaning(error: &PgError) -> Meaning {
    let Some(code) = error.code() else {
        let broken = std::error::Error::source(error)
            .is_some_and(|source| source.downcast_ref::<std::io::Error>().is_some());
        return if broken || error.is_closed() { Meaning::Lost } else { Meaning::Wrong };
    };
    match code.code() {
        // Shut down by an operator, by a crash of a neighbour, while starting, or for idling.
        "57P01" | "57P02" | "57P03" | "57P05" | "25P03" => Meaning::Lost,
        code if code.starts_with("08") => Meaning::Lost,
        "40001" | "40P01" | "23505" => Meaning::Conflict,
        "0A000" | "26000" => Meaning::Stale,
        // A statement or a lock took too long.
        "57014" | "55P03" | "53000" | "53200" | "53300" | "53400" => Meaning::Short,
        "53100" | "25006" | "58030" => Meaning::ReadOnly,
        _ => Meaning::Wrong,
    }
}

impl Fault {
    fn meaning(&self) -> Option<Meaning> {
        match self {
            Self::Sql(error) => Some(meaning(error)),
            _ => None,
        }
    }

    /// Tells whether the connection that this happened on is of no use any more.
    pub(super) fn spoils_connection(&self) -> bool {
        match self {
            Self::Sql(_) => {
                matches!(self.meaning(), Some(Meaning::Lost | Meaning::Stale | Meaning::ReadOnly))
            }
            Self::Slow | Self::Commit(_) | Self::Standby => true,
            _ => false,
        }
    }

    /// Tells whether the connection broke, so that another one may do better.
    pub(super) fn is_lost_connection(&self) -> bool {
        self.meaning() == Some(Meaning::Lost)
    }

    /// Tells whether the same work may succeed when it is repeated at once. Nothing was kept.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self.meaning(), Some(Meaning::Lost | Meaning::Conflict | Meaning::Stale))
    }

    /// Tells whether two transactions met, such as two that make a user of the same name.
    pub(super) fn is_conflict(&self) -> bool {
        self.meaning() == Some(Meaning::Conflict)
    }

    /// Tells whether something that was to be stored is the cause, so that the same without it may
    /// succeed. Nothing was kept.
    pub(super) fn is_about_data(&self) -> bool {
        let Self::Sql(error) = self else { return false };
        let Some(code) = error.code().map(SqlState::code) else { return false };
        // Data exceptions, broken rules of a table (but not what is taken), too large a value.
        code.starts_with("22")
            || (code.starts_with("23") && code != SqlState::UNIQUE_VIOLATION.code())
            || code.starts_with("54")
    }

    /// Returns this failure as one of the request to commit. Where the server has reported an error
    /// it has kept nothing; where it is gone, or silent, nobody knows.
    pub(super) fn of_commit(self) -> Self {
        match (&self, self.meaning()) {
            (Self::Slow | Self::Unconfirmed, _) | (_, Some(Meaning::Lost)) => {
                Self::Commit(Box::new(self))
            }
            _ => self,
        }
    }

    /// Tells whether it is open what became of the transaction.
    pub(super) fn leaves_outcome_open(&self) -> bool {
        matches!(self, Self::Commit(_))
    }

    /// Tells whether the server reports this state.
    pub(super) fn is_state(&self, state: &SqlState) -> bool {
        matches!(self, Self::Sql(error) if error.code() == Some(state))
    }
}

impl From<PgError> for Fault {
    fn from(error: PgError) -> Self {
        Self::Sql(error)
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Self::Document(error)
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match &fault {
            Fault::Commit(cause) => {
                tracing::warn!(
                    error = cause as &dyn std::error::Error,
                    "the outcome of a write is unknown"
                );
                Self::UnknownOutcome
            }
            Fault::Crowded => Self::Overloaded,
            Fault::Closed => Self::Unavailable(None),
            Fault::Connect(_)
            | Fault::Starved
            | Fault::Standby
            | Fault::Slow
            | Fault::Unconfirmed
            | Fault::Nameless => Self::Unavailable(Some(Box::new(fault))),
            Fault::Document(_) | Fault::Contradiction(_) => inconsistent(fault),
            // It stays taken although nobody else is in the way.
            Fault::Sql(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => {
                inconsistent(fault)
            }
            Fault::Sql(error) => match meaning(error) {
                Meaning::Lost | Meaning::Conflict | Meaning::Stale | Meaning::Short => {
                    Self::Unavailable(Some(Box::new(fault)))
                }
                Meaning::ReadOnly => Self::ReadOnly(Some(Box::new(fault))),
                Meaning::Wrong => inconsistent(fault),
            },
        }
    }
}

fn inconsistent(fault: Fault) -> StoreError {
    let what = match &fault {
        Fault::Sql(error) => error.as_db_error().map_or_else(
            || error.to_string(),
            |error| format!("{} ({})", error.message(), error.code().code()),
        ),
        other => other.to_string(),
    };
    StoreError::Inconsistent { what, source: Some(Box::new(fault)) }
}

/// Why an intent stopped before its end.
#[derive(Debug)]
pub(super) enum Stop {
    /// The rules refuse it.
    Refused(AppendRefused),
    /// The database failed.
    Fault(Fault),
}

impl<T: Into<AppendRefused>> From<T> for Stop {
    fn from(refused: T) -> Self {
        Self::Refused(refused.into())
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<PgError> for Stop {
    fn from(error: PgError) -> Self {
        Self::Fault(error.into())
    }
}

impl From<serde_json::Error> for Stop {
    fn from(error: serde_json::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// Tells a refusal from a failure.
pub(super) fn settled<T>(step: Result<T, Stop>) -> Outcome<Result<T, AppendRefused>> {
    match step {
        Ok(value) => Ok(Ok(value)),
        Err(Stop::Refused(refused)) => Ok(Err(refused)),
        Err(Stop::Fault(fault)) => Err(fault),
    }
}

//! Failures of `SQLite`, sorted by what they mean for the store.

use std::sync::Arc;

use rusqlite::ErrorCode;

use crate::append::AppendRefused;
use crate::error::StoreError;

/// A failure of the database, as opposed to a refusal by the rules.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Fault {
    /// `SQLite` reports it.
    #[error("the database failed")]
    Sql(#[source] Arc<rusqlite::Error>),
    /// A stored document cannot be read.
    #[error("a stored document cannot be read")]
    Document(#[source] Arc<serde_json::Error>),
    /// Rows contradict each other.
    #[error("{0}")]
    Contradiction(&'static str),
    /// Writing has stopped until there is space again.
    #[error("writing has stopped")]
    ReadOnly,
    /// The commit failed half way.
    #[error("the commit failed")]
    Commit(#[source] Arc<rusqlite::Error>),
}

/// The result of work on the database.
pub(super) type Outcome<T> = Result<T, Fault>;

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(Arc::new(error))
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Self::Document(Arc::new(error))
    }
}

impl Fault {
    /// Tells whether the disk is full or broken, so that writing has to stop.
    pub(super) fn stops_writing(&self) -> bool {
        match self {
            Self::Sql(error) | Self::Commit(error) => matches!(
                error.sqlite_error_code(),
                Some(
                    ErrorCode::DiskFull
                        | ErrorCode::SystemIoFailure
                        | ErrorCode::ReadOnly
                        | ErrorCode::CannotOpen
                        | ErrorCode::DatabaseCorrupt
                        | ErrorCode::NotADatabase
                )
            ),
            Self::ReadOnly => true,
            Self::Document(_) | Self::Contradiction(_) => false,
        }
    }

    /// Tells whether the outcome of what was committed is open: the disk broke while writing it.
    fn leaves_outcome_open(&self) -> bool {
        matches!(self, Self::Commit(error)
            if error.sqlite_error_code() != Some(ErrorCode::DiskFull))
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        if fault.leaves_outcome_open() {
            return Self::UnknownOutcome;
        }
        if fault.stops_writing() {
            return Self::ReadOnly(Some(Box::new(fault)));
        }
        let busy = matches!(&fault, Fault::Sql(error) if matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::OutOfMemory)
        ));
        if busy {
            return Self::Unavailable(Some(Box::new(fault)));
        }
        Self::Inconsistent { what: fault.to_string(), source: Some(Box::new(fault)) }
    }
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

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Self {
        Self::Fault(error.into())
    }
}

impl From<serde_json::Error> for Stop {
    fn from(error: serde_json::Error) -> Self {
        Self::Fault(error.into())
    }
}

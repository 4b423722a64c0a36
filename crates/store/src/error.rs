//! What a caller can do about a failure of the store.

use std::error::Error;

/// A failure of the store itself; refusals by the rules are typed results, not errors.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store does not answer or refuses to work; retry later. Nothing was kept.
    #[error("the store is unavailable")]
    Unavailable(#[source] Option<Box<dyn Error + Send + Sync>>),
    /// Too much is queued already; retry later. Nothing was kept.
    #[error("the store has too much to do")]
    Overloaded,
    /// The disk is full or broken: reading works, writing does not until an operator has acted.
    #[error("the store cannot write")]
    ReadOnly(#[source] Option<Box<dyn Error + Send + Sync>>),
    /// Whether the write was kept is unknown; repeat it with the same ids.
    #[error("the outcome of the write is unknown")]
    UnknownOutcome,
    /// Stored data contradicts itself; an operator must look.
    #[error("stored data is inconsistent: {what}")]
    Inconsistent {
        /// What contradicts what, with the names of table and column.
        what: String,
        /// The driver's error.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
}

impl StoreError {
    /// Tells whether the same call may succeed later.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Overloaded | Self::UnknownOutcome)
    }
}

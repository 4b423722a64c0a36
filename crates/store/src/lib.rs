//! The truth: everything durable, behind one contract with several backends.
//!
//! Every method is one complete durable unit: when it returns, what it did is committed, and when it
//! fails, nothing of it is kept, except where the error is [`StoreError::UnknownOutcome`]. No
//! transaction leaves this crate. The log of a room has one writer at a time, so its `seq` is dense
//! and equals the order of commits.
//!
//! `conformance` is the specification as tests; every backend runs it unchanged.

pub mod append;
pub mod changes;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod contract;
mod document;
pub mod error;
pub mod moderation;
pub mod people;
pub mod postgres;
pub mod record;
pub mod search;
pub mod sqlite;
pub mod tail;
mod word;

pub use append::{Append, AppendRefused, Appended, Intent, NewMessage, QueuedJob, ReplyEnd};
pub use changes::{Change, ChangePage, ChangePosition};
pub use contract::{
    Bots, Changes, Files, Imports, Integrations, Jobs, Log, MANY_MAX, Many, Operations, Reading,
    Rooms, Sessions, Store, Tail, Tokens, Users, Webhooks,
};
pub use error::StoreError;
pub use moderation::Moderation;
pub use people::People;
pub use postgres::{PostgresOptions, PostgresStore};
pub use search::{Search, SearchHit, SearchPage, SearchRequest, SearchWindow};
pub use sqlite::{OpenError, SqliteOptions, SqliteStore};
pub use tail::{Commit, TailPage, TailPosition};

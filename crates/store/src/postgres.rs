//! The store in a server: `PostgreSQL`, for any number of processes.
//!
//! Each method is one transaction, repeated where it met another one or lost its connection. What
//! other nodes must hear of is noted in `commit_log` by the same transaction. Reads come from the
//! server that takes writes, never from a standby: what was told is there.

mod access;
mod address;
mod append;
mod bots;
mod changes;
mod codec;
mod commit_log;
mod connection;
mod crowds;
mod epoch;
mod events;
mod fault;
mod files;
mod imports;
mod integrations;
mod invites;
mod jobs;
mod log;
mod many;
mod moderation;
mod open;
mod operations;
mod people;
mod pools;
mod query;
mod reading;
mod rooms;
mod rows;
mod schema;
mod search;
mod sessions;
mod sql;
mod survey;
mod tail;
mod tokens;
mod transaction;
mod users;
mod webhooks;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use self::append::Remembered;
use self::epoch::Epoch;
pub use self::open::OpenError;
pub use self::pools::Connections;
use self::pools::Pools;
pub use self::schema::{MigrationReport, known_schema_version};
pub use self::survey::Survey;
use self::transaction::Gate;

/// How to open a store.
#[derive(Clone)]
pub struct PostgresOptions {
    /// The address. It may hold a password, so it is in no output for debugging.
    pub url: String,
    /// Replies of bots that may follow one message of a person.
    pub max_hops: u32,
    /// Members that a room may have.
    pub room_members: u32,
    /// Connections that append.
    pub lanes: usize,
    /// Connections for all other writes.
    pub writers: usize,
    /// Connections that read.
    pub readers: usize,
    /// Connections that search.
    pub searchers: usize,
    /// Connections that follow what other nodes wrote.
    pub tails: usize,
    /// The server gives up a reading statement after so long.
    pub statement_timeout: Duration,
    /// Time to connect.
    pub connect_timeout: Duration,
    /// How long a call waits for a connection; then it answers
    /// [`StoreError::Unavailable`](crate::StoreError::Unavailable).
    pub pool_wait: Duration,
    /// A write whose outcome is not known is repeated for so long.
    pub append_deadline: Duration,
    /// Certificates (PEM) that the server's is checked against, besides the well-known ones.
    pub ca_file: Option<PathBuf>,
    /// Whether the database is brought to the newest schema when it is opened.
    pub migrate: bool,
    /// How long to wait while another process changes the schema.
    pub migration_wait: Duration,
    /// How the connections are called in the server's lists.
    pub application_name: String,
}

impl PostgresOptions {
    /// Returns the defaults for an address such as
    /// `postgres://USER:PASSWORD@HOST/DATABASE?sslmode=verify-full`.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            max_hops: 3,
            room_members: 10_000,
            lanes: 2,
            writers: 2,
            readers: 8,
            searchers: 2,
            tails: 1,
            statement_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
            pool_wait: Duration::from_secs(5),
            append_deadline: Duration::from_secs(5),
            ca_file: None,
            migrate: true,
            migration_wait: Duration::from_mins(2),
            application_name: "parlor".to_owned(),
        }
    }
}

impl std::fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresOptions").finish_non_exhaustive()
    }
}

/// The store in a server.
#[derive(Debug)]
pub struct PostgresStore {
    options: PostgresOptions,
    pools: Pools,
    epoch: Arc<Epoch>,
    gate: Gate,
    remembered: Remembered,
    reads: AtomicU64,
}

impl PostgresStore {
    fn new(options: PostgresOptions, pools: Pools, epoch: Arc<Epoch>) -> Self {
        let remembered = Remembered::default();
        let reads = AtomicU64::new(0);
        Self { options, pools, epoch, gate: Gate::new(), remembered, reads }
    }

    /// Returns how the connections are used at the moment.
    pub fn connections(&self) -> [Connections; 5] {
        self.pools.connections()
    }

    /// Returns the identity of the logs, as the newest connection has read it.
    pub fn epoch(&self) -> Arc<str> {
        self.epoch.get()
    }
}

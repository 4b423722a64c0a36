//! The store in a file: `SQLite`, for one process.
//!
//! One thread writes, in commits of whatever has queued; a few threads read. The data folder is
//! locked against a second process for as long as the store lives.

mod append;
mod backup;
mod bots;
mod changes;
mod codec;
mod crowds;
mod fault;
mod files;
mod imports;
mod incarnation;
mod integrations;
mod invites;
mod jobs;
mod log;
mod many;
mod moderation;
mod open;
mod operations;
mod people;
mod query;
mod readers;
mod reading;
mod rooms;
mod rows;
mod schema;
mod search;
mod sessions;
mod sql;
mod tail;
mod tokens;
mod users;
mod webhooks;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rusqlite::Connection;

pub use self::backup::back_up;
use self::changes::Notices;
use self::fault::Outcome;
use self::open::DataFolder;
pub use self::open::OpenError;
use self::readers::Readers;
pub use self::schema::{MigrationReport, known_schema_version, migrate, schema_version};
use self::search::Searcher;
pub use self::writer::WriteCounts;
use self::writer::Writer;
use crate::error::StoreError;

/// How to open a store.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// Where the database is; made where it is missing.
    pub data_dir: PathBuf,
    /// Replies of bots that may follow one message of a person.
    pub max_hops: u32,
    /// Members that a room may have.
    pub room_members: u32,
    /// Writes, and as many reads, that may wait; above it calls answer [`StoreError::Overloaded`].
    pub queue: usize,
    /// Connections that read.
    pub readers: usize,
    /// Largest size of the database in pages of 4 KiB; `None`: as large as the disk.
    pub max_pages: Option<u32>,
    /// Steps of the database after which a search that has found nothing yet looks at the clock.
    pub search_steps: i32,
}

impl SqliteOptions {
    /// Returns the defaults for a folder.
    pub fn new(data_dir: impl AsRef<Path>) -> Self {
        Self {
            data_dir: data_dir.as_ref().to_owned(),
            max_hops: 3,
            room_members: 10_000,
            queue: 4096,
            readers: 2,
            max_pages: None,
            search_steps: 10_000,
        }
    }
}

/// What the rules need to know and the database does not hold.
#[derive(Debug)]
struct Rules {
    epoch: String,
    max_hops: u32,
    room_members: u32,
}

/// The store in a file.
#[derive(Debug)]
pub struct SqliteStore {
    writer: Writer,
    readers: Readers,
    searcher: Searcher,
    rules: Arc<Rules>,
    notices: Arc<Notices>,
    closed: AtomicBool,
    reads: AtomicU64,
}

impl SqliteStore {
    /// Opens the store of a folder: locks it, brings the database to the newest schema, and starts
    /// the threads.
    ///
    /// Blocks on the disk; at start that is harmless, elsewhere call it where blocking is allowed.
    pub fn open(options: SqliteOptions) -> Result<Self, OpenError> {
        let SqliteOptions { data_dir, max_hops, room_members, queue, readers, .. } = options;
        let SqliteOptions { max_pages, search_steps, .. } = options;
        let folder = DataFolder::lock(&data_dir, max_pages)?;
        let mut conn = folder.connect_first()?;
        schema::check(&folder, &conn)?;
        folder.set_up_writer(&conn)?;
        schema::apply(&folder, &mut conn)?;
        let epoch = folder.settle_epoch(&conn).map_err(|fault| folder.fault(fault))?;
        let connections =
            (0..readers.max(1)).map(|_| folder.connect_reader()).collect::<Result<Vec<_>, _>>()?;
        let readers = Readers::start(connections, queue)?;
        let searcher = Searcher::start(folder.connect_reader()?, search_steps)?;
        changes::watch(&conn).map_err(|error| folder.sorted(error))?;
        let notices = Arc::new(Notices::default());
        let writer = Writer::start(conn, folder, queue, Arc::clone(&notices))?;
        let rules = Rules { epoch, max_hops, room_members };
        Ok(Self {
            writer,
            readers,
            searcher,
            rules: Arc::new(rules),
            notices,
            closed: AtomicBool::new(false),
            reads: AtomicU64::new(0),
        })
    }

    /// Returns how much was written since the store was opened.
    pub fn write_counts(&self) -> WriteCounts {
        self.writer.counts()
    }

    /// Returns the identity of the logs of this store.
    pub fn epoch(&self) -> &str {
        &self.rules.epoch
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Outcome<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.write_many(1, work).await
    }

    async fn write_many<T: Send + 'static>(
        &self,
        weight: usize,
        work: impl FnOnce(&Connection) -> Outcome<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.check_open()?;
        self.writer.write(weight, work).await
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Outcome<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.check_open()?;
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.readers.read(work).await
    }

    fn check_open(&self) -> Result<(), StoreError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(StoreError::Unavailable(None));
        }
        Ok(())
    }
}

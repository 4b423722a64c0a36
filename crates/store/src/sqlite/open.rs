//! The data folder: its lock, its files, and connections to the database in it.
//!
//! A failed open changes nothing that is there already.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::changes;
use super::fault::{Fault, Outcome};
use super::incarnation;
use super::query;
use super::search::keeper;
use super::sql::meta as sql;

/// The name of the database in its folder.
pub(super) const DATABASE: &str = "parlor.db";
/// Older versions can damage the database when a checkpoint meets a writer.
const OLDEST_SQLITE: i32 = 3_051_003;
/// Statements that a connection keeps prepared.
const STATEMENTS: usize = 256;

/// Why a store cannot be opened. Nothing was damaged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process works with the folder.
    #[error("the data folder {} is in use by another process", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The folder or a file in it cannot be made or written.
    #[error("cannot write to {}", path.display())]
    NotWritable {
        /// The folder or file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: Option<io::Error>,
    },
    /// The database was written by a newer version of Parlor.
    #[error(
        "the database has schema {found}, newer than {known}: use the newer version of Parlor, \
         or restore the backup from before it"
    )]
    NewerSchema {
        /// The schema of the database.
        found: i64,
        /// The newest schema that this version knows.
        known: i64,
    },
    /// A migration that the database has is not the one that this version has.
    #[error("migration {version} of the database differs from that of this version of Parlor")]
    ChangedMigration {
        /// Which.
        version: i64,
    },
    /// There is no space.
    #[error("the disk of {} is full", path.display())]
    DiskFull {
        /// The folder.
        path: PathBuf,
    },
    /// The file is not a database, or a damaged one.
    #[error("{} is damaged or not a database of Parlor: restore a backup", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
    },
    /// The library has a bug that can damage the database.
    #[error("SQLite {version} is too old: 3.51.3 or newer is needed")]
    OldLibrary {
        /// Its version.
        version: &'static str,
    },
    /// The system does not start a thread.
    #[error("cannot start a thread for the store")]
    Thread(#[source] io::Error),
    /// Anything else that `SQLite` reports.
    #[error("cannot open the database")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The folder, locked as long as this lives.
#[derive(Debug)]
pub(super) struct DataFolder {
    path: PathBuf,
    max_pages: Option<u32>,
    _lock: File,
}

impl DataFolder {
    /// Makes the folder where it is missing, and locks it.
    pub(super) fn lock(path: &Path, max_pages: Option<u32>) -> Result<Self, OpenError> {
        if rusqlite::version_number() < OLDEST_SQLITE {
            return Err(OpenError::OldLibrary { version: rusqlite::version() });
        }
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|error| cannot_write(path, path, error))?;
        let lock_path = path.join("lock");
        let lock =
            private_file(&lock_path).map_err(|error| cannot_write(path, &lock_path, error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), max_pages, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(error)) => Err(cannot_write(path, &lock_path, error)),
        }
    }

    /// Returns the path of the database.
    pub(super) fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    /// Connects for the first time, without changing anything in a database that exists.
    pub(super) fn connect_first(&self) -> Result<Connection, OpenError> {
        let path = self.database();
        // SQLite gives its other files the mode of this one.
        let file = private_file(&path).map_err(|error| cannot_write(&self.path, &path, error))?;
        file.set_permissions(Permissions::from_mode(0o600))
            .map_err(|error| cannot_write(&self.path, &path, error))?;
        let conn = Connection::open_with_flags(
            &path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )
        .map_err(|error| self.sorted(error))?;
        // Reads the header, so that a file of another kind is found before it is touched.
        query::get(&conn, sql::SCHEMA_SIZE, [], |_| Ok(())).map_err(|error| self.sorted(error))?;
        Ok(conn)
    }

    /// Makes a connection fit for writing: durable at each commit.
    pub(super) fn set_up_writer(&self, conn: &Connection) -> Result<(), OpenError> {
        let set_up = || {
            conn.set_prepared_statement_cache_capacity(STATEMENTS);
            conn.execute_batch(sql::WRITER_PRAGMAS)?;
            keeper::add_function(conn)?;
            if let Some(pages) = self.max_pages {
                conn.pragma_update(None, "max_page_count", pages)?;
            }
            Ok(())
        };
        set_up().map_err(|error| self.sorted(error))
    }

    /// Connects again for writing, after writing had stopped.
    pub(super) fn connect_writer(&self) -> Result<Connection, OpenError> {
        let conn = self.connect_first()?;
        self.set_up_writer(&conn)?;
        changes::watch(&conn).map_err(|error| self.sorted(error))?;
        Ok(conn)
    }

    /// Connects for reading.
    pub(super) fn connect_reader(&self) -> Result<Connection, OpenError> {
        let conn = Connection::open_with_flags(
            self.database(),
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )
        .map_err(|error| self.sorted(error))?;
        conn.set_prepared_statement_cache_capacity(STATEMENTS);
        conn.execute_batch(sql::READER_PRAGMAS).map_err(|error| self.sorted(error))?;
        Ok(conn)
    }

    /// Sorts an error of the library by what an operator can do.
    pub(super) fn sorted(&self, error: rusqlite::Error) -> OpenError {
        sorted(&self.database(), error)
    }

    /// Sorts a failure in the same way.
    pub(super) fn fault(&self, fault: Fault) -> OpenError {
        match fault {
            Fault::Sql(error) | Fault::Commit(error) => match Arc::try_unwrap(error) {
                Ok(error) => self.sorted(error),
                Err(shared) => OpenError::Database(Box::new(shared)),
            },
            other => OpenError::Database(Box::new(other)),
        }
    }

    /// Returns the identity of the log; a new one when the database is not the one that was here.
    pub(super) fn settle_epoch(&self, conn: &Connection) -> Outcome<String> {
        incarnation::settle_epoch(&self.path, conn)
    }

    /// Marks the database and the folder as belonging together from now on.
    pub(super) fn renew_incarnation(&self, conn: &Connection) -> Outcome<()> {
        incarnation::renew(&self.path, conn, None)
    }
}

/// Sorts an error of the library by what an operator can do.
pub(super) fn sorted(database: &Path, error: rusqlite::Error) -> OpenError {
    let path = database.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => OpenError::DiskFull { path },
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => OpenError::Corrupt { path },
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            OpenError::NotWritable { path, source: None }
        }
        _ => OpenError::Database(Box::new(error)),
    }
}

/// Opens a file that only its owner may read and write, and makes it where it is missing.
fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn cannot_write(folder: &Path, path: &Path, error: io::Error) -> OpenError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            OpenError::DiskFull { path: folder.to_owned() }
        }
        _ => OpenError::NotWritable { path: path.to_owned(), source: Some(error) },
    }
}

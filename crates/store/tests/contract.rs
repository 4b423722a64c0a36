//! The contract on each backend, and what only one of them promises.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "contract/sqlite_files.rs"]
mod sqlite_files;

use std::sync::Arc;

use async_trait::async_trait;
use parlor_store::conformance::{Factory, MAX_HOPS, Opened, ROOM_MEMBERS};
use parlor_store::{SqliteOptions, SqliteStore, Store};
use tempfile::TempDir;

struct Sqlite;

struct OpenedSqlite {
    store: Arc<SqliteStore>,
    folder: TempDir,
}

#[async_trait]
impl Factory for Sqlite {
    async fn open(&self) -> Box<dyn Opened> {
        let folder = tempfile::tempdir().unwrap();
        let mut options = SqliteOptions::new(folder.path());
        options.max_hops = MAX_HOPS;
        options.room_members = ROOM_MEMBERS;
        let store = Arc::new(SqliteStore::open(options).unwrap());
        Box::new(OpenedSqlite { store, folder })
    }
}

#[async_trait]
impl Opened for OpenedSqlite {
    fn store(&self) -> Arc<dyn Store> {
        Arc::<SqliteStore>::clone(&self.store)
    }

    async fn remains(&self) -> Vec<u8> {
        parlor_store::Operations::close(&*self.store).await;
        let mut bytes = Vec::new();
        for entry in std::fs::read_dir(self.folder.path()).unwrap() {
            bytes.extend(std::fs::read(entry.unwrap().path()).unwrap());
        }
        bytes
    }
}

parlor_store::store_conformance!(sqlite, Sqlite);

//! What an operator asks of the store.

use std::sync::atomic::Ordering;

use async_trait::async_trait;

use super::SqliteStore;
use super::query;
use super::sql::meta as sql;
use crate::contract::{Operations, Result};

#[async_trait]
impl Operations for SqliteStore {
    fn backend(&self) -> &'static str {
        "sqlite"
    }

    async fn check_health(&self) -> Result<()> {
        self.write(|conn| {
            query::execute(conn, sql::BEAT, [])?;
            Ok(())
        })
        .await
    }

    async fn pin(&self, key: &str, value: &str) -> Result<String> {
        // The keys of the store itself have no dot.
        let (key, value) = (format!("pin.{key}"), value.to_owned());
        self.write(move |conn| {
            query::execute(conn, sql::SET_FIRST, [&key, &value])?;
            Ok(query::get(conn, sql::GET, [&key], |row| row.get(0))?)
        })
        .await
    }

    fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    async fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.readers.close().await;
        self.searcher.close().await;
        self.writer.close().await;
    }
}

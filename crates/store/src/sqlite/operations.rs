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

    async fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.readers.close().await;
        self.writer.close().await;
    }
}

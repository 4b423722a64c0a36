//! What an operator asks of the store.

use std::sync::atomic::Ordering;

use async_trait::async_trait;

use super::codec;
use super::fault::Fault;
use super::sql::meta as sql;
use super::transaction::{committing, writing};
use super::{PostgresStore, query};
use crate::contract::{Operations, Result};

#[async_trait]
impl Operations for PostgresStore {
    fn backend(&self) -> &'static str {
        "postgres"
    }

    async fn check_health(&self) -> Result<()> {
        committing!(self, |conn| query::execute(conn, sql::BEAT, &[]).await.map(drop))
    }

    async fn pin(&self, key: &str, value: &str) -> Result<String> {
        let key = format!("pin.{key}");
        writing!(self, |tx| async {
            query::execute(tx, sql::PIN, &[&key, &value]).await?;
            query::find(tx, sql::GET, &[&key], |row| codec::value(row, 0))
                .await?
                .ok_or(Fault::Contradiction("meta lost a row"))
        }
        .await)
    }

    fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    async fn close(&self) {
        let longest = self.options.append_deadline.max(self.options.statement_timeout);
        self.gate.close(longest).await;
        self.pools.close();
    }
}

//! What an operator is told about the database server, and the notes that only an operator changes.

use tokio::time::Instant;

use std::time::Duration;

use super::open::OpenError;
use super::schema;
use super::sql::survey as sql;
use super::{PostgresOptions, PostgresStore};

/// What was found out about a server. Looking changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// How long connecting took, with the login.
    pub connected_in: Duration,
    /// How long one short question took.
    pub answered_in: Duration,
    /// The server's version.
    pub version: String,
    /// The schema of the database; `None` when it is empty.
    pub schema: Option<i64>,
    /// The server's time, in milliseconds since the Unix epoch.
    pub time: i64,
    /// Connections that the server takes from users like this one.
    pub connections_max: u32,
    /// Connections that it has at the moment.
    pub connections: u32,
    /// Settings by which the server may lose what it has confirmed.
    pub lossy: Vec<String>,
    /// Encoding of the database.
    pub encoding: String,
    /// Whether the connection is encrypted.
    pub encrypted: bool,
}

impl PostgresStore {
    /// Looks at the server and the database. Works with any schema.
    pub async fn survey(options: &PostgresOptions) -> Result<Survey, OpenError> {
        let begun = Instant::now();
        let first = Self::first(options).await?;
        let connected_in = begun.elapsed();
        let asked = Instant::now();
        let row = first.client.query_one(sql::SURVEY, &[]).await;
        let row = row.map_err(|error| first.sorted(error))?;
        let answered_in = asked.elapsed();
        let count = |column| u32::try_from(row.get::<_, i32>(column)).unwrap_or(0);
        let lossy = [("fsync", 4), ("synchronous_commit", 5), ("full_page_writes", 6)];
        let lossy = lossy.into_iter().filter(|(_, column)| row.get::<_, &str>(*column) == "off");
        Ok(Survey {
            connected_in,
            answered_in,
            version: row.get(0),
            schema: schema::found(&first).await?,
            time: row.get(1),
            connections_max: count(2),
            connections: count(3),
            lossy: lossy.map(|(name, _)| format!("{name} = off")).collect(),
            encoding: row.get(7),
            encrypted: row.get(8),
        })
    }

    /// Returns what [`pin`](crate::Operations::pin) has noted under a key, without noting anything.
    pub async fn find_pin(
        options: &PostgresOptions,
        key: &str,
    ) -> Result<Option<String>, OpenError> {
        let first = Self::first(options).await?;
        if schema::found(&first).await?.is_none() {
            return Ok(None);
        }
        let row = first.client.query_opt(sql::PINNED, &[&format!("pin.{key}")]).await;
        Ok(row.map_err(|error| first.sorted(error))?.map(|row| row.get(0)))
    }

    /// Replaces what [`pin`](crate::Operations::pin) has noted under a key.
    pub async fn replace_pin(
        options: &PostgresOptions,
        key: &str,
        value: &str,
    ) -> Result<(), OpenError> {
        let first = Self::first(options).await?;
        let done = first.client.execute(sql::REPIN, &[&format!("pin.{key}"), &value]).await;
        done.map(drop).map_err(|error| first.sorted(error))
    }
}

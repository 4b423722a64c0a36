//! `[store]`.

use std::path::PathBuf;
use std::time::Duration;

use super::section::section;
use super::service::names_host;
use crate::secret::Secret;

section! {
    /// Where rooms, messages and users are kept.
    store: StoreConfig {
        /// `postgres://USER:PASSWORD@HOST/DATABASE` for the database that nodes share. When it is not set, or `sqlite:`, a file in the data folder. It may hold a password, so it is not shown.
        url: Option<Secret<String>> = None, also "DATABASE_URL", where |url| url.as_ref().is_none_or(|url| is_sqlite(url.expose()) || is_postgres(url.expose())) => "must be postgres://USER:PASSWORD@HOST/DATABASE, or sqlite: for the file in the data folder, which server.data_dir names";
        /// Transactions that append at the same time, with PostgreSQL.
        lanes: usize = 2, where |n| (1..=16).contains(n) => "must be from 1 to 16";
        /// Connections that read, with PostgreSQL.
        read_connections: usize = 8, where |n| (1..=256).contains(n) => "must be from 1 to 256";
        /// Connections that follow what other nodes wrote.
        tail_connections: usize = 1, where |n| (1..=8).contains(n) => "must be from 1 to 8";
        /// The database gives up a reading statement after so long.
        statement_timeout: Duration = Duration::from_secs(10), where |d| (100..=300_000).contains(&d.as_millis()) => "must be from 100ms to 5m";
        /// Time to connect to the database.
        connect_timeout: Duration = Duration::from_secs(5), where |d| (100..=300_000).contains(&d.as_millis()) => "must be from 100ms to 5m";
        /// An append whose outcome is not known is repeated for so long.
        append_deadline: Duration = Duration::from_secs(5), where |d| (100..=300_000).contains(&d.as_millis()) => "must be from 100ms to 5m";
        /// File with the certificates (PEM) that the database's is checked against, besides the well-known ones.
        tls_ca: Option<PathBuf> = None;
        /// Brings the database to this version at the start. When `false`, `parlor migrate` does.
        migrate: bool = true;
    }
}

impl StoreConfig {
    /// Returns the address of PostgreSQL; nothing when the store is a file in the data folder.
    pub fn postgres(&self) -> Option<&str> {
        self.url.as_ref().map(|url| url.expose().as_str()).filter(|url| is_postgres(url))
    }

    /// Returns how many appends of one node the store carries out at the same time.
    pub fn writers(&self) -> usize {
        // SQLite has one writer; more would only wait for each other.
        if self.postgres().is_some() { self.lanes } else { 1 }
    }
}

fn is_sqlite(url: &str) -> bool {
    matches!(url.trim(), "sqlite:" | "sqlite://")
}

fn is_postgres(url: &str) -> bool {
    names_host(url, &["postgres", "postgresql"])
}

//! `[cluster]`.

use std::path::PathBuf;
use std::time::Duration;

use super::section::section;
use super::service::names_host;
use crate::secret::Secret;

section! {
    /// What nodes share for a moment: presence, tickets, rates.
    cluster: ClusterConfig {
        /// `redis://HOST:PORT`, or `rediss://` with TLS. When it is not set, these stay in this process. It may hold a password, so it is not shown.
        url: Option<Secret<String>> = None, also "REDIS_URL", where |url| url.as_ref().is_none_or(|url| names_host(url.expose(), &["redis", "rediss"])) => "must be redis://HOST:PORT, or rediss://HOST:PORT with TLS";
        /// First part of every key. Nodes that belong together have the same.
        prefix: String = "parlor:".to_owned(), where |prefix| prefix.len() <= 64 && prefix.chars().all(|c| c.is_ascii_graphic()) => "must be at most 64 visible ASCII characters";
        /// Redis is given so long for an answer; after that a node decides alone.
        timeout: Duration = Duration::from_millis(250), where |d| (10..=30_000).contains(&d.as_millis()) => "must be from 10ms to 30s";
        /// A node that says nothing for so long takes its users' presence with it.
        presence_expire: Duration = Duration::from_secs(45), where |d| (15..=3_600).contains(&d.as_secs()) => "must be from 15s to 1h";
        /// A user who does nothing for so long is shown as idle.
        presence_idle: Duration = Duration::from_mins(5), where |d| (1..=86_400).contains(&d.as_secs()) => "must be from 1s to 1d";
        /// A user is shown as gone so long after the last connection was lost, because a restart looks the same.
        presence_grace: Duration = Duration::from_secs(15), where |d| d.as_secs() <= 3_600 => "must be at most 1h";
        /// File with the certificates (PEM) that the server's is checked against, in place of the well-known ones.
        tls_ca: Option<PathBuf> = None;
    }
}

impl ClusterConfig {
    /// Returns the address of Redis.
    pub fn redis(&self) -> Option<&str> {
        self.url.as_ref().map(|url| url.expose().as_str())
    }
}

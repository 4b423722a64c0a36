//! `[bus]`.

use std::path::PathBuf;
use std::time::Duration;

use super::section::section;
use super::service::names_host;
use crate::secret::Secret;

section! {
    /// How nodes tell each other what happened.
    bus: BusConfig {
        /// `nats://HOST:PORT`, several separated by commas; `tls://` for a server that wants it. When it is not set, nobody but this process is told. It may hold a password, so it is not shown.
        url: Option<Secret<String>> = None, also "NATS_URL", where |url| url.as_ref().is_none_or(|url| url.expose().split(',').all(|one| names_host(one, &["nats", "tls"]))) => "must be nats://HOST:PORT or tls://HOST:PORT, several separated by commas";
        /// Content of a NATS credentials file.
        credentials: Option<Secret<String>> = None;
        /// Seed of an `NKey`.
        nkey_seed: Option<Secret<String>> = None;
        /// File with the certificates (PEM) that the server's is checked against, in place of the well-known ones.
        tls_ca: Option<PathBuf> = None;
        /// File with the certificate (PEM) that this node shows.
        tls_cert: Option<PathBuf> = None;
        /// File with its key (PEM).
        tls_key: Option<PathBuf> = None;
        /// First part of every subject. Nodes that belong together have the same.
        subject_prefix: String = "parlor".to_owned(), where |prefix| is_subject(prefix) => "must be words of a-z, A-Z, 0-9, _ and -, separated by dots";
        /// Messages that may wait to be sent; more are dropped, and other nodes read what they missed from the store.
        publish_queue: usize = 8_192, where |n| (16..=1_000_000).contains(n) => "must be from 16 to 1000000";
        /// The subject of a room is given up so long after its last local member left.
        release_after: Duration = Duration::from_secs(10), where |d| d.as_secs() <= 3_600 => "must be at most 1h";
        /// How often the server is asked whether it is there.
        ping_interval: Duration = Duration::from_secs(2), where |d| (100..=120_000).contains(&d.as_millis()) => "must be from 100ms to 2m";
    }
}

impl BusConfig {
    /// Returns the addresses of NATS, separated by commas.
    pub fn nats(&self) -> Option<&str> {
        self.url.as_ref().map(|url| url.expose().as_str())
    }
}

fn is_subject(prefix: &str) -> bool {
    let word = |word: &str| {
        !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
    };
    prefix.len() <= 64 && prefix.split('.').all(word)
}

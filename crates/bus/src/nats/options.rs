//! What the bus has to know.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// How to reach NATS, and how much may wait.
///
/// `Debug` shows no secrets.
#[derive(Clone)]
pub struct NatsOptions {
    /// Addresses, separated by commas. Name every server of a cluster: others are not looked for.
    /// `nats://USER:PASSWORD@HOST:PORT` and `nats://TOKEN@HOST:PORT` log in, `tls://` insists on
    /// TLS.
    pub url: String,
    /// Content of a credentials file.
    pub credentials: Option<String>,
    /// Seed of an `NKey`.
    pub nkey_seed: Option<String>,
    /// File with the certificates that the server's is checked against, in place of the system's.
    pub tls_ca: Option<PathBuf>,
    /// File with the certificate to show.
    pub tls_cert: Option<PathBuf>,
    /// File with its key.
    pub tls_key: Option<PathBuf>,
    /// What the server calls this process.
    pub name: String,
    /// First part of every subject.
    pub subject_prefix: String,
    /// Events and controls that may wait to be sent; as many signals may wait apart from them.
    pub publish_queue: usize,
    /// Messages of one subject that may wait to be delivered.
    pub receive_queue: usize,
    /// The subjects of a room are given up so long after the last follower left.
    pub release_after: Duration,
    /// How often the server is asked whether it is there. Twice without an answer is too often.
    pub ping_interval: Duration,
    /// How long one attempt to connect may take.
    pub connect_timeout: Duration,
    /// Start although no server can be reached, and go on trying.
    pub start_away: bool,
}

impl Default for NatsOptions {
    fn default() -> Self {
        Self {
            url: "nats://127.0.0.1:4222".to_owned(),
            credentials: None,
            nkey_seed: None,
            tls_ca: None,
            tls_cert: None,
            tls_key: None,
            name: "parlor".to_owned(),
            subject_prefix: "parlor".to_owned(),
            publish_queue: 8_192,
            receive_queue: 8_192,
            release_after: Duration::from_secs(10),
            ping_interval: Duration::from_secs(2),
            connect_timeout: Duration::from_secs(2),
            start_away: false,
        }
    }
}

impl fmt::Debug for NatsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsOptions")
            .field("name", &self.name)
            .field("subject_prefix", &self.subject_prefix)
            .field("publish_queue", &self.publish_queue)
            .field("receive_queue", &self.receive_queue)
            .field("release_after", &self.release_after)
            .field("ping_interval", &self.ping_interval)
            .field("connect_timeout", &self.connect_timeout)
            .field("start_away", &self.start_away)
            .finish_non_exhaustive()
    }
}

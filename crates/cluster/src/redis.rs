//! What nodes share, on Redis.
//!
//! Redis holds nothing that cannot be made again: it may be restarted, emptied or away at any time.
//! No call waits longer than a time limit, and after a failure none waits at all until a probe has
//! found Redis again. Keys that one script touches have the same hash tag.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use prometheus::Registry;
use tokio::sync::watch;
use uuid::Uuid;

use crate::shared::ClusterStatus;

mod budget;
mod connection;
mod error;
mod limits;
mod logins;
mod metrics;
mod presence;
mod script;
mod survey;
mod tickets;

pub use connection::RedisConnection;
pub use error::ConnectError;
pub use limits::RedisLimits;
pub use presence::{PresenceOptions, RedisPresence};
pub use survey::RedisSurvey;
pub use tickets::RedisTickets;

/// How Redis is reached and used.
#[derive(Clone)]
pub struct ClusterOptions {
    /// `redis://USER:PASSWORD@HOST:PORT/DB`, or `rediss://` with TLS.
    pub url: String,
    /// The certificates (PEM) that the server's is checked against, in place of the well-known ones.
    pub tls_ca: Option<PathBuf>,
    /// First part of every key.
    pub prefix: String,
    /// How long Redis is given for an answer.
    pub timeout: Duration,
    /// This process.
    pub node: Uuid,
    /// The secret that all nodes have. Keys for single purposes are derived from it.
    pub secret: Vec<u8>,
    /// Presence.
    pub presence: PresenceOptions,
}

impl ClusterOptions {
    /// Returns the defaults for an address, a process and a secret.
    pub fn new(url: impl Into<String>, node: Uuid, secret: impl Into<Vec<u8>>) -> Self {
        Self {
            url: url.into(),
            tls_ca: None,
            prefix: "parlor:".to_owned(),
            timeout: Duration::from_millis(250),
            node,
            secret: secret.into(),
            presence: PresenceOptions::default(),
        }
    }
}

impl std::fmt::Debug for ClusterOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterOptions")
            .field("prefix", &self.prefix)
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

/// What a node shares with others through Redis.
#[derive(Debug, Clone)]
pub struct ClusterState {
    /// Who is there.
    pub presence: Arc<RedisPresence>,
    /// Single-use tickets.
    pub tickets: Arc<RedisTickets>,
    /// Rate limits and attempts to log in.
    pub limits: Arc<RedisLimits>,
    connection: RedisConnection,
}

impl ClusterState {
    /// Connects. Redis must be there now; later it may come and go.
    pub async fn connect(
        options: ClusterOptions,
        registry: &Registry,
    ) -> Result<Self, ConnectError> {
        let connection = RedisConnection::connect(&options, registry).await?;
        let limits = RedisLimits::new(connection.clone(), &options.secret, registry)?;
        Ok(Self {
            presence: Arc::new(RedisPresence::new(
                connection.clone(),
                options.node,
                options.presence,
            )),
            tickets: Arc::new(RedisTickets::new(connection.clone(), &options.secret)),
            limits: Arc::new(limits),
            connection,
        })
    }

    /// Tells whether Redis can be reached, now and whenever that changes.
    pub fn status(&self) -> watch::Receiver<ClusterStatus> {
        self.connection.status()
    }
}

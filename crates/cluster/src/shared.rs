//! Limits that all nodes keep together.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::login::{LocalLogins, LoginRule, Logins};
use crate::rate_limit::{Rate, RateLimited};

/// Whether what the nodes share can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClusterStatus {
    /// It can, or there is only this node.
    Connected,
    /// It cannot: every node goes by what it knows itself, and logins with a password are refused.
    Away,
}

/// Why nothing was taken from a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TakeRefused {
    /// It is spent.
    #[error(transparent)]
    Limited(#[from] RateLimited),
    /// The nodes share it and it cannot be asked.
    #[error("the limits that nodes share cannot be reached")]
    Unavailable,
}

/// What all nodes together may do, for many keys.
#[async_trait]
pub trait SharedBudget: Send + Sync + Debug {
    /// Charges one that this node has let through. Returns at once; when the charge cannot be
    /// passed on, it is lost.
    fn charge(&self, key: u128);

    /// Tells how long a key is overdrawn, by what this node was last told.
    fn refused_for(&self, key: u128) -> Option<Duration>;

    /// Takes one and waits for the answer: of the takers on all nodes exactly as many succeed as
    /// the rate allows.
    async fn take(&self, key: u128) -> Result<(), TakeRefused>;
}

/// Makes budgets that nodes share.
pub trait SharedLimits: Send + Sync + Debug {
    /// Returns the budget of this name; `None` when there are no other nodes to share it with.
    fn open(&self, name: &'static str, rate: Rate) -> Option<Arc<dyn SharedBudget>>;

    /// Returns what slows down guessing of passwords.
    fn logins(&self, rule: LoginRule) -> Arc<dyn Logins>;

    /// Tells whether what the nodes share can be reached, now and whenever that changes.
    fn status(&self) -> watch::Receiver<ClusterStatus>;
}

/// The limits of a process that is alone.
#[derive(Debug)]
pub struct LocalLimits {
    status: watch::Sender<ClusterStatus>,
}

impl Default for LocalLimits {
    fn default() -> Self {
        Self { status: watch::Sender::new(ClusterStatus::Connected) }
    }
}

impl SharedLimits for LocalLimits {
    fn open(&self, _name: &'static str, _rate: Rate) -> Option<Arc<dyn SharedBudget>> {
        None
    }

    fn logins(&self, rule: LoginRule) -> Arc<dyn Logins> {
        Arc::new(LocalLogins::new(rule))
    }

    fn status(&self) -> watch::Receiver<ClusterStatus> {
        self.status.subscribe()
    }
}

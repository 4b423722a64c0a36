//! One limit that nodes share.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use prometheus::IntCounter;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::RedisConnection;
use super::logins::micros;
use super::script::TAKE;
use crate::rate_limit::{Rate, RateLimited};
use crate::shared::{SharedBudget, TakeRefused};

/// Keys of one limit that are remembered as overdrawn.
const OVERDRAWN_MAX: usize = 100_000;

/// One that a node has let through.
#[derive(Debug)]
pub(super) struct Charge {
    pub(super) budget: usize,
    pub(super) key: u128,
    pub(super) at: Instant,
}

/// One limit.
#[derive(Debug)]
pub(super) struct RedisBudget {
    index: usize,
    prefix: String,
    rate: Rate,
    overdrawn: Overdrawn,
    connection: RedisConnection,
    charges: mpsc::Sender<Charge>,
    dropped: IntCounter,
}

impl RedisBudget {
    pub(super) fn new(
        index: usize,
        name: &str,
        rate: Rate,
        connection: RedisConnection,
        charges: mpsc::Sender<Charge>,
        dropped: IntCounter,
    ) -> Arc<Self> {
        let prefix = connection.key(&format!("rate:{name}:"));
        let overdrawn = Overdrawn::new(OVERDRAWN_MAX);
        Arc::new(Self { index, prefix, rate, overdrawn, connection, charges, dropped })
    }

    pub(super) fn rate(&self) -> Rate {
        self.rate
    }

    /// Returns Redis's key of a budget.
    pub(super) fn redis_key(&self, key: u128) -> String {
        format!("{}{key:032x}", self.prefix)
    }

    /// Refuses a key for so long.
    pub(super) fn refuse(&self, key: u128, wait: Duration) {
        self.overdrawn.refuse(key, wait);
    }

    /// Forgets keys that are not overdrawn any more.
    pub(super) fn sweep(&self) {
        self.overdrawn.sweep();
    }
}

/// Keys that are refused, and until when, by what Redis said last. Of those beyond the bound a node
/// knows only what it let through itself.
#[derive(Debug)]
struct Overdrawn {
    max: usize,
    until: papaya::HashMap<u128, Instant>,
}

impl Overdrawn {
    fn new(max: usize) -> Self {
        Self { max, until: papaya::HashMap::new() }
    }

    fn refuse(&self, key: u128, wait: Duration) {
        if self.until.len() >= self.max {
            self.sweep();
        }
        let until = self.until.pin();
        if until.len() < self.max || until.contains_key(&key) {
            until.insert(key, Instant::now() + wait);
        }
    }

    fn wait(&self, key: u128) -> Option<Duration> {
        if self.until.is_empty() {
            return None;
        }
        let until = *self.until.pin().get(&key)?;
        until.checked_duration_since(Instant::now()).filter(|wait| !wait.is_zero())
    }

    fn sweep(&self) {
        let now = Instant::now();
        self.until.pin().retain(|_, until| *until > now);
    }
}

#[async_trait]
impl SharedBudget for RedisBudget {
    fn charge(&self, key: u128) {
        let charge = Charge { budget: self.index, key, at: Instant::now() };
        if !self.connection.is_up() || self.charges.try_send(charge).is_err() {
            self.dropped.inc();
        }
    }

    fn refused_for(&self, key: u128) -> Option<Duration> {
        self.overdrawn.wait(key)
    }

    async fn take(&self, key: u128) -> Result<(), TakeRefused> {
        let mut take = TAKE.key(self.redis_key(key));
        take.arg(micros(self.rate.interval())).arg(self.rate.burst.get());
        let wait: u64 = self
            .connection
            .call("take", async |mut connection| take.invoke_async(&mut connection).await)
            .await
            .map_err(|_| TakeRefused::Unavailable)?;
        if wait == 0 {
            return Ok(());
        }
        Err(RateLimited { retry_after: Duration::from_micros(wait), rule: None }.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn overdrawn_keys_are_remembered_up_to_a_bound() {
        let overdrawn = Overdrawn::new(2);
        assert_eq!(overdrawn.wait(1), None);
        overdrawn.refuse(1, SECOND);
        overdrawn.refuse(2, SECOND * 3);
        overdrawn.refuse(3, SECOND);
        let waits = [1, 2, 3].map(|key| overdrawn.wait(key));
        assert_eq!(waits, [Some(SECOND), Some(SECOND * 3), None]);
        overdrawn.refuse(1, SECOND * 2);
        assert_eq!(overdrawn.wait(1), Some(SECOND * 2));

        tokio::time::advance(SECOND * 2).await;
        overdrawn.refuse(3, SECOND);
        assert_eq!(overdrawn.wait(1), None);
        assert_eq!(overdrawn.wait(3), Some(SECOND), "who may go on has made room");
    }
}

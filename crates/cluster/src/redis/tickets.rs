//! Tickets that any node takes, once.
//!
//! A ticket carries what it proves, so a node needs nothing but the secret to read one that another
//! has given out. Redis remembers which were taken, for as long as they would work. While it is
//! away each node remembers only those that it took itself: then a ticket that was stolen within
//! its few seconds could be used once on each node.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use ::redis::cmd;
use async_trait::async_trait;
use parlor_protocol::time::Timestamp;

use super::RedisConnection;
use crate::ticket::sealed::{Number, Seal};
use crate::ticket::{Ticket, Tickets, TooManyTickets};

/// Tickets that a node remembers to have taken.
const TAKEN_MAX: usize = 100_000;
/// A ticket is remembered this much longer than it works, in milliseconds, because clocks differ.
const MARGIN_MS: i64 = 60_000;

/// Tickets under a seal; Redis sees to it that each is taken once.
#[derive(Debug)]
pub struct RedisTickets {
    connection: RedisConnection,
    seal: Seal,
    taken: Taken,
}

impl RedisTickets {
    pub(super) fn new(connection: RedisConnection, secret: &[u8]) -> Self {
        Self { connection, seal: Seal::new(secret), taken: Taken::new(TAKEN_MAX) }
    }
}

/// What this node has taken, and until when that matters.
#[derive(Debug)]
struct Taken {
    max: usize,
    until: Mutex<HashMap<Number, Timestamp>>,
}

impl Taken {
    fn new(max: usize) -> Self {
        Self { max, until: Mutex::default() }
    }

    /// Takes a ticket; `false` when it was taken before, or when it could not be remembered.
    fn take(&self, number: Number, expires_at: Timestamp, now: Timestamp) -> bool {
        let mut taken = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.len() >= self.max {
            taken.retain(|_, until| *until > now);
        }
        if taken.len() >= self.max || taken.contains_key(&number) {
            return false;
        }
        taken.insert(number, expires_at);
        true
    }
}

#[async_trait]
impl Tickets for RedisTickets {
    async fn issue(&self, ticket: Ticket, _now: Timestamp) -> Result<String, TooManyTickets> {
        Ok(self.seal.close(&ticket))
    }

    async fn redeem(&self, code: &str, now: Timestamp) -> Option<Ticket> {
        let (ticket, number) = self.seal.open(code)?;
        let left = ticket.expires_at.as_millis().saturating_sub(now.as_millis());
        if left <= 0 || !self.taken.take(number, ticket.expires_at, now) {
            return None;
        }
        let key = self.connection.key(&format!("ticket:{number:032x}"));
        let first = self.connection.call("redeem", async |mut connection| {
            let mut set = cmd("SET");
            set.arg(key).arg(1).arg("NX").arg("PX").arg(left.saturating_add(MARGIN_MS));
            let done: Option<String> = set.query_async(&mut connection).await?;
            Ok(done.is_some())
        });
        // Without Redis this node's own memory decides.
        first.await.unwrap_or(true).then_some(ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taken_tickets_are_remembered_up_to_a_bound_and_then_none_is_taken() {
        let at = Timestamp::from_millis;
        let taken = Taken::new(2);
        assert!(taken.take(1, at(30), at(0)));
        assert!(!taken.take(1, at(30), at(0)));
        assert!(taken.take(2, at(60), at(0)));
        assert!(!taken.take(3, at(60), at(0)), "it could be taken twice");
        assert!(taken.take(3, at(60), at(30)), "what has expired makes room");
        assert!(!taken.take(2, at(60), at(30)));
    }
}

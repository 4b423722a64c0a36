//! Single-use tickets for the WebSocket upgrade.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Mutex;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parlor_protocol::id::{SessionId, UserId};
use parlor_protocol::time::Timestamp;
use rand::Rng as _;

pub(crate) mod sealed;

/// What a ticket proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// Who it was given to.
    pub user: UserId,
    /// Their login.
    pub session: SessionId,
    /// When the access token that asked for it expires.
    pub access_expires_at: Timestamp,
    /// When the ticket expires.
    pub expires_at: Timestamp,
}

/// There are as many open tickets as there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many open tickets")]
pub struct TooManyTickets;

/// Gives out tickets and takes each of them once.
#[async_trait]
pub trait Tickets: Send + Sync + Debug {
    /// Returns the secret code of a ticket.
    async fn issue(&self, ticket: Ticket, now: Timestamp) -> Result<String, TooManyTickets>;

    /// Takes a ticket; whoever comes second finds nothing.
    async fn redeem(&self, code: &str, now: Timestamp) -> Option<Ticket>;
}

/// Tickets of a single process, at most `max` of them.
#[derive(Debug)]
pub struct LocalTickets {
    max: usize,
    open: Mutex<HashMap<String, Ticket>>,
}

impl LocalTickets {
    /// Creates an empty set for at most `max` open tickets.
    pub fn new(max: usize) -> Self {
        Self { max, open: Mutex::default() }
    }
}

#[async_trait]
impl Tickets for LocalTickets {
    async fn issue(&self, ticket: Ticket, now: Timestamp) -> Result<String, TooManyTickets> {
        let mut open = self.open.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if open.len() >= self.max {
            open.retain(|_, ticket| ticket.expires_at > now);
        }
        if open.len() >= self.max {
            return Err(TooManyTickets);
        }
        let code = URL_SAFE_NO_PAD.encode(rand::rng().random::<[u8; 16]>());
        open.insert(code.clone(), ticket);
        Ok(code)
    }

    async fn redeem(&self, code: &str, now: Timestamp) -> Option<Ticket> {
        let mut open = self.open.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        open.remove(code).filter(|ticket| ticket.expires_at > now)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn ticket(expires: i64) -> Ticket {
        Ticket {
            user: UserId(Uuid::from_u128(1)),
            session: SessionId(Uuid::from_u128(2)),
            access_expires_at: Timestamp::from_millis(100),
            expires_at: Timestamp::from_millis(expires),
        }
    }

    #[tokio::test]
    async fn ticket_works_once_and_not_after_its_time() {
        let tickets = LocalTickets::new(10);
        let now = Timestamp::from_millis(0);
        let one = tickets.issue(ticket(30), now).await.unwrap();
        let other = tickets.issue(ticket(30), now).await.unwrap();
        assert_ne!(one, other);
        assert_eq!(tickets.redeem(&one, now).await, Some(ticket(30)));
        assert_eq!(tickets.redeem(&one, now).await, None);
        assert_eq!(tickets.redeem(&other, Timestamp::from_millis(30)).await, None);
    }

    #[tokio::test]
    async fn number_of_open_tickets_is_bounded_and_expired_ones_make_room() {
        let tickets = LocalTickets::new(1);
        let start = Timestamp::from_millis(0);
        tickets.issue(ticket(30), start).await.unwrap();
        assert_eq!(tickets.issue(ticket(60), start).await, Err(TooManyTickets));
        let later = Timestamp::from_millis(31);
        assert!(tickets.issue(ticket(60), later).await.is_ok());
    }
}

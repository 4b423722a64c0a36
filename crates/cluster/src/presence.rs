//! Who is there.
//!
//! A user is there as long as any node has a connection of theirs, and for a grace time after the
//! last one was lost: a page that is loaded again and a node that is restarted look like someone
//! who leaves and comes back, and nobody wants to be told.
//!
//! Who does nothing for a while is idle, and so is who says so on each of their connections. Only
//! doing something ends it: a connection that is opened may be one that came back by itself.

use std::fmt::Debug;

use async_trait::async_trait;
use parlor_protocol::id::UserId;
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::PresenceStatus;

mod local;

pub use local::LocalPresence;

/// What is known of one user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Online, idle or offline.
    pub status: PresenceStatus,
    /// How many connections they have.
    pub connections: u32,
    /// When they last did something; absent when unknown.
    pub last_active: Option<Timestamp>,
}

impl Seen {
    /// Nobody has seen the user.
    pub(crate) const NOT: Self =
        Self { status: PresenceStatus::Offline, connections: 0, last_active: None };
}

/// A user's status has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// Who.
    pub user: UserId,
    /// The new status.
    pub status: PresenceStatus,
}

/// Counts connections and notes activity. Of all nodes, one is told of a transition, and announces
/// it.
#[async_trait]
pub trait Presence: Send + Sync + Debug {
    /// A connection was opened on this node.
    async fn connected(&self, user: UserId, now: Timestamp) -> Option<Transition>;

    /// A connection of this node was closed; `idle` when it was one that said so.
    async fn disconnected(&self, user: UserId, idle: bool, now: Timestamp) -> Option<Transition>;

    /// The user did something on this node.
    async fn active(&self, user: UserId, now: Timestamp) -> Option<Transition>;

    /// One connection of this node says that nobody is in front of it, or that somebody is there
    /// again. To be called when that changes.
    async fn set_idle(&self, user: UserId, idle: bool, now: Timestamp) -> Option<Transition>;

    /// Finds those who became idle, and those who are gone for longer than the grace time. Call it
    /// every few seconds.
    async fn sweep(&self, now: Timestamp) -> Vec<Transition>;

    /// Returns what is known of a user.
    async fn find(&self, user: UserId) -> Seen;

    /// Returns the status of several users, in their order.
    async fn list(&self, users: &[UserId]) -> Vec<PresenceStatus>;

    /// Returns those who are there, idle ones too, at most so many.
    async fn list_present(&self, most: usize) -> Vec<UserId>;
}

//! Who is there.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use parlor_protocol::id::UserId;
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::PresenceStatus;

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

/// A user's status has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// Who.
    pub user: UserId,
    /// The new status.
    pub status: PresenceStatus,
}

/// Counts connections and notes activity.
#[async_trait]
pub trait Presence: Send + Sync + Debug {
    /// A connection was opened.
    async fn connected(&self, user: UserId, now: Timestamp) -> Option<Transition>;

    /// A connection was closed.
    async fn disconnected(&self, user: UserId, now: Timestamp) -> Option<Transition>;

    /// The user did something.
    async fn active(&self, user: UserId, now: Timestamp) -> Option<Transition>;

    /// Finds those who became idle.
    async fn sweep(&self, now: Timestamp) -> Vec<Transition>;

    /// Returns what is known of a user.
    async fn find(&self, user: UserId) -> Seen;

    /// Returns the status of several users, in their order.
    async fn list(&self, users: &[UserId]) -> Vec<PresenceStatus>;
}

/// Presence within a single process; holds only users that are connected.
#[derive(Debug)]
pub struct LocalPresence {
    idle_after: Duration,
    users: Mutex<HashMap<UserId, Entry>>,
}

#[derive(Debug)]
struct Entry {
    connections: u32,
    last_active: Timestamp,
    idle: bool,
}

impl LocalPresence {
    /// Creates an empty registry; a user who does nothing for `idle_after` is idle.
    pub fn new(idle_after: Duration) -> Self {
        Self { idle_after, users: Mutex::default() }
    }

    fn users(&self) -> std::sync::MutexGuard<'_, HashMap<UserId, Entry>> {
        self.users.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Entry {
    const fn status(&self) -> PresenceStatus {
        if self.idle { PresenceStatus::Idle } else { PresenceStatus::Online }
    }
}

#[async_trait]
impl Presence for LocalPresence {
    async fn connected(&self, user: UserId, now: Timestamp) -> Option<Transition> {
        let mut users = self.users();
        let entry =
            users.entry(user).or_insert(Entry { connections: 0, last_active: now, idle: true });
        let changed = entry.idle;
        entry.connections += 1;
        (entry.last_active, entry.idle) = (now, false);
        changed.then_some(Transition { user, status: PresenceStatus::Online })
    }

    async fn disconnected(&self, user: UserId, _now: Timestamp) -> Option<Transition> {
        let mut users = self.users();
        let entry = users.get_mut(&user)?;
        entry.connections = entry.connections.saturating_sub(1);
        if entry.connections > 0 {
            return None;
        }
        users.remove(&user);
        Some(Transition { user, status: PresenceStatus::Offline })
    }

    async fn active(&self, user: UserId, now: Timestamp) -> Option<Transition> {
        let mut users = self.users();
        let entry = users.get_mut(&user)?;
        entry.last_active = now;
        let changed = std::mem::replace(&mut entry.idle, false);
        changed.then_some(Transition { user, status: PresenceStatus::Online })
    }

    async fn sweep(&self, now: Timestamp) -> Vec<Transition> {
        let idle_after = i64::try_from(self.idle_after.as_millis()).unwrap_or(i64::MAX);
        self.users()
            .iter_mut()
            .filter(|(_, entry)| {
                !entry.idle && now.as_millis() - entry.last_active.as_millis() >= idle_after
            })
            .map(|(&user, entry)| {
                entry.idle = true;
                Transition { user, status: PresenceStatus::Idle }
            })
            .collect()
    }

    async fn find(&self, user: UserId) -> Seen {
        self.users().get(&user).map_or(
            Seen { status: PresenceStatus::Offline, connections: 0, last_active: None },
            |entry| Seen {
                status: entry.status(),
                connections: entry.connections,
                last_active: Some(entry.last_active),
            },
        )
    }

    async fn list(&self, users: &[UserId]) -> Vec<PresenceStatus> {
        let known = self.users();
        users
            .iter()
            .map(|user| known.get(user).map_or(PresenceStatus::Offline, Entry::status))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const ADA: UserId = UserId(Uuid::from_u128(1));

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[tokio::test]
    async fn only_first_and_last_connection_change_the_status() {
        let presence = LocalPresence::new(Duration::from_mins(5));
        let online = Some(Transition { user: ADA, status: PresenceStatus::Online });
        let offline = Some(Transition { user: ADA, status: PresenceStatus::Offline });
        assert_eq!(presence.connected(ADA, at(0)).await, online);
        assert_eq!(presence.connected(ADA, at(1)).await, None);
        assert_eq!(presence.disconnected(ADA, at(2)).await, None);
        assert_eq!(presence.find(ADA).await.connections, 1);
        assert_eq!(presence.disconnected(ADA, at(3)).await, offline);
        assert_eq!(presence.find(ADA).await.status, PresenceStatus::Offline);
        assert_eq!(presence.disconnected(ADA, at(4)).await, None);
    }

    #[tokio::test]
    async fn user_who_does_nothing_becomes_idle_and_comes_back() {
        let presence = LocalPresence::new(Duration::from_millis(100));
        presence.connected(ADA, at(0)).await;
        assert!(presence.sweep(at(99)).await.is_empty());
        let idle = Transition { user: ADA, status: PresenceStatus::Idle };
        assert_eq!(presence.sweep(at(100)).await, [idle]);
        assert!(presence.sweep(at(200)).await.is_empty());
        let online = Transition { user: ADA, status: PresenceStatus::Online };
        assert_eq!(presence.active(ADA, at(300)).await, Some(online));
    }
}

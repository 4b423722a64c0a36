//! Presence within a single process.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use parlor_protocol::id::UserId;
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::PresenceStatus;

use super::{Presence, Seen, Transition};

/// Presence within a single process; holds only users that are connected, or were within the
/// grace time.
#[derive(Debug)]
pub struct LocalPresence {
    idle_after: Duration,
    grace: Duration,
    users: Mutex<HashMap<UserId, Entry>>,
}

#[derive(Debug)]
struct Entry {
    connections: u32,
    last_active: Timestamp,
    idle: bool,
    /// When the last connection was closed.
    gone_at: Option<Timestamp>,
}

impl LocalPresence {
    /// Creates an empty registry; a user who does nothing for `idle_after` is idle. Users are gone
    /// as soon as their last connection is.
    pub fn new(idle_after: Duration) -> Self {
        Self { idle_after, grace: Duration::ZERO, users: Mutex::default() }
    }

    /// Lets users stay for so long after their last connection was closed.
    #[must_use]
    pub fn with_grace(self, grace: Duration) -> Self {
        Self { grace, ..self }
    }

    /// Forgets a user who has no connection here, without a word.
    pub(crate) fn forget(&self, user: UserId) {
        let mut users = self.users();
        if users.get(&user).is_some_and(|entry| entry.connections == 0) {
            users.remove(&user);
        }
    }

    fn users(&self) -> MutexGuard<'_, HashMap<UserId, Entry>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    const fn status(&self) -> PresenceStatus {
        if self.idle { PresenceStatus::Idle } else { PresenceStatus::Online }
    }
}

fn has_passed(since: Timestamp, time: Duration, now: Timestamp) -> bool {
    let time = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    now.as_millis().saturating_sub(since.as_millis()) >= time
}

#[async_trait]
impl Presence for LocalPresence {
    async fn connected(&self, user: UserId, now: Timestamp) -> Option<Transition> {
        let mut users = self.users();
        let entry = users.entry(user).or_insert(Entry {
            connections: 0,
            last_active: now,
            idle: true,
            gone_at: None,
        });
        let changed = entry.idle;
        entry.connections += 1;
        (entry.last_active, entry.idle, entry.gone_at) = (now, false, None);
        changed.then_some(Transition { user, status: PresenceStatus::Online })
    }

    async fn disconnected(&self, user: UserId, now: Timestamp) -> Option<Transition> {
        let mut users = self.users();
        let entry = users.get_mut(&user)?;
        entry.connections = entry.connections.saturating_sub(1);
        if entry.connections > 0 {
            return None;
        }
        if !self.grace.is_zero() {
            entry.gone_at.get_or_insert(now);
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
        let mut changed = Vec::new();
        self.users().retain(|&user, entry| {
            if entry.gone_at.is_some_and(|at| has_passed(at, self.grace, now)) {
                changed.push(Transition { user, status: PresenceStatus::Offline });
                return false;
            }
            if !entry.idle && has_passed(entry.last_active, self.idle_after, now) {
                entry.idle = true;
                changed.push(Transition { user, status: PresenceStatus::Idle });
            }
            true
        });
        changed
    }

    async fn find(&self, user: UserId) -> Seen {
        self.users().get(&user).map_or(Seen::NOT, |entry| Seen {
            status: entry.status(),
            connections: entry.connections,
            last_active: Some(entry.last_active),
        })
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
    const ONLINE: Transition = Transition { user: ADA, status: PresenceStatus::Online };
    const IDLE: Transition = Transition { user: ADA, status: PresenceStatus::Idle };
    const OFFLINE: Transition = Transition { user: ADA, status: PresenceStatus::Offline };

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[tokio::test]
    async fn only_first_and_last_connection_change_the_status() {
        let presence = LocalPresence::new(Duration::from_mins(5));
        assert_eq!(presence.connected(ADA, at(0)).await, Some(ONLINE));
        assert_eq!(presence.connected(ADA, at(1)).await, None);
        assert_eq!(presence.disconnected(ADA, at(2)).await, None);
        assert_eq!(presence.find(ADA).await.connections, 1);
        assert_eq!(presence.disconnected(ADA, at(3)).await, Some(OFFLINE));
        assert_eq!(presence.find(ADA).await.status, PresenceStatus::Offline);
        assert_eq!(presence.disconnected(ADA, at(4)).await, None);
    }

    #[tokio::test]
    async fn user_who_does_nothing_becomes_idle_and_comes_back() {
        let presence = LocalPresence::new(Duration::from_millis(100));
        presence.connected(ADA, at(0)).await;
        assert!(presence.sweep(at(99)).await.is_empty());
        assert_eq!(presence.sweep(at(100)).await, [IDLE]);
        assert!(presence.sweep(at(200)).await.is_empty());
        assert_eq!(presence.active(ADA, at(300)).await, Some(ONLINE));
    }

    #[tokio::test]
    async fn user_who_is_back_within_the_grace_time_was_never_gone() {
        let grace = Duration::from_millis(100);
        let presence = LocalPresence::new(Duration::from_mins(5)).with_grace(grace);
        presence.connected(ADA, at(0)).await;
        assert_eq!(presence.disconnected(ADA, at(10)).await, None);
        let seen = presence.find(ADA).await;
        assert_eq!((seen.status, seen.connections), (PresenceStatus::Online, 0));
        assert!(presence.sweep(at(109)).await.is_empty());
        assert_eq!(presence.connected(ADA, at(109)).await, None);
        assert!(presence.sweep(at(500)).await.is_empty());

        presence.disconnected(ADA, at(600)).await;
        assert_eq!(presence.sweep(at(700)).await, [OFFLINE]);
        assert!(presence.sweep(at(800)).await.is_empty());
    }
}

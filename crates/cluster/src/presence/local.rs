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
    /// Of these, how many say that nobody is in front of them.
    said_idle: u32,
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

    /// Makes the user idle when nobody is in front of any connection; tells whether that is new.
    fn fall_idle(&mut self) -> bool {
        let falls = !self.idle && self.connections > 0 && self.said_idle >= self.connections;
        self.idle |= falls;
        falls
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
        if let Some(entry) = users.get_mut(&user) {
            entry.connections += 1;
            entry.gone_at = None;
            return None;
        }
        let entry =
            Entry { connections: 1, said_idle: 0, last_active: now, idle: false, gone_at: None };
        users.insert(user, entry);
        Some(Transition { user, status: PresenceStatus::Online })
    }

    async fn disconnected(&self, user: UserId, idle: bool, now: Timestamp) -> Option<Transition> {
        let mut users = self.users();
        let entry = users.get_mut(&user)?;
        entry.connections = entry.connections.saturating_sub(1);
        entry.said_idle = entry.said_idle.saturating_sub(u32::from(idle));
        if entry.connections > 0 {
            let falls = entry.fall_idle();
            return falls.then_some(Transition { user, status: PresenceStatus::Idle });
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

    async fn set_idle(&self, user: UserId, idle: bool, now: Timestamp) -> Option<Transition> {
        {
            let mut users = self.users();
            let entry = users.get_mut(&user)?;
            if idle {
                entry.said_idle += 1;
                let falls = entry.fall_idle();
                return falls.then_some(Transition { user, status: PresenceStatus::Idle });
            }
            entry.said_idle = entry.said_idle.saturating_sub(1);
        }
        self.active(user, now).await
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

    async fn list_present(&self, most: usize) -> Vec<UserId> {
        self.users().keys().take(most).copied().collect()
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
        assert_eq!(presence.disconnected(ADA, false, at(2)).await, None);
        assert_eq!(presence.find(ADA).await.connections, 1);
        assert_eq!(presence.disconnected(ADA, false, at(3)).await, Some(OFFLINE));
        assert_eq!(presence.find(ADA).await.status, PresenceStatus::Offline);
        assert_eq!(presence.disconnected(ADA, false, at(4)).await, None);
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
        assert_eq!(presence.disconnected(ADA, false, at(10)).await, None);
        let seen = presence.find(ADA).await;
        assert_eq!((seen.status, seen.connections), (PresenceStatus::Online, 0));
        assert!(presence.sweep(at(109)).await.is_empty());
        assert_eq!(presence.connected(ADA, at(109)).await, None);
        assert!(presence.sweep(at(500)).await.is_empty());

        presence.disconnected(ADA, false, at(600)).await;
        assert_eq!(presence.sweep(at(700)).await, [OFFLINE]);
        assert!(presence.sweep(at(800)).await.is_empty());
    }

    #[tokio::test]
    async fn coming_back_does_not_end_idleness_but_doing_something_does() {
        let grace = Duration::from_secs(1);
        let presence = LocalPresence::new(Duration::from_millis(100)).with_grace(grace);
        presence.connected(ADA, at(0)).await;
        assert_eq!(presence.sweep(at(100)).await, [IDLE]);
        presence.disconnected(ADA, false, at(200)).await;
        assert_eq!(presence.connected(ADA, at(300)).await, None);
        assert!(presence.sweep(at(2_000)).await.is_empty());
        assert_eq!(presence.find(ADA).await.status, PresenceStatus::Idle);
        assert_eq!(presence.active(ADA, at(2_100)).await, Some(ONLINE));
    }

    #[tokio::test]
    async fn user_is_idle_when_nobody_is_in_front_of_any_connection() {
        let presence = LocalPresence::new(Duration::from_mins(5));
        presence.connected(ADA, at(0)).await;
        presence.connected(ADA, at(1)).await;
        assert_eq!(presence.set_idle(ADA, true, at(2)).await, None, "somebody is at the other");
        assert_eq!(presence.set_idle(ADA, true, at(3)).await, Some(IDLE));
        assert_eq!(presence.set_idle(ADA, false, at(4)).await, Some(ONLINE));
        assert_eq!(presence.disconnected(ADA, false, at(5)).await, Some(IDLE), "the other is left");
        assert_eq!(presence.set_idle(ADA, false, at(6)).await, Some(ONLINE));
        assert_eq!(presence.disconnected(ADA, false, at(7)).await, Some(OFFLINE));
    }

    #[tokio::test]
    async fn those_who_are_there_are_listed_up_to_a_bound() {
        let presence = LocalPresence::new(Duration::from_mins(5));
        for n in 0..10 {
            presence.connected(UserId(Uuid::from_u128(n)), at(0)).await;
        }
        presence.disconnected(UserId(Uuid::from_u128(0)), false, at(1)).await;
        assert_eq!(presence.list_present(100).await.len(), 9);
        assert_eq!(presence.list_present(3).await.len(), 3);
    }
}

//! The users of this node, as Redis is told of them, and what was announced without it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use parlor_protocol::id::UserId;
use parlor_protocol::user::PresenceStatus;
use tokio::time::Instant;

use crate::presence::Transition;

/// Users who left, or of whom something was announced, while Redis was away. Beyond this they are
/// not corrected one by one; what this node said of them expires.
const REMEMBERED_MAX: usize = 100_000;

/// How a user stands on this node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    pub(super) user: UserId,
    pub(super) connections: u32,
    /// Grows with every change, because calls may overtake each other.
    pub(super) version: u64,
    /// What the user did last, as far as this node is to tell it.
    pub(super) did: Did,
    /// Nobody is in front of any of the connections.
    pub(super) idle: bool,
}

/// What a user did last on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Did {
    /// Nothing that is worth telling.
    Nothing,
    /// Came, which is doing something only for those who were not there.
    Came,
    /// Something, so long ago; without a connection, left so long ago.
    Something(Duration),
}

#[derive(Debug, Default)]
pub(super) struct Here(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    version: u64,
    users: HashMap<UserId, User>,
    told: HashMap<UserId, PresenceStatus>,
    /// When Redis came back.
    back_at: Option<Instant>,
    found: Vec<Transition>,
}

#[derive(Debug)]
struct User {
    connections: u32,
    /// Of these, how many say that nobody is in front of them.
    said_idle: u32,
    version: u64,
    /// When they last did something; nothing if they only came.
    active_at: Option<Instant>,
    /// When the last connection was closed.
    left_at: Instant,
    /// When it was last passed on that they did something.
    noted_at: Option<Instant>,
}

impl User {
    fn standing(&self, user: UserId, did: Did) -> Standing {
        let idle = self.connections > 0 && self.said_idle >= self.connections;
        Standing { user, connections: self.connections, version: self.version, did, idle }
    }
}

impl Here {
    /// Counts one more connection.
    pub(super) fn connected(&self, user: UserId) -> Standing {
        self.change(user, |entry, _| {
            entry.connections += 1;
            Did::Came
        })
    }

    /// Counts one connection less. `None` when there was none.
    pub(super) fn disconnected(&self, user: UserId, idle: bool) -> Option<Standing> {
        if !self.is_here(user) {
            return None;
        }
        Some(self.change(user, |entry, now| {
            entry.connections = entry.connections.saturating_sub(1);
            entry.said_idle = entry.said_idle.saturating_sub(u32::from(idle));
            if entry.connections > 0 {
                return Did::Nothing;
            }
            entry.left_at = now;
            Did::Something(Duration::ZERO)
        }))
    }

    /// Notes what one connection says of who is in front of it. `None` when there is none.
    pub(super) fn set_idle(&self, user: UserId, idle: bool) -> Option<Standing> {
        if !self.is_here(user) {
            return None;
        }
        Some(self.change(user, |entry, now| {
            if idle {
                entry.said_idle += 1;
                return Did::Nothing;
            }
            entry.said_idle = entry.said_idle.saturating_sub(1);
            (entry.active_at, entry.noted_at) = (Some(now), Some(now));
            Did::Something(Duration::ZERO)
        }))
    }

    fn is_here(&self, user: UserId) -> bool {
        self.lock().users.get(&user).is_some_and(|user| user.connections > 0)
    }

    fn change(&self, user: UserId, change: impl FnOnce(&mut User, Instant) -> Did) -> Standing {
        let mut state = self.lock();
        state.version += 1;
        let version = state.version;
        let now = Instant::now();
        let fresh = User {
            connections: 0,
            said_idle: 0,
            version,
            active_at: None,
            left_at: now,
            noted_at: None,
        };
        let entry = state.users.entry(user).or_insert(fresh);
        let did = change(entry, now);
        entry.version = version;
        let standing = entry.standing(user, did);
        if standing.connections == 0 && state.users.len() > REMEMBERED_MAX {
            state.users.remove(&user);
        }
        standing
    }

    /// Notes that a user did something; returns how they stand if that is to be passed on.
    pub(super) fn active(&self, user: UserId, every: Duration) -> Option<Standing> {
        let mut state = self.lock();
        let entry = state.users.get_mut(&user).filter(|entry| entry.connections > 0)?;
        let now = Instant::now();
        entry.active_at = Some(now);
        if entry.noted_at.is_some_and(|at| now - at < every) {
            return None;
        }
        entry.noted_at = Some(now);
        Some(entry.standing(user, Did::Something(Duration::ZERO)))
    }

    /// Redis has heard how a user stands. Those who left are forgotten.
    pub(super) fn wrote(&self, standing: &Standing) {
        if standing.connections > 0 {
            return;
        }
        let mut state = self.lock();
        if state.users.get(&standing.user).is_some_and(|user| user.version == standing.version) {
            state.users.remove(&standing.user);
        }
    }

    /// Returns how all users stand, also those who left without Redis having heard of it.
    pub(super) fn all(&self) -> Vec<Standing> {
        let state = self.lock();
        let to_standing = |(&user, entry): (&UserId, &User)| {
            let did = match entry.active_at {
                _ if entry.connections == 0 => Did::Something(entry.left_at.elapsed()),
                Some(at) => Did::Something(at.elapsed()),
                None => Did::Came,
            };
            entry.standing(user, did)
        };
        state.users.iter().map(to_standing).collect()
    }

    /// Remembers what is announced without Redis, and returns it.
    pub(super) fn told(&self, transition: Option<Transition>) -> Option<Transition> {
        let Transition { user, status } = transition?;
        let mut state = self.lock();
        if state.told.len() < REMEMBERED_MAX || state.told.contains_key(&user) {
            state.told.insert(user, status);
        }
        transition
    }

    /// Redis is back: what was announced without it can be looked at in a while.
    pub(super) fn may_correct(&self) {
        self.lock().back_at = Some(Instant::now());
    }

    /// Takes what was announced without Redis, once it is back for so long.
    pub(super) fn take_told(&self, after: Duration) -> Vec<Transition> {
        let mut state = self.lock();
        if state.told.is_empty() || state.back_at.is_none_or(|at| at.elapsed() < after) {
            return Vec::new();
        }
        let told = std::mem::take(&mut state.told).into_iter();
        told.map(|(user, status)| Transition { user, status }).collect()
    }

    /// Keeps a change that turned up while writing, for the next sweep to announce, unless that was
    /// done already.
    pub(super) fn found(&self, transition: Option<Transition>) {
        let Some(found) = transition else { return };
        let mut state = self.lock();
        if state.told.get(&found.user) != Some(&found.status) {
            state.found.push(found);
        }
    }

    /// Takes the changes that turned up.
    pub(super) fn take_found(&self) -> Vec<Transition> {
        std::mem::take(&mut self.lock().found)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn what_redis_has_not_heard_is_remembered_up_to_a_bound() {
        let here = Here::default();
        let stays = UserId(Uuid::from_u128(u128::MAX));
        here.connected(stays);
        for n in 0..u128::try_from(REMEMBERED_MAX).unwrap() + 100 {
            let user = UserId(Uuid::from_u128(n));
            here.connected(user);
            here.disconnected(user, false).unwrap();
            here.told(Some(Transition { user, status: PresenceStatus::Offline }));
        }
        let all = here.all();
        assert_eq!(all.len(), REMEMBERED_MAX);
        assert!(all.iter().any(|standing| standing.user == stays), "who is here is never lost");
        here.may_correct();
        assert_eq!(here.take_told(Duration::ZERO).len(), REMEMBERED_MAX);
    }

    #[test]
    fn who_left_is_forgotten_when_redis_has_heard_it_and_they_are_not_back() {
        let here = Here::default();
        let ada = UserId(Uuid::from_u128(1));
        here.connected(ada);
        let left = here.disconnected(ada, false).unwrap();
        assert_eq!((left.connections, here.all().len()), (0, 1));
        here.connected(ada);
        here.wrote(&left);
        assert_eq!(here.all().len(), 1, "they are back");
        let left = here.disconnected(ada, false).unwrap();
        here.wrote(&left);
        assert!(here.all().is_empty());
        assert!(here.disconnected(ada, false).is_none());
    }
}

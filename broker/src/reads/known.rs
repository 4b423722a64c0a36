//! What a node remembers of accounts, rooms and memberships.
//!
//! Nothing here knows whether it is still true: whoever uses it first has the changes told that the
//! store has noted since (`checks.rs`). What was told is forgotten, and so is an answer of the store
//! that may be older than what was told while it was on its way.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashlink::LruCache;
use parlor_domain::permission::{Membership, RoomFacts};
use parlor_protocol::id::{RoomId, RoomRef, UserId};
use parlor_protocol::room::{RoomKind, RoomSettings};
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::User;
use parlor_store::record::{Account, RoomAccess, RoomRecord};
use parlor_store::{Change, ChangePage};

use crate::metrics::CacheMetrics;

/// Keys whose last change is remembered together, so that this does not grow. One that shares its
/// place with another is read once too often.
const PLACES: u64 = 1_024;

/// An account, without when it was last seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownUser {
    /// The profile with everything in it.
    pub user: User,
    /// Whether they may log in.
    pub active: bool,
}

impl From<Account> for KnownUser {
    fn from(account: Account) -> Self {
        let Account { user, active, last_seen: _ } = account;
        Self { user, active }
    }
}

/// A room, without the state of its log, which changes with every message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownRoom {
    /// Its id.
    pub id: RoomId,
    /// The unique short name.
    pub slug: String,
    /// The name.
    pub name: String,
    /// Public, private or direct.
    pub kind: RoomKind,
    /// The topic.
    pub topic: String,
    /// Whether it is closed for new messages.
    pub archived: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who may do what in it, besides what the roles say.
    pub settings: RoomSettings,
}

impl KnownRoom {
    /// Returns what decides who may do what.
    pub const fn facts(&self) -> RoomFacts {
        RoomFacts { kind: self.kind, archived: self.archived, settings: self.settings }
    }
}

impl From<RoomRecord> for KnownRoom {
    fn from(room: RoomRecord) -> Self {
        let RoomRecord { id, slug, name, kind, topic, archived, head: _, created_at, settings } =
            room;
        Self { id, slug, name, kind, topic, archived, created_at, settings }
    }
}

/// A room together with one user's membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The room.
    pub room: Arc<KnownRoom>,
    /// The membership.
    pub membership: Option<Membership>,
}

impl From<RoomAccess> for Access {
    fn from(access: RoomAccess) -> Self {
        let RoomAccess { room, membership } = access;
        Self { room: Arc::new(room.into()), membership }
    }
}

/// The moment before the store was asked for something that is to be remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment(u64);

/// The memory of one node, bounded by the number of accounts, of rooms and of memberships.
#[derive(Debug)]
pub(super) struct Known {
    held: Mutex<Held>,
    most: usize,
    metrics: CacheMetrics,
}

#[derive(Debug)]
struct Held {
    users: LruCache<UserId, Arc<KnownUser>>,
    rooms: LruCache<RoomId, Arc<KnownRoom>>,
    /// The ids of the rooms above.
    slugs: HashMap<String, RoomId>,
    members: LruCache<(RoomId, UserId), Option<Membership>>,
    /// How many times something was told.
    told: u64,
    /// When everything was forgotten for the last time.
    emptied: u64,
    /// When something of each place was told for the last time.
    places: Box<[u64]>,
    hasher: RandomState,
}

impl Known {
    /// Creates the memory for so many of each kind.
    pub(super) fn new(most: usize, metrics: CacheMetrics) -> Self {
        let held = Held {
            users: LruCache::new_unbounded(),
            rooms: LruCache::new_unbounded(),
            slugs: HashMap::new(),
            members: LruCache::new_unbounded(),
            told: 0,
            emptied: 0,
            places: (0..PLACES).map(|_| 0).collect(),
            hasher: RandomState::new(),
        };
        Self { held: Mutex::new(held), most, metrics }
    }

    /// Call it before the store is asked for what [`Known::learn_user`] and [`Known::learn_access`]
    /// are given.
    pub(super) fn moment(&self) -> Moment {
        Moment(self.held().told)
    }

    /// Forgets what was changed.
    pub(super) fn hear(&self, page: &ChangePage) {
        if page.everything {
            self.forget_all();
            return;
        }
        if page.changes.is_empty() {
            return;
        }
        let mut held = self.held();
        held.told += 1;
        for change in &page.changes {
            held.forget(*change);
            let kind = match change {
                Change::User(_) => "users",
                Change::Room(_) => "rooms",
                Change::Member(..) | Change::Members(_) => "members",
            };
            self.metrics.changes.with_label_values(&[kind]).inc();
        }
        self.measure(&held);
    }

    /// Forgets all of it.
    pub(super) fn forget_all(&self) {
        let mut held = self.held();
        held.told += 1;
        held.emptied = held.told;
        held.users.clear();
        held.rooms.clear();
        held.slugs.clear();
        held.members.clear();
        self.metrics.changes.with_label_values(&["everything"]).inc();
        self.measure(&held);
    }

    /// Returns an account that is remembered.
    pub(super) fn user(&self, user: UserId) -> Option<Arc<KnownUser>> {
        let found = self.held().users.get(&user).cloned();
        self.count("users", found.is_some());
        found
    }

    /// Returns a room and a membership that are remembered, both.
    pub(super) fn access(&self, room: &RoomRef, user: UserId) -> Option<Access> {
        let found = self.held().access(room, user);
        self.count("accesses", found.is_some());
        found
    }

    /// Tells whether somebody is remembered as a member of a room.
    pub(super) fn was_member(&self, room: RoomId, user: UserId) -> bool {
        self.held().members.get(&(room, user)).is_some_and(Option::is_some)
    }

    /// Forgets whether somebody is a member of a room.
    pub(super) fn forget_member(&self, room: RoomId, user: UserId) {
        let mut held = self.held();
        held.members.remove(&(room, user));
        self.measure(&held);
    }

    /// Remembers an account that the store was asked for at a moment.
    pub(super) fn learn_user(&self, asked: Moment, found: &Arc<KnownUser>) {
        let user = found.user.id;
        let mut held = self.held();
        if held.is_untold(asked, Change::User(user)) {
            held.users.insert(user, Arc::clone(found));
            while held.users.len() > self.most {
                held.users.remove_lru();
            }
        }
        self.measure(&held);
    }

    /// Remembers a room and a membership that the store was asked for at a moment.
    pub(super) fn learn_access(&self, asked: Moment, user: UserId, found: &Access) {
        let Access { room, membership } = found;
        let mut held = self.held();
        if held.is_untold(asked, Change::Room(room.id)) {
            held.forget_room(room.id);
            // Whoever had the name before is gone.
            if let Some(before) = held.slugs.insert(room.slug.clone(), room.id) {
                held.rooms.remove(&before);
            }
            held.rooms.insert(room.id, Arc::clone(room));
            while held.rooms.len() > self.most {
                if let Some((_, oldest)) = held.rooms.remove_lru() {
                    held.slugs.remove(&oldest.slug);
                }
            }
        }
        let is_untold = held.is_untold(asked, Change::Member(room.id, user))
            && held.is_untold(asked, Change::Members(room.id));
        if is_untold {
            held.members.insert((room.id, user), *membership);
            while held.members.len() > self.most {
                held.members.remove_lru();
            }
        }
        self.measure(&held);
    }

    fn count(&self, kind: &str, hit: bool) {
        let outcome = if hit { "hit" } else { "miss" };
        self.metrics.lookups.with_label_values(&[kind, outcome]).inc();
    }

    fn measure(&self, held: &Held) {
        let Held { users, rooms, members, .. } = held;
        let counts = [("users", users.len()), ("rooms", rooms.len()), ("members", members.len())];
        for (kind, count) in counts {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.metrics.entries.with_label_values(&[kind]).set(count);
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn access(&mut self, room: &RoomRef, user: UserId) -> Option<Access> {
        let id = match room.id() {
            Some(id) => id,
            None => *self.slugs.get(&room.0)?,
        };
        let membership = *self.members.get(&(id, user))?;
        let room = Arc::clone(self.rooms.get(&id)?);
        Some(Access { room, membership })
    }

    fn forget(&mut self, change: Change) {
        match change {
            Change::User(user) => drop(self.users.remove(&user)),
            Change::Room(room) => self.forget_room(room),
            Change::Member(room, user) => drop(self.members.remove(&(room, user))),
            Change::Members(room) => self.members.retain(|(of, _), _| *of != room),
        }
        let place = self.place(change);
        if let Some(last) = self.places.get_mut(place) {
            *last = self.told;
        }
    }

    fn forget_room(&mut self, room: RoomId) {
        if let Some(known) = self.rooms.remove(&room) {
            self.slugs.remove(&known.slug);
        }
    }

    /// Tells whether nothing was told of something since a moment.
    fn is_untold(&self, since: Moment, of: Change) -> bool {
        let last = self.places.get(self.place(of)).copied().unwrap_or(u64::MAX);
        self.emptied <= since.0 && last <= since.0
    }

    fn place(&self, of: Change) -> usize {
        usize::try_from(self.hasher.hash_one(of) % PLACES).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests;

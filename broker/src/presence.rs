//! Telling rooms who came and who went, for many users at once.
//!
//! Changes gather for a moment. The last one of a user wins, and one that only brings back what was
//! before is told to nobody. The rooms of many users are read by one call, and a room is told only
//! where somebody follows it and only while it is small: presence in a large room is a flood that
//! nobody can read.
//!
//! Presence is a convenience: what cannot be told is dropped and counted.

mod gathered;
pub mod last_seen;

use std::sync::Arc;
use std::time::Duration;

use parlor_bus::Bus;
use parlor_cluster::Transition;
use parlor_protocol::id::UserId;
use parlor_protocol::signal::{self, Signal, SignalBody};
use parlor_protocol::user::{PresenceStatus, UserRef};
use parlor_store::record::RoomSize;
use parlor_store::{Store, StoreError};
use prometheus::IntCounterVec;

use self::gathered::Gathered;

/// How long changes gather before they are told.
const GATHER: Duration = Duration::from_millis(250);
/// Users whose changes wait to be told. Those of more are dropped.
const USERS_MAX: usize = 100_000;
/// Users whose rooms are read by one call.
const USERS_AT_ONCE: usize = 128;
/// Signals that are told at once, so that they never fill a mailbox of the bus.
const SIGNALS_AT_ONCE: usize = 256;
/// The pause after so many signals.
const PAUSE: Duration = Duration::from_millis(25);

/// Takes changes of presence to be told. Clones share what has gathered.
#[derive(Debug, Clone)]
pub struct PresenceNews {
    gathered: Arc<Gathered<UserId, Change>>,
    outcomes: IntCounterVec,
}

/// What happened to a user since it was last told.
#[derive(Debug)]
struct Change {
    /// How the user is called, where that is known already.
    user: Option<UserRef>,
    first: PresenceStatus,
    last: PresenceStatus,
}

impl Change {
    fn add(&mut self, next: Self) {
        self.last = next.last;
        self.user = next.user.or(self.user.take());
    }

    /// Users become idle only when they were there, so whoever is back from it was never away. Who
    /// had left may have been told of as idle before, and is told of as back.
    fn is_nothing(&self) -> bool {
        self.last == PresenceStatus::Online && self.first == PresenceStatus::Idle
    }
}

impl PresenceNews {
    /// Creates the news of one node. `outcomes` counts what became of them.
    pub(crate) fn new(outcomes: IntCounterVec) -> Self {
        Self { gathered: Arc::new(Gathered::new(GATHER, USERS_MAX)), outcomes }
    }

    /// Has a change told to the rooms of the user. Never waits.
    pub fn tell(&self, transition: Transition, user: Option<&UserRef>) {
        let Transition { user: id, status } = transition;
        let change = Change { user: user.cloned(), first: status, last: status };
        if self.gathered.put(id, change, Change::add).is_err() {
            self.outcomes.with_label_values(&["dropped"]).inc();
        }
    }

    /// Has the rest told at once.
    pub(crate) fn close(&self) {
        self.gathered.close();
    }

    /// Returns the task that tells.
    pub(crate) fn teller(
        &self,
        store: Arc<dyn Store>,
        bus: Arc<dyn Bus>,
        room_max: usize,
    ) -> Teller {
        let room_max = u64::try_from(room_max).unwrap_or(u64::MAX);
        Teller { news: self.clone(), store, bus, room_max }
    }
}

/// Tells the rooms.
#[derive(Debug)]
pub(crate) struct Teller {
    news: PresenceNews,
    store: Arc<dyn Store>,
    bus: Arc<dyn Bus>,
    /// Members of a room that is told.
    room_max: u64,
}

impl Teller {
    /// Tells until the news are closed, and then what is left.
    pub(crate) async fn run(self) {
        while let Some(changes) = self.news.gathered.take().await {
            let changes: Vec<_> =
                changes.into_iter().filter(|(_, change)| !change.is_nothing()).collect();
            for changes in changes.chunks(USERS_AT_ONCE) {
                if let Err(error) = self.tell(changes).await {
                    let error = &error as &dyn std::error::Error;
                    tracing::debug!(error, "presence is not told");
                    self.count("failed", changes.len());
                }
            }
        }
    }

    async fn tell(&self, changes: &[(UserId, Change)]) -> Result<(), StoreError> {
        let names = self.names(changes).await?;
        let users: Vec<UserId> = changes.iter().map(|(user, _)| *user).collect();
        let rooms = self.store.list_rooms_of_users(&users).await?;
        let mut told = 0;
        for (((_, change), user), rooms) in changes.iter().zip(names).zip(rooms) {
            // The account is gone.
            let Some(user) = user else { continue };
            for room in rooms {
                if self.tell_room(&user, change.last, room) {
                    told += 1;
                    if told % SIGNALS_AT_ONCE == 0 {
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            }
        }
        self.count("told", told);
        Ok(())
    }

    /// Tells one room, if it is to be told.
    fn tell_room(&self, user: &UserRef, status: PresenceStatus, room: RoomSize) -> bool {
        if room.members > self.room_max {
            self.count("large_room", 1);
            return false;
        }
        if !self.bus.may_be_followed(room.room) {
            return false;
        }
        let presence = signal::Presence { user: user.clone(), status };
        self.bus.publish_signal(Signal { room: room.room, body: SignalBody::Presence(presence) });
        true
    }

    /// Returns how the users are called; reads it for those who are only known by their ids.
    async fn names(
        &self,
        changes: &[(UserId, Change)],
    ) -> Result<Vec<Option<UserRef>>, StoreError> {
        let unknown = changes.iter().filter(|(_, change)| change.user.is_none());
        let unknown: Vec<UserId> = unknown.map(|(user, _)| *user).collect();
        let mut found =
            if unknown.is_empty() { Vec::new() } else { self.store.find_users(&unknown).await? }
                .into_iter();
        let name = |(_, change): &(UserId, Change)| match &change.user {
            Some(user) => Some(user.clone()),
            None => found.next().flatten().map(|account| account.user.to_ref()),
        };
        Ok(changes.iter().map(name).collect())
    }

    fn count(&self, outcome: &str, many: usize) {
        self.news.outcomes.with_label_values(&[outcome]).inc_by(many as u64);
    }
}

#[cfg(test)]
mod tests;

//! Which subjects of which rooms this process wants.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use parlor_protocol::id::RoomId;
use tokio::time::Instant;

/// Rooms without followers whose subjects are not yet given up. Beyond it the oldest go at once.
const LINGERING_MAX: usize = 10_000;

/// What this process wants, and what of it has changed. Bounded by the rooms that are followed or
/// written in here, and those that just were.
#[derive(Debug)]
pub(super) struct Interest {
    rooms: HashMap<RoomId, Room>,
    changed: HashSet<RoomId>,
    lingering: VecDeque<(Instant, RoomId)>,
    release_after: Duration,
}

#[derive(Debug, Default)]
struct Room {
    followed: bool,
    /// This process writes a reply there.
    own: bool,
    /// Nobody follows any more, but somebody may come back until then.
    until: Option<Instant>,
    /// The server is known to have the subscription.
    confirmed: bool,
}

/// The subjects that are wanted of a room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Wants {
    /// Followers want events; writers want to hear of the end.
    pub(super) events: bool,
    pub(super) signals: bool,
    pub(super) questions: bool,
}

impl Room {
    fn wants(&self) -> Wants {
        let kept = self.followed || self.until.is_some();
        Wants { events: kept || self.own, signals: kept, questions: self.own }
    }
}

impl Interest {
    pub(super) fn new(release_after: Duration) -> Self {
        Self {
            rooms: HashMap::new(),
            changed: HashSet::new(),
            lingering: VecDeque::new(),
            release_after,
        }
    }

    /// Notes whether the room is followed and written in. `true` when other subjects are wanted.
    pub(super) fn set(&mut self, id: RoomId, followed: bool, own: bool) -> bool {
        if !followed && !own && !self.rooms.contains_key(&id) {
            return false;
        }
        let room = self.rooms.entry(id).or_default();
        let before = room.wants();
        if room.followed && !followed {
            let until = Instant::now() + self.release_after;
            room.until = Some(until);
            self.lingering.push_back((until, id));
        } else if followed {
            room.until = None;
        }
        (room.followed, room.own) = (followed, own);
        let after = room.wants();
        room.confirmed &= before.events;
        if after == Wants::default() {
            self.rooms.remove(&id);
        }
        if before != after {
            self.changed.insert(id);
        }
        before != after
    }

    /// Gives up the rooms whose time has come, and returns them.
    pub(super) fn release(&mut self) -> Vec<RoomId> {
        let now = Instant::now();
        let mut released = Vec::new();
        while let Some((until, id)) = self.lingering.front().copied()
            && (until <= now || self.lingering.len() > LINGERING_MAX)
        {
            self.lingering.pop_front();
            // Otherwise somebody came back.
            if let Some(room) = self.rooms.get_mut(&id)
                && room.until == Some(until)
            {
                room.until = None;
                released.push(id);
                self.changed.insert(id);
                if room.wants() == Wants::default() {
                    self.rooms.remove(&id);
                }
            }
        }
        released
    }

    /// Returns what is wanted of the rooms that have changed since the last call.
    pub(super) fn take_changed(&mut self) -> Vec<(RoomId, Wants)> {
        let changed = std::mem::take(&mut self.changed);
        changed.into_iter().map(|id| (id, self.wants(id))).collect()
    }

    /// Forgets what is subscribed to: everything that is wanted has changed.
    pub(super) fn start_over(&mut self) {
        self.changed = self.rooms.keys().copied().collect();
        for room in self.rooms.values_mut() {
            room.confirmed = false;
        }
    }

    /// Notes that the server has these subscriptions.
    pub(super) fn confirm(&mut self, rooms: impl IntoIterator<Item = RoomId>) {
        for id in rooms {
            if let Some(room) = self.rooms.get_mut(&id) {
                room.confirmed = true;
            }
        }
    }

    pub(super) fn is_confirmed(&self, id: RoomId) -> bool {
        self.rooms.get(&id).is_some_and(|room| room.confirmed)
    }

    fn wants(&self, id: RoomId) -> Wants {
        self.rooms.get(&id).map(Room::wants).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const FOLLOWED: Wants = Wants { events: true, signals: true, questions: false };
    const NOTHING: Wants = Wants { events: false, signals: false, questions: false };

    fn room(n: u128) -> RoomId {
        RoomId(Uuid::from_u128(n))
    }

    #[tokio::test(start_paused = true)]
    async fn room_is_released_some_time_after_the_last_follower_left() {
        let mut interest = Interest::new(Duration::from_secs(10));
        assert!(interest.set(room(1), true, false));
        assert_eq!(interest.take_changed(), [(room(1), FOLLOWED)]);
        assert!(!interest.set(room(1), false, false));
        tokio::time::advance(Duration::from_secs(9)).await;
        assert!(interest.release().is_empty());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(interest.release(), [room(1)]);
        assert_eq!(interest.take_changed(), [(room(1), NOTHING)]);
        assert!(interest.rooms.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn follower_that_comes_back_changes_nothing() {
        let mut interest = Interest::new(Duration::from_secs(10));
        interest.set(room(1), true, false);
        interest.take_changed();
        for _ in 0..5 {
            assert!(!interest.set(room(1), false, false));
            tokio::time::advance(Duration::from_secs(6)).await;
            assert!(!interest.set(room(1), true, false));
            tokio::time::advance(Duration::from_secs(6)).await;
            assert!(interest.release().is_empty());
        }
        assert!(interest.take_changed().is_empty());
        assert!(interest.lingering.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn rooms_that_linger_are_bounded() {
        let mut interest = Interest::new(Duration::from_secs(10));
        for n in 0..LINGERING_MAX as u128 + 5 {
            interest.set(room(n), true, false);
            interest.set(room(n), false, false);
        }
        assert_eq!(interest.release().len(), 5);
        assert_eq!(interest.rooms.len(), LINGERING_MAX);
    }

    #[test]
    fn writer_wants_questions_and_the_end() {
        let mut interest = Interest::new(Duration::ZERO);
        interest.set(room(1), false, true);
        let writes = Wants { events: true, signals: false, questions: true };
        assert_eq!(interest.take_changed(), [(room(1), writes)]);
        interest.set(room(1), false, false);
        assert_eq!(interest.take_changed(), [(room(1), NOTHING)]);
    }

    #[test]
    fn new_connection_has_everything_to_subscribe_to_again() {
        let mut interest = Interest::new(Duration::ZERO);
        interest.set(room(1), true, false);
        interest.take_changed();
        interest.confirm([room(1)]);
        assert!(interest.is_confirmed(room(1)));
        interest.start_over();
        assert!(!interest.is_confirmed(room(1)));
        assert_eq!(interest.take_changed(), [(room(1), FOLLOWED)]);
    }
}

//! Memory for what arrives: parts of files, and pictures of users.
//!
//! It is taken step by step as bytes come, so whoever sends slowly holds little. *Invariant: beyond
//! half of all, nobody is given more than the largest part or picture needs*, so a few users, however
//! many requests they send and however slowly, leave room for the others.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use parlor_protocol::id::UserId;
use parlor_runtime::config::FilesConfig;
use prometheus::IntCounter;

/// Steps in which the memory of the largest part is taken. Of a part that is let in, at least one
/// arrives, so a file in many small parts is not made by others who upload.
const STEPS: usize = 16;

/// Shares the memory among users.
#[derive(Debug)]
pub(crate) struct Arriving {
    /// What the largest part or picture needs.
    one: usize,
    step: usize,
    all: usize,
    taken: Mutex<Taken>,
    crowded: IntCounter,
}

/// What is held; only of users who hold something.
#[derive(Debug, Default)]
struct Taken {
    all: usize,
    users: HashMap<UserId, usize>,
}

impl Arriving {
    pub(super) fn new(config: &FilesConfig, crowded: IntCounter) -> Self {
        let (part, avatar) = (config.part.get(), config.avatar.get());
        let one = part.max(avatar);
        Self {
            one,
            step: (part / STEPS).max(1),
            all: one.saturating_mul(config.parts_in_flight),
            taken: Mutex::default(),
            crowded,
        }
    }

    /// Takes the first step. `None` when there is no room for it.
    pub(super) fn enter(&self, user: UserId) -> Option<Held<'_>> {
        let mut held = Held { of: self, user, bytes: 0 };
        (held.reach(1) > 0).then_some(held)
    }

    /// Returns what one user may hold while all hold so much.
    fn share(&self, taken: usize) -> usize {
        if taken > self.all / 2 { self.one } else { self.one.max(self.all / 4) }
    }

    fn take(&self, user: UserId, bytes: usize) -> bool {
        let mut taken = self.lock();
        let all = taken.all + bytes;
        let own = taken.users.get(&user).map_or(bytes, |own| own + bytes);
        let fits = all <= self.all && own <= self.share(all);
        if fits {
            taken.all = all;
            taken.users.insert(user, own);
        }
        fits
    }

    fn give_back(&self, user: UserId, bytes: usize) {
        let mut taken = self.lock();
        taken.all = taken.all.saturating_sub(bytes);
        let own = taken.users.get(&user).map_or(0, |own| own.saturating_sub(bytes));
        if own == 0 {
            taken.users.remove(&user);
        } else {
            taken.users.insert(user, own);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Memory that one part or picture has; it is given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    of: &'a Arriving,
    user: UserId,
    bytes: usize,
}

impl Held<'_> {
    /// Takes what so many bytes need together, and returns for how many of them there is room. What
    /// there was room for stays.
    pub(crate) fn reach(&mut self, bytes: usize) -> usize {
        let goal = bytes.next_multiple_of(self.of.step).min(self.of.one);
        while self.bytes < goal {
            let more = self.of.step.min(goal - self.bytes);
            if !self.of.take(self.user, more) {
                self.of.crowded.inc();
                break;
            }
            self.bytes += more;
        }
        bytes.min(self.bytes)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.of.give_back(self.user, self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use parlor_runtime::config::ByteSize;
    use uuid::Uuid;

    use super::*;

    /// The largest part has 16 bytes, the largest picture 20.
    fn arriving(parts_in_flight: usize) -> Arriving {
        let (part, avatar) = (ByteSize::bytes(16), ByteSize::bytes(20));
        let config = FilesConfig { part, avatar, parts_in_flight, ..FilesConfig::default() };
        Arriving::new(&config, IntCounter::new("crowded", "crowded").unwrap())
    }

    fn user(n: u128) -> UserId {
        UserId(Uuid::from_u128(n))
    }

    /// Has a user begin as much as they may, and send all of it.
    fn fill(of: &Arriving, user: UserId) -> Vec<Held<'_>> {
        let begun = std::iter::from_fn(|| of.enter(user));
        let mut held: Vec<_> = begun.take(1_000).collect();
        for one in &mut held {
            one.reach(20);
        }
        held
    }

    #[test]
    fn four_users_leave_room_for_all_others() {
        let of = arriving(16);
        // One after the other, or all at once.
        let greedy: Vec<_> = (1..=4).map(|n| fill(&of, user(n))).collect();
        let mut others: Vec<_> = (5..=10).map(|n| of.enter(user(n)).unwrap()).collect();
        assert!(others.iter_mut().all(|one| one.reach(20) == 20));
        drop((greedy, others));
        assert_eq!(of.lock().all, 0);
        assert!(of.lock().users.is_empty());

        let mut greedy = Vec::new();
        for n in (1..=4).cycle().take(1_000) {
            greedy.extend(of.enter(user(n)));
        }
        let mut others: Vec<_> = (5..=10).map(|n| of.enter(user(n)).unwrap()).collect();
        assert!(others.iter_mut().all(|one| one.reach(20) == 20));
    }

    #[test]
    fn what_has_not_arrived_takes_no_memory() {
        let of = arriving(16);
        let held: Vec<_> = (0..80).map_while(|_| of.enter(user(1))).collect();
        assert_eq!((held.len(), of.lock().all), (80, 80));
        // The user has a quarter of all by then.
        assert!(of.enter(user(1)).is_none());
        assert_eq!(of.crowded.get(), 1);
    }

    #[test]
    fn what_fits_is_kept_and_what_is_held_is_given_back() {
        let of = arriving(1);
        let mut first = of.enter(user(1)).unwrap();
        assert_eq!(first.reach(15), 15);
        let mut second = of.enter(user(2)).unwrap();
        assert_eq!((second.reach(9), second.reach(4), first.reach(16)), (5, 4, 15));
        drop(first);
        assert_eq!(second.reach(20), 20);
        drop(second);
        assert_eq!(of.lock().all, 0);
    }
}

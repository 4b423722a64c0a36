//! What gathers for a moment, one value for each key, and is then taken together.
//!
//! Putting never waits. So many keys are held at the most; the rest is refused.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// Values by key, until they are taken.
#[derive(Debug)]
pub(super) struct Gathered<K, V> {
    state: Mutex<State<K, V>>,
    changed: Notify,
    moment: Duration,
    most: usize,
}

#[derive(Debug)]
struct State<K, V> {
    values: HashMap<K, V>,
    closed: bool,
}

/// There are as many keys as there may be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

impl<K: Eq + Hash, V> Gathered<K, V> {
    /// Gathers for `moment` after the first value, at most `most` keys.
    pub(super) fn new(moment: Duration, most: usize) -> Self {
        let state = State { values: HashMap::new(), closed: false };
        Self { state: Mutex::new(state), changed: Notify::new(), moment, most }
    }

    /// Adds a value, or lets `merge` put it together with the one that is there.
    pub(super) fn put(&self, key: K, value: V, merge: impl FnOnce(&mut V, V)) -> Result<(), Full> {
        let mut state = self.lock();
        let len = state.values.len();
        match state.values.entry(key) {
            Entry::Occupied(mut entry) => merge(entry.get_mut(), value),
            Entry::Vacant(_) if len >= self.most => return Err(Full),
            Entry::Vacant(entry) => {
                entry.insert(value);
            }
        }
        drop(state);
        if len == 0 {
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Waits until something has gathered for its moment, and takes all of it. `None` when it is
    /// closed and nothing is left.
    pub(super) async fn take(&self) -> Option<HashMap<K, V>> {
        loop {
            let (empty, closed) = {
                let state = self.lock();
                (state.values.is_empty(), state.closed)
            };
            match (empty, closed) {
                (true, true) => return None,
                (true, false) => self.changed.notified().await,
                (false, true) => break,
                (false, false) => {
                    let close = async {
                        while !self.lock().closed {
                            self.changed.notified().await;
                        }
                    };
                    drop(tokio::time::timeout(self.moment, close).await);
                    break;
                }
            }
        }
        Some(std::mem::take(&mut self.lock().values))
    }

    /// Lets what has gathered be taken at once, and ends.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State<K, V>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    const MOMENT: Duration = Duration::from_millis(250);

    fn newest(old: &mut u32, new: u32) {
        *old = new;
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_within_a_moment_is_taken_together() {
        let gathered = Gathered::new(MOMENT, 10);
        let taking = gathered.take();
        let putting = async {
            for (key, value) in [("a", 1), ("b", 2), ("a", 3)] {
                tokio::time::sleep(MOMENT / 5).await;
                gathered.put(key, value, newest).unwrap();
            }
        };
        let start = Instant::now();
        let (taken, ()) = tokio::join!(taking, putting);

        assert_eq!(taken.unwrap(), HashMap::from([("a", 3), ("b", 2)]));
        assert_eq!(start.elapsed(), MOMENT / 5 + MOMENT);
    }

    #[tokio::test]
    async fn keys_are_bounded_and_known_ones_still_change() {
        let gathered = Gathered::new(MOMENT, 2);
        assert_eq!(gathered.put(1, 1, newest), Ok(()));
        assert_eq!(gathered.put(2, 1, newest), Ok(()));
        assert_eq!(gathered.put(3, 1, newest), Err(Full));
        assert_eq!(gathered.put(2, 7, newest), Ok(()));
        gathered.close();
        assert_eq!(gathered.take().await.unwrap(), HashMap::from([(1, 1), (2, 7)]));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_is_taken_at_once_when_it_is_closed() {
        let gathered = Gathered::new(Duration::from_hours(1), 2);
        gathered.put(1, 1, newest).unwrap();
        let start = Instant::now();
        let close = async {
            tokio::task::yield_now().await;
            gathered.close();
        };
        let (taken, ()) = tokio::join!(gathered.take(), close);

        assert_eq!(taken, Some(HashMap::from([(1, 1)])));
        assert_eq!(gathered.take().await, None);
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}

//! Time and ids, passed in so that tests can decide them.
//!
//! [`Clock::now`] is wall time: for timestamps that people and tokens see. It may jump. Waiting and
//! measuring use tokio's monotonic time, which tests can pause.

use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use uuid::{ContextV7, Uuid};

/// The source of wall time and of new ids.
pub trait Clock: Send + Sync + Debug {
    /// Returns the present time.
    fn now(&self) -> Timestamp;

    /// Returns a new `UUIDv7`. Ids of one process are unique and sort in the order of their making.
    fn new_id(&self) -> Uuid;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that makes ids")]
    fn new_id(&self) -> Uuid {
        Uuid::now_v7()
    }
}

/// A clock that stands still until it is told to move. For tests.
#[derive(Debug)]
pub struct ManualClock {
    state: Mutex<ManualState>,
}

#[derive(Debug)]
struct ManualState {
    now: Timestamp,
    ids: ContextV7,
}

impl ManualClock {
    /// Creates a clock that shows `now`.
    pub fn new(now: Timestamp) -> Self {
        Self { state: Mutex::new(ManualState { now, ids: ContextV7::new() }) }
    }

    /// Sets the time, also backwards.
    pub fn set(&self, now: Timestamp) {
        self.with(|state| state.now = now);
    }

    /// Moves the time forward, and stops at the end of time.
    pub fn advance(&self, by: Duration) {
        self.with(|state| {
            let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
            state.now = state.now.saturating_add(by).unwrap_or(Timestamp::MAX);
        });
    }

    fn with<T>(&self, change: impl FnOnce(&mut ManualState) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Starts in the year 2026, so that ids and tokens look like real ones.
impl Default for ManualClock {
    fn default() -> Self {
        Self::new(Timestamp::constant(1_767_225_600, 0))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.with(|state| state.now)
    }

    fn new_id(&self) -> Uuid {
        self.with(|state| {
            let seconds = u64::try_from(state.now.as_second()).unwrap_or(0);
            let nanos = u32::try_from(state.now.subsec_nanosecond()).unwrap_or(0);
            Uuid::new_v7(uuid::Timestamp::from_unix(&state.ids, seconds, nanos))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_ids_rise(clock: &dyn Clock) {
        let ids: Vec<_> = (0..5_000).map(|_| clock.new_id()).collect();

        assert!(ids.iter().all(|id| id.get_version_num() == 7));
        assert!(ids.is_sorted_by(|a, b| a < b), "each id is greater than the one before");
    }

    #[test]
    fn system_ids_rise() {
        assert_ids_rise(&SystemClock);
    }

    #[test]
    fn manual_ids_rise_while_time_stands_still_and_when_it_goes_back() {
        let clock = ManualClock::default();
        assert_ids_rise(&clock);

        let before = clock.new_id();
        clock.set(clock.now() - SignedDuration::from_hours(1));

        assert!(clock.new_id() > before);
    }

    #[test]
    fn manual_time_moves_only_when_told() {
        let clock = ManualClock::default();
        let start = clock.now();

        assert_eq!(clock.now(), start);
        clock.advance(Duration::from_millis(1_500));

        assert_eq!(clock.now().duration_since(start), SignedDuration::from_millis(1_500));
    }
}

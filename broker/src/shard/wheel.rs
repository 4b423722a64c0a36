//! A wheel of timers: what is to be looked at, and when, in steps of a quarter of a second.
//!
//! An entry costs the size of its name. Nothing is ever taken out before its time: whoever set a
//! timer anew finds the old one when it fires and leaves it. What is due further ahead than the
//! wheel reaches fires on its last slot and is set again, so any time can be set.

use std::time::Duration;

use tokio::time::Instant;

/// Time from slot to slot: nothing fires later than this after its time.
pub(super) const STEP: Duration = Duration::from_millis(250);
/// Slots of a turn, which is a minute: longer than the pause between two heartbeats.
const SLOTS: u32 = 240;

/// The number of a step since the wheel was made. Never zero for a timer that was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Step(u32);

/// Timers of one shard, by names that are `Copy`.
#[derive(Debug)]
pub(super) struct Wheel<T> {
    begun: Instant,
    /// The step that fired last.
    now: Step,
    slots: Vec<Vec<T>>,
}

impl<T> Wheel<T> {
    /// Makes an empty wheel.
    pub(super) fn new(begun: Instant) -> Self {
        Self {
            begun,
            now: Step(0),
            slots: std::iter::repeat_with(Vec::new).take(SLOTS as usize).collect(),
        }
    }

    /// Returns the first step that is not before a time, has not fired, and is within the turn.
    pub(super) fn step(&self, due: Instant) -> Step {
        let millis = due.saturating_duration_since(self.begun).as_millis();
        let step = u32::try_from(millis.div_ceil(STEP.as_millis())).unwrap_or(u32::MAX);
        Step(step.clamp(self.now.0 + 1, self.now.0 + SLOTS - 1))
    }

    /// Sets a timer to a step.
    pub(super) fn set(&mut self, step: Step, name: T) {
        let slot = slot(step);
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.push(name);
        }
    }

    /// Goes on to a time and takes the next step on the way that has fired, with its timers. `None`
    /// when there is none.
    pub(super) fn turn(&mut self, now: Instant) -> Option<(Step, Vec<T>)> {
        let millis = now.saturating_duration_since(self.begun).as_millis();
        let reached = u32::try_from(millis / STEP.as_millis()).unwrap_or(u32::MAX);
        while self.now.0 < reached {
            self.now.0 += 1;
            // With its memory: a slot that was full once is not kept so.
            let fired = self.slots.get_mut(slot(self.now)).map(std::mem::take);
            if let Some(fired) = fired.filter(|fired| !fired.is_empty()) {
                return Some((self.now, fired));
            }
        }
        None
    }
}

fn slot(step: Step) -> usize {
    (step.0 % SLOTS) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wheel() -> (Instant, Wheel<u32>) {
        let begun = Instant::now();
        (begun, Wheel::new(begun))
    }

    fn millis(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn timer_fires_at_the_first_step_that_is_not_early() {
        let (begun, mut wheel) = wheel();
        for (name, due) in [(1, 0), (2, 250), (3, 251), (4, 500)] {
            wheel.set(wheel.step(begun + millis(due)), name);
        }
        assert_eq!(wheel.turn(begun + millis(249)), None);
        assert_eq!(wheel.turn(begun + millis(250)), Some((Step(1), vec![1, 2])));
        assert_eq!(wheel.turn(begun + millis(499)), None);
        assert_eq!(wheel.turn(begun + millis(9_000)), Some((Step(2), vec![3, 4])));
        assert_eq!(wheel.turn(begun + millis(9_000)), None);
    }

    #[test]
    fn what_is_far_ahead_fires_within_the_turn() {
        let (begun, mut wheel) = wheel();
        let step = wheel.step(begun + Duration::from_hours(1));
        wheel.set(step, 1);
        let turn = STEP * SLOTS;
        assert_eq!(wheel.turn(begun + turn), Some((step, vec![1])));
        assert_eq!(wheel.step(begun), Step(step.0 + 1), "what is overdue fires next");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever is set, and whenever the wheel is turned: everything fires once, never early,
        /// and at the first turn after its step.
        #[test]
        fn everything_fires_once_and_in_time(
            steps in prop::collection::vec((0_u64..2_000, prop::collection::vec(0_u64..50_000, 0..4)), 1..80),
        ) {
            let (begun, mut wheel) = wheel();
            let mut now = begun;
            let mut waiting: Vec<Instant> = Vec::new();
            let mut open = std::collections::HashSet::new();
            for (pause, timers) in steps {
                now += millis(pause);
                while let Some((_, fired)) = wheel.turn(now) {
                    for name in fired {
                        prop_assert!(open.remove(&name), "fired twice");
                        prop_assert!(waiting[name as usize] <= now, "early");
                    }
                }
                for name in &open {
                    prop_assert!(waiting[*name as usize] + STEP > now, "late");
                }
                for due in timers {
                    let name = u32::try_from(waiting.len()).unwrap();
                    waiting.push(now + millis(due));
                    wheel.set(wheel.step(now + millis(due)), name);
                    open.insert(name);
                }
            }
        }
    }
}

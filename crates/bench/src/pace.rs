//! When commands are due.

use std::time::Duration;

use tokio::time::Instant;

/// An open loop: commands are due at fixed times, however the server does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    start: Instant,
    interval: Duration,
    taken: u32,
}

impl Pace {
    /// Creates a pace of `rate` commands a second, whose first is due at `start`.
    pub(crate) fn new(start: Instant, rate: f64) -> Self {
        Self { start, interval: Duration::from_secs_f64(1.0 / rate), taken: 0 }
    }

    /// Returns when the next command is due.
    pub(crate) fn next_due(&self) -> Instant {
        self.start + self.interval * self.taken
    }

    /// Takes the next command if it is due, and returns when it was.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Instant> {
        let due = self.next_due();
        (due <= now).then(|| {
            self.taken += 1;
            due
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_missed_is_due_at_once_and_counts_from_its_time() {
        let start = Instant::now();
        let mut pace = Pace::new(start, 100.0);
        let late = start + Duration::from_millis(25);
        let due: Vec<_> = std::iter::from_fn(|| pace.take(late)).map(|due| due - start).collect();
        assert_eq!(due, [0, 10, 20].map(Duration::from_millis));
        assert_eq!(pace.next_due() - start, Duration::from_millis(30));
    }
}

//! The rate of one connection's commands: one number for each connection, the time at which its
//! budget is whole again (the generic cell rate algorithm).

use std::time::Duration;

use parlor_runtime::config::LimitsConfig;
use tokio::time::Instant;

use crate::refusal::{Outcome, Refusal};

/// The rate of one connection's commands.
#[derive(Debug)]
pub(super) struct Flood {
    whole_at: Instant,
    refused: u32,
}

impl Flood {
    pub(super) fn new() -> Self {
        Self { whole_at: Instant::now(), refused: 0 }
    }

    /// Takes one command from the budget.
    pub(super) fn check(&mut self, limits: &LimitsConfig) -> Outcome<()> {
        self.check_at(limits, Instant::now())
    }

    fn check_at(&mut self, limits: &LimitsConfig, now: Instant) -> Outcome<()> {
        if !limits.enabled || limits.commands_per_second == 0 || limits.commands_burst == 0 {
            return Ok(());
        }
        let one = Duration::from_secs(1) / limits.commands_per_second;
        let whole_at = self.whole_at.max(now) + one;
        let wait = whole_at.saturating_duration_since(now + one * limits.commands_burst);
        if wait.is_zero() {
            self.whole_at = whole_at;
            self.refused = self.refused.saturating_sub(1);
            return Ok(());
        }
        self.refused += 1;
        Err(Refusal::rate_limited(wait))
    }

    /// Tells whether the client goes on although it was refused again and again.
    pub(super) fn is_hopeless(&self, limits: &LimitsConfig) -> bool {
        self.refused > limits.commands_burst
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> LimitsConfig {
        LimitsConfig { commands_per_second: 10, commands_burst: 3, ..LimitsConfig::default() }
    }

    #[test]
    fn burst_is_taken_at_once_and_then_one_at_a_time() {
        let (mut flood, limits, now) = (Flood::new(), limits(), Instant::now());
        assert_eq!((0..10).filter(|_| flood.check_at(&limits, now).is_ok()).count(), 3);
        let refused = flood.check_at(&limits, now).unwrap_err();
        assert_eq!(refused.retry_after, Some(Duration::from_millis(100)));
        let soon = now + Duration::from_millis(100);
        assert_eq!((0..10).filter(|_| flood.check_at(&limits, soon).is_ok()).count(), 1);
    }

    #[test]
    fn whoever_goes_on_is_hopeless_and_whoever_slows_down_is_not() {
        let (mut flood, limits, now) = (Flood::new(), limits(), Instant::now());
        for _ in 0..7 {
            drop(flood.check_at(&limits, now));
        }
        assert!(flood.is_hopeless(&limits));
        assert!(flood.check_at(&limits, now + Duration::from_secs(1)).is_ok());
        assert!(!flood.is_hopeless(&limits));
    }
}

//! The rate of one connection's commands.

use std::num::NonZeroU32;

use governor::clock::{Clock as _, DefaultClock};
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use parlor_runtime::config::LimitsConfig;

use crate::refusal::{Outcome, Refusal};

/// The rate of one connection's commands.
#[derive(Debug)]
pub(super) struct Flood {
    bucket: Option<RateLimiter<NotKeyed, InMemoryState, DefaultClock>>,
    refused: u32,
    hopeless_after: u32,
}

impl Flood {
    pub(super) fn new(limits: &LimitsConfig) -> Self {
        let quota = NonZeroU32::new(limits.commands_per_second)
            .zip(NonZeroU32::new(limits.commands_burst))
            .filter(|_| limits.enabled)
            .map(|(rate, burst)| Quota::per_second(rate).allow_burst(burst));
        Self {
            bucket: quota.map(RateLimiter::direct),
            refused: 0,
            hopeless_after: limits.commands_burst,
        }
    }

    /// Takes one command from the budget.
    pub(super) fn check(&mut self) -> Outcome<()> {
        let Some(bucket) = &self.bucket else { return Ok(()) };
        match bucket.check() {
            Ok(()) => {
                self.refused = self.refused.saturating_sub(1);
                Ok(())
            }
            Err(until) => {
                self.refused += 1;
                let wait = until.wait_time_from(DefaultClock::default().now());
                Err(Refusal::rate_limited(wait))
            }
        }
    }

    /// Tells whether the client goes on although it was refused again and again.
    pub(super) fn is_hopeless(&self) -> bool {
        self.refused > self.hopeless_after
    }
}

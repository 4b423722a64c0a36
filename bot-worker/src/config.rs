//! What a worker is told at its start.

use std::time::Duration;

use parlor_llm::{RetryPolicy, TimeLimits};

/// The bounds of a worker. The default is that of an embedded node.
#[derive(Debug, Clone)]
pub struct BotWorkerConfig {
    /// Replies that are written at the same time; 0 counts as 1.
    pub concurrency: usize,
    /// Replies that one provider writes at the same time for this worker; 0: as many as there are.
    pub provider_concurrency: usize,
    /// How long the right to a reply lasts unless it is renewed.
    pub lease: Duration,
    /// How often the text so far is stored; at most a third of the lease.
    pub checkpoint_every: Duration,
    /// How often the lease is renewed, which also tells whether someone has stopped the reply; at
    /// most a third of the lease.
    pub renew_every: Duration,
    /// How long running replies may go on after the worker was asked to stop. What is left then is
    /// handed over to other workers.
    pub drain: Duration,
    /// Text that arrives within this time is sent together.
    pub cork: Duration,
    /// Tokens of the room's messages that the model is shown at most, by estimate.
    pub context_tokens: u32,
    /// Sampling temperature of bots that have none of their own; `None`: the provider decides.
    pub temperature: Option<f32>,
    /// Longest reply in tokens of bots that have no limit of their own; `None`: the provider decides.
    pub max_tokens: Option<u32>,
    /// Attempts at one reply before it is closed without another call to the provider.
    pub max_attempts: u32,
    /// How often jobs are looked for although nobody told of one.
    pub poll_every: Duration,
    /// How often the jobs of the store are counted for the metrics.
    pub count_every: Duration,
    /// Replies of one bot to another in one room in a minute.
    pub pair_limit_per_minute: u32,
    /// Longest reply in bytes; a longer one ends there.
    pub reply_bytes: usize,
    /// How often and how patiently a provider is called again before its first text.
    pub retry: RetryPolicy,
    /// How long each part of a provider's reply may take.
    pub time_limits: TimeLimits,
}

impl Default for BotWorkerConfig {
    fn default() -> Self {
        Self {
            concurrency: 8,
            provider_concurrency: 8,
            lease: Duration::from_secs(30),
            checkpoint_every: Duration::from_secs(1),
            renew_every: Duration::from_secs(1),
            drain: Duration::from_mins(1),
            cork: Duration::from_millis(20),
            context_tokens: 3_000,
            temperature: None,
            max_tokens: None,
            max_attempts: 3,
            poll_every: Duration::from_secs(1),
            count_every: Duration::from_secs(10),
            pair_limit_per_minute: 10,
            reply_bytes: 64 * 1024,
            retry: RetryPolicy::default(),
            time_limits: TimeLimits::default(),
        }
    }
}

impl BotWorkerConfig {
    /// Returns the settings with those that contradict each other brought into line.
    pub(crate) fn coherent(mut self) -> Self {
        self.concurrency = self.concurrency.max(1);
        // Two renewals may fail before the lease is lost.
        self.checkpoint_every = self.checkpoint_every.min(self.lease / 3);
        self.renew_every = self.renew_every.min(self.lease / 3);
        self.poll_every = self.poll_every.max(Duration::from_millis(10));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lease_is_renewed_often_enough_whatever_is_set() {
        let config = BotWorkerConfig {
            lease: Duration::from_secs(3),
            checkpoint_every: Duration::from_secs(10),
            renew_every: Duration::from_secs(10),
            concurrency: 0,
            poll_every: Duration::ZERO,
            ..BotWorkerConfig::default()
        };

        let config = config.coherent();

        assert_eq!(config.checkpoint_every, Duration::from_secs(1));
        assert_eq!(config.renew_every, Duration::from_secs(1));
        assert_eq!(config.concurrency, 1);
        assert!(!config.poll_every.is_zero(), "an interval of zero panics");
    }
}

//! Rate limits of one node: a token bucket for each key, by governor.

use std::fmt::Debug;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter as Governor};

/// How often something may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many in `per`.
    pub count: NonZeroU32,
    /// The time in which as many are given back.
    pub per: Duration,
    /// How many at once.
    pub burst: NonZeroU32,
}

/// Too many: try again later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many requests")]
pub struct RateLimited {
    /// When the next one is allowed.
    pub retry_after: Duration,
}

/// One limit for many keys, such as all users.
///
/// Keys that are full again are forgotten by [`RateLimiter::sweep`]; call it every few seconds, so
/// that the map stays as small as the keys in use.
pub struct RateLimiter<K: Hash + Eq + Clone> {
    buckets: Option<Governor<K, DefaultKeyedStateStore<K>, DefaultClock>>,
    clock: DefaultClock,
}

impl<K: Hash + Eq + Clone> Debug for RateLimiter<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RateLimiter").finish_non_exhaustive()
    }
}

impl<K: Hash + Eq + Clone> RateLimiter<K> {
    /// Creates a limiter; without a rate everything is allowed.
    pub fn new(rate: Option<Rate>) -> Self {
        let buckets = rate.and_then(|rate| {
            let quota = Quota::with_period(rate.per / rate.count.get())?.allow_burst(rate.burst);
            Some(Governor::keyed(quota))
        });
        Self { buckets, clock: DefaultClock::default() }
    }

    /// Takes one from the key's bucket.
    pub fn check(&self, key: &K) -> Result<(), RateLimited> {
        let Some(buckets) = &self.buckets else { return Ok(()) };
        buckets
            .check_key(key)
            .map_err(|until| RateLimited { retry_after: until.wait_time_from(self.clock.now()) })
    }

    /// Forgets keys whose bucket is full again.
    pub fn sweep(&self) {
        if let Some(buckets) = &self.buckets {
            buckets.retain_recent();
            buckets.shrink_to_fit();
        }
    }

    /// Returns how many keys are remembered.
    pub fn len(&self) -> usize {
        self.buckets.as_ref().map_or(0, Governor::len)
    }

    /// Tells whether no key is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(count: u32, burst: u32) -> Option<Rate> {
        Some(Rate {
            count: NonZeroU32::new(count)?,
            per: Duration::from_hours(1),
            burst: NonZeroU32::new(burst)?,
        })
    }

    #[test]
    fn burst_is_allowed_and_then_a_time_is_told() {
        let limiter = RateLimiter::new(rate(1, 3));
        for _ in 0..3 {
            assert_eq!(limiter.check(&"ada"), Ok(()));
        }
        let limited = limiter.check(&"ada").unwrap_err();
        assert!(limited.retry_after > Duration::from_mins(50));
        assert_eq!(limiter.check(&"bob"), Ok(()), "keys do not share a bucket");
    }

    #[test]
    fn without_a_rate_everything_is_allowed() {
        let limiter = RateLimiter::new(None);
        assert!((0..1000).all(|_| limiter.check(&1).is_ok()));
        assert!(limiter.is_empty());
    }
}

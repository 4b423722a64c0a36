//! Rate limits of one node: a bucket for each key, decided at once and without waiting.
//!
//! The buckets are those of the generic cell rate algorithm: one number for each key, the time at
//! which it is full again. The number of keys is bounded. At the bound, keys that are full again
//! are forgotten; when that makes no room, all further keys share a single bucket until it does. So
//! a flood of made-up addresses slows down newcomers and nobody else.
//!
//! A limiter may be shared ([`RateLimiter::shared`]): what it lets through is charged to the
//! cluster's budget in the background, and it refuses a key for as long as that is overdrawn.

use std::fmt::Debug;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parlor_protocol::id::{RoomId, UserId};
use tokio::time::Instant;

use crate::shared::{SharedBudget, SharedLimits, TakeRefused};

/// A map at its bound is searched for keys to forget at most so often.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

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

impl Rate {
    /// Returns the time in which one is given back.
    pub fn interval(&self) -> Duration {
        (self.per / self.count.get()).max(Duration::from_nanos(1))
    }
}

/// What is left of a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// How many more are allowed at once.
    pub count: u32,
    /// When all of it is there again.
    pub full_in: Duration,
}

/// Too many: try again later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many requests")]
pub struct RateLimited {
    /// When the next one is allowed.
    pub retry_after: Duration,
    /// The name of the limit, where it has one.
    pub rule: Option<&'static str>,
}

/// Whose rate is limited.
pub trait LimitKey: Hash + Eq + Clone {
    /// Returns a number that is the key's on every node.
    fn number(&self) -> u128;
}

impl LimitKey for UserId {
    fn number(&self) -> u128 {
        self.0.as_u128()
    }
}

impl LimitKey for RoomId {
    fn number(&self) -> u128 {
        self.0.as_u128()
    }
}

impl LimitKey for u128 {
    fn number(&self) -> u128 {
        *self
    }
}

/// One limit for many keys, such as all users.
///
/// Keys that are full again are forgotten by [`RateLimiter::sweep`]; call it every few seconds, so
/// that the map stays as small as the keys in use.
pub struct RateLimiter<K> {
    limit: Option<Limit>,
    buckets: papaya::HashMap<K, Bucket>,
    entries: usize,
    /// For keys that there was no room for.
    overflow: Bucket,
    overflows: AtomicU64,
    begun: Instant,
    swept_at: AtomicU64,
    shared: Option<Arc<dyn SharedBudget>>,
    name: Option<&'static str>,
}

#[derive(Debug, Clone, Copy)]
struct Limit {
    rate: Rate,
    interval: u64,
    /// An empty bucket is full again after this.
    whole: u64,
}

/// When it is full again, in nanoseconds after the limiter was made.
#[derive(Debug, Default)]
struct Bucket(AtomicU64);

impl<K> Debug for RateLimiter<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RateLimiter").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl<K: LimitKey> RateLimiter<K> {
    /// Creates a limiter that remembers at most `entries` keys; without a rate everything is
    /// allowed.
    pub fn new(rate: Option<Rate>, entries: usize) -> Self {
        let limit = rate.map(|rate| {
            let interval = nanos(rate.interval());
            Limit { rate, interval, whole: interval.saturating_mul(u64::from(rate.burst.get())) }
        });
        Self {
            limit,
            buckets: papaya::HashMap::new(),
            entries,
            overflow: Bucket::default(),
            overflows: AtomicU64::new(0),
            begun: Instant::now(),
            swept_at: AtomicU64::new(0),
            shared: None,
            name: None,
        }
    }

    /// Shares the limit with the other nodes, under a name that is the same on all of them.
    #[must_use]
    pub fn shared(mut self, name: &'static str, limits: &dyn SharedLimits) -> Self {
        self.name = Some(name);
        self.shared = self.limit.and_then(|limit| limits.open(name, limit.rate));
        self
    }

    /// Takes one from the key's bucket, by what this node knows. Never waits.
    pub fn check(&self, key: &K) -> Result<(), RateLimited> {
        let Some(limit) = self.limit else { return Ok(()) };
        let number = self.shared.as_ref().map(|shared| (shared, key.number()));
        if let Some(retry_after) = number.and_then(|(shared, key)| shared.refused_for(key)) {
            return Err(self.limited(retry_after));
        }
        self.take_here(limit, key).map_err(|early| self.limited(early))?;
        if let Some((shared, key)) = number {
            shared.charge(key);
        }
        Ok(())
    }

    /// Returns what is left of the key's bucket on this node; nothing when everything is allowed.
    pub fn left(&self, key: &K) -> Option<Left> {
        let limit = self.limit?;
        let full_at = self.buckets.pin().get(key).map_or(0, |at| at.0.load(Ordering::Relaxed));
        let missing = full_at.saturating_sub(self.now());
        let left = limit.whole.saturating_sub(missing) / limit.interval.max(1);
        Some(Left {
            count: u32::try_from(left).unwrap_or(u32::MAX),
            full_in: Duration::from_nanos(missing),
        })
    }

    /// Takes one from the bucket that all nodes share. Refuses when the nodes share one that cannot
    /// be asked.
    pub async fn take(&self, key: &K) -> Result<(), TakeRefused> {
        match &self.shared {
            Some(shared) => shared.take(key.number()).await.map_err(|refused| match refused {
                TakeRefused::Limited(limited) => self.limited(limited.retry_after).into(),
                TakeRefused::Unavailable => TakeRefused::Unavailable,
            }),
            None => self.check(key).map_err(TakeRefused::Limited),
        }
    }

    fn limited(&self, retry_after: Duration) -> RateLimited {
        RateLimited { retry_after, rule: self.name }
    }

    /// Takes one from the key's bucket, or returns how long to wait for it.
    fn take_here(&self, limit: Limit, key: &K) -> Result<(), Duration> {
        let now = self.now();
        let buckets = self.buckets.pin();
        if let Some(bucket) = buckets.get(key) {
            return bucket.take(limit, now);
        }
        if !self.has_room(now) {
            self.overflows.fetch_add(1, Ordering::Relaxed);
            return self.overflow.take(limit, now);
        }
        buckets.get_or_insert_with(key.clone(), Bucket::default).take(limit, now)
    }

    /// Tells whether another key can be remembered, after forgetting those that need not be.
    fn has_room(&self, now: u64) -> bool {
        if self.buckets.len() < self.entries {
            return true;
        }
        let swept_at = self.swept_at.load(Ordering::Relaxed);
        let due = now >= swept_at.saturating_add(nanos(SWEEP_EVERY)) || swept_at == 0;
        let (next, order) = (now.max(1), Ordering::Relaxed);
        if due && self.swept_at.compare_exchange(swept_at, next, order, order).is_ok() {
            self.sweep();
        }
        self.buckets.len() < self.entries
    }

    /// Forgets keys whose bucket is full again.
    pub fn sweep(&self) {
        let now = self.now();
        self.buckets.pin().retain(|_, bucket| bucket.0.load(Ordering::Relaxed) > now);
    }

    /// Returns how many keys are remembered.
    pub fn len(&self) -> usize {
        self.buckets.len()
    }

    /// Tells whether no key is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how often a key had to share a bucket with others, because there was no room.
    pub fn overflows(&self) -> u64 {
        self.overflows.load(Ordering::Relaxed)
    }

    fn now(&self) -> u64 {
        nanos(self.begun.elapsed())
    }
}

impl Bucket {
    fn take(&self, limit: Limit, now: u64) -> Result<(), Duration> {
        let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| {
            let next = full_at.max(now) + limit.interval;
            (next <= now + limit.whole).then_some(next)
        });
        taken.map(drop).map_err(|full_at| {
            let early = full_at.max(now) + limit.interval - now - limit.whole;
            Duration::from_nanos(early)
        })
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX >> 2).min(u64::MAX >> 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn rate(count: u32, burst: u32) -> Option<Rate> {
        Some(Rate { count: NonZeroU32::new(count)?, per: HOUR, burst: NonZeroU32::new(burst)? })
    }

    #[tokio::test(start_paused = true)]
    async fn burst_is_allowed_and_then_one_at_a_time() {
        let limiter = RateLimiter::new(rate(60, 3), 100);
        for _ in 0..3 {
            assert_eq!(limiter.check(&1), Ok(()));
        }
        let limited = limiter.check(&1).unwrap_err();
        assert_eq!(limited.rule, None);
        assert_eq!(limited.retry_after, Duration::from_mins(1));
        assert_eq!(limiter.check(&2), Ok(()), "keys do not share a bucket");

        tokio::time::advance(limited.retry_after.mul_f64(0.99)).await;
        assert!(limiter.check(&1).is_err(), "not a moment too early");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(limiter.check(&1), Ok(()));
        assert!(limiter.check(&1).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_is_known_without_taking_it() {
        let limiter = RateLimiter::new(rate(60, 3), 100);
        assert_eq!(limiter.left(&1), Some(Left { count: 3, full_in: Duration::ZERO }));
        limiter.check(&1).unwrap();
        limiter.check(&1).unwrap();
        assert_eq!(limiter.left(&1), Some(Left { count: 1, full_in: Duration::from_mins(2) }));
        tokio::time::advance(Duration::from_mins(1)).await;
        assert_eq!(limiter.left(&1).map(|left| left.count), Some(2));
        assert_eq!(RateLimiter::<u128>::new(None, 1).left(&1), None);
    }

    #[test]
    fn exactly_a_burst_of_many_threads_passes() {
        let limiter = RateLimiter::new(rate(1, 100), 100);
        let passed = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..250).filter(|_| limiter.check(&1).is_ok()).count()))
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>()
        });
        assert_eq!(passed, 100);
    }

    #[test]
    fn without_a_rate_everything_is_allowed() {
        let limiter = RateLimiter::new(None, 100);
        assert!((0..1_000).all(|_| limiter.check(&1).is_ok()));
        assert!(limiter.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn keys_beyond_the_bound_share_a_bucket_until_others_are_forgotten() {
        let limiter = RateLimiter::new(rate(60, 3), 10);
        for key in 0..10 {
            assert_eq!(limiter.check(&key), Ok(()));
        }
        let passed = (100..1_100).filter(|key| limiter.check(key).is_ok()).count();
        assert_eq!(passed, 3, "newcomers have one bucket together");
        assert_eq!((limiter.len(), limiter.overflows()), (10, 1_000));
        assert_eq!(limiter.check(&0), Ok(()), "whoever was there before has their own");

        tokio::time::advance(Duration::from_mins(2)).await;
        for key in 200..205 {
            assert_eq!(limiter.check(&key), Ok(()), "full buckets have made room");
        }
        assert!(limiter.len() <= 10);
        tokio::time::advance(HOUR).await;
        limiter.sweep();
        assert!(limiter.is_empty());
    }
}

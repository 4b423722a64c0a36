//! Slows down guessing of passwords without ever locking the owner out.
//!
//! Every attempt is charged before its password is looked at, so that attempts sent all at once
//! count as well; a right password is given back. There are three budgets. That of one user from
//! one address and that of one address stop whoever exceeds them. That of one user from all
//! addresses stops nobody: once it is spent, an address from which the user has not logged in
//! before gets one attempt at a time instead of a handful. So a guesser with many addresses is slow,
//! and the owner still gets in, from a known device without noticing anything.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use parlor_runtime::config::LimitsConfig;
use tokio::time::Instant;

use crate::rate::AddressKey;

const HOUR: Duration = Duration::from_hours(1);

/// Counts failed attempts. Remembers a bounded number of users and addresses.
#[derive(Debug)]
pub(super) struct LoginThrottle {
    limits: Option<Limits>,
    /// User names become numbers, so that long ones cost no memory and cannot be chosen to collide.
    names: RandomState,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    pair: Budget,
    user: Budget,
    address: Budget,
    entries: usize,
}

#[derive(Debug, Clone, Copy)]
struct Budget {
    interval: Duration,
    burst: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Pair(u64, AddressKey),
    User(u64),
    Address(AddressKey),
}

#[derive(Debug, Default)]
struct State {
    /// When each budget is whole again.
    whole_at: HashMap<Key, Instant>,
    /// From where users have logged in, and when last.
    known: HashMap<(u64, AddressKey), Instant>,
}

/// An attempt that was charged. Unless it is given back, it has failed.
#[derive(Debug)]
pub(super) struct Attempt<'a> {
    throttle: &'a LoginThrottle,
    user: u64,
    address: AddressKey,
}

impl LoginThrottle {
    pub(super) fn new(config: &LimitsConfig) -> Self {
        let per_hour = |count: u32| Budget { interval: HOUR / count.max(1), burst: count };
        let limits = config.enabled.then(|| Limits {
            pair: Budget { interval: config.login_failure_delay, burst: config.login_failures },
            user: per_hour(config.login_failures_per_user_hour),
            address: per_hour(config.login_failures_per_address_hour),
            entries: config.rate_entries,
        });
        Self { limits, names: RandomState::new(), state: Mutex::default() }
    }

    /// Charges an attempt, or tells when the next one makes sense.
    pub(super) fn begin(&self, login: &str, address: AddressKey) -> Result<Attempt<'_>, Duration> {
        let user = self.names.hash_one(login);
        let attempt = Attempt { throttle: self, user, address };
        let Some(limits) = self.limits else { return Ok(attempt) };
        let now = Instant::now();
        let mut state = self.lock();
        state.make_room(limits.entries, now);
        let attacked = state.wait(Key::User(user), limits.user, now).is_some();
        let stranger = !state.known.contains_key(&(user, address));
        let pair = Budget {
            burst: if attacked && stranger { 1 } else { limits.pair.burst },
            ..limits.pair
        };
        let waits = [
            state.wait(Key::Pair(user, address), pair, now),
            state.wait(Key::Address(address), limits.address, now),
        ];
        if let Some(wait) = waits.into_iter().flatten().max() {
            return Err(wait);
        }
        state.charge(Key::Pair(user, address), limits.pair, now);
        state.charge(Key::Address(address), limits.address, now);
        state.charge(Key::User(user), limits.user, now);
        Ok(attempt)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt<'_> {
    /// The password was right.
    pub(super) fn succeeded(self) {
        let Some(limits) = self.throttle.limits else { return };
        let mut state = self.throttle.lock();
        self.refund(&mut state, limits);
        state.known.insert((self.user, self.address), Instant::now());
    }

    /// The password was not looked at.
    pub(super) fn give_back(self) {
        let Some(limits) = self.throttle.limits else { return };
        self.refund(&mut self.throttle.lock(), limits);
    }

    fn refund(&self, state: &mut State, limits: Limits) {
        state.refund(Key::Pair(self.user, self.address), limits.pair);
        state.refund(Key::Address(self.address), limits.address);
        state.refund(Key::User(self.user), limits.user);
    }
}

impl State {
    /// How long until the budget has room for one more.
    fn wait(&self, key: Key, budget: Budget, now: Instant) -> Option<Duration> {
        let whole_in = self.whole_at.get(&key)?.saturating_duration_since(now);
        let room = budget.interval.saturating_mul(budget.burst);
        let wait = (whole_in + budget.interval).checked_sub(room)?;
        (!wait.is_zero()).then_some(wait)
    }

    /// Takes one, but never owes more than the whole budget.
    fn charge(&mut self, key: Key, budget: Budget, now: Instant) {
        let entry = self.whole_at.entry(key).or_insert(now);
        let most = now + budget.interval.saturating_mul(budget.burst);
        *entry = ((*entry).max(now) + budget.interval).min(most);
    }

    fn refund(&mut self, key: Key, budget: Budget) {
        if let Some(entry) = self.whole_at.get_mut(&key) {
            *entry = entry.checked_sub(budget.interval).unwrap_or(*entry);
        }
    }

    /// Forgets what is of no use any more; when that is not enough, what is nearest to it.
    fn make_room(&mut self, entries: usize, now: Instant) {
        // One attempt adds three.
        if self.whole_at.len() + 3 > entries {
            self.whole_at.retain(|_, whole_at| *whole_at > now);
        }
        if self.whole_at.len() + 3 > entries {
            forget_older_half(&mut self.whole_at);
        }
        if self.known.len() >= entries {
            forget_older_half(&mut self.known);
        }
    }
}

fn forget_older_half<K: std::hash::Hash + Eq>(entries: &mut HashMap<K, Instant>) {
    let mut times: Vec<Instant> = entries.values().copied().collect();
    let middle = times.len() / 2;
    if times.is_empty() {
        return;
    }
    let (_, median, _) = times.select_nth_unstable(middle);
    let median = *median;
    entries.retain(|_, at| *at > median);
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn throttle(change: impl FnOnce(&mut LimitsConfig)) -> LoginThrottle {
        let mut config = LimitsConfig::default();
        change(&mut config);
        LoginThrottle::new(&config)
    }

    fn address(n: u32) -> AddressKey {
        IpAddr::from(std::net::Ipv4Addr::from(0x0a00_0000 + n)).into()
    }

    fn fail(throttle: &LoginThrottle, login: &str, from: u32) -> Result<(), Duration> {
        throttle.begin(login, address(from)).map(drop)
    }

    #[tokio::test(start_paused = true)]
    async fn guesser_at_one_address_gets_a_handful_and_then_one_at_a_time() {
        let throttle = throttle(|_| ());
        for _ in 0..5 {
            assert_eq!(fail(&throttle, "ada", 1), Ok(()));
        }
        let wait = fail(&throttle, "ada", 1).unwrap_err();
        assert!(wait > Duration::from_secs(29) && wait <= Duration::from_secs(30), "{wait:?}");
        assert_eq!(fail(&throttle, "bob", 1), Ok(()), "another user is not concerned");
        assert_eq!(fail(&throttle, "ada", 2), Ok(()), "another address is not concerned");

        tokio::time::advance(wait).await;
        assert_eq!(fail(&throttle, "ada", 1), Ok(()));
        assert!(fail(&throttle, "ada", 1).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn right_passwords_cost_nothing() {
        let throttle = throttle(|_| ());
        for _ in 0..1_000 {
            throttle.begin("ada", address(1)).unwrap().succeeded();
        }
        for _ in 0..1_000 {
            throttle.begin("bob", address(1)).unwrap().give_back();
        }
        assert_eq!(fail(&throttle, "ada", 1), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_sent_at_once_are_counted_before_any_has_failed() {
        let throttle = throttle(|_| ());
        let pending: Vec<_> = (0..5).map(|_| throttle.begin("ada", address(1))).collect();
        assert!(pending.iter().all(Result::is_ok));
        assert!(throttle.begin("ada", address(1)).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn owner_gets_in_while_many_addresses_guess() {
        let throttle = throttle(|_| ());
        throttle.begin("ada", address(1)).unwrap().succeeded();
        for from in 100..200 {
            let _outcome = fail(&throttle, "ada", from);
        }

        assert_eq!(fail(&throttle, "ada", 7), Ok(()), "a new device has one attempt");
        assert!(fail(&throttle, "ada", 7).is_err(), "and then has to wait");
        for _ in 0..5 {
            assert_eq!(fail(&throttle, "ada", 1), Ok(()), "a known one has as many as ever");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_address_cannot_try_all_users() {
        let throttle = throttle(|limits| limits.login_failures_per_address_hour = 10);
        for n in 0..10 {
            assert_eq!(fail(&throttle, &format!("user{n}"), 1), Ok(()));
        }
        assert!(fail(&throttle, "user10", 1).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded() {
        let throttle = throttle(|limits| limits.rate_entries = 1_000);
        for n in 0..5_000 {
            let _outcome = fail(&throttle, "ada", n);
            throttle.begin("bob", address(n)).unwrap().succeeded();
        }
        let state = throttle.lock();
        assert!(state.whole_at.len() <= 1_000 && state.known.len() <= 1_000);
    }

    #[tokio::test]
    async fn limits_can_be_switched_off() {
        let throttle = throttle(|limits| limits.enabled = false);
        assert!((0..100).all(|_| fail(&throttle, "ada", 1).is_ok()));
    }
}

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
use std::fmt::Debug;
use std::hash::{BuildHasher as _, Hash};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::rate_limit::RateLimited;
use crate::shared::TakeRefused;

/// How many attempts are given back, and how many may be spent at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginBudget {
    /// The time in which one is given back.
    pub interval: Duration,
    /// How many at once.
    pub burst: u32,
}

/// The three budgets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginRule {
    /// Of one user from one address.
    pub pair: LoginBudget,
    /// Of one user from all addresses.
    pub user: LoginBudget,
    /// Of one address, for all users.
    pub address: LoginBudget,
    /// How many users and addresses a node remembers.
    pub entries: usize,
}

/// Counts attempts to log in, on all nodes that share it.
#[async_trait]
pub trait Logins: Send + Sync + Debug {
    /// Charges an attempt, or tells when the next one makes sense. Refuses when attempts on other
    /// nodes cannot be known.
    async fn begin(&self, login: &str, address: u128) -> Result<(), TakeRefused>;

    /// The password of an attempt was right: gives it back, and remembers the address.
    async fn succeeded(&self, login: &str, address: u128);

    /// The password of an attempt was not looked at: gives it back.
    async fn give_back(&self, login: &str, address: u128);
}

/// Counts the attempts on one node. Remembers a bounded number of users and addresses.
#[derive(Debug)]
pub struct LocalLogins {
    rule: LoginRule,
    /// User names become numbers, so that long ones cost no memory and cannot be chosen to collide.
    names: RandomState,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Pair(u64, u128),
    User(u64),
    Address(u128),
}

#[derive(Debug, Default)]
struct State {
    /// When each budget is whole again.
    whole_at: HashMap<Key, Instant>,
    /// From where users have logged in, and when last.
    known: HashMap<(u64, u128), Instant>,
}

impl LocalLogins {
    /// Creates it without any attempt.
    pub fn new(rule: LoginRule) -> Self {
        Self { rule, names: RandomState::new(), state: Mutex::default() }
    }

    fn charge(&self, user: u64, address: u128) -> Result<(), Duration> {
        let now = Instant::now();
        let mut state = self.lock();
        state.make_room(self.rule.entries, now);
        let attacked = state.wait(Key::User(user), self.rule.user, now).is_some();
        let stranger = !state.known.contains_key(&(user, address));
        let pair = LoginBudget {
            burst: if attacked && stranger { 1 } else { self.rule.pair.burst },
            ..self.rule.pair
        };
        let waits = [
            state.wait(Key::Pair(user, address), pair, now),
            state.wait(Key::Address(address), self.rule.address, now),
        ];
        if let Some(wait) = waits.into_iter().flatten().max() {
            return Err(wait);
        }
        for (key, budget) in self.charged(user, address) {
            state.charge(key, budget, now);
        }
        Ok(())
    }

    fn charged(&self, user: u64, address: u128) -> [(Key, LoginBudget); 3] {
        [
            (Key::Pair(user, address), self.rule.pair),
            (Key::Address(address), self.rule.address),
            (Key::User(user), self.rule.user),
        ]
    }

    fn refund(&self, user: u64, address: u128) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        for (key, budget) in self.charged(user, address) {
            state.refund(key, budget);
        }
        state
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Logins for LocalLogins {
    async fn begin(&self, login: &str, address: u128) -> Result<(), TakeRefused> {
        let charged = self.charge(self.names.hash_one(login), address);
        charged.map_err(|retry_after| RateLimited { retry_after, rule: None }.into())
    }

    async fn succeeded(&self, login: &str, address: u128) {
        let user = self.names.hash_one(login);
        self.refund(user, address).known.insert((user, address), Instant::now());
    }

    async fn give_back(&self, login: &str, address: u128) {
        drop(self.refund(self.names.hash_one(login), address));
    }
}

impl State {
    /// How long until the budget has room for one more.
    fn wait(&self, key: Key, budget: LoginBudget, now: Instant) -> Option<Duration> {
        let whole_in = self.whole_at.get(&key)?.saturating_duration_since(now);
        let room = budget.interval.saturating_mul(budget.burst);
        let wait = (whole_in + budget.interval).checked_sub(room)?;
        (!wait.is_zero()).then_some(wait)
    }

    /// Takes one, but never owes more than the whole budget.
    fn charge(&mut self, key: Key, budget: LoginBudget, now: Instant) {
        let entry = self.whole_at.entry(key).or_insert(now);
        let most = now + budget.interval.saturating_mul(budget.burst);
        *entry = ((*entry).max(now) + budget.interval).min(most);
    }

    fn refund(&mut self, key: Key, budget: LoginBudget) {
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

fn forget_older_half<K: Hash + Eq>(entries: &mut HashMap<K, Instant>) {
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
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn logins(change: impl FnOnce(&mut LoginRule)) -> LocalLogins {
        let budget = |interval, burst| LoginBudget { interval, burst };
        let mut rule = LoginRule {
            pair: budget(Duration::from_secs(30), 5),
            user: budget(HOUR / 30, 30),
            address: budget(HOUR / 100, 100),
            entries: 10_000,
        };
        change(&mut rule);
        LocalLogins::new(rule)
    }

    async fn fail(logins: &LocalLogins, login: &str, from: u128) -> Result<(), Duration> {
        logins.begin(login, from).await.map_err(|refused| match refused {
            TakeRefused::Limited(limited) => limited.retry_after,
            TakeRefused::Unavailable => unreachable!("one node knows everything"),
        })
    }

    async fn succeed(logins: &LocalLogins, login: &str, from: u128) {
        assert_eq!(fail(logins, login, from).await, Ok(()));
        logins.succeeded(login, from).await;
    }

    #[tokio::test(start_paused = true)]
    async fn guesser_at_one_address_gets_a_handful_and_then_one_at_a_time() {
        let logins = logins(|_| ());
        for _ in 0..5 {
            assert_eq!(fail(&logins, "ada", 1).await, Ok(()));
        }
        let wait = fail(&logins, "ada", 1).await.unwrap_err();
        assert!(wait > Duration::from_secs(29) && wait <= Duration::from_secs(30), "{wait:?}");
        assert_eq!(fail(&logins, "bob", 1).await, Ok(()), "another user is not concerned");
        assert_eq!(fail(&logins, "ada", 2).await, Ok(()), "another address is not concerned");

        tokio::time::advance(wait).await;
        assert_eq!(fail(&logins, "ada", 1).await, Ok(()));
        assert!(fail(&logins, "ada", 1).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn right_passwords_cost_nothing() {
        let logins = logins(|_| ());
        for _ in 0..1_000 {
            succeed(&logins, "ada", 1).await;
        }
        for _ in 0..1_000 {
            assert_eq!(fail(&logins, "bob", 1).await, Ok(()));
            logins.give_back("bob", 1).await;
        }
        assert_eq!(fail(&logins, "ada", 1).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn owner_gets_in_while_many_addresses_guess() {
        let logins = logins(|_| ());
        succeed(&logins, "ada", 1).await;
        for from in 100..200 {
            let _outcome = fail(&logins, "ada", from).await;
        }

        assert_eq!(fail(&logins, "ada", 7).await, Ok(()), "a new device has one attempt");
        assert!(fail(&logins, "ada", 7).await.is_err(), "and then has to wait");
        for _ in 0..5 {
            assert_eq!(fail(&logins, "ada", 1).await, Ok(()), "a known one has as many as ever");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_address_cannot_try_all_users() {
        let logins = logins(|rule| rule.address = LoginBudget { interval: HOUR / 10, burst: 10 });
        for n in 0..10 {
            assert_eq!(fail(&logins, &format!("user{n}"), 1).await, Ok(()));
        }
        assert!(fail(&logins, "user10", 1).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded() {
        let logins = logins(|rule| rule.entries = 1_000);
        for from in 0..5_000 {
            let _outcome = fail(&logins, "ada", from).await;
            logins.succeeded("bob", from).await;
        }
        let state = logins.lock();
        assert!(state.whole_at.len() <= 1_000 && state.known.len() <= 1_000);
    }
}

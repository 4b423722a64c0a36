//! Rate limits that nodes share.
//!
//! What a node lets through is charged in the background: charges of one key are added up for a
//! moment, then sent with all others in one round trip. Redis answers how long a key is overdrawn,
//! and the node refuses it for so long. So a user who spreads over nodes gets no more than one who
//! does not, but for the moment until the nodes are told; and no message waits for Redis.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use prometheus::{IntCounter, IntGauge, Registry};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::RedisConnection;
use super::budget::{Charge, RedisBudget};
use super::logins::{RedisLogins, micros};
use super::script::{CHARGE, run_many};
use crate::login::{LoginRule, Logins};
use crate::rate_limit::Rate;
use crate::shared::{ClusterStatus, SharedBudget, SharedLimits};

/// Charges that may wait to be added up.
const CHARGES_MAX: usize = 8_192;
/// Keys whose charges are added up at a time.
const KEYS_MAX: usize = 8_192;
/// Keys that are charged in one round trip.
const BATCH: usize = 512;
/// How often charges are looked at.
const TICK: Duration = Duration::from_millis(20);
/// Charges wait at most so long to be sent with others of their key.
const HOLD: Duration = Duration::from_millis(250);
/// Charges of a key are sent at once when they are this part of its burst.
const HOLD_SHARE: u32 = 8;
/// What nodes let through together beyond a burst is owed, at most so much of it.
const DEBT_MAX: Duration = Duration::from_mins(1);
/// Charges count as if they had been made so much earlier, because their way to Redis takes time: a
/// client that keeps to its rate must not be refused for that.
const SLACK: Duration = Duration::from_millis(25);
/// How often keys that are not overdrawn any more are forgotten.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// Budgets on Redis.
#[derive(Debug)]
pub struct RedisLimits {
    connection: RedisConnection,
    secret: Vec<u8>,
    budgets: Arc<Budgets>,
    charges: mpsc::Sender<Charge>,
    dropped: IntCounter,
    _collector: JoinSet<()>,
}

type Budgets = RwLock<Vec<Arc<RedisBudget>>>;

impl RedisLimits {
    pub(super) fn new(
        connection: RedisConnection,
        secret: &[u8],
        registry: &Registry,
    ) -> prometheus::Result<Self> {
        let dropped = IntCounter::new(
            "parlor_cluster_charges_dropped_total",
            "Charges to shared rate limits that were not passed on: Redis is away, or too many wait.",
        )?;
        let waiting = IntGauge::new(
            "parlor_cluster_charges_waiting",
            "Keys of shared rate limits whose charges are added up.",
        )?;
        registry.register(Box::new(dropped.clone()))?;
        registry.register(Box::new(waiting.clone()))?;
        let budgets = Arc::new(Budgets::default());
        let (charges, receiver) = mpsc::channel(CHARGES_MAX);
        let collector = Collector {
            connection: connection.clone(),
            budgets: Arc::clone(&budgets),
            receiver,
            sums: HashMap::new(),
            dropped: dropped.clone(),
            waiting,
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(collector.run());
        Ok(Self {
            connection,
            secret: secret.to_owned(),
            budgets,
            charges,
            dropped,
            _collector: tasks,
        })
    }
}

impl SharedLimits for RedisLimits {
    fn open(&self, name: &'static str, rate: Rate) -> Option<Arc<dyn SharedBudget>> {
        let mut budgets = self.budgets.write().unwrap_or_else(PoisonError::into_inner);
        let budget = RedisBudget::new(
            budgets.len(),
            name,
            rate,
            self.connection.clone(),
            self.charges.clone(),
            self.dropped.clone(),
        );
        budgets.push(Arc::clone(&budget));
        Some(budget)
    }

    fn logins(&self, rule: LoginRule) -> Arc<dyn Logins> {
        Arc::new(RedisLogins::new(self.connection.clone(), rule, &self.secret))
    }

    fn status(&self) -> watch::Receiver<ClusterStatus> {
        self.connection.status()
    }
}

/// Adds charges up and sends them.
struct Collector {
    connection: RedisConnection,
    budgets: Arc<Budgets>,
    receiver: mpsc::Receiver<Charge>,
    sums: HashMap<(usize, u128), Sum>,
    dropped: IntCounter,
    waiting: IntGauge,
}

#[derive(Debug, Clone, Copy)]
struct Sum {
    charges: u32,
    first_at: Instant,
}

impl Collector {
    async fn run(mut self) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut swept_at = Instant::now();
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let received = self.receiver.recv_many(&mut batch, BATCH);
            tokio::select! {
                biased;
                _ = tick.tick(), if !self.sums.is_empty() => self.send().await,
                received = received => if received == 0 {
                    return;
                },
            }
            for charge in batch.drain(..) {
                self.add(&charge);
            }
            self.waiting.set(i64::try_from(self.sums.len()).unwrap_or(i64::MAX));
            if swept_at.elapsed() >= SWEEP_EVERY {
                swept_at = Instant::now();
                let budgets = self.budgets.read().unwrap_or_else(PoisonError::into_inner);
                budgets.iter().for_each(|budget| budget.sweep());
            }
        }
    }

    fn add(&mut self, charge: &Charge) {
        let key = (charge.budget, charge.key);
        if self.sums.len() >= KEYS_MAX && !self.sums.contains_key(&key) {
            self.dropped.inc();
            return;
        }
        let sum = self.sums.entry(key).or_insert(Sum { charges: 0, first_at: charge.at });
        sum.charges += 1;
    }

    /// Sends what has waited long enough.
    async fn send(&mut self) {
        let budgets = self.budgets.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut due = Vec::new();
        self.sums.retain(|&(budget, key), sum| {
            let Some(budget) = budgets.get(budget) else { return false };
            let many = sum.charges >= (budget.rate().burst.get() / HOLD_SHARE).max(1);
            if many || sum.first_at.elapsed() >= HOLD {
                due.push((Arc::clone(budget), key, *sum));
                return false;
            }
            true
        });
        for batch in due.chunks(BATCH) {
            self.send_batch(batch).await;
        }
    }

    async fn send_batch(&self, batch: &[(Arc<RedisBudget>, u128, Sum)]) {
        let runs: Vec<_> = batch
            .iter()
            .map(|(budget, key, sum)| {
                let rate = budget.rate();
                let (interval, burst) = (rate.interval(), rate.burst.get());
                let most = interval.saturating_mul(burst).saturating_add(DEBT_MAX);
                let arguments = vec![
                    micros(interval),
                    u64::from(burst),
                    u64::from(sum.charges),
                    micros(sum.first_at.elapsed() + SLACK),
                    micros(most),
                ];
                (budget.redis_key(*key), arguments)
            })
            .collect();
        let waits = self.connection.call("charge", async |mut connection| {
            run_many::<u64>(&mut connection, &CHARGE, &runs).await
        });
        let Ok(waits) = waits.await else {
            self.dropped.inc_by(batch.iter().map(|(_, _, sum)| u64::from(sum.charges)).sum());
            return;
        };
        for ((budget, key, _), wait) in batch.iter().zip(waits) {
            if wait > 0 {
                budget.refuse(*key, Duration::from_micros(wait));
            }
        }
    }
}

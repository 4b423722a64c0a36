//! Metrics that are asked for when they are read, from parts that know nothing of metrics.

use std::sync::{Arc, Mutex, PoisonError};

use parlor_auth::PasswordHasher;
use parlor_store::Store;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, IntGauge};

use super::Metrics;

impl Metrics {
    /// Counts the reads of a store.
    pub fn count_reads(&self, store: &Arc<dyn Store>) -> prometheus::Result<()> {
        let help = "Reads of the store by this process, but for those of its tail.";
        let counted = IntCounter::new("parlor_store_reads_total", help)?;
        let reads = StoreReads { store: Arc::clone(store), counted, counting: Mutex::new(()) };
        self.registry.register(Box::new(reads))
    }

    /// Tells how busy the hasher of passwords is.
    pub fn watch_passwords(&self, passwords: &PasswordHasher) -> prometheus::Result<()> {
        let running = IntGauge::new("parlor_auth_hashes_running", "Password hashes being made.")?;
        let help = "Password hashes being made or waited for.";
        let waiting = IntGauge::new("parlor_auth_hashes_asked", help)?;
        let passwords = passwords.clone();
        self.registry.register(Box::new(Hashes { passwords, running, waiting }))
    }
}

/// Asks the hasher whenever the metrics are asked for.
struct Hashes {
    passwords: PasswordHasher,
    running: IntGauge,
    waiting: IntGauge,
}

impl Collector for Hashes {
    fn desc(&self) -> Vec<&Desc> {
        [self.running.desc(), self.waiting.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let gauge = |many: usize| i64::try_from(many).unwrap_or(i64::MAX);
        self.running.set(gauge(self.passwords.running()));
        self.waiting.set(gauge(self.passwords.waiting()));
        [self.running.collect(), self.waiting.collect()].concat()
    }
}

/// Asks the store for its count whenever the metrics are asked for.
struct StoreReads {
    store: Arc<dyn Store>,
    counted: IntCounter,
    /// Held while the difference is added, so that it is added once.
    counting: Mutex<()>,
}

impl Collector for StoreReads {
    fn desc(&self) -> Vec<&Desc> {
        self.counted.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let _counting = self.counting.lock().unwrap_or_else(PoisonError::into_inner);
        self.counted.inc_by(self.store.reads().saturating_sub(self.counted.get()));
        self.counted.collect()
    }
}

//! Metrics of what nodes share.

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry};

/// Seconds from 100 µs to 1 s.
const LATENCY: [f64; 10] = [0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.01, 0.05, 0.1, 0.25, 1.0];

/// Counts calls. Clones share the same series.
#[derive(Debug, Clone)]
pub(super) struct Calls {
    pub(super) up: IntGauge,
    pub(super) outcomes: IntCounterVec,
    pub(super) duration: HistogramVec,
}

impl Calls {
    /// Makes them; they are published when they are registered.
    pub(super) fn new() -> prometheus::Result<Self> {
        let up = IntGauge::new("parlor_cluster_up", "1 while Redis answers.")?;
        let calls = Opts::new(
            "parlor_cluster_calls_total",
            "Calls to Redis; those that are skipped cost nothing, because Redis is known to be away.",
        );
        let duration =
            HistogramOpts::new("parlor_cluster_call_duration_seconds", "Time of a call to Redis.")
                .buckets(LATENCY.to_vec());
        let outcomes = IntCounterVec::new(calls, &["operation", "outcome"])?;
        let duration = HistogramVec::new(duration, &["operation"])?;
        Ok(Self { up, outcomes, duration })
    }

    pub(super) fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        registry.register(Box::new(self.up.clone()))?;
        registry.register(Box::new(self.outcomes.clone()))?;
        registry.register(Box::new(self.duration.clone()))
    }
}

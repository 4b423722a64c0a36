//! What is left of many measurements.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Longest time that is told apart from longer ones.
const MAX_MICROS: u64 = 60_000_000;

/// Times, collected without losing the rare long ones.
#[derive(Debug, Clone)]
pub struct Latency {
    histogram: Histogram<u64>,
}

impl Default for Latency {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, MAX_MICROS, 3);
        Self { histogram: histogram.expect("the bounds are well-formed") }
    }
}

impl Latency {
    /// Adds one time; more than a minute counts as a minute.
    pub fn record(&mut self, time: Duration) {
        self.record_micros(u64::try_from(time.as_micros()).unwrap_or(MAX_MICROS));
    }

    /// The same for a time in microseconds.
    #[inline]
    pub(crate) fn record_micros(&mut self, micros: u64) {
        self.histogram.saturating_record(micros.clamp(1, MAX_MICROS));
    }

    /// Adds the times of another.
    pub fn merge(&mut self, other: &Self) {
        // Both have the same bounds, which is all that could be wrong.
        self.histogram.add(&other.histogram).expect("the bounds are the same");
    }

    /// Returns the percentiles that people ask for.
    pub fn summary(&self) -> Summary {
        let at = |quantile| millis(self.histogram.value_at_quantile(quantile));
        Summary {
            count: self.histogram.len(),
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: millis(self.histogram.max()),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a minute has far less than 2^52 microseconds")]
fn millis(micros: u64) -> f64 {
    micros as f64 / 1_000.0
}

/// Percentiles of many times.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// How many there were.
    pub count: u64,
    /// Half took no longer.
    pub p50_ms: f64,
    /// 9 of 10 took no longer.
    pub p90_ms: f64,
    /// 99 of 100 took no longer.
    pub p99_ms: f64,
    /// 999 of 1,000 took no longer.
    pub p999_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_what_was_recorded() {
        let mut latency = Latency::default();
        for millis in 1..=1_000 {
            latency.record(Duration::from_millis(millis));
        }
        let summary = latency.summary();
        assert_eq!(summary.count, 1_000);
        assert!((summary.p50_ms - 500.0).abs() < 2.0, "{summary:?}");
        assert!((summary.p99_ms - 990.0).abs() < 2.0, "{summary:?}");
        assert!((summary.max_ms - 1_000.0).abs() < 2.0, "{summary:?}");
    }
}

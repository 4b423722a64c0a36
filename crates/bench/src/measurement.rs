//! What a scenario found: one shape for every scenario and every system, so that they can be put
//! side by side.
//!
//! What does not apply to a scenario, or cannot be known, is absent rather than zero.

use std::collections::BTreeMap;
use std::fmt::Display;

use serde::{Deserialize, Serialize};

use crate::cpu::CpuSeconds;
use crate::summary::Summary;

/// What one run of one scenario found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Measurement {
    /// The system under load, such as `parlor` or `bun`.
    pub system: String,
    /// The scenario, such as `fan-out`.
    pub scenario: String,
    /// What was asked for, by name.
    pub plan: BTreeMap<String, String>,
    /// Length of the measurement in seconds, without warm-up.
    pub duration_s: f64,
    /// Connections that were held.
    pub connections: Option<u64>,
    /// Connections made in a second, with their handshake.
    pub connects_per_s: Option<f64>,
    /// Messages sent in the measurement.
    pub published: Option<u64>,
    /// Messages that arrived in the measurement, each counted once for each reader.
    pub deliveries: Option<u64>,
    /// The same for each second.
    pub deliveries_per_s: Option<f64>,
    /// From when something was due until it arrived or was answered.
    pub latency: Option<Summary>,
    /// Processor time of the server's processes.
    pub server_cpu: Option<CpuSeconds>,
    /// Processor time of the generator.
    pub generator_cpu: Option<CpuSeconds>,
    /// The server's processor seconds for a million deliveries.
    pub server_cpu_s_per_million: Option<f64>,
    /// The generator's processor seconds for a million deliveries.
    pub generator_cpu_s_per_million: Option<f64>,
    /// Memory of the server's processes.
    pub memory: Option<MemoryUse>,
    /// Whether all that was sent arrived, over the whole run with its warm-up.
    pub delivery: Option<DeliveryCheck>,
    /// Figures that only this scenario has.
    pub figures: Vec<Figure>,
    /// What each second was like.
    pub timeline: Vec<Second>,
}

/// Memory of the server's processes in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MemoryUse {
    /// Resident before the first connection.
    pub rss_before: Option<u64>,
    /// Resident when all connections were made.
    pub rss_connected: Option<u64>,
    /// Resident at the end of the measurement.
    pub rss_after: Option<u64>,
    /// Resident when a burst was over and its memory could have been given back.
    pub rss_after_burst: Option<u64>,
    /// The most at any second.
    pub rss_peak: Option<u64>,
    /// What connections added to the resident memory, for each.
    pub rss_per_connection: Option<f64>,
    /// The same without what is shared with other processes.
    pub pss_per_connection: Option<f64>,
}

/// Whether each reader got each message once and in order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeliveryCheck {
    /// Messages sent.
    pub published: u64,
    /// Deliveries that this should have made.
    pub expected: u64,
    /// Deliveries that arrived, without those that came twice.
    pub arrived: u64,
    /// Deliveries that never came.
    pub lost: u64,
    /// Deliveries that came again.
    pub doubled: u64,
    /// Deliveries that came after a later one of the same sender.
    pub out_of_order: u64,
    /// Messages that the server refused to take.
    pub refused: u64,
}

impl DeliveryCheck {
    /// Returns whether everything arrived once and in order.
    pub fn is_clean(&self) -> bool {
        self.lost == 0 && self.doubled == 0 && self.out_of_order == 0
    }
}

/// A figure that only one scenario has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// What it is, in words.
    pub name: String,
    /// How much.
    pub value: f64,
    /// Of what: `ms`, `bytes`, `1/s`, or nothing for a count.
    pub unit: String,
}

/// One second of the measurement.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Second {
    /// Its end, in seconds since the measurement began.
    pub at_s: f64,
    /// What arrived in it.
    pub deliveries: u64,
    /// Half of it took no longer.
    pub p50_ms: Option<f64>,
    /// 99 of 100 took no longer.
    pub p99_ms: Option<f64>,
    /// Resident memory of the server at its end.
    pub server_rss: Option<u64>,
    /// Processor seconds that the server used in it.
    pub server_cpu_s: Option<f64>,
}

impl Measurement {
    /// Creates a measurement in which nothing is known yet.
    pub fn new(system: &str, scenario: &str) -> Self {
        Self { system: system.to_owned(), scenario: scenario.to_owned(), ..Self::default() }
    }

    /// Notes what was asked for.
    pub fn plan(&mut self, name: &str, value: impl Display) {
        self.plan.insert(name.to_owned(), format!("{value}"));
    }

    /// Adds a figure that only this scenario has.
    pub fn figure(&mut self, name: &str, value: f64, unit: &str) {
        let (name, unit) = (name.to_owned(), unit.to_owned());
        self.figures.push(Figure { name, value, unit });
    }

    /// Notes what arrived in the measurement, and derives what follows from it. To be called when
    /// the duration and the processor times are known.
    pub fn deliveries(&mut self, deliveries: u64) {
        let millions = as_float(deliveries) / 1e6;
        let each = |cpu: Option<CpuSeconds>| {
            cpu.filter(|_| deliveries > 0).map(|cpu| cpu.total() / millions)
        };
        self.deliveries = Some(deliveries);
        self.deliveries_per_s =
            (self.duration_s > 0.0).then(|| as_float(deliveries) / self.duration_s);
        self.server_cpu_s_per_million = each(self.server_cpu);
        self.generator_cpu_s_per_million = each(self.generator_cpu);
    }
}

/// Turns a count into a number to calculate with.
#[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]
pub(crate) fn as_float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_told_for_a_million_deliveries() {
        let mut measurement = Measurement::new("parlor", "fan-out");
        measurement.duration_s = 10.0;
        measurement.server_cpu = Some(CpuSeconds { user: 1.0, system: 2.0 });
        measurement.deliveries(500_000);
        assert_eq!(measurement.deliveries_per_s, Some(50_000.0));
        assert_eq!(measurement.server_cpu_s_per_million, Some(6.0));
        assert_eq!(measurement.generator_cpu_s_per_million, None);
    }

    #[test]
    fn what_is_absent_in_a_file_is_unknown() {
        let measurement: Measurement =
            serde_json::from_str(r#"{"system":"bun","scenario":"idle"}"#).unwrap();
        assert_eq!(measurement, Measurement::new("bun", "idle"));
    }
}

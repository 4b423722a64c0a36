//! A measurement second by second: what arrived, and what the server used for it.

use std::time::Duration;

use super::tally::Span;
use crate::cpu::{CpuSeconds, cpu_seconds};
use crate::measurement::Second;
use crate::processes::{Usage, usage};
use crate::summary::Latency;

/// The seconds of a measurement.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    began: Option<Usage>,
    own_began: Option<CpuSeconds>,
    own_ended: Option<CpuSeconds>,
    /// At the end of each second.
    samples: Vec<(Duration, Option<Usage>)>,
    counts: Vec<(u64, Latency)>,
}

impl Timeline {
    /// Begins a measurement now.
    pub(crate) fn begin(pids: &[u32]) -> Self {
        let own_began = cpu_seconds(std::process::id());
        Self { began: usage(pids), own_began, ..Self::default() }
    }

    /// Takes what the server has used until now.
    pub(crate) fn sample(&mut self, at: Duration, usage: Option<Usage>) {
        self.samples.push((at, usage));
        self.own_ended = cpu_seconds(std::process::id());
    }

    /// Takes what a thread counted in a second. What came after the last one belongs to none.
    pub(crate) fn count(&mut self, second: usize, counts: &Span) {
        if self.counts.len() <= second {
            self.counts.resize_with(second + 1, Default::default);
        }
        let (deliveries, latency) = &mut self.counts[second];
        *deliveries += counts.deliveries;
        latency.merge(&counts.latency);
    }

    /// Returns the processor time of the server.
    pub(crate) fn server_cpu(&self) -> Option<CpuSeconds> {
        let (_, last) = self.samples.last()?;
        Some(last.as_ref()?.cpu.since(self.began?.cpu))
    }

    /// Returns the processor time of the generator.
    pub(crate) fn generator_cpu(&self) -> Option<CpuSeconds> {
        Some(self.own_ended?.since(self.own_began?))
    }

    /// Returns how long it was.
    pub(crate) fn duration(&self) -> Duration {
        self.samples.last().map_or(Duration::ZERO, |(at, _)| *at)
    }

    /// Returns the most memory at any second.
    pub(crate) fn peak(&self) -> Option<u64> {
        self.samples.iter().filter_map(|(_, usage)| Some(usage.as_ref()?.rss)).max()
    }

    /// Returns the seconds.
    pub(crate) fn seconds(&self) -> Vec<Second> {
        let mut before = self.began;
        let nothing = (0, Latency::default());
        let mut seconds = Vec::with_capacity(self.samples.len());
        for (number, (at, usage)) in self.samples.iter().enumerate() {
            let (deliveries, latency) = self.counts.get(number).unwrap_or(&nothing);
            let summary = latency.summary();
            let known = summary.count > 0;
            let used = usage.zip(before).map(|(now, before)| now.cpu.since(before.cpu).total());
            seconds.push(Second {
                at_s: at.as_secs_f64(),
                deliveries: *deliveries,
                p50_ms: known.then_some(summary.p50_ms),
                p99_ms: known.then_some(summary.p99_ms),
                server_rss: usage.map(|usage| usage.rss),
                server_cpu_s: used,
            });
            before = *usage;
        }
        seconds
    }
}

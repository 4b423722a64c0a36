//! A measurement second by second: what arrived, and what the server used for it.

use std::collections::VecDeque;
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
    counts: Vec<Counted>,
    /// The histograms of the last seconds, which threads may not have told yet.
    recent: VecDeque<(usize, Latency)>,
}

/// What is kept of a second.
#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    deliveries: u64,
    /// The median and the 99th percentile in milliseconds.
    latency: Option<(f64, f64)>,
}

/// Seconds whose histograms are kept; they take more than 100 KiB each.
const RECENT: usize = 8;

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
            self.counts.resize_with(second + 1, Counted::default);
        }
        self.counts[second].deliveries += counts.deliveries;
        let known = self.recent.iter().position(|(number, _)| *number == second);
        let place = known.unwrap_or_else(|| {
            if self.recent.len() == RECENT {
                self.recent.pop_front();
            }
            self.recent.push_back((second, Latency::default()));
            self.recent.len() - 1
        });
        let latency = &mut self.recent[place].1;
        latency.merge(&counts.latency);
        let summary = latency.summary();
        self.counts[second].latency =
            (summary.count > 0).then_some((summary.p50_ms, summary.p99_ms));
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
        let mut seconds = Vec::with_capacity(self.samples.len());
        for (number, (at, usage)) in self.samples.iter().enumerate() {
            let counted = self.counts.get(number).copied().unwrap_or_default();
            let used = usage.zip(before).map(|(now, before)| now.cpu.since(before.cpu).total());
            seconds.push(Second {
                at_s: at.as_secs_f64(),
                deliveries: counted.deliveries,
                p50_ms: counted.latency.map(|(p50, _)| p50),
                p99_ms: counted.latency.map(|(_, p99)| p99),
                server_rss: usage.map(|usage| usage.rss),
                server_cpu_s: used,
            });
            before = *usage;
        }
        seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_has_what_all_threads_counted_in_it() {
        let span = |deliveries, millis| {
            let mut span = Span { deliveries, ..Span::default() };
            span.latency.record(Duration::from_millis(millis));
            span
        };
        let mut timeline = Timeline::begin(&[]);
        for second in 0..3 * RECENT {
            timeline.count(second, &span(1, 10));
            timeline.count(second, &span(2, 30));
            timeline.sample(Duration::from_secs(second as u64 + 1), None);
        }
        // After the last second.
        timeline.count(3 * RECENT, &span(0, 500));
        let seconds = timeline.seconds();
        assert_eq!(seconds.len(), 3 * RECENT);
        for second in seconds {
            assert_eq!((second.deliveries, second.server_cpu_s), (3, None));
            assert!(second.p50_ms.is_some_and(|p50| (p50 - 10.0).abs() < 0.1));
            assert!(second.p99_ms.is_some_and(|p99| (p99 - 30.0).abs() < 0.1));
        }
    }
}

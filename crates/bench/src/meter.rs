//! Processor time of the server and of the generator over a stretch of a measurement.

use tokio::time::Instant;

use crate::cpu::{CpuSeconds, cpu_seconds};
use crate::measurement::Measurement;
use crate::processes::usage;

/// Counts from its start.
#[derive(Debug)]
pub(crate) struct Meter {
    pids: Vec<u32>,
    began: Instant,
    server: Option<CpuSeconds>,
    generator: Option<CpuSeconds>,
}

impl Meter {
    /// Begins to count what these processes of the server use, and this one.
    pub(crate) fn start(pids: &[u32]) -> Self {
        let server = usage(pids).map(|usage| usage.cpu);
        let generator = cpu_seconds(std::process::id());
        Self { pids: pids.to_vec(), began: Instant::now(), server, generator }
    }

    /// Returns when it began.
    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    /// Notes the time since the start, and what was used in it.
    pub(crate) fn note(&self, measurement: &mut Measurement) {
        let since = |now: Option<CpuSeconds>, before: Option<CpuSeconds>| {
            now.zip(before).map(|(now, before)| now.since(before))
        };
        measurement.duration_s = self.began.elapsed().as_secs_f64();
        let server = usage(&self.pids).map(|usage| usage.cpu);
        measurement.server_cpu = since(server, self.server);
        measurement.generator_cpu = since(cpu_seconds(std::process::id()), self.generator);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_before_does_not_count() {
        let own = std::process::id();
        let before = cpu_seconds(own).unwrap().total();
        while cpu_seconds(own).unwrap().total() < before + 0.2 {}
        let meter = Meter::start(&[own]);
        let mut measurement = Measurement::new("parlor", "test");
        meter.note(&mut measurement);
        for cpu in [measurement.server_cpu, measurement.generator_cpu] {
            assert!(cpu.unwrap().total() < 0.15, "{measurement:?}");
        }
    }
}

//! Processor time of processes, as Linux counts it.

use std::fs;

use serde::{Deserialize, Serialize};

/// Clock ticks in a second, as `/proc` counts; fixed by the kernel's interface to programs.
const TICKS_PER_SECOND: f64 = 100.0;

/// Processor time since the start of a process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct CpuSeconds {
    /// In the program.
    pub user: f64,
    /// In the kernel on its behalf.
    pub system: f64,
}

impl CpuSeconds {
    /// Returns both together.
    pub fn total(self) -> f64 {
        self.user + self.system
    }

    /// Returns what was used since `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self { user: self.user - before.user, system: self.system - before.system }
    }
}

/// Returns the processor time of a process with its threads; `None` where it cannot be known.
pub fn cpu_seconds(pid: u32) -> Option<CpuSeconds> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse(&stat)
}

/// See `proc_pid_stat(5)`: the name stands in brackets and may hold anything; `utime` and `stime`
/// are the 12th and 13th field after it.
fn parse(stat: &str) -> Option<CpuSeconds> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut seconds = || Some(fields.next()?.parse::<f64>().ok()? / TICKS_PER_SECOND);
    Some(CpuSeconds { user: seconds()?, system: seconds()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_of_a_process_may_hold_brackets_and_spaces() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 1 0 100 0 0";
        assert_eq!(parse(stat), Some(CpuSeconds { user: 2.5, system: 0.5 }));
        assert_eq!(parse("garbage"), None);
    }
}

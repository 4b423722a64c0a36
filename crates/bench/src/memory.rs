//! Memory of processes, as Linux counts it.

use std::fs;

/// Memory of one or several processes, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// In RAM.
    pub(crate) resident: u64,
    /// In RAM, with each page that several processes share counted for its part.
    pub(crate) proportional: u64,
}

/// Returns the memory of these processes together; `None` where it cannot be known.
pub(crate) fn memory(pids: &[u32]) -> Option<Memory> {
    if pids.is_empty() {
        return None;
    }
    pids.iter().map(|pid| of_process(*pid)).try_fold(Memory::default(), |all, one| {
        let one = one?;
        Some(Memory {
            resident: all.resident + one.resident,
            proportional: all.proportional + one.proportional,
        })
    })
}

fn of_process(pid: u32) -> Option<Memory> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    Some(Memory { resident: kib(&rollup, "Rss:")?, proportional: kib(&rollup, "Pss:")? })
}

/// Returns the value of one line in bytes.
fn kib(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_of_several_processes_is_added_up() {
        let rollup = "55d-7ff ---p 00000000 00:00 0   [rollup]\nRss:    1234 kB\nPss:     12 kB\n";
        assert_eq!(kib(rollup, "Rss:"), Some(1_263_616));
        assert_eq!(kib(rollup, "Pss:"), Some(12_288));
        assert_eq!(memory(&[]), None);
        assert_eq!(memory(&[0]), None);
    }
}

//! Processor time and memory of the server: the processes that were named, and those they started.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::cpu::{CpuSeconds, cpu_seconds};

/// What processes use at one moment, all together.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// Processor time since they began.
    pub cpu: CpuSeconds,
    /// Resident memory in bytes.
    pub rss: u64,
    /// Resident memory in which shared pages count by their share; `None` where the system does
    /// not tell.
    pub pss: Option<u64>,
}

/// Returns what these processes and all below them use; `None` without any, or where it cannot be
/// known. Cheap enough for every second: the proportional share, which takes the kernel long to
/// find out, is left out.
pub fn usage(pids: &[u32]) -> Option<Usage> {
    add_up(pids, false)
}

/// The same with the proportional share.
pub fn usage_with_share(pids: &[u32]) -> Option<Usage> {
    add_up(pids, true)
}

fn add_up(pids: &[u32], with_share: bool) -> Option<Usage> {
    if pids.is_empty() {
        return None;
    }
    let mut all = Usage { pss: with_share.then_some(0), ..Usage::default() };
    for pid in family(pids) {
        let Some(cpu) = cpu_seconds(pid) else {
            // One that was named must be there; one that it started may have ended.
            if pids.contains(&pid) {
                return None;
            }
            continue;
        };
        all.cpu = CpuSeconds { user: all.cpu.user + cpu.user, system: all.cpu.system + cpu.system };
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok();
        all.rss += status.and_then(|status| kilobytes(&status, "VmRSS:")).unwrap_or_default();
        if with_share {
            let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok();
            let share = rollup.and_then(|rollup| kilobytes(&rollup, "Pss:"));
            all.pss = all.pss.zip(share).map(|(all, share)| all + share);
        }
    }
    Some(all)
}

/// Returns these processes and all below them.
fn family(pids: &[u32]) -> BTreeSet<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if let Some(parent) = parent(&stat) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut family = BTreeSet::new();
    let mut open = pids.to_vec();
    while let Some(pid) = open.pop() {
        if family.insert(pid) {
            open.extend(children.get(&pid).into_iter().flatten());
        }
    }
    family
}

/// See `proc_pid_stat(5)`: the name stands in brackets and may hold anything; the parent is the
/// second field after it.
fn parent(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Returns a value that is told in KiB, in bytes.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(value.split_whitespace().next()?.parse::<u64>().ok()? * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_parent_are_read() {
        let status = "VmPeak:\t  200 kB\nVmRSS:\t     12 kB\n";
        assert_eq!(kilobytes(status, "VmRSS:"), Some(12 * 1_024));
        assert_eq!(kilobytes(status, "Pss:"), None);
        assert_eq!(parent("7 (a ) b) S 41 7 7 0"), Some(41));
    }

    #[test]
    fn processes_that_a_process_started_count_as_its_own() {
        let own = std::process::id();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let family = family(&[own]);
        let usage = usage_with_share(&[own]).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(family.contains(&own) && family.contains(&child.id()), "{family:?}");
        assert!(usage.rss > 0 && usage.pss.is_some_and(|pss| pss > 0), "{usage:?}");
    }

    #[test]
    fn nothing_is_told_of_no_process_or_of_one_that_is_not_there() {
        assert_eq!(usage(&[]), None);
        assert_eq!(usage(&[u32::MAX]), None);
    }
}

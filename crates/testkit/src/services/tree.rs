//! A process and all that descend from it.

use std::{collections::BTreeMap, process::Command};

use rustix::process::{Pid, Signal, kill_process};

/// Sends a signal to one process, if it is still there.
pub(super) fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // Fails only when the process is gone already.
        kill_process(pid, signal).ok();
    }
}

/// Sends a signal to a process and then to its descendants, so that it starts no more of them.
pub(super) fn signal_all(root: u32, with: Signal) -> Vec<u32> {
    signal(root, with);
    let below = descendants(root);
    for &pid in &below {
        signal(pid, with);
    }
    below
}

/// Returns the processes that descend from one and have not ended.
pub(super) fn descendants(root: u32) -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (pid, parent) in processes() {
        children.entry(parent).or_default().push(pid);
    }
    let mut found = Vec::new();
    let mut open = vec![root];
    while let Some(parent) = open.pop() {
        for &child in children.get(&parent).into_iter().flatten() {
            found.push(child);
            open.push(child);
        }
    }
    found
}

/// Tells whether a process runs; one that has ended and waits for its parent does not.
pub(super) fn is_alive(pid: u32) -> bool {
    processes().iter().any(|(found, _)| *found == pid)
}

/// Lists each running process with its parent.
fn processes() -> Vec<(u32, u32)> {
    if let Ok(entries) = std::fs::read_dir("/proc") {
        let found: Vec<_> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
            .filter_map(|pid| Some((pid, parent_of(pid)?)))
            .collect();
        if !found.is_empty() {
            return found;
        }
    }
    let listed = Command::new("ps").args(["-axo", "pid=,ppid=,stat="]).output();
    let text = listed.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&text)
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            let (pid, parent) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
            (!fields.next()?.starts_with('Z')).then_some((pid, parent))
        })
        .collect()
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program may contain anything, so fields are counted from its end.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.next()?.parse().ok()
}

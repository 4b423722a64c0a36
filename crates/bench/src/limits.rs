//! What the system allows a generator: open files and local ports.
//!
//! A load that does not fit is refused before it begins, with a sentence that says what to do. A
//! generator that runs into a limit half way would measure its own failure.

use std::{fs, io};

/// Files that a generator has open beside its connections: runtimes, pipes, logs, the report.
const SPARE_FILES: u64 = 128;
/// Where Linux tells which local ports it gives out.
const PORT_RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";
/// Ports that are given out where nothing else is known: the dynamic ports of RFC 6335.
const DYNAMIC_PORTS: u64 = 65_535 - 49_152 + 1;

/// Why a load does not fit on this machine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LimitError {
    /// The process may not have so many open files.
    #[error(
        "{needed} open files are needed, and this process may have {available}: allow more with \
         `ulimit -n {needed}` in the shell that starts it, `LimitNOFILE={needed}` in a systemd \
         unit, or `launchctl limit maxfiles {needed}` on macOS; above the hard limit \
         (`ulimit -Hn`) this takes an administrator"
    )]
    Files {
        /// Open files that the load takes.
        needed: u64,
        /// Open files that the process may have.
        available: u64,
    },
    /// There are not enough local ports for so many connections.
    #[error(
        "{needed} connections are asked for, and there are local ports for {available}: a local \
         port serves one connection to each address, so run several generators that connect to \
         different addresses of the server (on one machine 127.0.0.1, 127.0.0.2 and so on), or \
         widen `net.ipv4.ip_local_port_range`"
    )]
    Ports {
        /// Connections that the load takes.
        needed: u64,
        /// Connections that there are ports for.
        available: u64,
    },
    /// The system does not tell its limit, or does not let it be raised.
    #[error("the limit on open files cannot be raised")]
    Unknown(#[source] io::Error),
}

/// Lets this process have so many connections to one address, and returns how many files it may
/// have open.
///
/// Raises the soft limit on open files as far as this takes, and never above the hard one. It stays
/// raised, also for processes that are started later.
///
/// # Errors
///
/// [`LimitError::Files`] when the hard limit is too low, [`LimitError::Ports`] when there are not
/// enough local ports.
pub fn raise(connections: u64) -> Result<u64, LimitError> {
    let needed = connections.saturating_add(SPARE_FILES);
    let available = rlimit::increase_nofile_limit(needed).map_err(LimitError::Unknown)?;
    if available < needed {
        return Err(LimitError::Files { needed, available });
    }
    enough_ports(connections, ports_to_one_address())?;
    Ok(available)
}

fn enough_ports(connections: u64, available: u64) -> Result<(), LimitError> {
    if connections > available {
        return Err(LimitError::Ports { needed: connections, available });
    }
    Ok(())
}

/// Returns how many connections to one address this machine can have.
fn ports_to_one_address() -> u64 {
    fs::read_to_string(PORT_RANGE)
        .ok()
        .and_then(|range| count_ports(&range))
        .unwrap_or(DYNAMIC_PORTS)
}

/// Counts the ports from the first to the last, both included.
fn count_ports(range: &str) -> Option<u64> {
    let mut ends = range.split_whitespace().map(str::parse::<u64>);
    let (first, last) = (ends.next()?.ok()?, ends.next()?.ok()?);
    (last.checked_sub(first)?).checked_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_above_the_hard_limit_is_refused_with_what_helps() {
        let (_, hard) = rlimit::Resource::NOFILE.get().unwrap();
        let error = raise(u64::MAX).unwrap_err();
        let sentence = error.to_string();
        assert!(
            matches!(error, LimitError::Files { needed: u64::MAX, available } if available <= hard),
            "{sentence}"
        );
        for word in ["ulimit -n", "LimitNOFILE=", "launchctl"] {
            assert!(sentence.contains(word), "{sentence}");
        }
    }

    #[test]
    fn limit_that_is_high_enough_is_never_lowered() {
        let (before, _) = rlimit::Resource::NOFILE.get().unwrap();
        assert!(raise(1).unwrap() >= SPARE_FILES);
        let (after, _) = rlimit::Resource::NOFILE.get().unwrap();
        assert!(after >= before);
    }

    #[test]
    fn ports_are_counted_from_the_first_to_the_last() {
        assert_eq!(count_ports("32768\t60999\n"), Some(28_232));
        for broken in ["", "1", "9 8", "a b"] {
            assert_eq!(count_ports(broken), None, "{broken}");
        }
    }

    #[test]
    fn connections_without_a_local_port_are_refused_with_what_helps() {
        assert!(enough_ports(28_232, 28_232).is_ok());
        let error = enough_ports(28_233, 28_232).unwrap_err();
        assert!(matches!(error, LimitError::Ports { needed: 28_233, available: 28_232 }));
        assert!(error.to_string().contains("127.0.0.2"), "{error}");
        assert!(error.to_string().contains("ip_local_port_range"), "{error}");
        assert!(ports_to_one_address() > 1_000);
    }
}

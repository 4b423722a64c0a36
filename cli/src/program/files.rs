//! Open files: a node has one for each connection.

use tracing::{info, warn};

/// Raises the soft limit on open files to the hard one, and logs how many there may be.
///
/// Soft limits are low for the sake of programs that cannot count far, which this is none of. A
/// node that cannot raise its limit serves as many connections as it may.
pub(crate) fn raise_limit() {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(files) => info!(files, "open files that this process may have"),
        Err(error) => warn!(%error, "limit on open files not raised"),
    }
}

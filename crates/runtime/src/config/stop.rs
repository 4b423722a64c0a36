//! `[lifecycle]`.

use std::time::Duration;

use super::section::section;
use crate::lifecycle::Timing;

section! {
    /// How a process starts and stops.
    lifecycle: LifecycleConfig {
        /// A start waits so long for services that are not there yet.
        start_timeout: Duration = Duration::from_secs(30), where |d| d.as_secs() <= 3_600 => "must be at most 1h";
        /// After the request to stop the node says for so long that it is not ready, but works as before.
        pre_stop: Duration = Duration::ZERO, where |d| d.as_secs() <= 3_600 => "must be at most 1h";
        /// Connections are closed evenly over this time.
        drain: Duration = Duration::from_secs(10), where |d| d.as_secs() <= 3_600 => "must be at most 1h";
        /// Whatever is left so long after the request to stop is dropped.
        abort_after: Duration = Duration::from_secs(25), where |d| (1..=7_200).contains(&d.as_secs()) => "must be from 1s to 2h";
    }
}

impl From<&LifecycleConfig> for Timing {
    fn from(config: &LifecycleConfig) -> Self {
        Self { pre_stop: config.pre_stop, abort_after: config.abort_after }
    }
}

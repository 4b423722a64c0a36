//! The stages of a process's life, their lengths, and how it ends.

use std::time::Duration;

use crate::exit;

/// The stages' lengths, counted from the request to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// From lame duck to draining.
    pub pre_stop: Duration,
    /// From lame duck to aborting.
    pub abort_after: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { pre_stop: Duration::ZERO, abort_after: Duration::from_secs(25) }
    }
}

/// Where the process is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Works normally.
    Running,
    /// Works, but is not ready for more.
    LameDuck,
    /// Finishes what it has.
    Draining,
    /// Drops what is left.
    Aborting,
}

/// How a shutdown ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stopped {
    /// Every task finished by itself.
    Cleanly,
    /// Some tasks were dropped, or could not even be dropped.
    Aborted {
        /// How many tasks did not finish.
        tasks: usize,
    },
    /// A task without which the process is of no use ended or panicked.
    Failed {
        /// The name of the first such task.
        task: String,
    },
}

impl Stopped {
    /// Returns the exit code of a process that stopped like this.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Cleanly => exit::SUCCESS,
            Self::Aborted { .. } | Self::Failed { .. } => exit::FAILURE,
        }
    }
}

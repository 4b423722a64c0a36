//! What a Parlor process needs around its work: settings, logs, time, ids, tasks and its end.
//!
//! This is the only crate that reads the clock and the environment, makes ids, and spawns tasks.
//! Everything else is given a [`Clock`], a section of the [`Config`] and a [`Lifecycle`], so that
//! tests decide what time it is and a shutdown can wait for every task.

pub mod clock;
pub mod config;
pub mod exit;
pub mod lifecycle;
pub mod secret;
pub mod secrets_file;
pub mod telemetry;

pub use clock::{Clock, ManualClock, SystemClock};
pub use config::{Config, ConfigProblems, Loaded, Sources};
pub use lifecycle::{Lifecycle, Phase, Stopped, Timing};
pub use secret::Secret;

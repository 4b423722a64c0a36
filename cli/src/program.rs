//! What the programs `serve`, `broker` and `bot-worker` have in common: settings, logs, signals,
//! services, and the order in which everything ends.
//!
//! Every program ends in the same order: it says that it is not ready, drains, commits what it
//! was given, sends what waits for the bus, and closes the store. A second signal skips to the
//! end.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use parlor_runtime::config::{Loaded, Program};
use parlor_runtime::lifecycle::{Stopped, Timing};
use parlor_runtime::{Config, Lifecycle, Sources, exit, telemetry};

use crate::failure::Said;

pub(crate) mod announce;
pub(crate) mod backends;
pub(crate) mod bots;
mod files;
pub(crate) mod node;
pub(crate) mod providers;
pub(crate) mod secret;

/// Time for what follows the last reply of a worker that is stopped.
const AFTER_DRAIN: Duration = Duration::from_secs(5);

/// Flags of every program.
#[derive(Debug, Args)]
#[expect(clippy::doc_markdown, reason = "the words are shown in a terminal")]
pub(crate) struct ProgramArgs {
    /// Settings file [default: parlor.toml here or in the data folder]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// What is logged, such as info or info,parlor_broker=debug
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
    /// How long to wait for services that are not there yet, such as 30s
    #[arg(long, value_name = "TIME")]
    wait: Option<String>,
}

impl ProgramArgs {
    /// Returns where settings come from; `flags` are those of one program: flag, key and value.
    pub(crate) fn sources(self, flags: Vec<(&str, &str, Option<String>)>) -> Sources {
        let mut sources = Sources::of_process();
        if let Some(file) = self.config {
            sources = sources.with_file(file);
        }
        let shared =
            [("--log", "log.filter", self.log), ("--wait", "lifecycle.start_timeout", self.wait)];
        for (flag, key, value) in flags.into_iter().chain(shared) {
            if let Some(value) = value {
                sources = sources.with_flag(flag, key, value);
            }
        }
        sources
    }
}

/// Reads the settings and begins to log and to obey signals.
///
/// # Errors
///
/// Fails with everything that is wrong with the settings, before anything was begun.
pub(crate) fn begin(sources: &Sources, program: Program) -> anyhow::Result<(Config, Lifecycle)> {
    let Loaded { config, origins, .. } = Config::load(sources)?;
    config.require(program, &origins)?;
    telemetry::init(&config.log)?;
    let lifecycle = Lifecycle::new(timing(&config, program));
    lifecycle.obey_signals().context("handle signals")?;
    Ok((config, lifecycle))
}

fn timing(config: &Config, program: Program) -> Timing {
    let mut timing = Timing::from(&config.lifecycle);
    if program == Program::BotWorker {
        // Replies may take longer than connections do to be closed.
        let needed = timing.pre_stop + config.bots.drain + AFTER_DRAIN;
        timing.abort_after = timing.abort_after.max(needed);
    }
    timing
}

/// Turns the way a program ended into its exit code.
pub(crate) fn outcome(stopped: &Stopped, committed: bool) -> anyhow::Result<()> {
    match stopped.exit_code() {
        exit::SUCCESS if committed => Ok(()),
        // What went wrong stands in the log.
        exit::SUCCESS => Err(Said(exit::FAILURE).into()),
        code => Err(Said(code).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worker_has_time_to_finish_its_replies() {
        let mut config = Config::default();
        config.bots.drain = Duration::from_mins(2);

        let abort_after = |program| timing(&config, program).abort_after;

        assert!(abort_after(Program::BotWorker) > config.bots.drain);
        assert_eq!(abort_after(Program::Broker), config.lifecycle.abort_after);
    }
}

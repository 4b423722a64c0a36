//! `bench`: load on a server, and what comes of it.
//!
//! Each scenario is a file in `bench/` with its flags and a `run` that returns a measurement, and a
//! line in [`Scenario`]. What all of them take and how the outcome is told stands here.

mod fanout;
mod idle;
mod login;
mod peer;
mod pin;
mod publish;
mod report;
mod resume;
mod stage;
mod started;
mod stream;

use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use parlor_bench::{BenchError, Measurement, Target, TargetOptions};
use parlor_runtime::exit;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::context::Context;
use crate::failure::{Said, Usage};

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    scenario: Scenario,
    #[command(flatten)]
    load: LoadArgs,
}

#[derive(Debug, Subcommand)]
enum Scenario {
    /// Write in a room, and have everyone in it read
    FanOut(fanout::FanOutArgs),
    /// The same in many small rooms
    Rooms(fanout::RoomsArgs),
    /// The same twice: while all read, and while some have stopped reading
    Stalled(fanout::StalledArgs),
    /// Publish messages and wait for each to be acknowledged
    Publish(publish::PublishArgs),
    /// Have bots write, token by token
    Stream(stream::StreamArgs),
    /// Hold connections on which nothing happens
    Idle(idle::IdleArgs),
    /// Log many users in at once, while messages flow
    Login(login::LoginArgs),
    /// Cut all connections, and let everyone come back at once
    Resume(resume::ResumeArgs),
    /// Put reports side by side
    Report(report::JoinArgs),
}

/// What every scenario takes.
#[derive(Debug, Args)]
struct LoadArgs {
    /// Server is on another machine, and it may be put under load
    #[arg(long, global = true)]
    yes_i_own_this: bool,
    /// Seconds of the measurement
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 10)]
    duration: u64,
    /// Seconds before it
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 2)]
    warm_up: u64,
    /// Threads of the generator
    #[arg(long, global = true, value_name = "N", default_value_t = 1)]
    threads: usize,
    /// Processes of the server, to tell their processor time; may be given more than once
    #[arg(long, global = true, value_name = "PID")]
    server_pid: Vec<u32>,
    /// Nodes that tell metrics, when the server is a proxy; may be given more than once
    #[arg(long, global = true, value_name = "URL")]
    node: Vec<String>,
    #[command(flatten)]
    stage: stage::StageArgs,
    #[command(flatten)]
    report: report::ReportArgs,
}

/// Puts load on a server.
///
/// # Errors
///
/// Fails when the server is another machine's and that was not allowed, or it refuses the load.
pub(crate) async fn run(args: BenchArgs, context: &Context) -> anyhow::Result<()> {
    let BenchArgs { scenario, load } = args;
    positive(&[("--threads", load.threads)])?;
    load.report.check(context)?;
    load.stage.pin()?;
    let conditions = report::conditions();
    if let Scenario::Report(args) = &scenario {
        return args.run(&load.report, context);
    }
    let mut interrupted = Interrupted::listen()?;
    let measurement = tokio::select! {
        biased;
        measured = scenario.run(&load, context) => measured?,
        // What was begun ends with the future: a server that was started, and its folder.
        () = interrupted.wait() => return Err(Said(exit::FAILURE).into()),
    };
    load.report.tell(conditions, vec![measurement], context)
}

impl Scenario {
    async fn run(&self, load: &LoadArgs, context: &Context) -> anyhow::Result<Measurement> {
        match self {
            Self::FanOut(args) => Box::pin(args.run(load, context)).await,
            Self::Rooms(args) => Box::pin(args.run(load, context)).await,
            Self::Stalled(args) => Box::pin(args.run(load, context)).await,
            Self::Publish(args) => Box::pin(args.run(load, context)).await,
            Self::Stream(args) => Box::pin(args.run(load, context)).await,
            Self::Idle(args) => Box::pin(args.run(load, context)).await,
            Self::Login(args) => Box::pin(args.run(load, context)).await,
            Self::Resume(args) => Box::pin(args.run(load, context)).await,
            Self::Report(_) => bail!("a report is not measured"),
        }
    }
}

/// Ctrl-C, and the wish of a supervisor that this ends.
struct Interrupted {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupted {
    fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("listen for signals");
        let interrupt = listen(SignalKind::interrupt())?;
        Ok(Self { interrupt, terminate: listen(SignalKind::terminate())? })
    }

    async fn wait(&mut self) {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

impl LoadArgs {
    fn warm_up(&self) -> Duration {
        Duration::from_secs(self.warm_up)
    }

    fn duration(&self) -> Duration {
        Duration::from_secs(self.duration.max(1))
    }

    /// Returns the server that the command line names.
    fn target(&self, context: &Context) -> anyhow::Result<Target> {
        let options = TargetOptions {
            server: context.server()?.0.to_string(),
            nodes: self.node.clone(),
            elsewhere: self.yes_i_own_this,
        };
        Target::new(&options).map_err(refused)
    }
}

/// Tells errors of the command line from those of the server.
fn refused(error: BenchError) -> anyhow::Error {
    match error {
        BenchError::Address | BenchError::Elsewhere(_) => Usage(error.to_string()).into(),
        other => other.into(),
    }
}

/// Refuses numbers of which there must be at least one.
fn positive(flags: &[(&str, usize)]) -> Result<(), Usage> {
    match flags.iter().find(|(_, value)| *value == 0) {
        Some((flag, _)) => Err(Usage(format!("{flag} must be at least 1"))),
        None => Ok(()),
    }
}

/// Refuses a rate that is none.
fn positive_rate(rate: Option<f64>) -> Result<(), Usage> {
    if rate.is_some_and(|rate| !rate.is_finite() || rate <= 0.0) {
        return Err(Usage("--rate must be more than 0".to_owned()));
    }
    Ok(())
}

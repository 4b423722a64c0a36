//! `bench`: load on a server, and what comes of it.
//!
//! Each scenario is a file in `bench/` with its flags and a `run` that returns a measurement, and a
//! line in [`Scenario`]. What all of them take and how the outcome is told stands here.

mod idle;
mod pin;
mod publish;
mod resume;
mod stage;
mod started;

use std::time::Duration;

use clap::{Args, Subcommand};
use parlor_bench::{BenchError, Measurement, Target, TargetOptions};

use crate::context::Context;
use crate::failure::Usage;

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    scenario: Scenario,
    #[command(flatten)]
    load: LoadArgs,
}

#[derive(Debug, Subcommand)]
enum Scenario {
    /// Publish messages and wait for each to be acknowledged
    Publish(publish::PublishArgs),
    /// Hold connections on which nothing happens
    Idle(idle::IdleArgs),
    /// Cut all connections, and let everyone come back at once
    Resume(resume::ResumeArgs),
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
}

/// Puts load on a server.
///
/// # Errors
///
/// Fails when the server is another machine's and that was not allowed, or it refuses the load.
pub(crate) async fn run(args: BenchArgs, context: &Context) -> anyhow::Result<()> {
    let BenchArgs { scenario, load } = args;
    positive(&[("--threads", load.threads)])?;
    let measurement = match &scenario {
        Scenario::Publish(args) => args.run(&load, context).await?,
        Scenario::Idle(args) => Box::pin(args.run(&load, context)).await?,
        Scenario::Resume(args) => Box::pin(args.run(&load, context)).await?,
    };
    tell(&measurement, context)
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

fn tell(measurement: &Measurement, context: &Context) -> anyhow::Result<()> {
    if context.out.json {
        context.out.json(measurement)?;
    } else {
        context.out.text(&render(measurement))?;
    }
    Ok(())
}

fn render(measurement: &Measurement) -> String {
    let mut lines = Vec::new();
    let mut line = |name: &str, value: String| lines.push(format!("{name:<22} {value}\n"));
    if let Some((count, rate)) = measurement.deliveries.zip(measurement.deliveries_per_s) {
        line("deliveries", format!("{count} ({rate:.0}/s)"));
    }
    if let Some(latency) = measurement.latency {
        line(
            "latency ms",
            format!(
                "p50 {:.2}  p99 {:.2}  p99.9 {:.2}  max {:.2}",
                latency.p50_ms, latency.p99_ms, latency.p999_ms, latency.max_ms
            ),
        );
    }
    for (name, cpu, each) in [
        ("server CPU", measurement.server_cpu, measurement.server_cpu_s_per_million),
        ("generator CPU", measurement.generator_cpu, measurement.generator_cpu_s_per_million),
    ] {
        if let Some(cpu) = cpu {
            let each = each.map(|each| format!(", {each:.3} s per million deliveries"));
            let each = each.unwrap_or_default();
            line(name, format!("{:.2} s user, {:.2} s system{each}", cpu.user, cpu.system));
        }
    }
    if let Some(check) = measurement.delivery {
        line(
            "lost",
            format!(
                "{} (doubled {}, out of order {})",
                check.lost, check.doubled, check.out_of_order
            ),
        );
    }
    for figure in &measurement.figures {
        line(&figure.name, format!("{:.2} {}", figure.value, figure.unit).trim_end().to_owned());
    }
    lines.concat()
}

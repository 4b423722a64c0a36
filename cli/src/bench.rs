//! `bench`: load on a server, and what comes of it.

use std::time::Duration;

use clap::{Args, Subcommand};
use parlor_bench::publish::{self, PublishPlan, PublishReport};
use parlor_bench::{BenchError, Target, TargetOptions};

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
    Publish(PublishArgs),
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
}

#[derive(Debug, Args)]
struct PublishArgs {
    /// Rooms, taken in turn
    #[arg(long, value_name = "N", default_value_t = 1)]
    rooms: usize,
    /// WebSocket connections
    #[arg(long, value_name = "N", default_value_t = 64)]
    connections: usize,
    /// Users that log in
    #[arg(long, value_name = "N", default_value_t = 8)]
    users: usize,
    /// Unanswered messages in all
    #[arg(long, value_name = "N", default_value_t = 1_024)]
    in_flight: usize,
    /// Messages a second in all, however the server does, in place of --in-flight
    #[arg(long, value_name = "N")]
    rate: Option<f64>,
    /// Length of each message in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 100)]
    body: usize,
}

/// Puts load on a server.
///
/// # Errors
///
/// Fails when the server is another machine's and that was not allowed, or it refuses the load.
pub(crate) async fn run(args: BenchArgs, context: &Context) -> anyhow::Result<()> {
    let BenchArgs { scenario, load } = args;
    let options = TargetOptions {
        server: context.server()?.0.to_string(),
        nodes: load.node.clone(),
        elsewhere: load.yes_i_own_this,
    };
    let target = Target::new(&options).map_err(|error| match error {
        BenchError::Address | BenchError::Elsewhere(_) => Usage(error.to_string()).into(),
        other => anyhow::Error::from(other),
    })?;
    match scenario {
        Scenario::Publish(args) => {
            let plan = args.plan(&load)?;
            context.out.note(&format!(
                "publishing for {} s after {} s of warm-up",
                load.duration, load.warm_up
            ));
            let report = publish::run(&target, plan).await?;
            if context.out.json {
                context.out.json(&report)?;
            } else {
                context.out.text(&render(&report))?;
            }
        }
    }
    Ok(())
}

impl PublishArgs {
    fn plan(&self, load: &LoadArgs) -> Result<PublishPlan, Usage> {
        let positive = [
            ("--rooms", self.rooms),
            ("--connections", self.connections),
            ("--users", self.users),
            ("--in-flight", self.in_flight),
            ("--body", self.body),
            ("--threads", load.threads),
        ];
        if let Some((flag, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return Err(Usage(format!("{flag} must be at least 1")));
        }
        if self.rate.is_some_and(|rate| !rate.is_finite() || rate <= 0.0) {
            return Err(Usage("--rate must be more than 0".to_owned()));
        }
        Ok(PublishPlan {
            users: self.users,
            connections: self.connections,
            rooms: self.rooms,
            body: self.body,
            in_flight: self.in_flight,
            rate: self.rate,
            warm_up: Duration::from_secs(load.warm_up),
            duration: Duration::from_secs(load.duration.max(1)),
            threads: load.threads,
            server_pids: load.server_pid.clone(),
        })
    }
}

fn render(report: &PublishReport) -> String {
    let mut lines = Vec::new();
    let latency = &report.latency;
    let mut line = |name: &str, value: String| lines.push(format!("{name:<22} {value}\n"));
    line("acknowledged", format!("{} ({:.0}/s)", report.acknowledged, report.per_second));
    line(
        "latency ms",
        format!(
            "p50 {:.2}  p99 {:.2}  p99.9 {:.2}  max {:.2}",
            latency.p50_ms, latency.p99_ms, latency.p999_ms, latency.max_ms
        ),
    );
    if let Some((batch, commit)) = report.batch.zip(report.commit_ms) {
        line("commit", format!("{batch:.1} messages in {commit:.2} ms on average"));
    }
    let cpu = [("server CPU", report.server_cpu), ("generator CPU", report.generator_cpu)];
    for (name, cpu) in cpu {
        if let Some(cpu) = cpu {
            line(name, format!("{:.2} s user, {:.2} s system", cpu.user, cpu.system));
        }
    }
    for (code, count) in &report.refused {
        line("refused", format!("{count} x {code}"));
    }
    if report.unanswered > 0 {
        line("unanswered", report.unanswered.to_string());
    }
    lines.concat()
}

//! `bench publish`: durable messages, each acknowledged.

use clap::Args;
use parlor_bench::Measurement;
use parlor_bench::publish::{self, PublishPlan};

use super::{LoadArgs, positive, positive_rate};
use crate::context::Context;

#[derive(Debug, Args)]
pub(super) struct PublishArgs {
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

impl PublishArgs {
    pub(super) async fn run(
        &self,
        load: &LoadArgs,
        context: &Context,
    ) -> anyhow::Result<Measurement> {
        positive(&[
            ("--rooms", self.rooms),
            ("--connections", self.connections),
            ("--users", self.users),
            ("--in-flight", self.in_flight),
            ("--body", self.body),
        ])?;
        positive_rate(self.rate)?;
        let target = load.target(context)?;
        context.out.note(&format!(
            "publishing for {} s after {} s of warm-up",
            load.duration, load.warm_up
        ));
        let plan = PublishPlan {
            users: self.users,
            connections: self.connections,
            rooms: self.rooms,
            body: self.body,
            in_flight: self.in_flight,
            rate: self.rate,
            warm_up: load.warm_up(),
            duration: load.duration(),
            threads: load.threads,
            server_pids: load.server_pid.clone(),
        };
        Ok(publish::run(&target, plan).await?)
    }
}

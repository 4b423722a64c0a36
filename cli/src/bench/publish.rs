//! `bench publish`: durable messages, each acknowledged.

use anyhow::Context as _;
use clap::Args;
use parlor_bench::Measurement;
use parlor_bench::publish::{self, PublishPlan};

use super::stage::{Stage, Wanted};
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
        let stage = match context.named_server()? {
            // Its own users are made below, like those of any other server.
            None => Some(Box::pin(Stage::set(context, load, &Wanted::one_place())).await?),
            Some(_) => None,
        };
        let named = if stage.is_none() { Some(load.target(context)?) } else { None };
        let server_pids = stage.as_ref().map_or(&load.server_pid, |stage| &stage.pids).clone();
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
            server_pids,
        };
        let target = named.as_ref().or(stage.as_ref().map(|stage| &stage.target));
        let target = target.context("find the server")?;
        let measurement = publish::run(target, plan).await?;
        if let Some(stage) = stage {
            stage.clear().await?;
        }
        Ok(measurement)
    }
}

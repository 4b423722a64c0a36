//! `bench idle`: connections at rest.

use std::time::Duration;

use clap::Args;
use parlor_bench::idle::{self, IdlePlan, Venue};
use parlor_bench::{Measurement, Shape, limits};

use super::peer::PeerArgs;
use super::stage::{Stage, Wanted};
use super::{LoadArgs, positive, refused};
use crate::context::Context;

#[derive(Debug, Args)]
pub(super) struct IdleArgs {
    /// WebSocket connections, each of a user of its own
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    connections: usize,
    /// Rooms that the connections are spread over [default: one for each]
    #[arg(long, value_name = "N")]
    rooms: Option<usize>,
    /// Seconds from the first message of the burst to the last
    #[arg(long, value_name = "SECONDS", default_value_t = 2)]
    burst: u64,
    /// Seconds from the burst to the measurement after it
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    rest: u64,
    /// Length of each message of the burst in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 100)]
    payload: usize,
    /// Clients that connect at the same time
    #[arg(long, value_name = "N", default_value_t = 64)]
    connecting: usize,
    #[command(flatten)]
    peer: PeerArgs,
}

impl IdleArgs {
    pub(super) async fn run(
        &self,
        load: &LoadArgs,
        context: &Context,
    ) -> anyhow::Result<Measurement> {
        let rooms = self.rooms.unwrap_or(self.connections);
        positive(&[("--connections", self.connections), ("--rooms", rooms)])?;
        limits::raise(self.connections as u64)?;
        let members = self.connections.div_ceil(rooms);
        let mut plan = IdlePlan {
            quiet: load.duration(),
            rest: Duration::from_secs(self.rest),
            burst: Duration::from_secs(self.burst),
            payload: self.payload,
            connecting: self.connecting,
            threads: load.threads,
            server_pids: load.server_pid.clone(),
        };
        let progress = load.report.progress(context);
        if let Some((dialect, address)) = self.peer.peer(load)? {
            let venue = Venue::of_clients(dialect, address, Shape { rooms, members });
            return idle::run(&venue, &plan, &progress).await.map_err(refused);
        }
        let wanted = Wanted { rooms, members, ..Wanted::default() };
        let stage = Box::pin(Stage::set(context, load, &wanted)).await?;
        plan.server_pids.clone_from(&stage.pids);
        let venue = Venue::of_crowd(&stage.target, &stage.crowd)?;
        let mut measurement = idle::run(&venue, &plan, &progress).await?;
        stage.describe(&mut measurement);
        stage.clear().await?;
        Ok(measurement)
    }
}

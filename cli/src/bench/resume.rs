//! `bench resume`: thousands of clients that come back at the same moment.

use std::time::Duration;

use clap::Args;
use parlor_bench::resume::{self, ResumePlan};
use parlor_bench::{Measurement, limits};

use super::stage::{Stage, Wanted};
use super::{LoadArgs, positive};
use crate::context::Context;

#[derive(Debug, Args)]
pub(super) struct ResumeArgs {
    /// Rooms
    #[arg(long, value_name = "N", default_value_t = 100)]
    rooms: usize,
    /// Clients in each room, each of a user of its own
    #[arg(long, value_name = "N", default_value_t = 100)]
    members: usize,
    /// Messages that are written to each room while nobody is there
    #[arg(long, value_name = "N", default_value_t = 50)]
    missed: usize,
    /// Length of each message in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 100)]
    payload: usize,
    /// Clients that connect at the same time, the first time
    #[arg(long, value_name = "N", default_value_t = 64)]
    connecting: usize,
    /// Seconds in which all clients must be back
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    patience: u64,
}

impl ResumeArgs {
    pub(super) async fn run(
        &self,
        load: &LoadArgs,
        context: &Context,
    ) -> anyhow::Result<Measurement> {
        positive(&[
            ("--rooms", self.rooms),
            ("--members", self.members),
            ("--missed", self.missed),
        ])?;
        limits::raise((self.rooms * self.members) as u64)?;
        let wanted = Wanted { rooms: self.rooms, members: self.members, ..Wanted::default() };
        let stage = Box::pin(Stage::set(context, load, &wanted)).await?;
        let plan = ResumePlan {
            missed: self.missed,
            payload: self.payload,
            connecting: self.connecting,
            patience: Duration::from_secs(self.patience),
            threads: load.threads,
            server_pids: stage.pids.clone(),
        };
        let progress = load.report.progress(context);
        let mut measurement = resume::run(&stage.target, &stage.crowd, &plan, &progress).await?;
        stage.describe(&mut measurement);
        stage.clear().await?;
        Ok(measurement)
    }
}

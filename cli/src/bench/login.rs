//! `bench login`: many logins at the same moment, beside messages that flow.

use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use parlor_bench::login::{self, LoginPlan};
use parlor_bench::{Measurement, limits};

use super::stage::{Stage, Wanted};
use super::{LoadArgs, positive, positive_rate};
use crate::context::Context;

#[derive(Debug, Args)]
pub(super) struct LoginArgs {
    /// Users that log in
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    users: usize,
    /// Requests at the same time [default: all]
    #[arg(long, value_name = "N")]
    at_once: Option<usize>,
    /// Seconds in which all must be logged in
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    patience: u64,
    /// Connections that read messages beside
    #[arg(long, value_name = "N", default_value_t = 100)]
    readers: usize,
    /// Messages a second beside, each to all readers
    #[arg(long, value_name = "N", default_value_t = 50.0)]
    rate: f64,
    /// Length of each of them in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 100)]
    payload: usize,
}

impl LoginArgs {
    pub(super) async fn run(
        &self,
        load: &LoadArgs,
        context: &Context,
    ) -> anyhow::Result<Measurement> {
        positive(&[("--users", self.users), ("--readers", self.readers)])?;
        positive_rate(Some(self.rate))?;
        let at_once = self.at_once.unwrap_or(self.users);
        limits::raise((at_once + self.readers) as u64)?;
        let members = self.users.max(self.readers);
        let wanted = Wanted { rooms: 1, members, password: true, ..Wanted::default() };
        let stage = Box::pin(Stage::set(context, load, &wanted)).await?;
        let plan = LoginPlan {
            users: self.users,
            at_once,
            patience: Duration::from_secs(self.patience),
            readers: self.readers,
            rate: self.rate,
            payload: self.payload,
            before: load.duration(),
            server_pids: stage.pids.clone(),
        };
        let password = stage.password.as_ref().context("know the password of the users")?;
        let progress = load.report.progress(context);
        let mut measurement =
            login::run(&stage.target, &stage.crowd, password.expose(), &plan, &progress).await?;
        stage.describe(&mut measurement);
        stage.clear().await?;
        Ok(measurement)
    }
}

//! `bench stream`: replies of bots, token by token.

use clap::Args;
use parlor_bench::provider::{MODEL, Provider, Replies};
use parlor_bench::stream::{self, StreamPlan};
use parlor_bench::{Measurement, limits};

use super::stage::{Stage, Wanted};
use super::{LoadArgs, positive, positive_rate};
use crate::context::Context;

#[derive(Debug, Args)]
pub(super) struct StreamArgs {
    /// Connections that read, each of a user of its own
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    readers: usize,
    /// Bots that write at the same time
    #[arg(long, value_name = "N", default_value_t = 4)]
    bots: usize,
    /// Tokens of each bot in a second
    #[arg(long, value_name = "N", default_value_t = 60.0)]
    rate: f64,
    /// Tokens of each reply
    #[arg(long, value_name = "N", default_value_t = 240)]
    length: u32,
    /// Clients that connect at the same time
    #[arg(long, value_name = "N", default_value_t = 64)]
    connecting: usize,
}

impl StreamArgs {
    pub(super) async fn run(
        &self,
        load: &LoadArgs,
        context: &Context,
    ) -> anyhow::Result<Measurement> {
        positive(&[
            ("--readers", self.readers),
            ("--bots", self.bots),
            ("--length", self.length as usize),
        ])?;
        positive_rate(Some(self.rate))?;
        limits::raise((self.readers + self.bots) as u64)?;
        let replies = Replies { rate: self.rate, tokens: self.length };
        let provider = Provider::start(replies)?;
        let wanted = Wanted {
            rooms: 1,
            members: self.readers,
            bots: self.bots,
            settings: self.settings(&provider),
            ..Wanted::default()
        };
        let stage = Box::pin(Stage::set(context, load, &wanted)).await?;
        let plan = StreamPlan {
            rate: self.rate,
            tokens: self.length,
            connecting: self.connecting,
            warm_up: load.warm_up(),
            duration: load.duration(),
            threads: load.threads,
            server_pids: stage.pids.clone(),
        };
        let progress = load.report.progress(context);
        let mut measurement =
            stream::run(&stage.target, &stage.crowd, &provider, &plan, &progress).await?;
        stage.describe(&mut measurement);
        stage.clear().await?;
        Ok(measurement)
    }

    /// Returns the settings with which the server uses the provider, for all bots at once.
    fn settings(&self, provider: &Provider) -> Vec<(String, String)> {
        [
            ("PARLOR_LLM__PROVIDER", "openai".to_owned()),
            ("OPENAI_BASE_URL", provider.url()),
            ("LLM_MODEL", MODEL.to_owned()),
            ("PARLOR_BOTS__CONCURRENCY", self.bots.to_string()),
            ("PARLOR_BOTS__PROVIDER_CONCURRENCY", self.bots.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }
}

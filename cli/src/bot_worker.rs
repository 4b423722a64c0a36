//! `bot-worker`: replies of bots, as one of several processes. Takes no clients; tells its health
//! and metrics where the settings say.

use std::sync::Arc;

use clap::Args;
use parlor_bot_worker::observe::{HealthServer, Observed};
use parlor_broker::start::{Backends, StartError};
use parlor_runtime::config::Program;
use parlor_runtime::{Config, Lifecycle};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::program::{ProgramArgs, announce, backends, begin, bots, outcome, secret};

#[derive(Debug, Args)]
#[expect(clippy::doc_markdown, reason = "the words are shown in a terminal")]
pub(crate) struct BotWorkerArgs {
    /// Where to tell health and metrics [env: PARLOR_BOTS__LISTEN]
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    #[command(flatten)]
    program: ProgramArgs,
}

/// Works until it is told to stop.
///
/// # Errors
///
/// Fails with a sentence for the operator when it cannot start.
pub(crate) async fn run(args: BotWorkerArgs) -> anyhow::Result<()> {
    let sources = args.program.sources(vec![("--listen", "bots.listen", args.listen)]);
    let (config, lifecycle) = begin(&sources, Program::BotWorker)?;
    let opened = backends::open(&config, Program::BotWorker, &lifecycle).await?;
    let Some(backends) = opened else { return Ok(()) };
    // A worker signs nothing, so it may go without; a wrong one tells of a wrong deployment.
    if let Some(key) = &config.auth.secret_key {
        secret::compare(&*backends.store, key).await?;
    }
    let watched = serve_health(&config, &backends, &lifecycle).await?;
    bots::start(&config, &backends, &lifecycle, config.bots.drain)?;
    tracing::info!("ready for work");
    let stopped = lifecycle.wait().await;
    // Last, so that the drain can be watched to its end.
    watched.end().await;
    backends.bus.close().await;
    backends.store.close().await;
    outcome(&stopped, true)
}

/// The listener for those who watch the process.
struct Watched {
    stop: CancellationToken,
    serving: JoinSet<()>,
}

impl Watched {
    async fn end(mut self) {
        self.stop.cancel();
        while self.serving.join_next().await.is_some() {}
    }
}

async fn serve_health(
    config: &Config,
    backends: &Backends,
    lifecycle: &Lifecycle,
) -> anyhow::Result<Watched> {
    let mut watched = Watched { stop: CancellationToken::new(), serving: JoinSet::new() };
    let Some(address) = config.bots.listen else { return Ok(watched) };
    let observed = Observed {
        store: Arc::clone(&backends.store),
        bus: Arc::clone(&backends.bus),
        registry: backends.registry.clone(),
        draining: lifecycle.lame_duck(),
    };
    let server = HealthServer::bind(address, observed)
        .await
        .map_err(|source| StartError::Listen { address, source })?;
    announce::listening("http", server.address())?;
    drop(watched.serving.spawn(server.serve(watched.stop.clone())));
    Ok(watched)
}

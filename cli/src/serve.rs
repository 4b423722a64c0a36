//! `serve`: everything in one process. The composition root: it chooses the backends, wires them
//! together and owns their end.

pub(crate) mod providers;

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use parlor_bot_worker::{BotWorker, BotWorkerConfig, GUIDE_SYSTEM_PROMPT};
use parlor_broker::start::{Backends, Broker};
use parlor_bus::LocalBus;
use parlor_cluster::{LocalPresence, LocalTickets};
use parlor_llm::{RetryPolicy, TimeLimits};
use parlor_runtime::{
    Clock as _, Config, Lifecycle, Sources, SystemClock, exit, secrets_file, telemetry,
};
use parlor_store::sqlite::{SqliteOptions, SqliteStore};
use parlor_store::{Jobs as _, Store};
use tokio_util::sync::CancellationToken;

use crate::failure::Said;
use providers::select_providers;

/// A user who does nothing for so long is shown as idle.
const IDLE_AFTER: Duration = Duration::from_mins(5);
/// Tickets that may be open: each lives for seconds.
const TICKETS_MAX: usize = 10_000;

#[derive(Debug, Args)]
#[expect(clippy::doc_markdown, reason = "the words are shown in a terminal")]
pub(crate) struct ServeArgs {
    /// Address and port to listen on; port 0 picks a free one [env: PARLOR_LISTEN]
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) listen: Option<String>,
    /// Folder of the database and the secret key [env: PARLOR_DATA_DIR]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<String>,
    /// Settings file [default: parlor.toml here or in the data folder]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// What is logged, such as info or info,parlor_broker=debug
    #[arg(long, value_name = "FILTER")]
    pub(crate) log: Option<String>,
}

impl ServeArgs {
    fn sources(self) -> Sources {
        let mut sources = Sources::of_process();
        if let Some(file) = self.config {
            sources = sources.with_file(file);
        }
        let flags = [
            ("--listen", "server.listen", self.listen),
            ("--data-dir", "server.data_dir", self.data_dir),
            ("--log", "log.filter", self.log),
        ];
        for (flag, key, value) in flags {
            if let Some(value) = value {
                sources = sources.with_flag(flag, key, value);
            }
        }
        sources
    }
}

/// Serves until it is told to stop.
///
/// # Errors
///
/// Fails with a sentence for the operator when it cannot start; nothing is left half made.
pub(crate) async fn run(args: ServeArgs) -> anyhow::Result<()> {
    let config = Config::load(&args.sources())?.config;
    telemetry::init(&config.log)?;
    let lifecycle = Lifecycle::new((&config.lifecycle).into());
    lifecycle.obey_signals().context("handle signals")?;
    let store = open_store(&config)?;
    // Whoever held a job was a process before this one: the folder is locked.
    store.release_all_leases().await?;
    let secret = match &config.auth.secret_key {
        Some(secret) => secret.clone(),
        None => secrets_file::read_or_create(&config.server.data_dir)?,
    };
    let selection = select_providers(&config.llm).await?;
    tracing::info!(provider = selection.default, reason = selection.reason, "model provider");
    let store: Arc<dyn Store> = Arc::new(store);
    let backends = Backends {
        store,
        bus: Arc::new(LocalBus::new()),
        presence: Arc::new(LocalPresence::new(IDLE_AFTER)),
        tickets: Arc::new(LocalTickets::new(TICKETS_MAX)),
        providers: Arc::new(selection.providers),
        clock: Arc::new(SystemClock),
    };
    let secret = secret.expose().as_bytes();
    let broker =
        Broker::start(config.clone(), secret, backends.clone(), &lifecycle, GUIDE_SYSTEM_PROMPT)
            .await?;
    if config.bots.enabled {
        start_bots(&config, &backends, &broker, &lifecycle)?;
    }
    announce(&config, &broker)?;
    let stopped = lifecycle.wait().await;
    let committed = broker.close().await;
    match stopped.exit_code() {
        exit::SUCCESS if committed => Ok(()),
        // What went wrong stands in the log.
        exit::SUCCESS => Err(Said(exit::FAILURE).into()),
        code => Err(Said(code).into()),
    }
}

fn open_store(config: &Config) -> anyhow::Result<SqliteStore> {
    let mut options = SqliteOptions::new(&config.server.data_dir);
    options.max_hops = config.bots.max_hops;
    options.room_members = u32::try_from(config.limits.room_members).unwrap_or(u32::MAX);
    options.queue = config.limits.committer_queue;
    Ok(SqliteStore::open(options)?)
}

fn bot_settings(config: &Config) -> BotWorkerConfig {
    let (bots, llm) = (&config.bots, &config.llm);
    BotWorkerConfig {
        concurrency: bots.concurrency,
        lease: bots.lease,
        checkpoint_every: bots.checkpoint,
        cork: bots.cork,
        context_tokens: u32::try_from(bots.context_tokens).unwrap_or(u32::MAX),
        temperature: llm.temperature,
        max_tokens: Some(llm.max_tokens),
        max_attempts: bots.max_attempts,
        pair_limit_per_minute: bots.pair_limit_per_minute,
        reply_bytes: bots.reply.get(),
        retry: RetryPolicy { attempts: llm.retries + 1, ..RetryPolicy::default() },
        time_limits: TimeLimits {
            connect: llm.connect_timeout,
            first_token: llm.first_token_timeout,
            between_tokens: llm.between_tokens_timeout,
            total: llm.total_timeout,
        },
        ..BotWorkerConfig::default()
    }
}

fn start_bots(
    config: &Config,
    backends: &Backends,
    broker: &Broker,
    lifecycle: &Lifecycle,
) -> anyhow::Result<()> {
    let worker = BotWorker::new(
        bot_settings(config),
        Arc::clone(&backends.store),
        Arc::clone(&backends.bus),
        Arc::clone(&backends.providers),
        Arc::clone(&backends.clock),
        &broker.node().metrics.registry,
    )?;
    let stop = lifecycle.draining();
    // Replies may finish while connections are drained; what is left is given back, and goes on at
    // the next start.
    let give_back = CancellationToken::new();
    let patience = config.lifecycle.drain;
    let run = worker.run(stop.clone(), give_back.clone());
    lifecycle.spawn_critical("bots", async move {
        tokio::pin!(run);
        let patience = async {
            stop.cancelled().await;
            tokio::time::sleep(patience).await;
        };
        tokio::select! {
            biased;
            () = run.as_mut() => return,
            () = patience => give_back.cancel(),
        }
        run.await;
    });
    Ok(())
}

/// Returns an address that a browser on this machine can open.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, address.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, address.port()).into(),
        _ => address,
    }
}

/// Tells where the server is: a machine reads the line on stdout, a person the words on stderr.
fn announce(config: &Config, broker: &Broker) -> anyhow::Result<()> {
    let address = broker.address();
    if let Some(token) = broker.setup_token() {
        let url = config
            .server
            .public_url
            .as_ref()
            .map_or_else(|| format!("http://{}", reachable(address)), ToString::to_string);
        let url = url.trim_end_matches('/');
        writeln!(
            std::io::stderr().lock(),
            "\nThere is no administrator yet. Open this link within 30 minutes to become it:\n\
             \n    {url}/setup#token={token}\n\n\
             Until then only this machine can connect.\n"
        )?;
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "listening on http://{address}")?;
    out.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_names_an_address_that_can_be_opened() {
        let reachable = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(reachable("0.0.0.0:7777"), "127.0.0.1:7777");
        assert_eq!(reachable("[::]:7777"), "[::1]:7777");
        assert_eq!(reachable("192.0.2.1:80"), "192.0.2.1:80");
    }
}

//! The composition root: which store, bus and shared memory a program works with, as its settings
//! say.

use std::sync::Arc;
use std::time::Duration;

use parlor_broker::start::Backends;
use parlor_bus::{Bus, LocalBus};
use parlor_cluster::redis::ClusterState;
use parlor_cluster::{LocalLimits, LocalPresence, LocalTickets, Presence, SharedLimits, Tickets};
use parlor_runtime::config::{Program, place};
use parlor_runtime::{Config, Lifecycle, SystemClock};
use parlor_store::Store;
use parlor_store::sqlite::{SqliteOptions, SqliteStore};
use prometheus::Registry;
use tokio::time::Instant;

use super::providers::select_providers;

pub(crate) mod cluster;
pub(crate) mod fault;
mod files;
pub(crate) mod nats;
pub(crate) mod postgres;
mod wait;

/// Tickets that may be open: each lives for seconds.
const TICKETS_MAX: usize = 10_000;

/// Tells whether other processes may use the same store.
pub(crate) fn are_shared(config: &Config) -> bool {
    config.store.postgres().is_some()
}

/// Opens everything that the settings name, and waits for services that are not there yet. `None`
/// when the program was told to stop meanwhile.
///
/// # Errors
///
/// Fails with the service, its place and what helps.
pub(crate) async fn open(
    config: &Config,
    program: Program,
    lifecycle: &Lifecycle,
) -> anyhow::Result<Option<Backends>> {
    tell(config, program);
    let stop = lifecycle.lame_duck();
    // Boxed, because it holds three handshakes at once.
    let opened = wait::until(deadline(config), || Box::pin(open_once(config, program)));
    let opened = tokio::select! {
        biased;
        () = stop.cancelled() => return Ok(None),
        opened = opened => opened?,
    };
    if !are_shared(config) {
        // Whoever held a job was a process before this one: the folder is locked.
        opened.store.release_all_leases().await?;
        opened.store.release_webhooks().await?;
        for room in opened.store.list_idle_imports(Duration::ZERO).await? {
            // What it brought is taken back while the server runs.
            opened.store.give_up_import(room).await?;
        }
    }
    let selection = select_providers(&config.llm).await?;
    tracing::info!(provider = selection.default, reason = selection.reason, "model provider");
    let Opened { store, bus, shared: Shared { presence, tickets, limits }, registry } = opened;
    Ok(Some(Backends {
        store,
        bus,
        presence,
        tickets,
        limits,
        providers: Arc::new(selection.providers),
        objects: files::open(config)?,
        clock: Arc::new(SystemClock),
        registry,
    }))
}

/// What one attempt has opened.
struct Opened {
    store: Arc<dyn Store>,
    bus: Arc<dyn Bus>,
    shared: Shared,
    registry: Registry,
}

/// Tries once, everything at the same time and with metrics of its own: those of a failed attempt
/// would be in the way of the next one.
async fn open_once(config: &Config, program: Program) -> anyhow::Result<Opened> {
    let registry = Registry::new();
    let (store, bus, shared) = tokio::try_join!(
        open_store(config),
        open_bus(config, &registry),
        open_shared(config, program, &registry),
    )?;
    Ok(Opened { store, bus, shared, registry })
}

/// Returns until when services are waited for.
pub(crate) fn deadline(config: &Config) -> Instant {
    Instant::now() + config.lifecycle.start_timeout
}

/// Opens the store that the settings name, and waits for a server that is not there yet.
///
/// # Errors
///
/// Fails with its place and what helps.
pub(crate) async fn wait_for_store(config: &Config) -> anyhow::Result<Arc<dyn Store>> {
    wait::until(deadline(config), || open_store(config)).await
}

async fn open_store(config: &Config) -> anyhow::Result<Arc<dyn Store>> {
    if let Some(options) = postgres::options(config) {
        return Ok(Arc::new(postgres::open(options, config).await?));
    }
    let mut options = SqliteOptions::new(&config.server.data_dir);
    options.max_hops = config.bots.max_hops;
    options.room_members = u32::try_from(config.limits.room_members).unwrap_or(u32::MAX);
    options.queue = config.limits.committer_queue;
    Ok(Arc::new(SqliteStore::open(options)?))
}

async fn open_bus(config: &Config, registry: &Registry) -> anyhow::Result<Arc<dyn Bus>> {
    match nats::options(config) {
        Some(options) => Ok(Arc::new(nats::open(options, config, registry).await?)),
        None => Ok(Arc::new(LocalBus::new())),
    }
}

/// What nodes share for a moment.
struct Shared {
    presence: Arc<dyn Presence>,
    tickets: Arc<dyn Tickets>,
    limits: Arc<dyn SharedLimits>,
}

async fn open_shared(
    config: &Config,
    program: Program,
    registry: &Registry,
) -> anyhow::Result<Shared> {
    // Workers have no use for it, and do not depend on what they do not use.
    if program != Program::BotWorker
        && let Some(options) = cluster::options(config)
    {
        let state = cluster::open(options, config, registry).await?;
        let ClusterState { presence, tickets, limits, .. } = state;
        return Ok(Shared { presence, tickets, limits });
    }
    let presence =
        LocalPresence::new(config.cluster.presence_idle).with_grace(config.cluster.presence_grace);
    Ok(Shared {
        presence: Arc::new(presence),
        tickets: Arc::new(LocalTickets::new(TICKETS_MAX)),
        limits: Arc::new(LocalLimits::default()),
    })
}

/// Tells what the program works with, without anything secret.
fn tell(config: &Config, program: Program) {
    let store = config
        .store
        .postgres()
        .map_or_else(|| format!("sqlite:{}", config.server.data_dir.display()), place);
    let bus = config.bus.nats().map_or_else(|| "this process".to_owned(), place);
    let cluster = config.cluster.redis().map_or_else(|| "this process".to_owned(), place);
    tracing::info!(store, bus, cluster, "backends");
    let alone = config.bus.url.is_none() || config.cluster.url.is_none();
    if program == Program::Serve && are_shared(config) && alone {
        tracing::warn!(
            "this is the only node that may use the database: a second one needs NATS_URL and \
             REDIS_URL"
        );
    }
}

//! The composition root: which store, bus and shared memory a program works with, as its settings
//! say.

use std::sync::Arc;
use std::time::Duration;

use parlor_broker::start::Backends;
use parlor_bus::LocalBus;
use parlor_cluster::{LocalLimits, LocalPresence, LocalTickets};
use parlor_runtime::config::{Program, place};
use parlor_runtime::{Config, Lifecycle, SystemClock};
use parlor_store::sqlite::{SqliteOptions, SqliteStore};
use parlor_store::{OpenError, Store};
use prometheus::Registry;
use tokio::time::Instant;

use super::providers::select_providers;

pub(crate) mod fault;
pub(crate) mod postgres;
mod wait;

/// A user who does nothing for so long is shown as idle.
const IDLE_AFTER: Duration = Duration::from_mins(5);
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
    registry: &Registry,
    lifecycle: &Lifecycle,
) -> anyhow::Result<Option<Backends>> {
    let stop = lifecycle.lame_duck();
    tell(config, program);
    tokio::select! {
        biased;
        () = stop.cancelled() => Ok(None),
        opened = open_all(config, program, registry) => opened.map(Some),
    }
}

async fn open_all(
    config: &Config,
    program: Program,
    registry: &Registry,
) -> anyhow::Result<Backends> {
    let deadline = deadline(config);
    let store = open_store(config, deadline).await?;
    if !are_shared(config) {
        // Whoever held a job was a process before this one: the folder is locked.
        store.release_all_leases().await?;
    }
    let selection = select_providers(&config.llm).await?;
    tracing::info!(provider = selection.default, reason = selection.reason, "model provider");
    Ok(Backends {
        store,
        bus: Arc::new(LocalBus::new()),
        presence: Arc::new(
            LocalPresence::new(IDLE_AFTER).with_grace(config.cluster.presence_grace),
        ),
        tickets: Arc::new(LocalTickets::new(TICKETS_MAX)),
        limits: Arc::new(LocalLimits::default()),
        providers: Arc::new(selection.providers),
        clock: Arc::new(SystemClock),
        registry: registry.clone(),
    })
}

/// Returns until when services are waited for.
pub(crate) fn deadline(config: &Config) -> Instant {
    Instant::now() + config.lifecycle.start_timeout
}

/// Opens the store that the settings name.
///
/// # Errors
///
/// Fails with its place and what helps.
pub(crate) async fn open_store(
    config: &Config,
    deadline: Instant,
) -> anyhow::Result<Arc<dyn Store>> {
    let mut options = SqliteOptions::new(&config.server.data_dir);
    options.max_hops = config.bots.max_hops;
    options.room_members = u32::try_from(config.limits.room_members).unwrap_or(u32::MAX);
    options.queue = config.limits.committer_queue;
    // Makes and reads files; nothing else runs yet.
    let opened: Result<_, OpenError> = SqliteStore::open(options);
    Ok(Arc::new(opened?))
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

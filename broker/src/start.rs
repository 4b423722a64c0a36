//! Starting a node: what it is given, what it makes of it, and how it comes to listen.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parlor_auth::{
    AccessTokens, HashError, HashParams, KeyTooShort, PasswordHasher, RefreshTokens, SigningKeys,
};
use parlor_bus::Bus;
use parlor_cluster::{Presence, Revocations, SharedLimits, Tickets};
use parlor_files::Objects;
use parlor_llm::Providers;
use parlor_runtime::{Clock, Config, Lifecycle};
use parlor_store::Store;
use prometheus::Registry;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::admission::Admission;
use crate::bootstrap::{self, BootstrapError};
use crate::committer::{Committer, CommitterOptions};
use crate::crowd::Crowds;
use crate::edge::Listeners;
use crate::files::{self, Files};
use crate::http;
use crate::metrics::Metrics;
use crate::names::NewNames;
use crate::node::Node;
use crate::outgoing::Outgoing;
use crate::presence::PresenceNews;
use crate::presence::last_seen::LastSeen;
use crate::rate::RateLimits;
use crate::reads::EventReads;
use crate::reads::lookups::{LookupOptions, Lookups};
use crate::relay::Relay;
use crate::setup::SetupToken;
use crate::tls::{Tls, TlsError};
use crate::webhooks;

/// How often limits, ended logins and idle users are looked at.
const SWEEP: Duration = Duration::from_secs(5);
/// How long the last writes may take after everything else has ended.
const LAST_WRITES: Duration = Duration::from_secs(5);
/// How long presence and times of last connections may take after that.
const LAST_NEWS: Duration = Duration::from_secs(2);

/// What a node runs on. The embedded mode and a cluster differ only here.
#[derive(Debug, Clone)]
pub struct Backends {
    /// The truth.
    pub store: Arc<dyn Store>,
    /// What just happened.
    pub bus: Arc<dyn Bus>,
    /// Who is there.
    pub presence: Arc<dyn Presence>,
    /// Single-use tickets.
    pub tickets: Arc<dyn Tickets>,
    /// Rate limits and attempts to log in, as far as nodes share them.
    pub limits: Arc<dyn SharedLimits>,
    /// Model providers.
    pub providers: Arc<Providers>,
    /// Where the bytes of files are.
    pub objects: Objects,
    /// Wall time and ids.
    pub clock: Arc<dyn Clock>,
    /// Where the backends have registered their metrics, and the node registers its own.
    pub registry: Registry,
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {}", listen_hint(.source))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The secret key cannot be used.
    #[error("the secret key is too short; it needs at least 32 bytes")]
    SecretKey(#[from] KeyTooShort),
    /// The settings of password hashes do not fit together.
    #[error("the settings auth.argon2_* do not fit together")]
    Argon2(#[from] HashError),
    /// The first room, bot or administrator cannot be made.
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    /// The system offers no TLS for calls of other programs.
    #[error("calls of other programs cannot be made")]
    Outgoing(#[from] reqwest::Error),
    /// A metric's name is wrong or used twice.
    #[error("metrics cannot be registered")]
    Metrics(#[from] prometheus::Error),
    /// A thread cannot be made.
    #[error("threads cannot be started")]
    Threads(#[source] io::Error),
}

fn listen_hint(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program uses this port; choose another with --listen".to_owned()
        }
        io::ErrorKind::PermissionDenied => "the system does not allow this port".to_owned(),
        io::ErrorKind::AddrNotAvailable => "this machine does not have that address".to_owned(),
        _ => error.to_string(),
    }
}

/// A node that listens.
#[derive(Debug)]
pub struct Broker {
    node: Arc<Node>,
    address: SocketAddr,
    setup_token: Option<String>,
    tasks: Tasks,
}

/// What runs for as long as the node does, beside what its lifecycle owns.
#[derive(Debug, Default)]
struct Tasks {
    /// Ends when what was to be committed is.
    committing: JoinSet<()>,
    /// Ends when what has gathered is told and written.
    gathering: JoinSet<()>,
    /// Is ended with the node.
    relaying: JoinSet<()>,
}

impl Broker {
    /// Starts a node. It serves until `lifecycle` drains.
    ///
    /// `guide_prompt` is what the default bot is told about itself, if it has to be made.
    pub async fn start(
        config: Config,
        secret: &[u8],
        backends: Backends,
        lifecycle: &Lifecycle,
        guide_prompt: &str,
    ) -> Result<Self, StartError> {
        // First, because it is the likeliest to fail and the cheapest to try.
        let address = config.server.listen;
        let listeners = bind(&config, address)?;
        let tls = Tls::open(&config.server)?.map(Arc::new);
        let metrics = Metrics::new(backends.registry.clone())?;
        metrics.count_reads(&backends.store)?;
        let mut tasks = Tasks::default();
        let parts = make_parts(&config, &backends, metrics, tls, lifecycle, &mut tasks);
        let node = Arc::new(make_node(config, secret, backends, lifecycle, parts)?);
        // Before anything is read that it keeps up to date.
        let relay = Relay::start(&node).await.map_err(BootstrapError::from)?;
        let setup_token = bootstrap::prepare(&node, guide_prompt).await?;
        let address = listeners.address();
        node.compare_files().await;
        listeners.serve(&node, lifecycle).map_err(StartError::Threads)?;
        lifecycle.spawn("files", files::keep(Arc::clone(&node)));
        lifecycle.spawn("sweep", sweep(Arc::clone(&node)));
        lifecycle.spawn("imports", http::import::sweep(Arc::clone(&node)));
        if node.config.webhooks.enabled {
            lifecycle.spawn("webhooks", webhooks::run(Arc::clone(&node)));
        }
        spawn(&mut tasks.relaying, lifecycle, relay.run());
        spawn(&mut tasks.relaying, lifecycle, crate::erasure::run(Arc::clone(&node)));
        if let Some(tls) = &node.tls {
            let renewals = node.metrics.http.renewals.clone();
            lifecycle.spawn("certificate", Arc::clone(tls).watch(lifecycle.clone(), renewals));
        }
        Ok(Self { node, address, setup_token, tasks })
    }

    /// Returns the node.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Returns the address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the one-time token for the first administrator, if there is none yet.
    pub fn setup_token(&self) -> Option<&str> {
        self.setup_token.as_deref()
    }

    /// Commits what is left and closes the store. Call it when the lifecycle has ended. `false` when
    /// committing had failed before.
    pub async fn close(self) -> bool {
        let Self { node, tasks: Tasks { committing, gathering, mut relaying }, .. } = self;
        let (store, bus) = (Arc::clone(&node.store), Arc::clone(&node.bus));
        relaying.shutdown().await;
        node.presence_news.close();
        node.last_seen.close();
        drop(node);
        // Whoever still holds the node was aborted; its writes are not waited for.
        let ended = tokio::time::timeout(LAST_WRITES, all_ended(committing)).await;
        // A convenience: what takes longer is not told and not written.
        drop(tokio::time::timeout(LAST_NEWS, all_ended(gathering)).await);
        // What was committed last is told last.
        bus.close().await;
        store.close().await;
        !matches!(ended, Ok(false))
    }
}

/// Waits for all tasks; `false` when one has panicked.
async fn all_ended(mut tasks: JoinSet<()>) -> bool {
    let mut cleanly = true;
    while let Some(ended) = tasks.join_next().await {
        cleanly &= ended.is_ok();
    }
    cleanly
}

/// Ends the process when the task that owns it ends, also by a panic: without committers nothing
/// can be written, without lookups nobody is known, without the relay what others write is not told
/// for sure.
struct EndsProcess(Lifecycle);

impl Drop for EndsProcess {
    fn drop(&mut self) {
        self.0.begin_shutdown();
    }
}

fn bind(config: &Config, address: SocketAddr) -> Result<Listeners, StartError> {
    let shards = match config.server.shards {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        shards => shards,
    };
    Listeners::bind(address, shards).map_err(|source| StartError::Listen { address, source })
}

fn spawn(
    tasks: &mut JoinSet<()>,
    lifecycle: &Lifecycle,
    task: impl Future<Output = ()> + Send + 'static,
) {
    let watch = EndsProcess(lifecycle.clone());
    tasks.spawn(async move {
        let _watch = watch;
        task.await;
    });
}

/// The parts of a node that have tasks behind them.
struct Parts {
    metrics: Metrics,
    committer: Committer,
    reads: EventReads,
    lookups: Lookups,
    presence_news: PresenceNews,
    last_seen: LastSeen,
    tls: Option<Arc<Tls>>,
}

fn make_parts(
    config: &Config,
    backends: &Backends,
    metrics: Metrics,
    tls: Option<Arc<Tls>>,
    lifecycle: &Lifecycle,
    tasks: &mut Tasks,
) -> Parts {
    let (store, bus, limits) = (&backends.store, &backends.bus, &config.limits);
    let options = CommitterOptions {
        lanes: config.store.writers(),
        queue: limits.committer_queue,
        batch: limits.committer_batch,
    };
    let (committer, workers) = Committer::new(store, bus, options, &metrics.committer);
    for worker in workers {
        spawn(&mut tasks.committing, lifecycle, worker.run());
    }
    let options = LookupOptions {
        per_second: limits.reads_per_second,
        remembered: limits.cache_entries,
        checks_per_second: limits.cache_checks_per_second,
    };
    let (lookups, workers) = Lookups::new(store, options, &metrics.reads);
    spawn(&mut tasks.relaying, lifecycle, workers.run());
    let shared = metrics.relay.shared_reads.clone();
    let (reads, worker) =
        EventReads::new(store, limits.reads_per_second, &metrics.reads.batch, shared);
    spawn(&mut tasks.relaying, lifecycle, worker.run());
    let presence_news = PresenceNews::new(metrics.room.presence.clone());
    let teller = presence_news.teller(Arc::clone(store), Arc::clone(bus), limits.presence_room);
    spawn(&mut tasks.gathering, lifecycle, teller.run());
    let last_seen = LastSeen::default();
    spawn(&mut tasks.gathering, lifecycle, last_seen.clone().run(Arc::clone(store)));
    Parts { metrics, committer, reads, lookups, presence_news, last_seen, tls }
}

fn make_node(
    config: Config,
    secret: &[u8],
    backends: Backends,
    lifecycle: &Lifecycle,
    parts: Parts,
) -> Result<Node, StartError> {
    let Parts { metrics, committer, reads, lookups, presence_news, last_seen, tls } = parts;
    let auth = &config.auth;
    let params = HashParams {
        memory_kib: u32::try_from(auth.argon2_memory.get() / 1024).unwrap_or(u32::MAX),
        iterations: auth.argon2_iterations,
        parallelism: auth.argon2_parallelism,
    };
    let passwords = PasswordHasher::new(params, auth.hash_concurrency, auth.hash_queue)?;
    metrics.watch_passwords(&passwords)?;
    let Backends { store, bus, presence, tickets, limits, providers, objects, clock, registry: _ } =
        backends;
    let started_at = clock.now().into();
    let name: String = clock.new_id().simple().to_string().chars().rev().take(8).collect();
    let files = Files::new(&config.files, objects, secret, metrics.files.clone())?;
    Ok(Node {
        name: format!("node-{name}"),
        rate: RateLimits::new(&config.limits, &*limits),
        admission: Admission::new(&config.limits),
        access_tokens: AccessTokens::new(secret, None)?,
        refresh_tokens: RefreshTokens::new(secret)?,
        outgoing: Outgoing::new(
            &config.webhooks,
            SigningKeys::new(secret)?,
            metrics.programs.under_way.clone(),
        )?,
        lifecycle: lifecycle.clone(),
        reads,
        revocations: Revocations::default(),
        setup: SetupToken::default(),
        new_names: NewNames::default(),
        importing: Arc::new(Semaphore::new(1)),
        tls,
        config,
        clock,
        store,
        bus,
        committer,
        lookups,
        presence,
        presence_news,
        crowds: Crowds::default(),
        last_seen,
        tickets,
        limits,
        passwords,
        providers,
        files,
        metrics,
        started_at,
    })
}

/// Forgets what has run its course, and notices who has become idle.
async fn sweep(node: Arc<Node>) {
    let draining = node.lifecycle.draining();
    let mut tick = interval(SWEEP);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = draining.cancelled() => return,
            _ = tick.tick() => {}
        }
        node.rate.sweep(&node.metrics.auth);
        node.revocations.sweep(node.now());
        for transition in node.presence.sweep(node.now()).await {
            node.presence_news.tell(transition, None);
        }
    }
}

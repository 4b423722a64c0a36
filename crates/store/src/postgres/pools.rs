//! Connections: how each is made and checked, and who may use how many.
//!
//! Appends, other writes, reads and the tail have pools of their own, so that none starves another.

use std::sync::Arc;
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{
    self, Metrics, Object, Pool, PoolConfig, PoolError, RecycleError, TimeoutType, Timeouts,
};
use deadpool_postgres::ClientWrapper;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::PostgresOptions;
use super::address::Address;
use super::connection::{self, Doubt};
use super::epoch::{self, Epoch};
use super::fault::{Fault, Outcome};

/// Callers that may wait for a connection of one pool.
const WAITING_MAX: usize = 4096;
/// How long a writer waits for a row that another one has locked.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// The server gives up a search after so long.
const SEARCH_TIMEOUT: Duration = Duration::from_secs(3);
/// A transaction whose program has gone silent is ended after this long.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(5);
/// Data that is not acknowledged for so long ends the connection.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(15);
/// After this long without a word the other side is probed.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);
/// Between probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// Probes without an answer that end the connection.
const KEEPALIVE_RETRIES: u32 = 3;

/// A connection to a server that takes writes.
#[derive(Debug)]
pub(super) struct Server {
    client: ClientWrapper,
    epoch: Arc<str>,
    doubt: Doubt,
    number: u64,
    made: Arc<Epoch>,
}

impl Server {
    /// Returns the identity of the logs of this very server.
    pub(super) fn epoch(&self) -> &Arc<str> {
        &self.epoch
    }

    /// Returns the number of the connection: later ones have larger numbers.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// Returns the number of the newest connection.
    pub(super) fn newest(&self) -> u64 {
        self.made.connections()
    }

    /// Tells whether the server did not wait for its standby with a commit since the last question.
    pub(super) fn take_doubt(&self) -> bool {
        self.doubt.take()
    }
}

impl std::ops::Deref for Server {
    type Target = ClientWrapper;

    fn deref(&self) -> &ClientWrapper {
        &self.client
    }
}

/// A connection that goes back to its pool.
pub(super) type Conn = Object<Connector>;

/// Makes connections.
pub(super) struct Connector {
    config: tokio_postgres::Config,
    tls: MakeRustlsConnect,
    epoch: Arc<Epoch>,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

impl managed::Manager for Connector {
    type Type = Server;
    type Error = Fault;

    async fn create(&self) -> Result<Server, Fault> {
        let (client, doubt) =
            connection::connect(&self.config, &self.tls).await.map_err(Fault::Connect)?;
        // Not before it is there: a server that crashes ends it.
        let number = self.epoch.next_connection();
        let epoch = epoch::read(&client).await?;
        self.epoch.set(&epoch);
        Ok(Server { client, epoch, doubt, number, made: Arc::clone(&self.epoch) })
    }

    async fn recycle(&self, server: &mut Server, _: &Metrics) -> managed::RecycleResult<Fault> {
        if server.client.is_closed() {
            return Err(RecycleError::message("the connection is closed"));
        }
        Ok(())
    }
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Appends.
    Lanes,
    /// All other writes.
    Writes,
    /// Reads.
    Reads,
    /// Searches.
    Search,
    /// What other nodes wrote.
    Tail,
}

impl Use {
    const fn name(self) -> &'static str {
        match self {
            Self::Lanes => "lanes",
            Self::Writes => "writes",
            Self::Reads => "reads",
            Self::Search => "search",
            Self::Tail => "tail",
        }
    }

    /// Returns the settings of a session.
    ///
    /// A connection keeps its plans. Those that read a whole table would be made while it is small
    /// and stay when it has grown, so a plan by an index is taken wherever there is one; what that
    /// does to the estimated costs must not make the server compile plans.
    ///
    /// A writing statement is never ended by its length: the server would end the wait for a standby
    /// too, and call the commit a success.
    fn settings(self, statement_timeout: Duration) -> String {
        let idle = IDLE_IN_TRANSACTION.as_millis();
        let common = format!(
            "-c idle_in_transaction_session_timeout={idle} -c client_min_messages=warning \
             -c default_transaction_isolation=read\\ committed -c enable_seqscan=off -c jit=off"
        );
        match self {
            Self::Lanes | Self::Writes => {
                format!("{common} -c lock_timeout={}", LOCK_TIMEOUT.as_millis())
            }
            // What is asked for differs too much for a plan that is kept. What an index has in order
            // is read in that order, however few the server believes there are.
            Self::Search => {
                let timeout = statement_timeout.min(SEARCH_TIMEOUT).as_millis();
                format!(
                    "{common} -c enable_sort=off -c plan_cache_mode=force_custom_plan \
                     -c statement_timeout={timeout}"
                )
            }
            Self::Reads | Self::Tail => {
                format!("{common} -c statement_timeout={}", statement_timeout.as_millis())
            }
        }
    }
}

/// How the connections of one purpose are used at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connections {
    /// What they are for: `lanes`, `writes`, `reads`, `search` or `tail`.
    pub purpose: &'static str,
    /// How many there may be.
    pub limit: usize,
    /// How many there are.
    pub open: usize,
    /// How many of them nobody uses.
    pub idle: usize,
    /// Callers that wait for one.
    pub waiting: usize,
}

/// All connections of a store.
#[derive(Debug)]
pub(super) struct Pools {
    lanes: Pool<Connector>,
    writes: Pool<Connector>,
    reads: Pool<Connector>,
    search: Pool<Connector>,
    tail: Pool<Connector>,
}

impl Pools {
    /// Makes the pools; they connect when they are asked to.
    pub(super) fn new(
        options: &PostgresOptions,
        address: &Address,
        tls: &MakeRustlsConnect,
        epoch: &Arc<Epoch>,
    ) -> Self {
        let pool = |of: Use, size: usize| {
            let mut config = address.config.clone();
            prepare(&mut config, options, of);
            let connector = Connector { config, tls: tls.clone(), epoch: Arc::clone(epoch) };
            let timeouts = Timeouts {
                wait: Some(options.pool_wait),
                create: Some(options.connect_timeout),
                recycle: Some(options.connect_timeout),
            };
            let config = PoolConfig { timeouts, ..PoolConfig::new(size.max(1)) };
            Pool::builder(connector)
                .config(config)
                .runtime(Runtime::Tokio1)
                .build()
                .expect("a pool with a runtime can be built")
        };
        Self {
            lanes: pool(Use::Lanes, options.lanes),
            writes: pool(Use::Writes, options.writers),
            reads: pool(Use::Reads, options.readers),
            search: pool(Use::Search, options.searchers),
            tail: pool(Use::Tail, options.tails),
        }
    }

    fn of(&self, of: Use) -> &Pool<Connector> {
        match of {
            Use::Lanes => &self.lanes,
            Use::Writes => &self.writes,
            Use::Reads => &self.reads,
            Use::Search => &self.search,
            Use::Tail => &self.tail,
        }
    }

    /// Takes a connection, or makes one.
    pub(super) async fn take(&self, of: Use) -> Outcome<Conn> {
        let pool = self.of(of);
        if pool.status().waiting >= WAITING_MAX {
            return Err(Fault::Crowded);
        }
        // Making a connection takes a lot of space, which few callers need.
        Box::pin(pool.get()).await.map_err(|error| match error {
            PoolError::Backend(fault) => fault,
            PoolError::Timeout(TimeoutType::Create | TimeoutType::Recycle) => Fault::Slow,
            PoolError::Closed => Fault::Closed,
            PoolError::Timeout(TimeoutType::Wait)
            | PoolError::NoRuntimeSpecified
            | PoolError::PostCreateHook(_) => Fault::Starved,
        })
    }

    /// Ends the connections of a kind that wait for work: what broke one has often broken all.
    pub(super) fn renew(&self, of: Use) {
        self.of(of).retain(|_, _| false);
    }

    /// Returns how the connections are used.
    pub(super) fn connections(&self) -> [Connections; 5] {
        [Use::Lanes, Use::Writes, Use::Reads, Use::Search, Use::Tail].map(|of| {
            let status = self.of(of).status();
            Connections {
                purpose: of.name(),
                limit: status.max_size,
                open: status.size,
                idle: status.available,
                waiting: status.waiting,
            }
        })
    }

    /// Ends all connections as soon as they are given back.
    pub(super) fn close(&self) {
        for of in [Use::Lanes, Use::Writes, Use::Reads, Use::Search, Use::Tail] {
            self.of(of).close();
        }
    }
}

/// Sets what every connection has.
pub(super) fn prepare(config: &mut tokio_postgres::Config, options: &PostgresOptions, of: Use) {
    let settings = of.settings(options.statement_timeout);
    let settings = match config.get_options() {
        Some(given) => format!("{given} {settings}"),
        None => settings,
    };
    if config.get_application_name().is_none() {
        config.application_name(format!("{} {}", options.application_name, of.name()));
    }
    config
        .options(settings)
        .connect_timeout(options.connect_timeout)
        .tcp_user_timeout(TCP_USER_TIMEOUT)
        .keepalives(true)
        .keepalives_idle(KEEPALIVE_IDLE)
        .keepalives_interval(KEEPALIVE_INTERVAL)
        .keepalives_retries(KEEPALIVE_RETRIES);
}

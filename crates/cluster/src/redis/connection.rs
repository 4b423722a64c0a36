//! The connection to Redis, with a breaker.
//!
//! A keeper task asks Redis each second whether it is there and connects again when it was lost.
//! Calls use the connection while there is one and fail at once while there is none. A call that
//! fails or takes too long loses the connection for everyone, so a dead or silent Redis costs one
//! time limit, not one for each call.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{
    AsyncConnectionConfig, Client, ErrorKind, IntoConnectionInfo as _, ProtocolVersion, RedisError,
    RedisResult, ServerErrorKind, TlsCertificates,
};
use prometheus::Registry;
use rand::Rng as _;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::metrics::Calls;
use super::{ClusterOptions, ConnectError, script};
use crate::shared::ClusterStatus;

/// How often Redis is asked whether it is there.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// When a connection that was lost is first made again.
const FIRST_RETRY: Duration = Duration::from_millis(100);
/// How long a new connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// How long the first one may take, and what is prepared on it: a dozen answers. Redis that is slow
/// then is not one that is away.
pub(super) const START_LIMIT: Duration = Duration::from_secs(10);
/// Calls that may wait for their turn on the connection.
const CALLS_MAX: usize = 4_096;

/// A call was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Away;

/// Calls Redis. Clones share one connection, which ends with the last of them.
#[derive(Clone)]
pub struct RedisConnection {
    link: Arc<Link>,
    /// Ends with the last clone.
    _keeper: Arc<JoinSet<()>>,
}

struct Link {
    client: Client,
    host: String,
    prefix: String,
    limit: Duration,
    open: RwLock<Option<Open>>,
    status: watch::Sender<ClusterStatus>,
    /// Grows whenever Redis has come back, or has lost what it held.
    era: watch::Sender<u64>,
    lost: Notify,
    /// A refused call was already logged.
    complained: AtomicBool,
    calls: Calls,
}

#[derive(Clone)]
struct Open {
    connection: MultiplexedConnection,
    number: u64,
}

impl std::fmt::Debug for RedisConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisConnection")
            .field("host", &self.link.host)
            .field("status", &*self.link.status.borrow())
            .finish_non_exhaustive()
    }
}

impl RedisConnection {
    /// Connects, and makes sure that everything that is needed is allowed.
    pub(super) async fn connect(
        options: &ClusterOptions,
        registry: &Registry,
    ) -> Result<Self, ConnectError> {
        let (client, host) = client(options)?;
        let link = Arc::new(Link {
            client,
            host,
            prefix: format!("{}v1:", options.prefix),
            limit: options.timeout,
            open: RwLock::default(),
            status: watch::Sender::new(ClusterStatus::Away),
            era: watch::Sender::new(0),
            lost: Notify::new(),
            complained: AtomicBool::new(false),
            calls: Calls::new()?,
        });
        let silent = || ConnectError::Silent { host: link.host.clone() };
        let mark = new_mark();
        let first = timeout(START_LIMIT, async {
            let mut connection = link.connect().await?;
            for script in script::all() {
                script.load_async(&mut connection).await?;
            }
            let found = link.ask_mark(&mut connection, &mark).await?;
            Ok((connection, found))
        });
        let (connection, mark) = first
            .await
            .map_err(|_| silent())?
            .map_err(|error| ConnectError::of(&link.host, error))?;
        // Only now, so that it can be tried again after a failure.
        link.calls.register(registry)?;
        link.come_back(connection);
        let mut keeper = JoinSet::new();
        keeper.spawn(keep(Arc::clone(&link), mark));
        Ok(Self { link, _keeper: Arc::new(keeper) })
    }

    /// Tells whether Redis can be reached.
    pub(super) fn is_up(&self) -> bool {
        *self.link.status.borrow() == ClusterStatus::Connected
    }

    /// Tells whether Redis can be reached, now and whenever that changes.
    pub(super) fn status(&self) -> watch::Receiver<ClusterStatus> {
        self.link.status.subscribe()
    }

    /// Changes whenever Redis may have lost what this node wrote.
    pub(super) fn era(&self) -> watch::Receiver<u64> {
        self.link.era.subscribe()
    }

    /// Returns the name of a key.
    pub(super) fn key(&self, name: &str) -> String {
        format!("{}{name}", self.link.prefix)
    }

    /// Makes a call, within the time limit.
    pub(super) async fn call<T, F>(
        &self,
        operation: &str,
        call: impl FnOnce(MultiplexedConnection) -> F + Send,
    ) -> Result<T, Away>
    where
        F: Future<Output = RedisResult<T>> + Send,
    {
        self.link.call(operation, call).await
    }
}

pub(super) fn client(options: &ClusterOptions) -> Result<(Client, String), ConnectError> {
    let info = options.url.as_str().into_connection_info().map_err(|_| ConnectError::Address)?;
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    let info = info.set_redis_settings(settings);
    let host = info.addr().to_string();
    let Some(path) = &options.tls_ca else {
        return Ok((Client::open(info).map_err(|_| ConnectError::Address)?, host));
    };
    let broken = |source: Box<dyn std::error::Error + Send + Sync>| ConnectError::Certificates {
        path: path.display().to_string(),
        source,
    };
    let root_cert = std::fs::read_to_string(path).map_err(|error| broken(error.into()))?;
    if !root_cert.contains("BEGIN CERTIFICATE") {
        return Err(broken("the file holds no certificate".into()));
    }
    let certificates = TlsCertificates { client_tls: None, root_cert: Some(root_cert.into()) };
    let client = Client::build_with_tls(info, certificates).map_err(|error| {
        if error.kind() == ErrorKind::InvalidClientConfig {
            ConnectError::Address
        } else {
            broken(error.into())
        }
    })?;
    Ok((client, host))
}

impl Link {
    async fn call<T, F>(
        &self,
        operation: &str,
        call: impl FnOnce(MultiplexedConnection) -> F + Send,
    ) -> Result<T, Away>
    where
        F: Future<Output = RedisResult<T>> + Send,
    {
        let count = |outcome| self.calls.outcomes.with_label_values(&[operation, outcome]).inc();
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(Open { connection, number }) = open else {
            count("skipped");
            return Err(Away);
        };
        let begun = Instant::now();
        let answer = timeout(self.limit, call(connection)).await;
        let elapsed = begun.elapsed().as_secs_f64();
        self.calls.duration.with_label_values(&[operation]).observe(elapsed);
        match answer {
            Ok(Ok(value)) => {
                count("ok");
                Ok(value)
            }
            Ok(Err(error)) if is_away(&error) => {
                count("failed");
                self.lose(number, &error);
                Err(Away)
            }
            Ok(Err(error)) => {
                count("refused");
                if !self.complained.swap(true, Ordering::Relaxed) {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(operation, error, "redis refused a call");
                }
                Err(Away)
            }
            Err(elapsed) => {
                count("timeout");
                self.lose(number, &elapsed);
                Err(Away)
            }
        }
    }

    /// Gives up a connection, unless that was done before.
    fn lose(&self, number: u64, cause: &(dyn std::error::Error + 'static)) {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        if open.as_ref().is_none_or(|open| open.number != number) {
            return;
        }
        *open = None;
        drop(open);
        tracing::warn!(redis = self.host, error = cause, "redis is away");
        self.calls.up.set(0);
        self.status.send_replace(ClusterStatus::Away);
        self.lost.notify_one();
    }

    async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            // Every call has a time limit of its own.
            .set_response_timeout(None)
            .set_pipeline_buffer_size(CALLS_MAX);
        self.client.get_multiplexed_async_connection_with_config(&config).await
    }

    fn come_back(&self, connection: MultiplexedConnection) {
        let number = *self.era.borrow() + 1;
        *self.open.write().unwrap_or_else(PoisonError::into_inner) =
            Some(Open { connection, number });
        self.complained.store(false, Ordering::Relaxed);
        self.calls.up.set(1);
        self.status.send_replace(ClusterStatus::Connected);
        self.era.send_replace(number);
    }

    /// Returns the mark that Redis holds; when it holds none, because it is empty, this one.
    async fn ask_mark(
        &self,
        connection: &mut MultiplexedConnection,
        mark: &str,
    ) -> RedisResult<String> {
        let mut command = ::redis::cmd("SET");
        command.arg(format!("{}mark", self.prefix)).arg(mark).arg("NX").arg("GET");
        let found: Option<String> = command.query_async(connection).await?;
        Ok(found.unwrap_or_else(|| mark.to_owned()))
    }

    /// Connects again. Takes a connection only when Redis answers on it.
    async fn reopen(&self) -> Option<String> {
        let opened = timeout(CONNECT_LIMIT, async {
            let mut connection = self.connect().await?;
            let mark = self.ask_mark(&mut connection, &new_mark()).await?;
            RedisResult::Ok((connection, mark))
        });
        match opened.await {
            Ok(Ok((connection, mark))) => {
                self.come_back(connection);
                tracing::info!(redis = self.host, "redis is back");
                Some(mark)
            }
            Ok(Err(error)) => {
                let error = &error as &dyn std::error::Error;
                tracing::debug!(redis = self.host, error, "redis is still away");
                None
            }
            Err(_) => None,
        }
    }

    /// Asks whether Redis is there and holds what it held.
    async fn probe(&self, mark: &mut String) {
        let fresh = new_mark();
        let asked =
            self.call("probe", async |mut connection| self.ask_mark(&mut connection, &fresh).await);
        if let Ok(found) = asked.await
            && found != *mark
        {
            *mark = found;
            tracing::warn!(redis = self.host, "redis has lost what it held");
            self.era.send_modify(|era| *era += 1);
        }
    }
}

/// Keeps the connection for as long as anyone uses it.
async fn keep(link: Arc<Link>, mut mark: String) {
    loop {
        let probed = async {
            sleep(jitter(PROBE_EVERY)).await;
            link.probe(&mut mark).await;
        };
        tokio::select! {
            biased;
            () = link.lost.notified() => {}
            () = probed => continue,
        }
        sleep(jitter(FIRST_RETRY)).await;
        mark = loop {
            if let Some(mark) = link.reopen().await {
                break mark;
            }
            sleep(jitter(PROBE_EVERY)).await;
        };
    }
}

/// Tells whether an error means that Redis cannot be used now, rather than that a call was wrong.
fn is_away(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_connection_dropped()
        || matches!(error.kind(), ErrorKind::Parse | ErrorKind::AuthenticationFailed)
        || matches!(
            error.kind(),
            ErrorKind::Server(
                ServerErrorKind::BusyLoading
                    | ServerErrorKind::ReadOnly
                    | ServerErrorKind::MasterDown
                    | ServerErrorKind::ClusterDown
            )
        )
}

fn new_mark() -> String {
    format!("{:032x}", rand::rng().random::<u128>())
}

fn jitter(time: Duration) -> Duration {
    time.mul_f64(rand::rng().random_range(0.75..1.25))
}

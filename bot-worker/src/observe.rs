//! Health and metrics of a worker that is a process of its own.
//!
//! A worker takes no requests, so this is its only door, and it is a small one: a few connections,
//! each for a short time, and three things to read. None of them tells anything of a message.
//!
//! - `/livez` (also `/healthz`): the process answers;
//! - `/readyz`: it claims jobs: the store works and it is not being stopped. A bus that is away makes
//!   it slower, not unready: jobs and stops are then found by looking into the store;
//! - `/metrics`: everything that was registered, for Prometheus.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use parlor_bus::{Bus, BusStatus};
use parlor_protocol::http::{Dependency, Readiness};
use parlor_store::Store;
use prometheus::{Gauge, Registry, TextEncoder};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Connections at once; more wait in the listener's queue.
const CONNECTIONS_MAX: usize = 32;
/// How long one connection may last.
const CONNECTION_MAX: Duration = Duration::from_secs(30);
/// How long the head of a request may take.
const HEAD_PATIENCE: Duration = Duration::from_secs(5);
/// For how long an answer of the store is good: asking is a write.
const FRESH: Duration = Duration::from_secs(1);
/// How long the store is asked.
const ASK_MAX: Duration = Duration::from_secs(2);
/// Pause after the system refused a connection, such as for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const METRICS: &str = "text/plain; version=0.0.4";
const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// What is told about.
#[derive(Debug, Clone)]
pub struct Observed {
    /// The worker's store.
    pub store: Arc<dyn Store>,
    /// The worker's bus.
    pub bus: Arc<dyn Bus>,
    /// Where the process registers its metrics.
    pub registry: Registry,
    /// Cancelled when the worker takes no more jobs.
    pub draining: CancellationToken,
}

/// A listener for those who watch the process.
#[derive(Debug)]
pub struct HealthServer {
    listener: TcpListener,
    address: SocketAddr,
    desk: Arc<Desk>,
}

#[derive(Debug)]
struct Desk {
    observed: Observed,
    store: Mutex<Option<(Instant, Dependency)>>,
    process: Registry,
    uptime: Gauge,
    started: Instant,
}

type Answer = Response<Full<Bytes>>;

impl HealthServer {
    /// Binds the address; port 0 picks a free one.
    ///
    /// # Errors
    ///
    /// Fails when the address cannot be listened on.
    pub async fn bind(address: SocketAddr, observed: Observed) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let process = Registry::new();
        let uptime = Gauge::new("parlor_runtime_uptime_seconds", "Time since the start.")
            .map_err(io::Error::other)?;
        process.register(Box::new(uptime.clone())).map_err(io::Error::other)?;
        let started = Instant::now();
        let desk = Desk { observed, store: Mutex::default(), process, uptime, started };
        Ok(Self { listener, address, desk: Arc::new(desk) })
    }

    /// Returns the address that is listened on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop`. Cancel it after the worker has ended, so that its drain can be watched.
    pub async fn serve(self, stop: CancellationToken) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(_) = connections.join_next() => {}
                accepted = self.listener.accept(), if connections.len() < CONNECTIONS_MAX => {
                    match accepted {
                        Ok((socket, _)) => {
                            drop(connections.spawn(attend(Arc::clone(&self.desk), socket)));
                        }
                        Err(error) => {
                            tracing::warn!(
                                error = &error as &dyn std::error::Error,
                                "accept failed"
                            );
                            sleep(ACCEPT_PAUSE).await;
                        }
                    }
                }
            }
        }
    }
}

async fn attend(desk: Arc<Desk>, socket: TcpStream) {
    let service = service_fn(move |request: Request<Incoming>| {
        let desk = Arc::clone(&desk);
        async move { Ok::<_, Infallible>(desk.answer(request.method(), request.uri().path()).await) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_PATIENCE).max_buf_size(16 * 1024);
    let connection = builder.serve_connection(TokioIo::new(socket), service);
    // Whoever breaks off has no need of an answer.
    drop(timeout(CONNECTION_MAX, connection).await);
}

impl Desk {
    async fn answer(&self, method: &Method, path: &str) -> Answer {
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut answer = reply(StatusCode::METHOD_NOT_ALLOWED, TEXT, "Only GET.\n".into());
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return answer;
        }
        match path {
            "/livez" | "/healthz" => reply(StatusCode::OK, JSON, r#"{"status":"ok"}"#.into()),
            "/readyz" => self.tell_readiness().await,
            "/metrics" => self.tell_metrics(),
            _ => reply(StatusCode::NOT_FOUND, TEXT, "There is nothing here.\n".into()),
        }
    }

    async fn tell_readiness(&self) -> Answer {
        let store = self.ask_store().await;
        let reason = if self.observed.draining.is_cancelled() {
            Some("draining".to_owned())
        } else {
            (!store.ok).then(|| "store does not work".to_owned())
        };
        let away = *self.observed.bus.status().borrow() == BusStatus::Away;
        let bus = Dependency {
            ok: !away,
            kind: "bus".to_owned(),
            detail: away.then(|| "away: jobs and stops are found in the store".to_owned()),
        };
        let ready = reason.is_none();
        let dependencies = BTreeMap::from([("store".to_owned(), store), ("bus".to_owned(), bus)]);
        let readiness = Readiness { ready, reason, dependencies };
        let Ok(text) = serde_json::to_string(&readiness) else {
            return reply(StatusCode::INTERNAL_SERVER_ERROR, TEXT, String::new());
        };
        if ready {
            return reply(StatusCode::OK, JSON, text);
        }
        let mut answer = reply(StatusCode::SERVICE_UNAVAILABLE, JSON, text);
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        answer
    }

    async fn ask_store(&self) -> Dependency {
        // Whoever comes meanwhile waits for the same answer.
        let mut known = self.store.lock().await;
        if let Some((at, dependency)) = known.as_ref()
            && at.elapsed() < FRESH
        {
            return dependency.clone();
        }
        let store = &self.observed.store;
        let detail = match timeout(ASK_MAX, store.check_health()).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("the store does not answer".to_owned()),
        };
        let kind = store.backend().to_owned();
        let dependency = Dependency { ok: detail.is_none(), kind, detail };
        *known = Some((Instant::now(), dependency.clone()));
        dependency
    }

    fn tell_metrics(&self) -> Answer {
        self.uptime.set(self.started.elapsed().as_secs_f64());
        let mut families = self.observed.registry.gather();
        families.extend(self.process.gather());
        match TextEncoder::new().encode_to_string(&families) {
            Ok(text) => reply(StatusCode::OK, METRICS, text),
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "metrics cannot be written"
                );
                reply(StatusCode::INTERNAL_SERVER_ERROR, TEXT, String::new())
            }
        }
    }
}

fn reply(status: StatusCode, kind: &'static str, text: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(text)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

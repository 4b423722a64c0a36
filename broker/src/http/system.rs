//! Health, readiness, metrics, and what this server is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use parlor_bus::BusStatus;
use parlor_cluster::ClusterStatus;
use parlor_protocol::SUBPROTOCOLS;
use parlor_protocol::code::Code;
use parlor_protocol::http::{Dependency, Info, Readiness, Registration};
use parlor_runtime::Phase;
use parlor_runtime::config;
use prometheus::{Encoder as _, Gauge, Registry, TextEncoder};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::App;
use super::endpoint::{Access, Endpoint};
use crate::files::PlaceState;
use crate::node::Node;
use crate::refusal::{Outcome, Refusal};

/// For how long an answer of the store is good: everyone may ask, and asking is a write.
const FRESH: Duration = Duration::from_secs(1);
/// How long the store is asked.
const ASK_MAX: Duration = Duration::from_secs(2);
/// A store that is away for less is no reason to send clients elsewhere: the other nodes have the
/// same one, and connections stay.
const STORE_PATIENCE: Duration = Duration::from_secs(10);
const METRICS: &str = "text/plain; version=0.0.4";

/// What is known of the things that the node depends on.
#[derive(Debug)]
pub(super) struct Health {
    store: Mutex<Known>,
    process: Registry,
    uptime: Gauge,
    started: Instant,
}

/// What is known of the store.
#[derive(Debug, Default)]
struct Known {
    last: Option<(Instant, Dependency)>,
    /// Since when it does not work.
    broken_since: Option<Instant>,
}

impl Health {
    pub(super) fn new(node: &Node) -> Self {
        let process = Registry::new();
        let uptime = Gauge::new("parlor_runtime_uptime_seconds", "Time since the start.")
            .expect("the name and the help are well-formed");
        process
            .register(Box::new(uptime.clone()))
            .expect("the registry is new, so no name is taken");
        let age = node.now().as_millis() - node.started_at.as_millis();
        let age = Duration::from_millis(u64::try_from(age).unwrap_or(0));
        let now = Instant::now();
        let started = now.checked_sub(age).unwrap_or(now);
        Self { store: Mutex::default(), process, uptime, started }
    }

    /// Returns each dependency by its name.
    pub(super) async fn dependencies(&self, node: &Node) -> BTreeMap<String, Dependency> {
        BTreeMap::from([
            ("store".to_owned(), self.ask_store(node).await),
            ("bus".to_owned(), bus(node)),
            ("cluster".to_owned(), cluster(node)),
            ("files".to_owned(), files(node).await),
        ])
    }

    /// Tells whether the store has not worked for so long that the node takes no new work.
    async fn is_store_given_up(&self) -> bool {
        let broken_since = self.store.lock().await.broken_since;
        broken_since.is_some_and(|since| since.elapsed() >= STORE_PATIENCE)
    }

    async fn ask_store(&self, node: &Node) -> Dependency {
        // Whoever comes meanwhile waits for the same answer.
        let mut known = self.store.lock().await;
        if let Some((at, dependency)) = known.last.as_ref()
            && at.elapsed() < FRESH
        {
            return dependency.clone();
        }
        let detail = match timeout(ASK_MAX, node.store.check_health()).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("the store does not answer".to_owned()),
        };
        let kind = node.store.backend().to_owned();
        let dependency = Dependency { ok: detail.is_none(), kind, detail };
        let now = Instant::now();
        known.last = Some((now, dependency.clone()));
        known.broken_since = if dependency.ok { None } else { known.broken_since.or(Some(now)) };
        dependency
    }
}

/// Without a bus a node goes on: it reads from the store what others wrote.
fn bus(node: &Node) -> Dependency {
    let kind = if node.config.bus.url.is_some() { "nats" } else { "local" };
    let ok = *node.bus.status().borrow() == BusStatus::Connected;
    let detail = (!ok).then(|| "away: events of other nodes come later".to_owned());
    Dependency { ok, kind: kind.to_owned(), detail }
}

/// Without what nodes share a node goes by what it knows; only logins have to wait.
fn cluster(node: &Node) -> Dependency {
    let kind = if node.config.cluster.redis().is_some() { "redis" } else { "local" };
    let ok = *node.limits.status().borrow() == ClusterStatus::Connected;
    let detail = (!ok).then(|| "away: presence is incomplete, logins are refused".to_owned());
    Dependency { ok, kind: kind.to_owned(), detail }
}

/// Without its files a node goes on: only uploads and downloads are refused.
async fn files(node: &Node) -> Dependency {
    let detail = match node.files.place() {
        PlaceState::Other => Some("not the storage that the other nodes use".to_owned()),
        PlaceState::Unknown => Some("away: no file is taken or given".to_owned()),
        PlaceState::Shared => match timeout(ASK_MAX, node.files.objects.check()).await {
            Ok(Ok(())) => None,
            Ok(Err(_)) | Err(_) => Some("away: no file is taken or given".to_owned()),
        },
    };
    Dependency { ok: detail.is_none(), kind: node.files.objects.kind().to_owned(), detail }
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/healthz", "get_health", get_health)
            .about("Server", "Tell whether the process is alive")
            .access(Access::Open)
            .answers::<Alive>(200, "It is."),
        Endpoint::get("/readyz", "get_readiness", get_readiness)
            .about("Server", "Tell whether the node takes work")
            .details(
                "Names each thing that the node depends on. Not ready while it drains, and when \
                 the store has not worked for ten seconds.",
            )
            .access(Access::Open)
            .answers::<Readiness>(200, "The node takes work.")
            .answers::<Readiness>(503, "The node takes no work."),
        Endpoint::get("/metrics", "get_metrics", get_metrics)
            .about("Server", "Return metrics in the text format of Prometheus")
            .access(Access::Open)
            .answers_text(200, METRICS, "The metrics.")
            .refuses(&[Code::Internal]),
        Endpoint::get("/info", "get_info", get_info)
            .about("Server", "Tell what this server is, and its limits")
            .access(Access::Open)
            .answers::<Info>(200, "Version, registration, limits."),
    ]
}

/// That the process is alive.
#[derive(Debug, Serialize, JsonSchema)]
struct Alive {
    /// Always `ok`.
    status: &'static str,
}

async fn get_health() -> Json<Alive> {
    Json(Alive { status: "ok" })
}

async fn get_readiness(State(app): State<App>) -> impl IntoResponse {
    let node = app.node();
    let dependencies = app.health().dependencies(node).await;
    let reason = if node.lifecycle.phase() > Phase::Running {
        Some("draining".to_owned())
    } else {
        app.health().is_store_given_up().await.then(|| "store does not work".to_owned())
    };
    let ready = reason.is_none();
    let readiness = Json(Readiness { ready, reason, dependencies });
    if ready {
        readiness.into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")], readiness).into_response()
    }
}

async fn get_metrics(State(app): State<App>) -> Outcome<impl IntoResponse> {
    let health = app.health();
    health.uptime.set(health.started.elapsed().as_secs_f64());
    let mut families = app.node().metrics.registry.gather();
    families.extend(health.process.gather());
    let mut text = Vec::new();
    TextEncoder::new().encode(&families, &mut text).map_err(|error| Refusal::internal(&error))?;
    Ok(([(CONTENT_TYPE, METRICS)], text))
}

async fn get_info(State(node): State<Arc<Node>>) -> Json<Info> {
    let registration = match node.config.auth.registration {
        config::Registration::Open => Registration::Open,
        config::Registration::Invite => Registration::Invite,
        config::Registration::Closed => Registration::Closed,
    };
    Json(Info {
        name: "parlor".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        subprotocols: SUBPROTOCOLS.map(str::to_owned).to_vec(),
        registration,
        setup_required: node.setup.is_open(),
        limits: node.limits(),
        rates: crate::rate::told(&node.config.limits),
    })
}

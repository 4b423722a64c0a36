//! A model provider for tests: it speaks OpenAI's and Ollama's dialect and misbehaves on demand.
//!
//! It listens on the loopback interface, on a port that the kernel picks, and stops when dropped.
//! It notes what it was asked and whether a client closed a stream before its end, so tests can
//! check that no prompt leaks and that stopping a reply reaches the provider.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION, RETRY_AFTER},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

mod dialect;
mod script;
mod streaming;

pub use script::{Behaviour, Script, Tokens};

use dialect::Dialect;
use streaming::{ReplyBody, Step, StreamGuard};

/// What every error of the fake contains. It must never reach a log or a person.
pub const PLANTED_SECRET: &str = "sk-planted-7f3e9a1c5d";

/// A fake provider that runs until it is dropped.
#[derive(Debug)]
pub struct FakeLlm {
    addr: SocketAddr,
    shared: Arc<Shared>,
    _stop: DropGuard,
}

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct CapturedRequest {
    /// The path, such as `/api/chat`.
    pub path: String,
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// The JSON body; null when there was none.
    pub body: Value,
}

/// How many streams there are and were.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    requests: usize,
    open: usize,
    aborted: usize,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    counts: watch::Sender<Counts>,
}

#[derive(Debug)]
struct State {
    script: Arc<ActiveScript>,
    by_model: BTreeMap<String, Arc<ActiveScript>>,
    models: BTreeSet<String>,
    missing: BTreeSet<String>,
    requests: Vec<CapturedRequest>,
}

#[derive(Debug)]
struct ActiveScript {
    script: Script,
    failures: AtomicU32,
}

impl ActiveScript {
    fn new(script: Script) -> Arc<Self> {
        Arc::new(Self { script, failures: AtomicU32::new(0) })
    }
}

impl FakeLlm {
    /// Starts a provider that answers `Hello from the fake model.` in five pieces.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                script: ActiveScript::new(Script::says("Hello from the fake model.")),
                by_model: BTreeMap::new(),
                models: BTreeSet::from(["fake-model".to_owned()]),
                missing: BTreeSet::new(),
                requests: Vec::new(),
            }),
            counts: watch::Sender::default(),
        });
        let stop = CancellationToken::new();
        TaskTracker::new().spawn(serve(listener, Arc::clone(&shared), stop.clone()));
        Self { addr, shared, _stop: stop.drop_guard() }
    }

    /// Returns the address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns the base address for an OpenAI-compatible client.
    pub fn openai_url(&self) -> String {
        format!("http://{}/v1", self.addr)
    }

    /// Returns the base address for an Ollama client.
    pub fn ollama_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Sets the script for the requests from now on.
    pub fn set_script(&self, script: Script) {
        self.state().script = ActiveScript::new(script);
    }

    /// Sets the script for one model, which goes before the general one.
    pub fn set_script_for(&self, model: &str, script: Script) {
        self.state().by_model.insert(model.to_owned(), ActiveScript::new(script));
    }

    /// Sets the models that are listed. Models that are not listed answer too.
    pub fn set_models(&self, models: &[&str]) {
        self.state().models = models.iter().map(|&model| model.to_owned()).collect();
    }

    /// Makes a model unknown until it is pulled.
    pub fn set_missing(&self, model: &str) {
        let mut state = self.state();
        state.models.remove(model);
        state.missing.insert(model.to_owned());
    }

    /// Returns the requests so far, oldest first.
    pub fn requests(&self) -> Vec<CapturedRequest> {
        self.state().requests.clone()
    }

    /// Returns how many answers are under way, hanging ones included.
    pub fn open_streams(&self) -> usize {
        self.shared.counts.borrow().open
    }

    /// Returns how many answers ended because the client closed the connection.
    pub fn aborted_streams(&self) -> usize {
        self.shared.counts.borrow().aborted
    }

    /// Waits until at least `n` requests arrived.
    pub async fn wait_requests(&self, n: usize) {
        self.wait_for(|counts| counts.requests >= n).await;
    }

    /// Waits until exactly `n` answers are under way.
    pub async fn wait_open(&self, n: usize) {
        self.wait_for(|counts| counts.open == n).await;
    }

    /// Waits until clients closed at least `n` answers before their end.
    pub async fn wait_aborted(&self, n: usize) {
        self.wait_for(|counts| counts.aborted >= n).await;
    }

    async fn wait_for(&self, reached: impl FnMut(&Counts) -> bool) {
        let mut counts = self.shared.counts.subscribe();
        counts.wait_for(reached).await.map(drop).unwrap();
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken) {
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((socket, _)) = accepted else { continue };
        socket.set_nodelay(true).unwrap();
        let (shared, stop) = (Arc::clone(&shared), stop.clone());
        connections.spawn(async move {
            let service = service_fn(|request| answer(Arc::clone(&shared), request));
            let connection = http1::Builder::new().serve_connection(TokioIo::new(socket), service);
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                // A client that goes away is what tests do on purpose.
                _ = connection => {}
            }
        });
    }
}

async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<ReplyBody>, Infallible> {
    let (head, body) = request.into_parts();
    let bytes = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
    shared.state.lock().unwrap().requests.push(CapturedRequest {
        path: head.uri.path().to_owned(),
        authorization: header(AUTHORIZATION).map(str::to_owned),
        body: body.clone(),
    });
    shared.counts.send_modify(|counts| counts.requests += 1);
    Ok(match (&head.method, head.uri.path()) {
        (&Method::POST, "/v1/chat/completions") => chat(&shared, Dialect::OpenAi, &body).await,
        (&Method::POST, "/api/chat") => chat(&shared, Dialect::Ollama, &body).await,
        (&Method::POST, "/api/pull") => pull(&shared, &body),
        (&Method::GET, "/v1/models") => list(&shared, Dialect::OpenAi).await,
        (&Method::GET, "/api/tags") => list(&shared, Dialect::Ollama).await,
        _ => failure(StatusCode::NOT_FOUND, None),
    })
}

async fn chat(shared: &Arc<Shared>, dialect: Dialect, body: &Value) -> Response<ReplyBody> {
    let model = body["model"].as_str().unwrap_or_default();
    let (active, missing) = {
        let state = shared.state.lock().unwrap();
        let active = state.by_model.get(model).unwrap_or(&state.script);
        (Arc::clone(active), state.missing.contains(model))
    };
    if missing {
        return failure(StatusCode::NOT_FOUND, None);
    }
    let guard = StreamGuard::new(Arc::clone(shared));
    match refusal(&active, body) {
        Some(Refusal::Hang) => {
            // Dropped, and so counted as aborted, when the client goes away.
            let _guard = guard;
            std::future::pending().await
        }
        Some(Refusal::Status(status, retry_after)) => {
            guard.complete();
            failure(status, retry_after)
        }
        None => streaming(dialect, dialect::steps(dialect, &active.script, body), guard),
    }
}

enum Refusal {
    Hang,
    Status(StatusCode, Option<Duration>),
}

/// Returns how the script refuses the request, if it does.
fn refusal(active: &ActiveScript, body: &Value) -> Option<Refusal> {
    let status = |code: u16| StatusCode::from_u16(code).unwrap();
    match active.script.behaviour {
        Behaviour::Hang => Some(Refusal::Hang),
        Behaviour::Unauthorized => Some(Refusal::Status(StatusCode::UNAUTHORIZED, None)),
        Behaviour::Status { code, retry_after } => Some(Refusal::Status(status(code), retry_after)),
        Behaviour::FailTimes { times, code } => {
            let failed = active.failures.fetch_add(1, Ordering::Relaxed);
            (failed < times).then(|| Refusal::Status(status(code), None))
        }
        Behaviour::RejectsUsageOption => (!body["stream_options"].is_null())
            .then_some(Refusal::Status(StatusCode::BAD_REQUEST, None)),
        _ => None,
    }
}

async fn list(shared: &Arc<Shared>, dialect: Dialect) -> Response<ReplyBody> {
    let (active, models) = {
        let state = shared.state.lock().unwrap();
        (Arc::clone(&state.script), state.models.clone())
    };
    match active.script.behaviour {
        Behaviour::Hang => std::future::pending().await,
        Behaviour::Unauthorized => failure(StatusCode::UNAUTHORIZED, None),
        _ => {
            let list = match dialect {
                Dialect::OpenAi => {
                    let entries: Vec<_> =
                        models.iter().map(|id| json!({ "id": id, "object": "model" })).collect();
                    json!({ "object": "list", "data": entries })
                }
                Dialect::Ollama => {
                    let entries: Vec<_> =
                        models.iter().map(|name| json!({ "name": name, "size": 42 })).collect();
                    json!({ "models": entries })
                }
            };
            whole(StatusCode::OK, &list)
        }
    }
}

fn pull(shared: &Arc<Shared>, body: &Value) -> Response<ReplyBody> {
    let model = body["model"].as_str().unwrap_or_default().to_owned();
    let mut state = shared.state.lock().unwrap();
    state.missing.remove(&model);
    state.models.insert(model);
    drop(state);
    let lines = [
        json!({ "status": "pulling manifest" }),
        json!({ "status": "pulling 1", "digest": "sha256:1", "total": 1000, "completed": 250 }),
        json!({ "status": "pulling 1", "digest": "sha256:1", "total": 1000, "completed": 1000 }),
        json!({ "status": "verifying sha256 digest" }),
        json!({ "status": "success" }),
    ];
    let steps = lines.into_iter().map(|line| Step::Bytes(format!("{line}\n").into()));
    streaming(Dialect::Ollama, Box::new(steps), StreamGuard::new(Arc::clone(shared)))
}

fn streaming(dialect: Dialect, steps: streaming::Steps, guard: StreamGuard) -> Response<ReplyBody> {
    Response::builder()
        .header(CONTENT_TYPE, dialect.content_type())
        .body(streaming::body(steps, guard))
        .unwrap()
}

/// Returns an error answer whose body has everything that must not get out.
fn failure(status: StatusCode, retry_after: Option<Duration>) -> Response<ReplyBody> {
    let message = format!(
        "Incorrect key {PLANTED_SECRET}; see https://{PLANTED_SECRET}.internal.example/10.1.2.3"
    );
    let mut response = whole(status, &json!({ "error": { "message": message, "code": null } }));
    if status.is_redirection() {
        response.headers_mut().insert(LOCATION, HeaderValue::from_static("/elsewhere"));
    }
    if let Some(wait) = retry_after {
        response.headers_mut().insert(RETRY_AFTER, wait.as_secs().into());
    }
    response
}

fn whole(status: StatusCode, body: &Value) -> Response<ReplyBody> {
    let body = Full::new(Bytes::from(body.to_string()));
    Response::builder()
        .status(status)
        .header(CONTENT_TYPE, "application/json")
        .body(body.map_err(|never| match never {}).boxed_unsync())
        .unwrap()
}

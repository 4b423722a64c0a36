//! Health and metrics of a worker's process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parlor_bot_worker::observe::{HealthServer, Observed};
use parlor_bus::LocalBus;
use parlor_store::Store;
use prometheus::{IntGauge, Registry};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::flaky::FlakyStore;
use crate::harness::{World, within};

/// A server in its own task, for a store that can be taken away.
struct Watched {
    world: World,
    store: Arc<FlakyStore>,
    draining: CancellationToken,
    stop: CancellationToken,
    address: SocketAddr,
    task: JoinSet<()>,
}

impl Watched {
    async fn start() -> Self {
        let world = World::new().await;
        let store = FlakyStore::new(&world.store);
        let registry = Registry::new();
        let gauge = IntGauge::new("parlor_bot_turns_running", "Turns.").unwrap();
        registry.register(Box::new(gauge)).unwrap();
        let draining = CancellationToken::new();
        let flaky: Arc<FlakyStore> = Arc::clone(&store);
        let flaky: Arc<dyn Store> = flaky;
        let bus = Arc::new(LocalBus::new());
        let observed = Observed { store: flaky, bus, registry, draining: draining.clone() };
        let server = HealthServer::bind("127.0.0.1:0".parse().unwrap(), observed).await.unwrap();
        let address = server.address();
        let stop = CancellationToken::new();
        let mut task = JoinSet::new();
        task.spawn(server.serve(stop.clone()));
        Self { world, store, draining, stop, address, task }
    }

    async fn get(&self, path: &str) -> (u16, String) {
        self.ask("GET", path).await
    }

    /// Returns status and body.
    async fn ask(&self, method: &str, path: &str) -> (u16, String) {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        let request = format!("{method} {path} HTTP/1.1\r\nhost: w\r\nconnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        within(socket.read_to_string(&mut answer)).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, body.to_owned())
    }

    async fn readiness(&self) -> (u16, Value) {
        let (status, text) = self.get("/readyz").await;
        (status, serde_json::from_str(&text).unwrap())
    }
}

#[tokio::test]
async fn worker_is_ready_while_its_store_works_and_it_is_not_stopped() {
    let watched = Watched::start().await;

    let (status, body) = watched.readiness().await;
    assert_eq!((status, &body["ready"]), (200, &true.into()));
    assert_eq!(body["dependencies"]["store"]["ok"], true);
    assert_eq!(body["dependencies"]["bus"]["ok"], true);

    watched.store.set_away(true);
    // An answer is good for a second.
    within(async {
        while watched.readiness().await.0 == 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let (_, body) = watched.readiness().await;
    assert_eq!(body["reason"], "store does not work");
    assert_eq!(watched.get("/livez").await.0, 200, "it lives all the same");

    watched.store.set_away(false);
    within(async {
        while watched.readiness().await.0 != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    watched.draining.cancel();
    let (status, body) = watched.readiness().await;
    assert_eq!((status, &body["reason"]), (503, &"draining".into()));
}

#[tokio::test]
async fn metrics_are_told_and_nothing_else_is_there() {
    let watched = Watched::start().await;

    let (status, metrics) = watched.get("/metrics").await;

    assert_eq!(status, 200);
    assert!(metrics.contains("parlor_bot_turns_running 0"), "{metrics}");
    assert!(metrics.contains("parlor_runtime_uptime_seconds "), "{metrics}");
    assert_eq!(watched.get("/healthz").await.0, 200);
    assert_eq!(watched.get("/").await.0, 404);
    assert_eq!(watched.ask("POST", "/readyz").await.0, 405);
    assert_eq!(watched.ask("HEAD", "/livez").await, (200, String::new()));
}

#[tokio::test]
async fn connection_that_says_nothing_is_closed() {
    let watched = Watched::start().await;
    let mut silent = TcpStream::connect(watched.address).await.unwrap();
    silent.write_all(b"GET /livez HT").await.unwrap();

    let mut rest = Vec::new();
    within(silent.read_to_end(&mut rest)).await.unwrap();
}

#[tokio::test]
async fn server_ends_when_it_is_stopped() {
    let mut watched = Watched::start().await;
    assert_eq!(watched.get("/livez").await.0, 200);

    watched.stop.cancel();

    within(watched.task.join_next()).await.unwrap().unwrap();
    assert!(TcpStream::connect(watched.address).await.is_err());
    drop(watched.world);
}

//! A cluster of its own for one test: brokers, bot workers and the services that they share.
//!
//! Every process is the real binary with its own data folder. On demand each link between two of
//! them goes through a proxy that can break it, and each process has a clock that can be set. All
//! of it ends with the cluster.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio::time::sleep;

use crate::{
    process::{Parlor, User},
    services::{Nats, Postgres, Redis},
    tcp_proxy::TcpProxy,
};

mod builder;

pub use builder::ClusterBuilder;

/// How long a node may take until it says that it is ready.
const READY_PATIENCE: Duration = Duration::from_mins(1);

/// Brokers, workers and services that run until they are dropped.
#[derive(Debug)]
pub struct Cluster {
    // Before the services, so that they end first.
    /// What clients connect to.
    pub brokers: Vec<Node>,
    /// What answers in the name of bots.
    pub workers: Vec<Node>,
    /// Where everything is kept.
    pub postgres: Postgres,
    /// What tells nodes of each other's writes.
    pub nats: Nats,
    /// What nodes share for a moment.
    pub redis: Redis,
    /// Where the bytes of files are.
    pub files: TempDir,
}

/// One broker or worker with its links.
#[derive(Debug)]
pub struct Node {
    /// What it is called in reports.
    pub name: String,
    /// The process.
    pub process: Parlor,
    /// The way to each of its neighbors.
    pub links: Links,
    clock: Option<PathBuf>,
}

/// The proxies between a node and its neighbors; none of them when the cluster has no proxies.
#[derive(Debug, Default)]
pub struct Links {
    /// To Postgres.
    pub postgres: Option<TcpProxy>,
    /// To NATS.
    pub nats: Option<TcpProxy>,
    /// To Redis.
    pub redis: Option<TcpProxy>,
    /// From clients; brokers only.
    pub clients: Option<TcpProxy>,
    /// To the model; workers only.
    pub model: Option<TcpProxy>,
}

impl Links {
    /// Returns the proxies that there are, with the name of what they lead to.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &TcpProxy)> {
        let named = [
            ("postgres", &self.postgres),
            ("nats", &self.nats),
            ("redis", &self.redis),
            ("clients", &self.clients),
            ("model", &self.model),
        ];
        named.into_iter().filter_map(|(name, link)| Some((name, link.as_ref()?)))
    }
}

impl Node {
    /// Returns the address for clients, which stays the same over restarts.
    pub fn addr(&self) -> SocketAddr {
        self.links.clients.as_ref().map_or_else(|| self.process.addr(), TcpProxy::addr)
    }

    /// Sets its clock, in seconds from the right time.
    ///
    /// # Panics
    /// When the cluster was not built with clocks.
    pub fn set_clock(&self, seconds: i32) {
        let file = self.clock.as_ref().expect("a cluster with clocks");
        std::fs::write(file, format!("{seconds:+}")).unwrap();
    }

    /// Tells whether it says that it is ready.
    pub async fn is_ready(&self) -> bool {
        let asked = async {
            let client = reqwest::Client::builder()
                .no_proxy()
                .timeout(Duration::from_secs(5))
                .build()
                .ok()?;
            let url = format!("{}/readyz", self.process.url());
            client.get(url).send().await.ok()?.status().is_success().then_some(())
        };
        asked.await.is_some()
    }

    /// Waits until it says that it is ready.
    pub async fn wait_ready(&self) {
        let begun = Instant::now();
        while !self.is_ready().await {
            assert!(begun.elapsed() < READY_PATIENCE, "{} does not get ready", self.name);
            sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Cluster {
    /// Returns what a cluster is started from: three brokers, no worker, no proxies.
    pub fn builder() -> ClusterBuilder {
        ClusterBuilder::new()
    }

    /// Returns the addresses for clients.
    pub fn addrs(&self) -> Vec<SocketAddr> {
        self.brokers.iter().map(Node::addr).collect()
    }

    /// Returns the address of one broker for clients.
    pub fn addr(&self, broker: usize) -> SocketAddr {
        self.brokers[broker].addr()
    }

    /// Returns all processes, brokers first.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.brokers.iter().chain(&self.workers)
    }

    /// Returns all processes, brokers first.
    pub fn nodes_mut(&mut self) -> impl Iterator<Item = &mut Node> {
        self.brokers.iter_mut().chain(&mut self.workers)
    }

    /// Makes an account by way of the first broker.
    pub async fn register(&self, name: &str) -> User {
        User::register(self.addr(0), name).await
    }

    /// Logs the administrator in by way of the first broker.
    pub async fn admin(&self) -> User {
        User::log_in(self.addr(0), crate::process::ADMIN).await
    }

    /// Waits until every process says that it is ready.
    pub async fn wait_ready(&self) {
        for node in self.nodes() {
            node.wait_ready().await;
        }
    }

    /// Returns the text of every log of every process, with its name.
    pub fn logs(&self) -> Vec<(String, String)> {
        self.nodes().map(|node| (node.name.clone(), node.process.log())).collect()
    }
}

/// Returns the address of a port of this machine.
fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

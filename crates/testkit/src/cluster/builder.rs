//! What a cluster is started from.

use std::{net::SocketAddr, path::Path};

use futures_util::future::join_all;

use super::{Cluster, Links, Node, local};
use crate::{
    fake_llm::FakeLlm,
    process::{self, Parlor},
    services::{Nats, Postgres, PostgresBuilder, Redis, free_port},
    tcp_proxy::TcpProxy,
};

/// The secret that all nodes of a test share.
const SECRET_KEY: &str = "a-secret-of-the-tests-that-is-long-enough";

/// Settings of a cluster that is not yet started.
#[derive(Debug)]
pub struct ClusterBuilder {
    brokers: usize,
    workers: usize,
    has_proxies: bool,
    has_clocks: bool,
    model: Option<SocketAddr>,
    postgres: PostgresBuilder,
    node: process::Builder,
}

/// Where the services are.
struct Services {
    postgres: u16,
    database_url: String,
    nats: u16,
    redis: u16,
    model: Option<SocketAddr>,
}

impl ClusterBuilder {
    pub(super) fn new() -> Self {
        let node = Parlor::builder().env("SECRET_KEY", SECRET_KEY);
        Self {
            brokers: 3,
            workers: 0,
            has_proxies: false,
            has_clocks: false,
            model: None,
            postgres: Postgres::builder(),
            node,
        }
    }

    /// Sets the number of brokers.
    #[must_use]
    pub fn brokers(self, brokers: usize) -> Self {
        Self { brokers, ..self }
    }

    /// Sets the number of workers.
    #[must_use]
    pub fn workers(self, workers: usize) -> Self {
        Self { workers, ..self }
    }

    /// Puts a proxy on every link, in [`Node::links`].
    #[must_use]
    pub fn proxies(self) -> Self {
        Self { has_proxies: true, ..self }
    }

    /// Gives every process a clock of its own, for [`Node::set_clock`].
    #[must_use]
    pub fn clocks(self) -> Self {
        Self { has_clocks: true, ..self }
    }

    /// Takes bots' replies from a fake.
    #[must_use]
    pub fn model(self, llm: &FakeLlm) -> Self {
        Self { model: Some(llm.addr()), node: self.node.model(llm), ..self }
    }

    /// Sets a variable of every process.
    #[must_use]
    pub fn env(self, name: &str, value: &str) -> Self {
        Self { node: self.node.env(name, value), ..self }
    }

    /// Runs another binary than the one under test.
    #[must_use]
    pub fn binary(self, path: &Path) -> Self {
        Self { node: self.node.binary(path), ..self }
    }

    /// Sets what Postgres is started from.
    #[must_use]
    pub fn postgres(self, postgres: PostgresBuilder) -> Self {
        Self { postgres, ..self }
    }

    /// Starts everything and waits until every process says that it is ready.
    pub async fn start(self) -> Cluster {
        let (postgres, nats, redis) =
            tokio::join!(self.postgres.start(), Nats::start(), Redis::start());
        let services = Services {
            postgres: postgres.port(),
            database_url: postgres.url(),
            nats: nats.port(),
            redis: redis.port(),
            model: self.model,
        };
        // All nodes keep files in the same place.
        let files = tempfile::Builder::new().prefix("parlor-files-").tempdir().unwrap();
        let folder = files.path().to_str().unwrap();
        let node = if self.node.sets("PARLOR_FILES__S3_BUCKET") {
            self.node
        } else {
            self.node.env("PARLOR_FILES__FOLDER", folder)
        };
        let plan = Plan { has_proxies: self.has_proxies, has_clocks: self.has_clocks, services };
        let brokers = (0..self.brokers).map(|n| plan.start(&node, "broker", n));
        let workers = (0..self.workers).map(|n| plan.start(&node, "bot-worker", n));
        let (brokers, workers) = tokio::join!(join_all(brokers), join_all(workers));
        let cluster = Cluster { brokers, workers, postgres, nats, redis, files };
        cluster.wait_ready().await;
        cluster
    }
}

struct Plan {
    has_proxies: bool,
    has_clocks: bool,
    services: Services,
}

impl Plan {
    async fn start(&self, node: &process::Builder, verb: &str, number: usize) -> Node {
        let is_broker = verb == "broker";
        let own = local(free_port());
        let services = &self.services;
        let links = Links {
            postgres: self.link(local(services.postgres)).await,
            nats: self.link(local(services.nats)).await,
            redis: self.link(local(services.redis)).await,
            clients: if is_broker { self.link(own).await } else { None },
            model: match services.model {
                Some(model) if !is_broker => self.link(model).await,
                _ => None,
            },
        };
        let port = |link: &Option<TcpProxy>, direct: u16| {
            link.as_ref().map_or(direct, |link| link.addr().port())
        };
        let to_postgres = format!(":{}/", port(&links.postgres, services.postgres));
        let database_url =
            services.database_url.replace(&format!(":{}/", services.postgres), &to_postgres);
        let listen = if is_broker { "PARLOR_LISTEN" } else { "PARLOR_BOTS__LISTEN" };
        let mut builder = node
            .clone()
            .arguments(&[verb])
            .env(listen, &own.to_string())
            .env("DATABASE_URL", &database_url)
            .env("NATS_URL", &format!("nats://127.0.0.1:{}", port(&links.nats, services.nats)))
            .env("REDIS_URL", &format!("redis://127.0.0.1:{}", port(&links.redis, services.redis)));
        if let Some(model) = &links.model {
            builder = builder.env("OPENAI_BASE_URL", &format!("http://{}/v1", model.addr()));
        }
        let home = builder.make_home();
        let clock = self.has_clocks.then(|| home.path().join("clock"));
        if let Some(file) = &clock {
            set_right(file);
            builder = builder.clock(file);
        }
        let process = builder.in_home(&home).start().await;
        let name = format!("{} {}", verb.trim_start_matches("bot-"), number + 1);
        Node { name, process, links, clock }
    }

    async fn link(&self, to: SocketAddr) -> Option<TcpProxy> {
        if self.has_proxies { Some(TcpProxy::start(to).await) } else { None }
    }
}

fn set_right(clock: &Path) {
    std::fs::write(clock, "+0").unwrap();
}

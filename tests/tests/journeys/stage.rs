//! What a journey runs against: one server with its own folder, or a cluster behind a proxy.
//!
//! A journey is written once and run in both places. In a cluster there are three brokers, two
//! workers, Postgres, NATS and Redis. People come through HAProxy with the configuration that the
//! project ships, so each call and each connection may land on another broker than the one before.

use std::{net::SocketAddr, path::Path, process::ExitStatus, time::Duration};

use parlor_client::Http;
use parlor_testkit::{
    cluster::{Cluster, ClusterBuilder, Node},
    fake_llm::FakeLlm,
    process::{self, ADMIN, Parlor, User},
    services::Haproxy,
};
use tokio::time::sleep;

/// How often the proxy looks whether a broker takes work. People would have it look less often.
const CHECK: &str = "inter 300ms fastinter 50ms downinter 50ms fall 1 rise 1";

/// Makes of each journey a test with one server and one with a cluster.
macro_rules! in_both_places {
    ($($journey:ident),+ $(,)?) => {
        mod alone {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $journey() {
                super::$journey($crate::stage::Place::Alone).await;
            })+
        }
        mod cluster {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $journey() {
                super::$journey($crate::stage::Place::Cluster).await;
            })+
        }
    };
}
pub(crate) use in_both_places;

/// How many processes there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Alone,
    Cluster,
}

impl Place {
    /// Returns what a stage is started from.
    pub(crate) fn builder(self) -> Builder {
        match self {
            Self::Alone => Builder::Alone(Parlor::builder()),
            Self::Cluster => Builder::Cluster(
                Cluster::builder()
                    .brokers(3)
                    .workers(2)
                    // Short, so that whoever takes over does so soon.
                    .env("PARLOR_BOTS__LEASE", "2s")
                    .env("PARLOR_BOTS__CHECKPOINT", "200ms")
                    .env("PARLOR_BOTS__DRAIN", "1s")
                    .env("PARLOR_SERVER__TRUSTED_PROXIES", "127.0.0.1"),
            ),
        }
    }

    /// Starts a stage with the defaults of the harness.
    pub(crate) async fn start(self) -> Stage {
        self.builder().start().await
    }

    /// Returns the first with one server, the second with a cluster.
    pub(crate) fn pick<T>(self, alone: T, cluster: T) -> T {
        match self {
            Self::Alone => alone,
            Self::Cluster => cluster,
        }
    }
}

/// A stage that is not yet started.
#[derive(Debug)]
pub(crate) enum Builder {
    Alone(process::Builder),
    Cluster(ClusterBuilder),
}

impl Builder {
    /// Sets a variable of every process.
    pub(crate) fn env(self, name: &str, value: &str) -> Self {
        match self {
            Self::Alone(server) => Self::Alone(server.env(name, value)),
            Self::Cluster(cluster) => Self::Cluster(cluster.env(name, value)),
        }
    }

    /// Takes bots' replies from a fake.
    pub(crate) fn model(self, llm: &FakeLlm) -> Self {
        match self {
            Self::Alone(server) => Self::Alone(server.model(llm)),
            Self::Cluster(cluster) => Self::Cluster(cluster.model(llm)),
        }
    }

    pub(crate) async fn start(self) -> Stage {
        match self {
            Self::Alone(server) => Stage::Alone(Box::new(server.start().await)),
            Self::Cluster(cluster) => {
                let cluster = cluster.start().await;
                let proxy = Haproxy::start(&proxy_config(&cluster)).await;
                Stage::Cluster(Box::new(cluster), Box::new(proxy))
            }
        }
    }
}

/// Returns the configuration that the project ships, for these brokers. They take turns, so that a
/// client stays nowhere; by itself it would give the next connection to the emptiest one.
fn proxy_config(cluster: &Cluster) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/haproxy/haproxy.cfg");
    let shipped = std::fs::read_to_string(file).unwrap();
    let (people, _inside) = shipped.split_once("\nfrontend inside").expect("two addresses");
    let mut config = format!("{people}\n");
    let mut replace = |from: &str, to: &str| {
        assert!(config.contains(from), "{from:?} is not in the proxy's configuration");
        config = config.replace(from, to);
    };
    replace("\"${PARLOR_BIND}\"", "127.0.0.1:@PORT@");
    replace("balance leastconn", "balance roundrobin\n    timeout check 10s");
    replace("inter 1s fastinter 300ms downinter 1s fall 2 rise 2 slowstart 10s", CHECK);
    for (number, addr) in cluster.addrs().iter().enumerate() {
        replace(&format!("\"${{PARLOR_BROKER_{}}}\"", number + 1), &addr.to_string());
    }
    config
}

/// Where a journey takes place. What is done to a machine is done, in a cluster, to the broker that
/// most connections are on and the worker that writes most replies.
#[derive(Debug)]
pub(crate) enum Stage {
    Alone(Box<Parlor>),
    // The proxy ends after those it leads to.
    Cluster(Box<Cluster>, Box<Haproxy>),
}

impl Stage {
    /// Returns the address for clients.
    pub(crate) fn addr(&self) -> SocketAddr {
        match self {
            Self::Alone(server) => server.addr(),
            Self::Cluster(_, proxy) => proxy.addr(),
        }
    }

    /// Returns HTTP calls of someone who is not logged in.
    pub(crate) fn http(&self) -> Http {
        process::http(self.addr())
    }

    /// Makes an account.
    pub(crate) async fn register(&self, name: &str) -> User {
        User::register(self.addr(), name).await
    }

    /// Logs the administrator in.
    pub(crate) async fn admin(&self) -> User {
        User::log_in(self.addr(), ADMIN).await
    }

    /// Returns every process.
    fn processes(&self) -> Vec<&Parlor> {
        match self {
            Self::Alone(server) => vec![server],
            Self::Cluster(cluster, _) => cluster.nodes().map(|node| &node.process).collect(),
        }
    }

    fn processes_mut(&mut self) -> Vec<&mut Parlor> {
        match self {
            Self::Alone(server) => vec![server],
            Self::Cluster(cluster, _) => {
                cluster.nodes_mut().map(|node| &mut node.process).collect()
            }
        }
    }

    /// Returns a page that is not for a typed client.
    pub(crate) async fn get_text(&self, path: &str) -> String {
        process::get_text(self.addr(), path).await
    }

    /// Returns for each broker the sum of the samples that have these words.
    pub(crate) async fn counts(&self, words: &[&str]) -> Vec<u64> {
        let mut counts = Vec::new();
        for broker in self.brokers() {
            counts.push(broker.count(words).await);
        }
        counts
    }

    /// Returns the metrics of all processes.
    pub(crate) async fn metrics(&self) -> String {
        let mut metrics = String::new();
        for process in self.processes() {
            metrics.push_str(&process.get_text("/metrics").await);
        }
        metrics
    }

    /// Returns the processes that take clients.
    pub(crate) fn brokers(&self) -> Vec<&Parlor> {
        match self {
            Self::Alone(server) => vec![server],
            Self::Cluster(cluster, _) => cluster.brokers.iter().map(|node| &node.process).collect(),
        }
    }

    /// Returns what all processes logged.
    pub(crate) fn log(&self) -> String {
        self.processes().into_iter().map(Parlor::log).collect()
    }

    /// Returns the processes of the busiest machine.
    async fn machine(&mut self) -> Vec<&mut Parlor> {
        match self {
            Self::Alone(server) => vec![server],
            Self::Cluster(cluster, _) => {
                let broker = busiest(&cluster.brokers, "parlor_ws_sessions ").await;
                let worker = busiest(&cluster.workers, "parlor_bot_turns_running ").await;
                let Cluster { brokers, workers, .. } = &mut **cluster;
                vec![&mut brokers[broker].process, &mut workers[worker].process]
            }
        }
    }

    /// Kills the busiest machine.
    pub(crate) async fn kill(&mut self) {
        for process in self.machine().await {
            process.kill().await;
        }
    }

    /// Kills every process.
    pub(crate) async fn kill_all(&mut self) {
        for process in self.processes_mut() {
            if process.is_running() {
                process.kill().await;
            }
        }
    }

    /// Kills the broker that has most of what a metric counts.
    pub(crate) async fn kill_with_most(&mut self, metric: &str) {
        match self {
            Self::Alone(server) => server.kill().await,
            Self::Cluster(cluster, _) => {
                let broker = busiest(&cluster.brokers, metric).await;
                cluster.brokers[broker].process.kill().await;
            }
        }
    }

    /// Freezes the busiest machine for a time.
    pub(crate) async fn freeze(&mut self, time: Duration) {
        let machine = self.machine().await;
        for process in &machine {
            process.pause();
        }
        sleep(time).await;
        for process in &machine {
            process.resume();
        }
    }

    /// Asks the busiest machine to stop, waits until it has, and returns how.
    pub(crate) async fn terminate(&mut self) -> Vec<ExitStatus> {
        let machine = self.machine().await;
        for process in &machine {
            process.ask_to_stop();
        }
        let mut ended = Vec::new();
        for process in machine {
            ended.push(process.wait(process::STOP_PATIENCE).await);
        }
        ended
    }

    /// Stops and starts every process that takes clients, one after the other.
    pub(crate) async fn roll(&mut self) {
        for number in 0..self.brokers().len() {
            let process = match self {
                Self::Alone(server) => &mut **server,
                Self::Cluster(cluster, _) => &mut cluster.brokers[number].process,
            };
            process.ask_to_stop();
            assert_eq!(process.wait(process::STOP_PATIENCE).await.code(), Some(0));
            self.restart().await;
        }
    }

    /// Starts what has ended again: same data, same addresses.
    pub(crate) async fn restart(&mut self) {
        for process in self.processes_mut() {
            if !process.is_running() {
                process.restart().await;
            }
        }
        if let Self::Cluster(cluster, _) = self {
            cluster.wait_ready().await;
        }
    }
}

/// Returns which node has most of what a metric counts.
async fn busiest(nodes: &[Node], metric: &str) -> usize {
    let mut most = (0, 0);
    for (number, node) in nodes.iter().enumerate() {
        let count = node.process.count(&[metric]).await;
        if count > most.1 {
            most = (number, count);
        }
    }
    most.0
}

//! Nodes of a cluster: several connections to one Redis within a test.

use std::net::SocketAddr;
use std::time::Duration;

use parlor_cluster::redis::{ClusterOptions, ClusterState, ConnectError, PresenceOptions};
use parlor_cluster::{ClusterStatus, Presence as _, Transition};
use parlor_protocol::id::UserId;
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::PresenceStatus;
use parlor_runtime::{Clock as _, SystemClock};
use prometheus::Registry;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

pub(crate) const ADA: UserId = UserId(Uuid::from_u128(1));
pub(crate) const BOB: UserId = UserId(Uuid::from_u128(2));
/// Longer than any healthy step.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// How long Redis may take for an answer.
pub(crate) const LIMIT: Duration = Duration::from_secs(1);
/// From one look to the next.
const POLL: Duration = Duration::from_millis(20);

/// Short times, so that tests need not wait long, but longer than a busy machine stands still.
pub(crate) const TIMES: PresenceOptions = PresenceOptions {
    idle_after: Duration::from_mins(5),
    expire: Duration::from_millis(4_500),
    refresh: Duration::from_millis(900),
    grace: Duration::from_millis(1_500),
    active_every: Duration::from_secs(10),
};

/// Everything that could happen by itself has happened.
pub(crate) const SETTLED: Duration = TIMES.grace.saturating_add(TIMES.refresh.saturating_mul(3));

/// One node.
pub(crate) struct Node {
    pub(crate) state: ClusterState,
    pub(crate) registry: Registry,
}

impl Node {
    pub(crate) async fn start(url: &str) -> Self {
        Self::start_with(url, |_| ()).await
    }

    pub(crate) async fn start_with(url: &str, change: impl FnOnce(&mut ClusterOptions)) -> Self {
        let registry = Registry::new();
        let state = connect(url, change, &registry).await.unwrap();
        Self { state, registry }
    }

    pub(crate) async fn status(&self, user: UserId) -> PresenceStatus {
        self.state.presence.list(&[user]).await[0]
    }

    pub(crate) async fn connected(&self, user: UserId) -> Option<Transition> {
        self.state.presence.connected(user, now()).await
    }

    pub(crate) async fn disconnected(&self, user: UserId) -> Option<Transition> {
        self.state.presence.disconnected(user, false, now()).await
    }

    pub(crate) async fn set_idle(&self, user: UserId, idle: bool) -> Option<Transition> {
        self.state.presence.set_idle(user, idle, now()).await
    }

    pub(crate) async fn wait_for(&self, status: ClusterStatus) {
        let mut receiver = self.state.status();
        timeout(PATIENCE, receiver.wait_for(|now| *now == status)).await.unwrap().unwrap();
    }

    /// Returns the sum of a metric's series that have this label value; of all when it is empty.
    pub(crate) fn metric(&self, name: &str, label: &str) -> f64 {
        let families = self.registry.gather();
        let series = families.iter().filter(|family| family.name() == name);
        series
            .flat_map(prometheus::proto::MetricFamily::get_metric)
            .filter(|metric| {
                label.is_empty() || metric.get_label().iter().any(|pair| pair.value() == label)
            })
            .map(|metric| metric.get_counter().get_value() + metric.get_gauge().get_value())
            .sum()
    }
}

pub(crate) async fn connect(
    url: &str,
    change: impl FnOnce(&mut ClusterOptions),
    registry: &Registry,
) -> Result<ClusterState, ConnectError> {
    let mut options = ClusterOptions::new(url, Uuid::new_v4(), [7; 32]);
    options.presence = TIMES;
    options.timeout = LIMIT;
    change(&mut options);
    ClusterState::connect(options, registry).await
}

/// Returns the address of a Redis behind a proxy.
pub(crate) fn url_of(address: SocketAddr) -> String {
    format!("redis://{address}")
}

pub(crate) fn upstream(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Returns the present time, as the clock of a node would.
pub(crate) fn now() -> Timestamp {
    SystemClock.now().into()
}

pub(crate) fn online(user: UserId) -> Transition {
    Transition { user, status: PresenceStatus::Online }
}

pub(crate) fn idle(user: UserId) -> Transition {
    Transition { user, status: PresenceStatus::Idle }
}

pub(crate) fn offline(user: UserId) -> Transition {
    Transition { user, status: PresenceStatus::Offline }
}

/// Sweeps all nodes together once, as their timers would.
pub(crate) async fn sweep(nodes: &[&Node]) -> Vec<Transition> {
    let sweeps = nodes.iter().map(|node| node.state.presence.sweep(now()));
    futures_util::future::join_all(sweeps).await.concat()
}

/// Sweeps until something has changed, and returns all of it.
pub(crate) async fn sweep_until_change(nodes: &[&Node]) -> Vec<Transition> {
    let changed = async {
        loop {
            let changed = sweep(nodes).await;
            if !changed.is_empty() {
                return changed;
            }
            sleep(POLL).await;
        }
    };
    timeout(PATIENCE, changed).await.expect("somebody's status should change")
}

/// Sweeps for a while, and returns what has changed.
pub(crate) async fn sweep_for(nodes: &[&Node], time: Duration) -> Vec<Transition> {
    let mut changed = Vec::new();
    let ended = tokio::time::Instant::now() + time;
    while tokio::time::Instant::now() < ended {
        changed.extend(sweep(nodes).await);
        sleep(POLL).await;
    }
    changed
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waited = timeout(PATIENCE, async {
        while !is_so().await {
            sleep(POLL).await;
        }
    });
    assert!(waited.await.is_ok(), "{what} should be so by now");
}

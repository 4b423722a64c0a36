//! Breaks a cluster and mends it again, by a plan that a seed decides.
//!
//! A plan is a sequence of steps. Each begins one or two faults, lets them last, and ends them:
//! services come back before links, and links before nodes, so that a node that starts finds what
//! it needs. The same seed and shape make the same plan.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use crate::{
    cluster::{Cluster, Node},
    fake_llm::{Behaviour, FakeLlm, Script},
    tcp_proxy::{Direction, Mode, TcpProxy},
};

mod plan;

pub use plan::{Plan, Shape, Step};

/// A process of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A broker by its number from 0.
    Broker(usize),
    /// A worker by its number from 0.
    Worker(usize),
    /// Postgres.
    Postgres,
    /// NATS.
    Nats,
    /// Redis.
    Redis,
}

/// What a node is linked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Neighbor {
    /// Postgres.
    Postgres,
    /// NATS.
    Nats,
    /// Redis.
    Redis,
    /// Clients; brokers only.
    Clients,
    /// The model; workers only.
    Model,
}

/// What happens to a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// Open connections are closed in order.
    Cut,
    /// Open connections are reset.
    Reset,
    /// Open connections are reset and new ones refused.
    Refuse,
    /// Nothing passes; it arrives in the end.
    Stall,
    /// Nothing passes one way; it arrives in the end.
    StallOneWay(Direction),
    /// What is sent is lost, and in the end the connections are.
    BlackHole,
    /// What is sent one way is lost, and in the end the connections are.
    BlackHoleOneWay(Direction),
    /// Little passes at a time.
    Drip,
    /// All is late, each piece differently.
    Late,
}

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL, and a new start.
    Kill(Target),
    /// SIGTERM, and a new start when it has ended.
    Stop(Target),
    /// SIGSTOP, and SIGCONT.
    Freeze(Target),
    /// A broken link between a node, which is a broker or a worker, and its neighbor.
    Link(Target, Neighbor, Break),
    /// Postgres ends the connections of all its clients.
    CutSessions,
    /// Redis forgets everything.
    Flush,
    /// The clock of a node jumps, in seconds, and jumps back.
    Clock(Target, i32),
    /// The model misbehaves.
    Model(Behaviour),
}

impl Fault {
    /// Returns the kind, for counting.
    pub fn kind(&self) -> String {
        let process = |target: &Target| match target {
            Target::Broker(_) => "broker",
            Target::Worker(_) => "worker",
            Target::Postgres => "postgres",
            Target::Nats => "nats",
            Target::Redis => "redis",
        };
        match self {
            Self::Kill(target) => format!("kill {}", process(target)),
            Self::Stop(target) => format!("stop {}", process(target)),
            Self::Freeze(target) => format!("freeze {}", process(target)),
            Self::Link(_, _, how) => {
                let how = format!("{how:?}").to_lowercase();
                format!("link {}", how.split('(').next().unwrap_or_default())
            }
            Self::CutSessions => "cut sessions of postgres".to_owned(),
            Self::Flush => "flush redis".to_owned(),
            Self::Clock(..) => "clock jump".to_owned(),
            Self::Model(_) => "model".to_owned(),
        }
    }

    /// Returns when it ends among others: services first, nodes last.
    fn order(&self) -> u8 {
        match self {
            Self::Kill(target) | Self::Stop(target) | Self::Freeze(target) => match target {
                Target::Broker(_) | Target::Worker(_) => 2,
                _ => 0,
            },
            _ => 1,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What was done to a cluster.
#[derive(Debug)]
pub struct Done {
    /// Faults by kind.
    pub faults: BTreeMap<String, usize>,
    /// When the last fault had ended and every process was ready.
    pub healed_at: Instant,
}

/// Carries a plan out and waits until everything is ready again. `tell` is told of each beginning
/// and end. `healthy` is what the model says when nothing is wrong with it.
pub async fn run(
    plan: &Plan,
    cluster: &mut Cluster,
    model: &FakeLlm,
    healthy: &Script,
    tell: impl Fn(&str),
) -> Done {
    let mut faults = BTreeMap::new();
    for step in &plan.steps {
        sleep(step.pause).await;
        for fault in &step.faults {
            tell(&format!("begins: {fault}"));
            *faults.entry(fault.kind()).or_default() += 1;
            begin(fault, cluster, model, healthy).await;
        }
        sleep(step.lasts).await;
        let mut ending: Vec<_> = step.faults.iter().collect();
        ending.sort_by_key(|fault| fault.order());
        for fault in ending {
            end(fault, cluster, model, healthy).await;
            tell(&format!("ended: {fault}"));
        }
    }
    cluster.wait_ready().await;
    tell("healed");
    Done { faults, healed_at: Instant::now() }
}

async fn begin(fault: &Fault, cluster: &mut Cluster, model: &FakeLlm, healthy: &Script) {
    match fault {
        Fault::Kill(target) => match target {
            Target::Postgres => cluster.postgres.kill().await,
            Target::Nats => cluster.nats.kill().await,
            Target::Redis => cluster.redis.kill().await,
            node => node_mut(cluster, *node).process.kill().await,
        },
        Fault::Stop(target) => match target {
            Target::Postgres => cluster.postgres.stop().await,
            Target::Nats => cluster.nats.stop().await,
            Target::Redis => cluster.redis.stop().await,
            node => {
                let status = node_mut(cluster, *node).process.terminate().await;
                assert!(status.code().is_some(), "{node:?} was ended by a signal: {status}");
            }
        },
        Fault::Freeze(target) => match target {
            Target::Postgres => cluster.postgres.pause(),
            Target::Nats => cluster.nats.pause(),
            Target::Redis => cluster.redis.pause(),
            node => node_mut(cluster, *node).process.pause(),
        },
        Fault::Link(node, neighbor, how) => break_link(link(cluster, *node, *neighbor), *how),
        Fault::CutSessions => {
            cluster.postgres.cut_connections();
        }
        Fault::Flush => {
            cluster.redis.command("FLUSHALL").await;
        }
        Fault::Clock(node, seconds) => node_mut(cluster, *node).set_clock(*seconds),
        Fault::Model(behaviour) => model.set_script(healthy.clone().behaving(behaviour.clone())),
    }
}

async fn end(fault: &Fault, cluster: &mut Cluster, model: &FakeLlm, healthy: &Script) {
    match fault {
        Fault::Kill(target) | Fault::Stop(target) => match target {
            Target::Postgres => cluster.postgres.restart().await,
            Target::Nats => cluster.nats.restart().await,
            Target::Redis => cluster.redis.restart().await,
            node => node_mut(cluster, *node).process.restart().await,
        },
        Fault::Freeze(target) => match target {
            Target::Postgres => cluster.postgres.resume(),
            Target::Nats => cluster.nats.resume(),
            Target::Redis => cluster.redis.resume(),
            node => node_mut(cluster, *node).process.resume(),
        },
        Fault::Link(node, neighbor, how) => mend_link(link(cluster, *node, *neighbor), *how),
        Fault::CutSessions | Fault::Flush => {}
        Fault::Clock(node, _) => node_mut(cluster, *node).set_clock(0),
        Fault::Model(_) => model.set_script(healthy.clone()),
    }
}

fn node_mut(cluster: &mut Cluster, target: Target) -> &mut Node {
    match target {
        Target::Broker(number) => &mut cluster.brokers[number],
        Target::Worker(number) => &mut cluster.workers[number],
        service => panic!("{service:?} is not a node"),
    }
}

fn link(cluster: &mut Cluster, node: Target, neighbor: Neighbor) -> &TcpProxy {
    let links = &node_mut(cluster, node).links;
    let link = match neighbor {
        Neighbor::Postgres => &links.postgres,
        Neighbor::Nats => &links.nats,
        Neighbor::Redis => &links.redis,
        Neighbor::Clients => &links.clients,
        Neighbor::Model => &links.model,
    };
    link.as_ref().unwrap_or_else(|| panic!("{node:?} has no proxy to {neighbor:?}"))
}

fn break_link(link: &TcpProxy, how: Break) {
    match how {
        Break::Cut => link.cut_all(),
        Break::Reset => link.reset_all(),
        Break::Refuse => {
            link.set_mode(Mode::Refuse);
            link.reset_all();
        }
        Break::Stall => link.set_mode(Mode::Stall),
        Break::StallOneWay(direction) => link.set_mode_for(direction, Mode::Stall),
        Break::BlackHole => link.set_mode(Mode::BlackHole),
        Break::BlackHoleOneWay(direction) => link.set_mode_for(direction, Mode::BlackHole),
        Break::Drip => {
            link.set_mode(Mode::Drip { bytes: 16, every: Duration::from_millis(20) });
        }
        Break::Late => {
            let (least, most) = (Duration::from_millis(5), Duration::from_millis(120));
            link.set_mode(Mode::Jitter { least, most });
        }
    }
}

fn mend_link(link: &TcpProxy, how: Break) {
    link.set_mode(Mode::Pass);
    if matches!(how, Break::BlackHole | Break::BlackHoleOneWay(_)) {
        // Bytes are missing in these connections.
        link.reset_all();
    }
}

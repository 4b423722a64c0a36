//! What it saves to remember accounts, rooms and memberships: the same requests at the same rate, to a
//! node that remembers and to one that does not, on SQLite and on Postgres.
//!
//! `cargo run --release --example remembered -p parlor-broker`, or with other numbers of requests in
//! a second and of seconds after `--`. Node, callers and Postgres share one machine, and node and
//! callers one process, so the ratio of two columns says more than either.

#![expect(clippy::print_stdout, reason = "figures are what it is for")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "it ends when something fails")]
#![expect(clippy::large_futures, reason = "there are few of them")]

#[expect(dead_code, unused_imports, reason = "the tests of the broker use the rest")]
#[path = "../tests/it/harness.rs"]
mod harness;

#[expect(dead_code, reason = "the tests of the broker use the rest")]
#[path = "../tests/it/http/api.rs"]
mod api;

use std::sync::Arc;
use std::time::{Duration, Instant};

use parlor_protocol::id::RoomId;
use parlor_store::postgres::{PostgresOptions, PostgresStore};
use parlor_store::{SqliteOptions, SqliteStore, Store};
use parlor_testkit::services::Postgres;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::api::Api;
use crate::harness::{TestNode, TestUser};

/// People who call, each with a login of their own.
const PEOPLE: usize = 64;
/// Rooms, with everyone in each.
const ROOMS: usize = 16;
/// How often each of the two is measured, in turn.
const TURNS: usize = 3;

/// Something of it, as it is shown.
type Figure = fn(&Cost) -> f64;

/// What one turn has cost.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    p50: Duration,
    p99: Duration,
    /// Processor time of this process, and of Postgres.
    here: Duration,
    server: Duration,
    reads: u64,
    checks: u64,
}

#[tokio::main]
async fn main() {
    let number = |nth, default| {
        std::env::args().nth(nth).map_or(default, |text| text.parse::<u64>().expect("a number"))
    };
    let (rate, seconds) = (number(1, 400), number(2, 5));
    let folder = tempfile::tempdir().unwrap();
    let sqlite: Arc<dyn Store> =
        Arc::new(SqliteStore::open(SqliteOptions::new(folder.path())).unwrap());
    measure("SQLite", sqlite, None, rate, seconds).await;
    let server = Postgres::start().await;
    let postgres = PostgresStore::open(PostgresOptions::new(server.url())).await.unwrap();
    measure("Postgres", Arc::new(postgres), Some(&server), rate, seconds).await;
}

async fn measure(
    name: &str,
    store: Arc<dyn Store>,
    server: Option<&Postgres>,
    rate: u64,
    seconds: u64,
) {
    let forgets =
        TestNode::start_on(Some(Arc::clone(&store)), |config| config.limits.cache_entries = 0)
            .await;
    let remembers = TestNode::start_on(Some(store), |_| {}).await;
    let mut people = Vec::new();
    for n in 0..PEOPLE {
        people.push(forgets.user(&format!("p{n}")).await);
    }
    let everyone: Vec<&TestUser> = people.iter().collect();
    let mut rooms = Vec::new();
    for n in 0..ROOMS {
        rooms.push(forgets.room(&format!("r{n}"), &everyone).await);
    }
    let mut costs = [Vec::new(), Vec::new()];
    for _ in 0..TURNS {
        for (node, costs) in [&forgets, &remembers].into_iter().zip(&mut costs) {
            costs.push(turn(node, server, &people, &rooms, rate, seconds).await);
        }
    }
    let [without, with] = costs.map(|costs| middle(&costs));
    println!("{name}, {rate} requests in a second for {seconds} s, the median of {TURNS} turns:");
    println!("| | nothing remembered | remembered | ratio |\n| --- | ---: | ---: | ---: |");
    let figures: [(&str, Figure); 6] = [
        ("p50, ms", |cost| cost.p50.as_secs_f64() * 1e3),
        ("p99, ms", |cost| cost.p99.as_secs_f64() * 1e3),
        ("processor, node and callers, s", |cost| cost.here.as_secs_f64()),
        ("processor, Postgres, s", |cost| cost.server.as_secs_f64()),
        ("reads of the store", |cost| f64::from(u32::try_from(cost.reads).unwrap_or(u32::MAX))),
        ("checks", |cost| f64::from(u32::try_from(cost.checks).unwrap_or(u32::MAX))),
    ];
    for (what, figure) in figures {
        let (without, with) = (figure(&without), figure(&with));
        let ratio = if without > 0.0 { format!("{:.2}", with / without) } else { String::new() };
        println!("| {what} | {without:.2} | {with:.2} | {ratio} |");
    }
    tokio::join!(forgets.stop(), remembers.stop());
}

/// One request after the other, in time with the clock whether or not those before are answered.
async fn turn(
    node: &TestNode,
    server: Option<&Postgres>,
    people: &[TestUser],
    rooms: &[RoomId],
    rate: u64,
    seconds: u64,
) -> Cost {
    let anyone = Api::anonymous(node);
    let callers: Vec<Api> = people.iter().map(|person| anyone.with_access(&person.token)).collect();
    let ok = &node.node().metrics.reads.cache.checks.with_label_values(&["ok"]);
    let before = (node.store().reads(), ok.get(), Spent::now(server));
    let mut due = interval(Duration::from_secs(1) / u32::try_from(rate).expect("a rate"));
    due.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut requests = JoinSet::new();
    let pairs = callers.iter().cycle().zip(rooms.iter().cycle().step_by(3));
    for (caller, room) in pairs.take(usize::try_from(rate * seconds).expect("a number")) {
        due.tick().await;
        let (caller, path) = (caller.clone(), format!("/v1/rooms/{room}/messages?limit=1"));
        requests.spawn(async move {
            let asked = Instant::now();
            caller.get(&path).await.expect(200);
            asked.elapsed()
        });
    }
    let mut times = requests.join_all().await;
    times.sort_unstable();
    let at = |share: usize| *times.get(times.len() * share / 100).expect("a time");
    let after = Spent::now(server);
    Cost {
        p50: at(50),
        p99: at(99),
        here: after.here.saturating_sub(before.2.here),
        server: after.server.saturating_sub(before.2.server),
        reads: node.store().reads() - before.0,
        checks: ok.get() - before.1,
    }
}

fn middle(costs: &[Cost]) -> Cost {
    fn of<T: Ord + Copy>(costs: &[Cost], figure: fn(&Cost) -> T) -> T {
        let mut all: Vec<T> = costs.iter().map(figure).collect();
        all.sort_unstable();
        *all.get(all.len() / 2).expect("a turn")
    }
    Cost {
        p50: of(costs, |cost| cost.p50),
        p99: of(costs, |cost| cost.p99),
        here: of(costs, |cost| cost.here),
        server: of(costs, |cost| cost.server),
        reads: of(costs, |cost| cost.reads),
        checks: of(costs, |cost| cost.checks),
    }
}

/// Processor time of this process, and of a server with all its processes.
#[derive(Debug, Clone, Copy)]
struct Spent {
    here: Duration,
    server: Duration,
}

impl Spent {
    fn now(server: Option<&Postgres>) -> Self {
        let mut of_server = Duration::ZERO;
        if let Some(server) = server {
            of_server += spent(server.pid());
            for entry in std::fs::read_dir("/proc").unwrap().flatten() {
                let pid = entry.file_name().to_string_lossy().parse::<u32>();
                if let Ok(pid) = pid
                    && parent(pid) == Some(server.pid())
                {
                    of_server += spent(pid);
                }
            }
        }
        Self { here: spent(std::process::id()), server: of_server }
    }
}

fn fields(pid: u32) -> Option<Vec<String>> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

fn parent(pid: u32) -> Option<u32> {
    fields(pid)?.get(1)?.parse().ok()
}

/// User and system time in hundredths of a second.
fn spent(pid: u32) -> Duration {
    let Some(fields) = fields(pid) else { return Duration::ZERO };
    let ticks = |nth: usize| fields.get(nth).and_then(|ticks| ticks.parse::<u64>().ok());
    let ticks = ticks(11).unwrap_or(0) + ticks(12).unwrap_or(0);
    Duration::from_millis(ticks * 10)
}

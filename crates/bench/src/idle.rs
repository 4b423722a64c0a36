//! Connections at rest: what they cost in memory and processor time, and whether a burst leaves
//! something behind.
//!
//! Every client is logged in and follows a room. Then nothing happens; then each says something and
//! hears others (in a large room the first hundred do); then nothing happens again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

mod client;

use client::Client;

use crate::accounts::{Crowd, Shape};
use crate::address::Address;
use crate::cpu::CpuSeconds;
use crate::dialect::{Dialect, Parlor};
use crate::measurement::{DeliveryCheck, Measurement, MemoryUse, as_float};
use crate::processes::{Usage, usage, usage_with_share};
use crate::progress::{Phase, Progress};
use crate::spread::{Spread, spread};
use crate::target::{BenchError, Target};

/// In a room with more members not everyone writes: the burst would be their square.
const WRITERS_MAX: usize = 100;
/// How long no further client may connect, and no delivery arrive, before the rest is given up.
const PATIENCE: Duration = Duration::from_secs(20);
/// What stands in front of the filling in a message of the burst.
const MARK: &str = "burst-";

/// How idleness is measured.
#[derive(Debug, Clone)]
pub struct IdlePlan {
    /// Time of each measurement at rest.
    pub quiet: Duration,
    /// Time from the burst to the measurement after it.
    pub rest: Duration,
    /// Time from the first message of the burst to the last.
    pub burst: Duration,
    /// Bytes of each message of the burst.
    pub payload: usize,
    /// Clients that connect at the same time.
    pub connecting: usize,
    /// Threads of the generator.
    pub threads: usize,
    /// Processes of the server.
    pub server_pids: Vec<u32>,
}

/// Where one client goes.
#[derive(Debug, Clone)]
pub struct Place {
    /// The token of the user; empty for systems without users.
    pub token: Arc<str>,
    /// The room that it follows.
    pub room: Arc<str>,
    /// Whether it is one of those of its room that write in the burst.
    pub writes: bool,
}

/// The server, and how it is spoken to.
#[derive(Debug, Clone)]
pub struct Venue {
    /// Where it is.
    pub address: Address,
    /// Its language.
    pub dialect: Arc<dyn Dialect>,
    /// Where the clients go.
    pub places: Vec<Place>,
}

impl Venue {
    /// Returns the places of a crowd on Parlor; messages of the burst are signals.
    ///
    /// # Errors
    /// Fails when the server's host cannot be found.
    pub fn of_crowd(target: &Target, crowd: &Crowd) -> Result<Self, BenchError> {
        let members = crowd.shape.members.max(1);
        let place = |number: usize| {
            let seat = crowd.seat(number);
            Place {
                token: seat.person.token,
                room: seat.room.to_string().into(),
                writes: number % members < WRITERS_MAX,
            }
        };
        Ok(Self {
            address: target.address()?,
            dialect: Arc::new(Parlor::signals()),
            places: (0..crowd.shape.connections()).map(place).collect(),
        })
    }

    /// Returns the places of clients of a system without users.
    pub fn of_clients(dialect: Box<dyn Dialect>, address: Address, shape: Shape) -> Self {
        let members = shape.members.max(1);
        let place = |number: usize| Place {
            token: "".into(),
            room: format!("room-{}", number / members).into(),
            writes: number % members < WRITERS_MAX,
        };
        let places = (0..shape.connections()).map(place).collect();
        Self { address, dialect: dialect.into(), places }
    }

    /// Returns how many messages a burst has, and how often they are delivered in all.
    fn burst(&self) -> (u64, u64) {
        let mut rooms: std::collections::HashMap<&str, (u64, u64)> =
            std::collections::HashMap::new();
        for place in &self.places {
            let (members, writers) = rooms.entry(&place.room).or_default();
            *members += 1;
            *writers += u64::from(place.writes);
        }
        let hears = |members: u64| members - u64::from(!self.dialect.echoes());
        rooms.values().fold((0, 0), |(sent, heard), (members, writers)| {
            (sent + writers, heard + writers * hears(*members))
        })
    }
}

/// What the clients are to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Rest,
    /// From this moment on.
    Burst(Instant),
}

#[derive(Debug, Default)]
struct Counts {
    connected: AtomicU64,
    heard: AtomicU64,
}

/// Measures connections at rest.
///
/// # Errors
/// Fails when the server refuses a client or drops one.
pub async fn run(
    venue: &Venue,
    plan: &IdlePlan,
    progress: &Progress,
) -> Result<Measurement, BenchError> {
    let total = venue.places.len() as u64;
    let (sent, expected) = venue.burst();
    let mut measurement = describe(venue, plan);
    let before = usage_with_share(&plan.server_pids);
    let counts = Arc::new(Counts::default());
    let (stage, _) = watch::channel(Stage::Rest);
    progress.count(Phase::Connect, total, "connections");
    let began = Instant::now();
    let clients = start(venue, plan, &counts, &stage)?;
    let connected = || counts.connected.load(Ordering::Relaxed);
    let all_there = clients.reach(PATIENCE, total, || {
        progress.reach(connected());
        connected()
    });
    if !all_there.await? {
        let why = format!("only {} of {total} clients are connected", connected());
        return Err(BenchError::Connection(why));
    }
    measurement.connections = Some(total);
    measurement.connects_per_s = Some(as_float(total) / began.elapsed().as_secs_f64());

    progress.time(Phase::Measure, plan.quiet + plan.rest + plan.quiet);
    // What connecting needed is given back first.
    clients.pass(plan.rest).await?;
    let at_rest = rest(&clients, plan).await?;
    measurement.duration_s = plan.quiet.as_secs_f64();
    measurement.server_cpu = at_rest.cpu;

    let burst_began = Instant::now();
    // The clients hold the other end as long as they live.
    stage.send_replace(Stage::Burst(burst_began));
    let heard = || counts.heard.load(Ordering::Relaxed);
    clients.reach(PATIENCE, expected, heard).await?;
    measurement.figure("time of the burst", burst_began.elapsed().as_secs_f64() * 1e3, "ms");
    clients.pass(plan.rest).await?;
    let after = rest(&clients, plan).await?;
    tell(&mut measurement, &at_rest, &after, total, before);

    let check = DeliveryCheck {
        published: sent,
        expected,
        arrived: heard().min(expected),
        lost: expected.saturating_sub(heard()),
        doubled: heard().saturating_sub(expected),
        ..DeliveryCheck::default()
    };
    measurement.delivery = Some(check);
    drop(stage);
    clients.join().await?;
    Ok(measurement)
}

fn describe(venue: &Venue, plan: &IdlePlan) -> Measurement {
    let mut measurement = Measurement::new(venue.dialect.system(), "idle");
    let mut rooms: Vec<&str> = venue.places.iter().map(|place| &*place.room).collect();
    rooms.sort_unstable();
    rooms.dedup();
    measurement.plan("connections", venue.places.len());
    measurement.plan("rooms", rooms.len());
    measurement.plan("quiet", format!("{} s", plan.quiet.as_secs_f64()));
    measurement.plan("burst", format!("{} s", plan.burst.as_secs_f64()));
    measurement.plan("rest after the burst", format!("{} s", plan.rest.as_secs_f64()));
    measurement.plan("payload", plan.payload);
    measurement.plan("threads", plan.threads);
    measurement
}

/// What rest costs.
#[derive(Debug, Clone, Copy)]
struct AtRest {
    usage: Option<Usage>,
    cpu: Option<CpuSeconds>,
}

async fn rest(clients: &Spread<()>, plan: &IdlePlan) -> Result<AtRest, BenchError> {
    let before = usage(&plan.server_pids);
    clients.pass(plan.quiet).await?;
    let cpu = usage(&plan.server_pids).zip(before).map(|(now, before)| now.cpu.since(before.cpu));
    Ok(AtRest { usage: usage_with_share(&plan.server_pids), cpu })
}

fn tell(
    measurement: &mut Measurement,
    at_rest: &AtRest,
    after: &AtRest,
    connections: u64,
    before: Option<Usage>,
) {
    let Some(((before, connected), last)) = before.zip(at_rest.usage).zip(after.usage) else {
        return;
    };
    let each =
        |now: u64, before: u64| as_float(now.saturating_sub(before)) / as_float(connections.max(1));
    measurement.memory = Some(MemoryUse {
        rss_before: Some(before.rss),
        rss_connected: Some(connected.rss),
        rss_after: Some(last.rss),
        rss_after_burst: Some(last.rss),
        rss_peak: None,
        rss_per_connection: Some(each(connected.rss, before.rss)),
        pss_per_connection: connected.pss.zip(before.pss).map(|(now, before)| each(now, before)),
    });
    measurement.figure(
        "resident memory a connection after the burst",
        each(last.rss, before.rss),
        "bytes",
    );
    let grown = as_float(last.rss) / as_float(connected.rss.max(1));
    measurement.figure("resident memory after the burst to before it", grown, "");
    for (name, rest) in [("CPU at rest", at_rest), ("CPU at rest after the burst", after)] {
        if let Some(cpu) = rest.cpu {
            let each_second = cpu.total() / measurement.duration_s.max(f64::MIN_POSITIVE);
            measurement.figure(name, each_second * 1e3, "ms/s");
        }
    }
}

fn start(
    venue: &Venue,
    plan: &IdlePlan,
    counts: &Arc<Counts>,
    stage: &watch::Sender<Stage>,
) -> Result<Spread<()>, BenchError> {
    let doors = Arc::new(Semaphore::new(plan.connecting.max(1)));
    let payload = format!("{MARK}{}", "x".repeat(plan.payload.saturating_sub(MARK.len())));
    let payload: Arc<str> = payload.into();
    let client = Client {
        address: Arc::new(venue.address.clone()),
        dialect: Arc::clone(&venue.dialect),
        counts: Arc::clone(counts),
        doors,
        payload,
        burst: plan.burst,
        clients: venue.places.len(),
        stage: stage.subscribe(),
    };
    let places = venue.places.iter().cloned().enumerate().collect();
    spread(plan.threads, places, move |(number, place)| client.clone().run(number, place))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn burst(rooms: usize, members: usize) -> (u64, u64) {
        let address = Address::parse("ws://127.0.0.1:1", false).unwrap();
        let dialect = Box::new(Parlor::signals());
        Venue::of_clients(dialect, address, Shape { rooms, members }).burst()
    }

    #[test]
    fn burst_of_a_large_room_is_bounded() {
        assert_eq!(burst(2, 1), (2, 2));
        assert_eq!(burst(1, 10_000), (100, 1_000_000));
    }
}

//! A storm of clients that come back: all connections are cut at once, messages are written
//! meanwhile, and then everyone reconnects at the same moment and continues where they were.
//!
//! The clients behave as good ones do: who is told to come back later waits that long, and a little
//! more by chance.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

mod client;
mod write;

use client::{Client, Returned};

use crate::accounts::Crowd;
use crate::measurement::{DeliveryCheck, Measurement, as_float};
use crate::meter::Meter;
use crate::progress::{Phase, Progress};
use crate::scrape::Scrape;
use crate::spread::spread;
use crate::summary::Latency;
use crate::target::{BenchError, Target};

/// How long no further client may connect, in the first place, before the rest is given up.
const CONNECT_PATIENCE: Duration = Duration::from_secs(20);
/// Counters of reads of the store; those that a server does not have count nothing.
const READS: &str = "parlor_store_reads_total";

/// How coming back is measured.
#[derive(Debug, Clone)]
pub struct ResumePlan {
    /// Messages that are written to each room meanwhile.
    pub missed: usize,
    /// Bytes of each message.
    pub payload: usize,
    /// Clients that connect at the same time, the first time.
    pub connecting: usize,
    /// How long the last client may take to be back.
    pub patience: Duration,
    /// Threads of the generator.
    pub threads: usize,
    /// Processes of the server.
    pub server_pids: Vec<u32>,
}

/// What the clients are to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Connect, follow a room, and stay.
    Follow,
    /// Lose the connection.
    Cut,
    /// Come back, from this moment on.
    Return(Instant),
}

#[derive(Debug, Default)]
struct Counts {
    connected: AtomicU64,
    cut: AtomicU64,
    complete: AtomicU64,
}

/// Measures a storm of clients that come back.
///
/// # Errors
/// Fails when the server refuses a client for good, or does not take the messages.
pub async fn run(
    target: &Target,
    crowd: &Crowd,
    plan: &ResumePlan,
    progress: &Progress,
) -> Result<Measurement, BenchError> {
    let total = crowd.shape.connections() as u64;
    let counts = Arc::new(Counts::default());
    let (stage, _) = watch::channel(Stage::Follow);
    let client = Client::new(target, plan, &counts, &stage);
    let seats = crowd.seats();
    progress.count(Phase::Connect, total, "connections");
    let clients = spread(plan.threads, seats, move |seat| client.clone().run(seat))?;
    let reached = |count: &AtomicU64| {
        progress.reach(count.load(Ordering::Relaxed));
        count.load(Ordering::Relaxed)
    };
    if !clients.reach(CONNECT_PATIENCE, total, || reached(&counts.connected)).await? {
        let there = counts.connected.load(Ordering::Relaxed);
        let why = format!("only {there} of {total} clients are connected");
        return Err(BenchError::Connection(why));
    }

    stage.send_replace(Stage::Cut);
    clients.reach(CONNECT_PATIENCE, total, || reached(&counts.cut)).await?;
    progress.count(Phase::Prepare, (crowd.rooms.len() * plan.missed) as u64, "messages");
    write::messages(target, crowd, plan, progress).await?;

    progress.count(Phase::Measure, total, "clients are back");
    let before = target.scrape().await?;
    let meter = Meter::start(&plan.server_pids);
    stage.send_replace(Stage::Return(meter.began()));
    // Who is not back by then says so itself.
    let patience = plan.patience + Duration::from_secs(10);
    clients.until(patience, || reached(&counts.complete) == total).await?;
    let mut measurement = describe(crowd, plan);
    meter.note(&mut measurement);
    let after = target.scrape().await?;
    drop(stage);
    let returned = clients.join().await?;

    measurement.connections = Some(total);
    tell(&mut measurement, &returned, crowd, plan);
    tell_reads(&mut measurement, &before, &after);
    Ok(measurement)
}

fn describe(crowd: &Crowd, plan: &ResumePlan) -> Measurement {
    let mut measurement = Measurement::new("parlor", "resume");
    measurement.plan("clients", crowd.shape.connections());
    measurement.plan("rooms", crowd.shape.rooms);
    measurement.plan("missed by each", plan.missed);
    measurement.plan("payload", plan.payload);
    measurement.plan("threads", plan.threads);
    measurement
}

fn tell(measurement: &mut Measurement, returned: &[Returned], crowd: &Crowd, plan: &ResumePlan) {
    let missed = plan.missed as u64;
    let mut latency = Latency::default();
    let mut check = DeliveryCheck {
        published: crowd.rooms.len() as u64 * missed,
        expected: returned.len() as u64 * missed,
        ..DeliveryCheck::default()
    };
    let (mut busy, mut broken, mut resyncs, mut late) = (0, 0, 0, 0);
    for client in returned {
        check.arrived += client.arrived;
        check.lost += missed.saturating_sub(client.arrived);
        check.doubled += client.doubled;
        check.out_of_order += client.out_of_order;
        busy += client.busy;
        broken += client.broken;
        resyncs += u64::from(client.resync);
        match client.complete_after {
            Some(time) => latency.record(time),
            None => late += 1,
        }
    }
    measurement.published = Some(check.published);
    measurement.latency = Some(latency.summary());
    measurement.delivery = Some(check);
    measurement.deliveries(check.arrived);
    for (name, count) in [
        ("upgrades refused and repeated", busy),
        ("connections broken and repeated", broken),
        ("clients told to read the history", resyncs),
        ("clients not back in time", late),
    ] {
        measurement.figure(name, as_float(count), "");
    }
}

fn tell_reads(measurement: &mut Measurement, before: &Scrape, after: &Scrape) {
    let reads = after.growth(before, READS);
    if reads > 0.0 {
        measurement.figure("reads of the store", reads, "");
        measurement.figure("reads of the store a second", reads / measurement.duration_s, "1/s");
    }
}

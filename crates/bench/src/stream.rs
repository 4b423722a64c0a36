//! Replies of bots, token by token, to everyone in a room.
//!
//! The provider is part of the generator and its tokens tell when they were sent, so the time from
//! there to each reader is known. Each bot is called again when its reply is complete. Every reader
//! joins the pieces that it hears and compares them with the message that is kept.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use parlor_runtime::{Clock as _, SystemClock};
use tokio::sync::{Semaphore, watch};

mod caller;
mod reader;

use caller::Caller;
use reader::{Heard, Reader};

use crate::accounts::{Crowd, Seat};
use crate::measurement::{DeliveryCheck, Measurement, as_float};
use crate::meter::Meter;
use crate::progress::{Phase, Progress};
use crate::provider::Provider;
use crate::spread::{Spread, spread};
use crate::summary::Latency;
use crate::target::{BenchError, Target};

/// How long no further reader may connect before the rest is given up.
const CONNECT_PATIENCE: Duration = Duration::from_secs(20);
/// How long the last replies may take beyond their own length.
const LAST: Duration = Duration::from_secs(30);

/// How streams are measured.
#[derive(Debug, Clone)]
pub struct StreamPlan {
    /// Tokens a second of each bot.
    pub rate: f64,
    /// Tokens of each reply.
    pub tokens: u32,
    /// Clients that connect at the same time.
    pub connecting: usize,
    /// Time before the measurement.
    pub warm_up: Duration,
    /// Time of the measurement.
    pub duration: Duration,
    /// Threads of the generator.
    pub threads: usize,
    /// Processes of the server.
    pub server_pids: Vec<u32>,
}

/// What all clients share.
#[derive(Debug)]
struct Shared {
    /// When the provider's time began.
    epoch: std::time::Instant,
    /// Whether what is heard counts.
    is_measured: AtomicBool,
    connected: AtomicU64,
    /// Replies that the caller has seen complete.
    replies: AtomicU64,
    /// Replies that readers have seen complete, all together.
    completed: AtomicU64,
    /// Pieces that readers have heard in the measurement.
    deltas: AtomicU64,
    /// Tokens in them.
    tokens: AtomicU64,
    /// From a token's provider to a reader.
    latency: Mutex<Latency>,
    /// From the time that a complete reply bears to a reader.
    completion: Mutex<Latency>,
}

impl Shared {
    fn record(latency: &Mutex<Latency>, time: Duration) {
        latency.lock().unwrap_or_else(PoisonError::into_inner).record(time);
    }

    fn summary(latency: &Mutex<Latency>) -> crate::Summary {
        latency.lock().unwrap_or_else(PoisonError::into_inner).summary()
    }

    /// Returns the time of day, as events bear it.
    fn now_ms() -> i64 {
        SystemClock.now().as_millisecond()
    }
}

/// What each client is.
enum Role {
    Reader(Seat),
    Caller(Seat),
}

/// Measures replies that are streamed to a room.
///
/// # Errors
/// Fails when the server refuses a client, drops one, or a bot fails.
pub async fn run(
    target: &Target,
    crowd: &Crowd,
    provider: &Provider,
    plan: &StreamPlan,
    progress: &Progress,
) -> Result<Measurement, BenchError> {
    let readers = crowd.shape.connections() as u64;
    let shared = Arc::new(Shared {
        epoch: provider.epoch(),
        is_measured: AtomicBool::new(false),
        connected: AtomicU64::new(0),
        replies: AtomicU64::new(0),
        completed: AtomicU64::new(0),
        deltas: AtomicU64::new(0),
        tokens: AtomicU64::new(0),
        latency: Mutex::default(),
        completion: Mutex::default(),
    });
    let (calling, _) = watch::channel(false);
    progress.count(Phase::Connect, readers + 1, "connections");
    let clients = start(target, crowd, plan, &shared, &calling)?;
    let there = || {
        progress.reach(shared.connected.load(Ordering::Relaxed));
        shared.connected.load(Ordering::Relaxed)
    };
    if !clients.reach(CONNECT_PATIENCE, readers + 1, there).await? {
        return Err(BenchError::Connection("not all clients are connected".to_owned()));
    }

    calling.send_replace(true);
    progress.time(Phase::WarmUp, plan.warm_up);
    clients.pass(plan.warm_up).await?;
    progress.time(Phase::Measure, plan.duration);
    let mut measurement = describe(crowd, plan);
    let (meter, sent_before) = (Meter::start(&plan.server_pids), provider.sent());
    shared.is_measured.store(true, Ordering::Relaxed);
    clients.pass(plan.duration).await?;
    shared.is_measured.store(false, Ordering::Relaxed);
    meter.note(&mut measurement);
    measurement.published = Some(provider.sent() - sent_before);

    calling.send_replace(false);
    let last = Duration::from_secs_f64(f64::from(plan.tokens) / plan.rate) + LAST;
    progress.time(Phase::Settle, last);
    let heard = finish(clients, calling, crowd, &shared, last).await?;

    measurement.connections = Some(readers);
    measurement.latency = Some(Shared::summary(&shared.latency));
    measurement.deliveries(shared.deltas.load(Ordering::Relaxed));
    tell(&mut measurement, &heard, &shared, readers);
    Ok(measurement)
}

fn start(
    target: &Target,
    crowd: &Crowd,
    plan: &StreamPlan,
    shared: &Arc<Shared>,
    calling: &watch::Sender<bool>,
) -> Result<Spread<Heard>, BenchError> {
    let authority: Arc<str> = target.authority().into();
    let bots: Arc<[String]> = crowd.bots.clone().into();
    let doors = Arc::new(Semaphore::new(plan.connecting.max(1)));
    let mut roles: Vec<Role> = crowd.seats().into_iter().map(Role::Reader).collect();
    roles.push(Role::Caller(crowd.writer(0)));
    let (shared, calling) = (Arc::clone(shared), calling.subscribe());
    spread(plan.threads, roles, move |role| {
        let (authority, shared) = (Arc::clone(&authority), Arc::clone(&shared));
        let (calling, doors, bots) = (calling.clone(), Arc::clone(&doors), Arc::clone(&bots));
        async move {
            match role {
                Role::Reader(seat) => {
                    Reader::new(shared).run(&authority, &seat, &doors, calling).await
                }
                Role::Caller(seat) => {
                    Caller::new(shared, bots).run(&authority, &seat, calling).await?;
                    Ok(Heard::default())
                }
            }
        }
    })
}

/// Waits until nobody waits for a reply any more, and returns what the readers heard.
async fn finish(
    clients: Spread<Heard>,
    calling: watch::Sender<bool>,
    crowd: &Crowd,
    shared: &Shared,
    last: Duration,
) -> Result<Vec<Heard>, BenchError> {
    let readers = crowd.shape.connections() as u64;
    let all_heard = || {
        let replies = shared.replies.load(Ordering::Relaxed);
        shared.connected.load(Ordering::Relaxed) == readers
            && shared.completed.load(Ordering::Relaxed) >= replies * readers
    };
    clients.until(last, all_heard).await?;
    drop(calling);
    clients.join().await
}

fn describe(crowd: &Crowd, plan: &StreamPlan) -> Measurement {
    let mut measurement = Measurement::new("parlor", "stream");
    measurement.plan("readers", crowd.shape.connections());
    measurement.plan("bots", crowd.bots.len());
    measurement.plan("tokens", format!("{}/s of each bot, {} a reply", plan.rate, plan.tokens));
    measurement.plan("warm-up", format!("{} s", plan.warm_up.as_secs_f64()));
    measurement.plan("threads", plan.threads);
    measurement
}

fn tell(measurement: &mut Measurement, heard: &[Heard], shared: &Shared, readers: u64) {
    let replies = shared.replies.load(Ordering::Relaxed);
    let sum = |of: fn(&Heard) -> u64| heard.iter().map(of).sum::<u64>();
    let completed = sum(|heard| heard.completed);
    measurement.delivery = Some(DeliveryCheck {
        published: replies,
        expected: replies * readers,
        arrived: completed,
        // A reply whose pieces are not its text has lost one of them.
        lost: (replies * readers).saturating_sub(completed) + sum(|heard| heard.torn),
        doubled: sum(|heard| heard.doubled_deltas) + sum(|heard| heard.doubled_replies),
        out_of_order: sum(|heard| heard.out_of_order),
        refused: 0,
    });
    let seconds = measurement.duration_s;
    let tokens = shared.tokens.load(Ordering::Relaxed);
    let deltas = shared.deltas.load(Ordering::Relaxed);
    measurement.figure("tokens delivered a second", as_float(tokens) / seconds, "1/s");
    measurement.figure("tokens in one delta", as_float(tokens) / as_float(deltas.max(1)), "");
    measurement.figure(
        "deltas a second to each",
        as_float(deltas / readers.max(1)) / seconds,
        "1/s",
    );
    if let Some(cpu) = measurement.server_cpu.filter(|_| tokens > 0) {
        let each = cpu.total() * 1e6 / as_float(tokens);
        measurement.figure("server CPU for a million tokens delivered", each, "s");
    }
    measurement.figure("replies", as_float(replies), "");
    measurement.figure(
        "replies whose pieces are not their text",
        as_float(sum(|heard| heard.torn)),
        "",
    );
    measurement.figure("replies begun again", as_float(sum(|heard| heard.restarts)), "");
    let completion = Shared::summary(&shared.completion);
    measurement.figure("p50 from a complete reply to its readers", completion.p50_ms, "ms");
    measurement.figure("p99 from a complete reply to its readers", completion.p99_ms, "ms");
}

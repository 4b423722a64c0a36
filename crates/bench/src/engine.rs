//! The generator of load: many connections, few threads, every delivery counted.
//!
//! One loop for each thread, without a task or a buffer for each connection, so that ten thousand
//! of them fit and a delivery costs little beside what it costs the server. Messages carry who sent
//! them and when they were due, so what is lost, doubled, late or out of order is known exactly,
//! whatever system is under load.
//!
//! A run ends by itself: connecting, the measurements and the wait for what is still under way each
//! have an end.

mod layout;
mod ledger;
mod line;
mod payload;
mod plan;
mod tally;
mod timeline;
mod window;
mod worker;

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::{Poll, Waker};
use tokio::time::sleep;

pub(crate) use layout::Place;
pub use payload::PAYLOAD_MIN;
pub(crate) use plan::{Drive, Load};

use crate::measurement::{DeliveryCheck, MemoryUse, as_float};
use crate::processes::{Usage, usage, usage_with_share};
use crate::progress::{Phase, Progress};
use crate::target::BenchError;
use layout::Layout;
use plan::{Inbox, Shared, Stage, Times};
use tally::{Span, Tally};
use timeline::Timeline;
use window::Window;
use worker::{SecondTold, Worker};

/// How often the run is looked after.
const LOOK: Duration = Duration::from_millis(50);
/// Time that connecting may take, and more for each connection.
const CONNECT_MAX: Duration = Duration::from_secs(30);
const CONNECT_EACH: Duration = Duration::from_millis(10);
/// Calm between the last connection and the first message.
const CALM: Duration = Duration::from_millis(500);
/// After so long without a delivery nothing more will come.
const QUIET: Duration = Duration::from_secs(5);
/// The longest wait for what is under way.
const SETTLE_MAX: Duration = Duration::from_mins(1);
/// How long those that had stalled read what there is.
const REVIVE: Duration = Duration::from_secs(3);
/// Seconds that threads may tell before anyone listens.
const SECONDS_MAX: usize = 4_096;

/// What a run found.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) connects_per_s: f64,
    /// One for each measurement: the second is the one with stalled readers.
    pub(crate) spans: Vec<Measured>,
    pub(crate) check: DeliveryCheck,
    pub(crate) memory: Option<MemoryUse>,
    /// Connections that the server closed, by code.
    pub(crate) closed: Vec<(u16, u64)>,
    /// Commands that it refused, by code.
    pub(crate) refused: Vec<(String, u64)>,
    /// Connections that stalled.
    pub(crate) stalled: u64,
    /// Messages that did not arrive everywhere in time, in a closed loop.
    pub(crate) overdue: u64,
    /// Messages that could not be written, because the server did not read.
    pub(crate) unsent: u64,
    /// Messages in rooms they were not sent to.
    pub(crate) strays: u64,
}

/// One measurement of a run.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    pub(crate) counts: Span,
    pub(crate) timeline: Timeline,
}

/// Runs a load to its end.
///
/// # Errors
/// Fails when connections cannot be made, or are refused their rooms.
pub(crate) async fn run(load: Load, progress: &Progress) -> Result<Outcome, BenchError> {
    let pids = load.server_pids.clone();
    let before = usage_with_share(&pids);
    let (warm_up, duration) = (load.warm_up, load.duration);
    let has_stalls = load.stalled_percent.is_some();
    let began = Instant::now();
    let (shared, polls) = share(load)?;
    let (sender, seconds) = sync_channel(SECONDS_MAX);
    let threads = start(&shared, polls, &sender)?;
    drop(sender);
    let guard = EndOnDrop(Arc::clone(&shared));
    connect(&shared, began, progress).await?;
    let connecting = began.elapsed();
    sleep(CALM).await;
    let connected = usage_with_share(&pids);

    let times = times(warm_up, duration, has_stalls);
    shared.times.set(times).map_err(|_times| BenchError::Plan("begun twice".to_owned()))?;
    let mut outcome = Outcome {
        connects_per_s: as_float(shared.places.len() as u64) / connecting.as_secs_f64(),
        ..Outcome::default()
    };
    let spans = measure(&shared, times, &pids, progress).await?;
    settle(&shared, progress).await?;
    let after = usage(&pids);
    if has_stalls {
        shared.stage.store(Stage::Revive as u8, Ordering::Release);
        sleep(REVIVE).await;
    }
    drop(guard);
    let tallies = join(threads).await?;
    outcome.spans = gather(&seconds, spans);
    outcome.memory = memory(&shared, before, connected, after, &outcome.spans);
    conclude(&mut outcome, &shared, tallies);
    Ok(outcome)
}

/// Ends the threads, also when the run is given up.
struct EndOnDrop(Arc<Shared>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.stage.store(Stage::End as u8, Ordering::Release);
        for inbox in &self.0.inboxes {
            // Threads wake up by themselves soon.
            drop(inbox.waker.wake());
        }
    }
}

fn share(load: Load) -> Result<(Arc<Shared>, Vec<Poll>), BenchError> {
    if load.payload < PAYLOAD_MIN {
        return Err(BenchError::Plan(format!("a payload has at least {PAYLOAD_MIN} bytes")));
    }
    let stalled = load.stalled_percent.unwrap_or_default();
    let layout = Layout::new(&load.places, load.rooms.len(), load.senders.max(1), stalled)
        .ok_or_else(|| {
            BenchError::Plan("each room needs as many readers as it has senders".to_owned())
        })?;
    if !load.dialect.echoes() && layout.readers.iter().any(|readers| *readers < 2) {
        return Err(BenchError::Plan("each room needs a reader beside its sender".to_owned()));
    }
    let size = match load.drive {
        Drive::Open { .. } => 0,
        Drive::Closed { in_flight } => in_flight,
    };
    let threads = load.threads.max(1);
    let failed = BenchError::Thread;
    let polls = (0..threads).map(|_| Poll::new()).collect::<Result<Vec<_>, _>>().map_err(failed)?;
    let inboxes = polls
        .iter()
        .map(|poll| {
            let waker = Waker::new(poll.registry(), worker::WAKE)?;
            Ok(Inbox { tickets: Mutex::default(), waker })
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    let shared = Shared {
        sent: layout.senders.iter().map(|_| AtomicU32::new(0)).collect(),
        turns: (0..size.max(1)).map(|_| AtomicU32::new(0)).collect(),
        dialect: load.dialect,
        address: load.address,
        authority: load.authority,
        path: load.path,
        rooms: load.rooms,
        places: load.places,
        layout,
        payload: load.payload,
        drive: load.drive,
        threads,
        window: Window::new(size),
        base: Instant::now(),
        times: OnceLock::new(),
        stage: AtomicU8::new(Stage::Run as u8),
        ready: AtomicUsize::new(0),
        expected: AtomicU64::new(0),
        arrived: AtomicU64::new(0),
        refused_deliveries: AtomicU64::new(0),
        unsent: AtomicU64::new(0),
        inboxes,
        failure: Mutex::new(None),
        has_failed: AtomicBool::new(false),
    };
    Ok((Arc::new(shared), polls))
}

/// A thread's counts, and the number of deliveries that its readers miss.
type Thread = JoinHandle<(Tally, u64)>;

fn start(
    shared: &Arc<Shared>,
    polls: Vec<Poll>,
    seconds: &std::sync::mpsc::SyncSender<SecondTold>,
) -> Result<Vec<Thread>, BenchError> {
    let start = |(number, poll)| {
        let worker = Worker::new(number, Arc::clone(shared), poll, seconds.clone());
        std::thread::Builder::new()
            .name(format!("load-{number}"))
            .spawn(move || {
                let connections = worker.connections().to_vec();
                let tally = worker.run();
                let missing = tally.missing(&connections);
                (tally, missing)
            })
            .map_err(BenchError::Thread)
    };
    polls.into_iter().enumerate().map(start).collect()
}

/// Fails when a thread has.
fn check(shared: &Shared) -> Result<(), BenchError> {
    let mut failure = shared.failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    failure.take().map_or(Ok(()), Err)
}

async fn connect(shared: &Shared, began: Instant, progress: &Progress) -> Result<(), BenchError> {
    let all = shared.places.len();
    progress.count(Phase::Connect, all as u64, "connections");
    let most = u32::try_from(all).unwrap_or(u32::MAX);
    let deadline = began + CONNECT_MAX + CONNECT_EACH * most;
    loop {
        check(shared)?;
        let ready = shared.ready.load(Ordering::Acquire);
        progress.reach(ready as u64);
        if ready == all {
            return Ok(());
        }
        if Instant::now() > deadline {
            let reason = format!("{ready} of {all} connections were ready in time");
            return Err(BenchError::Connection(reason));
        }
        sleep(LOOK.min(Duration::from_millis(5))).await;
    }
}

fn times(warm_up: Duration, duration: Duration, has_stalls: bool) -> Times {
    let start = Instant::now() + LOOK;
    let first = (start + warm_up, start + warm_up + duration);
    if !has_stalls {
        return Times { start, spans: [Some(first), None], stall: None, end: first.1 };
    }
    let again = first.1 + warm_up;
    let second = (again, again + duration);
    Times { start, spans: [Some(first), Some(second)], stall: Some(first.1), end: second.1 }
}

/// Watches the server while the threads work.
async fn measure(
    shared: &Shared,
    times: Times,
    pids: &[u32],
    progress: &Progress,
) -> Result<Vec<Timeline>, BenchError> {
    let mut timelines = Vec::new();
    for (from, until) in times.spans.into_iter().flatten() {
        progress.time(Phase::WarmUp, from.saturating_duration_since(Instant::now()));
        wait_until(shared, from).await?;
        let mut timeline = Timeline::begin(pids);
        progress.time(Phase::Measure, until - from);
        let mut second = 1;
        while Instant::now() < until {
            wait_until(shared, (from + Duration::from_secs(second)).min(until)).await?;
            timeline.sample(from.elapsed(), usage(pids));
            progress.reach(second);
            second += 1;
        }
        timelines.push(timeline);
    }
    Ok(timelines)
}

async fn wait_until(shared: &Shared, time: Instant) -> Result<(), BenchError> {
    while Instant::now() < time {
        check(shared)?;
        sleep(LOOK.min(time.saturating_duration_since(Instant::now()))).await;
    }
    check(shared)
}

/// Waits until everything has arrived, or nothing more does.
async fn settle(shared: &Shared, progress: &Progress) -> Result<(), BenchError> {
    let (mut arrived, mut changed) = (0, Instant::now());
    let deadline = changed + SETTLE_MAX;
    progress.count(Phase::Settle, shared.expected.load(Ordering::Acquire), "deliveries");
    // What was sent last is counted by then.
    sleep(LOOK).await;
    loop {
        check(shared)?;
        let now = Instant::now();
        let count = shared.arrived.load(Ordering::Acquire);
        let refused = shared.refused_deliveries.load(Ordering::Acquire);
        if count != arrived {
            (arrived, changed) = (count, now);
        }
        progress.reach(count);
        let all_are_here = count + refused >= shared.expected.load(Ordering::Acquire);
        if all_are_here || now > changed + QUIET || now > deadline {
            // A little more, for what comes twice.
            sleep(LOOK).await;
            return Ok(());
        }
        sleep(LOOK).await;
    }
}

async fn join(threads: Vec<Thread>) -> Result<Vec<(Tally, u64)>, BenchError> {
    let mut tallies = Vec::new();
    for thread in threads {
        let joined = tokio::task::spawn_blocking(move || thread.join()).await;
        let tally = joined.ok().and_then(Result::ok);
        tallies.push(tally.ok_or_else(|| {
            BenchError::Connection("a thread of the generator failed".to_owned())
        })?);
    }
    Ok(tallies)
}

/// Puts together what the threads counted and what was seen of the server.
fn gather(seconds: &Receiver<SecondTold>, timelines: Vec<Timeline>) -> Vec<Measured> {
    let mut spans: Vec<Measured> = timelines
        .into_iter()
        .map(|timeline| Measured { counts: Span::default(), timeline })
        .collect();
    while let Ok(told) = seconds.try_recv() {
        if let Some(span) = spans.get_mut(told.span) {
            span.counts.add(&told.counts);
            span.timeline.count(told.second, &told.counts);
        }
    }
    spans
}

fn memory(
    shared: &Shared,
    before: Option<Usage>,
    connected: Option<Usage>,
    after: Option<Usage>,
    spans: &[Measured],
) -> Option<MemoryUse> {
    let (before, connected) = before.zip(connected)?;
    let connections = as_float(shared.places.len() as u64);
    let each = |more: u64| as_float(more) / connections;
    let share = connected.pss.zip(before.pss).map(|(after, before)| after.saturating_sub(before));
    Some(MemoryUse {
        rss_before: Some(before.rss),
        rss_connected: Some(connected.rss),
        rss_after: after.map(|after| after.rss),
        rss_after_burst: None,
        rss_peak: spans.iter().filter_map(|span| span.timeline.peak()).max(),
        rss_per_connection: Some(each(connected.rss.saturating_sub(before.rss))),
        pss_per_connection: share.map(each),
    })
}

fn conclude(outcome: &mut Outcome, shared: &Shared, tallies: Vec<(Tally, u64)>) {
    let mut closed = std::collections::BTreeMap::<u16, u64>::new();
    let mut refused = std::collections::BTreeMap::<String, u64>::new();
    let mut missing = 0;
    let mut refused_deliveries = 0;
    for (tally, lost) in tallies {
        missing += lost;
        outcome.check.doubled += tally.ledger.doubled;
        outcome.check.out_of_order += tally.ledger.out_of_order;
        outcome.strays += tally.strays;
        refused_deliveries += tally.refused_deliveries;
        for (code, count) in tally.closed {
            *closed.entry(code).or_default() += count;
        }
        for (code, count) in tally.refused {
            *refused.entry(code).or_default() += count;
        }
    }
    let load = |count: &AtomicU64| count.load(Ordering::Acquire);
    outcome.check.refused = refused.values().sum();
    outcome.check.published =
        shared.sent.iter().map(|sent| u64::from(sent.load(Ordering::Acquire))).sum();
    outcome.check.expected = load(&shared.expected);
    outcome.check.arrived = load(&shared.arrived);
    outcome.check.lost = missing.saturating_sub(refused_deliveries);
    outcome.unsent = load(&shared.unsent);
    outcome.overdue = shared.window.retired();
    outcome.stalled = shared.layout.stalls.iter().filter(|stalls| **stalls).count() as u64;
    outcome.closed = closed.into_iter().collect();
    outcome.refused = refused.into_iter().collect();
}

//! The generator of load: many connections, few threads, every delivery counted.
//!
//! One loop for each thread, without a task or a buffer for each connection, so that ten thousand
//! of them fit and a delivery costs little beside what it costs the server. Messages carry who sent
//! them and when they were due, so what is lost, doubled, late or out of order is known exactly,
//! whatever system is under load.
//!
//! A run ends by itself: connecting, the measurements and the wait for what is still under way each
//! have an end.

mod alarm;
mod layout;
mod ledger;
mod line;
mod outcome;
mod payload;
mod plan;
mod tally;
mod timeline;
mod watch;
mod window;
mod worker;

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::{Poll, Waker};
use tokio::time::sleep;

pub(crate) use layout::Place;
pub(crate) use outcome::{Measured, Outcome};
pub use payload::PAYLOAD_MIN;
pub(crate) use plan::{Drive, Load};

use crate::measurement::as_float;
use crate::processes::{usage, usage_with_share};
use crate::progress::Progress;
use crate::target::BenchError;
use layout::Layout;
use plan::{Inbox, Shared, Stage};
use tally::Tally;
use window::Window;
use worker::{SecondTold, Worker};

/// Calm between the last connection and the first message.
const CALM: Duration = Duration::from_millis(500);
/// How long those that had stalled read what there is.
const REVIVE: Duration = Duration::from_secs(5);
/// Seconds that threads may tell before anyone listens, which happens every second.
const SECONDS_MAX: usize = 256;

/// Runs a load to its end.
///
/// # Errors
/// Fails when connections cannot be made, or are refused their rooms.
pub(crate) async fn run(load: Load, progress: &Progress) -> Result<Outcome, BenchError> {
    let pids = load.server_pids.clone();
    let before = usage_with_share(&pids);
    let (warm_up, duration, quiet) = (load.warm_up, load.duration, load.quiet);
    let has_stalls = load.stalled_percent.is_some();
    let began = Instant::now();
    let (shared, polls) = share(load)?;
    let (sender, seconds) = sync_channel(SECONDS_MAX);
    let threads = start(&shared, polls, &sender)?;
    drop(sender);
    let guard = EndOnDrop(Arc::clone(&shared));
    watch::connect(&shared, began, progress).await?;
    let connecting = began.elapsed();
    sleep(CALM).await;
    let connected = usage_with_share(&pids);

    let times = watch::times(warm_up, duration, has_stalls);
    shared.times.set(times).map_err(|_times| BenchError::Plan("begun twice".to_owned()))?;
    let mut spans = watch::measure(&shared, times, &pids, &seconds, progress).await?;
    watch::settle(&shared, quiet, progress).await?;
    let after = usage(&pids);
    if has_stalls {
        shared.stage.store(Stage::Revive as u8, Ordering::Release);
        sleep(REVIVE).await;
    }
    drop(guard);
    let tallies = join(threads).await?;
    outcome::gather(&seconds, &mut spans);
    let memory = outcome::memory(&shared, [before, connected, after], &spans);
    let connects_per_s = as_float(shared.places.len() as u64) / connecting.as_secs_f64();
    let outcome = Outcome { connects_per_s, spans, memory, ..Outcome::default() };
    Ok(outcome.with_counts(&shared, tallies))
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
        live: layout.readers.iter().map(|readers| AtomicU32::new(*readers)).collect(),
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
        over: AtomicUsize::new(0),
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

#[cfg(test)]
mod tests;

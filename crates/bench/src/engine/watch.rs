//! Looks after a run from outside: how far its threads are, and what the server uses meanwhile.

use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::outcome::{Measured, gather};
use super::plan::{Shared, Times};
use super::timeline::Timeline;
use super::worker::SecondTold;
use crate::processes::usage;
use crate::progress::{Phase, Progress};
use crate::target::BenchError;

/// How often the run is looked after.
const LOOK: Duration = Duration::from_millis(50);
/// The same while connections are made, whose rate is told.
const LOOK_CLOSELY: Duration = Duration::from_millis(2);
/// Time that connecting may take, and more for each connection.
const CONNECT_MAX: Duration = Duration::from_secs(30);
const CONNECT_EACH: Duration = Duration::from_millis(10);
/// The longest wait for what is under way.
const SETTLE_MAX: Duration = Duration::from_mins(1);

/// Fails when a thread has.
fn check(shared: &Shared) -> Result<(), BenchError> {
    let mut failure = shared.failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    failure.take().map_or(Ok(()), Err)
}

/// Waits until everyone is connected and in a room.
pub(crate) async fn connect(
    shared: &Shared,
    began: Instant,
    progress: &Progress,
) -> Result<(), BenchError> {
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
        sleep(LOOK_CLOSELY).await;
    }
}

/// Returns when what happens, from now on.
pub(crate) fn times(warm_up: Duration, duration: Duration, has_stalls: bool) -> Times {
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
pub(crate) async fn measure(
    shared: &Shared,
    times: Times,
    pids: &[u32],
    seconds: &Receiver<SecondTold>,
    progress: &Progress,
) -> Result<Vec<Measured>, BenchError> {
    let mut spans = Vec::new();
    for (from, until) in times.spans.into_iter().flatten() {
        progress.time(Phase::WarmUp, from.saturating_duration_since(Instant::now()));
        wait_until(shared, from).await?;
        spans.push(Measured { timeline: Timeline::begin(pids), ..Measured::default() });
        progress.time(Phase::Measure, until - from);
        let mut second = 1;
        while Instant::now() < until {
            wait_until(shared, (from + Duration::from_secs(second)).min(until)).await?;
            gather(seconds, &mut spans);
            if let Some(span) = spans.last_mut() {
                span.timeline.sample(from.elapsed(), usage(pids));
            }
            progress.reach(second);
            second += 1;
        }
    }
    Ok(spans)
}

async fn wait_until(shared: &Shared, time: Instant) -> Result<(), BenchError> {
    while Instant::now() < time {
        check(shared)?;
        sleep(LOOK.min(time.saturating_duration_since(Instant::now()))).await;
    }
    check(shared)
}

/// Waits until everything has arrived, or nothing more does.
pub(crate) async fn settle(
    shared: &Shared,
    quiet: Duration,
    progress: &Progress,
) -> Result<(), BenchError> {
    let deadline = Instant::now() + SETTLE_MAX;
    while shared.over.load(Ordering::Acquire) < shared.threads && Instant::now() < deadline {
        check(shared)?;
        sleep(LOOK_CLOSELY).await;
    }
    progress.count(Phase::Settle, shared.expected.load(Ordering::Acquire), "deliveries");
    let (mut arrived, mut changed) = (0, Instant::now());
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
        if all_are_here || now > changed + quiet || now > deadline {
            // A little more, for what comes twice.
            sleep(LOOK).await;
            return Ok(());
        }
        sleep(LOOK).await;
    }
}

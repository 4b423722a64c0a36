//! Durable publishing: how many messages are acknowledged, and after how long.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use parlor_protocol::id::RoomId;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep_until};

use crate::measurement::{Measurement, as_float};
use crate::meter::Meter;
use crate::pace::Pace;
use crate::socket::Socket;
use crate::summary::Latency;
use crate::target::{BenchError, Target};

/// How long answers are awaited after the last command.
const LAST_ANSWERS: Duration = Duration::from_secs(10);
/// An open loop that is so far behind gives up waiting for answers before it sends more.
const OPEN_LOOP_MAX: usize = 100_000;

/// What is published.
#[derive(Debug, Clone)]
pub struct PublishPlan {
    /// Users that log in; each has as many connections as fall to it.
    pub users: usize,
    /// WebSocket connections.
    pub connections: usize,
    /// Rooms, taken in turn.
    pub rooms: usize,
    /// Length of each message's text in bytes.
    pub body: usize,
    /// Unanswered messages in all, for a closed loop.
    pub in_flight: usize,
    /// Messages a second in all, for an open loop; overrides `in_flight`.
    pub rate: Option<f64>,
    /// Time before the measurement.
    pub warm_up: Duration,
    /// Time of the measurement.
    pub duration: Duration,
    /// Threads of the generator.
    pub threads: usize,
    /// Processes of the server, whose processor time is told.
    pub server_pids: Vec<u32>,
}

/// What one connection does.
#[derive(Debug, Clone)]
struct Work {
    authority: Arc<str>,
    token: String,
    rooms: Arc<[RoomId]>,
    /// Names the connection, so that no two messages have the same `client_id`.
    number: usize,
    body: Arc<str>,
    in_flight: usize,
    rate: Option<f64>,
}

/// The times of a run.
#[derive(Debug, Clone, Copy)]
struct Times {
    start: Instant,
    measured_from: Instant,
    end: Instant,
}

#[derive(Debug, Default)]
struct Tally {
    latency: Latency,
    acknowledged: u64,
    refused: BTreeMap<String, u64>,
    unanswered: u64,
}

/// Publishes as planned.
///
/// # Errors
/// Fails when the server refuses accounts, rooms or connections, or a connection is lost.
pub async fn run(target: &Target, plan: PublishPlan) -> Result<Measurement, BenchError> {
    let accounts = target.accounts(plan.users.max(1)).await?;
    let rooms: Arc<[RoomId]> = target.rooms(&accounts, plan.rooms.max(1)).await?.into();
    let mut tokens = Vec::new();
    for account in &accounts {
        tokens.push(account.http.access_token().await?);
    }
    let connections = plan.connections.max(1);
    let authority: Arc<str> = target.authority().into();
    let body: Arc<str> = "x".repeat(plan.body).into();
    let works: Vec<Work> = (0..connections)
        .zip(tokens.iter().cycle())
        .map(|(number, token)| Work {
            authority: Arc::clone(&authority),
            token: token.clone(),
            rooms: Arc::clone(&rooms),
            number,
            body: Arc::clone(&body),
            in_flight: share(plan.in_flight, connections, number).max(1),
            rate: plan.rate.map(|rate| rate / as_float(connections as u64)),
        })
        .collect();
    let start = Instant::now() + Duration::from_millis(500);
    let measured_from = start + plan.warm_up;
    let times = Times { start, measured_from, end: measured_from + plan.duration };
    let threads = start_threads(&works, plan.threads.max(1), times)?;

    sleep_until(measured_from).await;
    let before = target.scrape().await?;
    let meter = Meter::start(&plan.server_pids);
    sleep_until(times.end).await;
    let mut measurement = plan.describe();
    meter.note(&mut measurement);
    let after = target.scrape().await?;

    let mut all = Tally::default();
    for thread in threads {
        let tally = tokio::task::spawn_blocking(move || thread.join())
            .await
            .ok()
            .and_then(Result::ok)
            .ok_or_else(|| BenchError::Connection("the generator failed".to_owned()))??;
        all.add(tally);
    }
    measurement.connections = Some(connections as u64);
    measurement.published = Some(all.acknowledged);
    measurement.latency = Some(all.latency.summary());
    let per_second = as_float(all.acknowledged) / plan.duration.as_secs_f64();
    measurement.figure("acknowledged", per_second, "1/s");
    if let Some(batch) = after.mean(&before, "parlor_store_commit_batch") {
        measurement.figure("messages in one commit", batch, "");
    }
    if let Some(seconds) = after.mean(&before, "parlor_store_commit_duration_seconds") {
        measurement.figure("time of one commit", seconds * 1_000.0, "ms");
    }
    for (code, count) in &all.refused {
        measurement.figure(&format!("refused with {code}"), as_float(*count), "");
    }
    if all.unanswered > 0 {
        measurement.figure("unanswered", as_float(all.unanswered), "");
    }
    Ok(measurement)
}

impl PublishPlan {
    fn describe(&self) -> Measurement {
        let mut measurement = Measurement::new("parlor", "publish");
        measurement.plan("users", self.users);
        measurement.plan("connections", self.connections);
        measurement.plan("rooms", self.rooms);
        measurement.plan("body", self.body);
        match self.rate {
            Some(rate) => measurement.plan("rate", format!("{rate} messages/s")),
            None => measurement.plan("in flight", self.in_flight),
        }
        measurement.plan("warm-up", format!("{} s", self.warm_up.as_secs_f64()));
        measurement.plan("threads", self.threads);
        measurement
    }
}

type Thread = std::thread::JoinHandle<Result<Tally, BenchError>>;

/// Gives each thread its share of the connections and a runtime of its own.
fn start_threads(works: &[Work], threads: usize, times: Times) -> Result<Vec<Thread>, BenchError> {
    (0..threads)
        .map(|thread| {
            let works: Vec<Work> = works.iter().skip(thread).step_by(threads).cloned().collect();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(BenchError::Thread)?;
            let name = format!("load-{thread}");
            std::thread::Builder::new()
                .name(name)
                .spawn(move || LocalSet::new().block_on(&runtime, drive(works, times)))
                .map_err(BenchError::Thread)
        })
        .collect()
}

async fn drive(works: Vec<Work>, times: Times) -> Result<Tally, BenchError> {
    let tasks: Vec<_> = works
        .into_iter()
        .map(|work| tokio::task::spawn_local(publish(Rc::new(work), times)))
        .collect();
    let mut all = Tally::default();
    for task in tasks {
        let tally = task.await.map_err(|error| BenchError::Connection(error.to_string()))??;
        all.add(tally);
    }
    Ok(all)
}

/// One connection, from its start to its last answer.
async fn publish(work: Rc<Work>, times: Times) -> Result<Tally, BenchError> {
    let lost = |error: std::io::Error| BenchError::Connection(error.to_string());
    let mut socket = Socket::open(&work.authority, &work.token).await?;
    let mut tally = Tally::default();
    let mut open: HashMap<u64, Instant> = HashMap::new();
    let mut next = 0_u64;
    let mut pace = work.rate.map(|rate| {
        // Connections do not all send at the same moment.
        let offset = Duration::from_secs_f64(1.0 / rate).mul_f64(rand::random());
        Pace::new(times.start + offset, rate)
    });
    sleep_until(times.start).await;
    loop {
        let now = Instant::now();
        if now < times.end {
            while let Some(due) = take_due(&mut pace, now, open.len(), work.in_flight) {
                socket.push(&work.command(next));
                open.insert(next, due);
                next += 1;
            }
        } else if open.is_empty() || now >= times.end + LAST_ANSWERS {
            break;
        }
        socket.flush().await.map_err(lost)?;
        let wake = match &pace {
            Some(pace) if now < times.end => pace.next_due().max(now + Duration::from_millis(1)),
            _ => now + Duration::from_millis(100),
        };
        tokio::select! {
            biased;
            alive = socket.receive(|frame| tally.answer(frame, &mut open, times)) => {
                if !alive.map_err(lost)? {
                    return Err(BenchError::Connection("closed by the server".to_owned()));
                }
            }
            () = sleep_until(wake) => {}
        }
    }
    tally.unanswered = open.len() as u64;
    Ok(tally)
}

/// Returns when the next message was due, if it is.
fn take_due(
    pace: &mut Option<Pace>,
    now: Instant,
    open: usize,
    in_flight: usize,
) -> Option<Instant> {
    match pace {
        Some(pace) if open < OPEN_LOOP_MAX => pace.take(now),
        Some(_) => None,
        None => (open < in_flight).then_some(now),
    }
}

impl Work {
    fn command(&self, next: u64) -> Vec<u8> {
        let turn = usize::try_from(next).unwrap_or(0).wrapping_add(self.number);
        let room = self.rooms[turn % self.rooms.len()];
        let (number, body) = (self.number, &self.body);
        format!(
            r#"{{"op":"publish","id":"{next}","room":"{room}","client_id":"{number}-{next}","body":"{body}"}}"#
        )
        .into_bytes()
    }
}

impl Tally {
    /// Takes note of an answer; what else the server tells is not of interest.
    fn answer(&mut self, frame: &[u8], open: &mut HashMap<u64, Instant>, times: Times) {
        let is_ok = frame.starts_with(br#"{"op":"ok""#);
        if !is_ok && !frame.starts_with(br#"{"op":"error""#) {
            return;
        }
        let Some(due) = number_after(frame, br#""re":""#).and_then(|re| open.remove(&re)) else {
            return;
        };
        if is_ok {
            let now = Instant::now();
            if now >= times.measured_from && now < times.end {
                self.acknowledged += 1;
                self.latency.record(now.saturating_duration_since(due));
            }
        } else {
            let code = serde_json::from_slice::<serde_json::Value>(frame)
                .ok()
                .and_then(|frame| Some(frame["code"].as_str()?.to_owned()));
            *self.refused.entry(code.unwrap_or_default()).or_default() += 1;
        }
    }

    fn add(&mut self, other: Self) {
        self.latency.merge(&other.latency);
        self.acknowledged += other.acknowledged;
        self.unanswered += other.unanswered;
        for (code, count) in other.refused {
            *self.refused.entry(code).or_default() += count;
        }
    }
}

fn number_after(frame: &[u8], key: &[u8]) -> Option<u64> {
    let start = frame.windows(key.len()).position(|bytes| bytes == key)? + key.len();
    let digits = frame[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&frame[start..start + digits]).ok()?.parse().ok()
}

/// The part of `total` that falls to one of several.
fn share(total: usize, parts: usize, number: usize) -> usize {
    total / parts + usize::from(number < total % parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up() {
        let shares: Vec<_> = (0..7).map(|number| share(1_024, 7, number)).collect();
        assert_eq!(shares.iter().sum::<usize>(), 1_024);
    }

    #[test]
    fn answers_are_told_from_what_else_arrives() {
        let now = Instant::now();
        let minute = Duration::from_mins(1);
        let times = Times { start: now, measured_from: now, end: now + minute };
        let mut open = HashMap::from([(7, now), (8, now)]);
        let mut tally = Tally::default();
        tally.answer(br#"{"op":"signal","re":"7"}"#, &mut open, times);
        tally.answer(br#"{"op":"ok","re":"7","seq":3}"#, &mut open, times);
        tally.answer(br#"{"op":"error","re":"8","code":"unavailable"}"#, &mut open, times);
        assert_eq!((tally.acknowledged, open.len()), (1, 0));
        assert_eq!(tally.refused, BTreeMap::from([("unavailable".to_owned(), 1)]));
    }
}

//! Fan-out: what is written in a room goes to everyone in it.
//!
//! The same load for every system: so many rooms, so many readers in each, messages of one length,
//! at a fixed rate or as many as are in flight. `stalled` is the same twice: first all readers read,
//! then some stop, and what counts is how the others fare.

use std::sync::Arc;
use std::time::Duration;

use crate::accounts::Crowd;
use crate::address::Address;
use crate::dialect::{Dialect, Parlor};
use crate::engine::{self, Drive, Load, Measured, Outcome, Place};
use crate::measurement::{Measurement, as_float};
use crate::progress::Progress;
use crate::target::{BenchError, Target};

/// After so long without a delivery at the end, nothing more will come. Some systems are silent for
/// seconds when they are saturated.
const QUIET: Duration = Duration::from_secs(5);

/// Who meets where: a system, its rooms, and a connection for each reader.
#[derive(Debug)]
pub struct Meeting {
    dialect: Arc<dyn Dialect>,
    address: Address,
    rooms: Vec<String>,
    places: Vec<Place>,
}

impl Meeting {
    /// Returns a meeting of logged-in users on a Parlor server.
    ///
    /// # Errors
    /// Fails when the server's host cannot be found.
    pub fn of_users(target: &Target, crowd: &Crowd, durable: bool) -> Result<Self, BenchError> {
        let dialect = if durable { Parlor::durable() } else { Parlor::signals() };
        let seats = crowd.seats().into_iter();
        Ok(Self {
            dialect: Arc::new(dialect),
            address: target.address()?,
            rooms: crowd.rooms.iter().map(ToString::to_string).collect(),
            places: seats
                .map(|seat| Place { token: seat.person.token, room: seat.room_number })
                .collect(),
        })
    }

    /// Returns a meeting on a system without users.
    pub fn of_clients(
        dialect: Box<dyn Dialect>,
        address: Address,
        rooms: usize,
        members: usize,
    ) -> Self {
        let token: Arc<str> = "".into();
        let place = |number| Place { token: Arc::clone(&token), room: number / members.max(1) };
        Self {
            dialect: dialect.into(),
            address,
            rooms: (0..rooms).map(|number| format!("room-{number}")).collect(),
            places: (0..rooms * members).map(place).collect(),
        }
    }
}

/// How fast messages are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rate {
    /// Deliveries a second, however the server does.
    Deliveries(f64),
    /// Messages a second, however the server does.
    Messages(f64),
    /// As fast as they arrive, with so many in flight.
    InFlight(usize),
}

/// What is sent to whom.
#[derive(Debug, Clone)]
pub struct FanOutPlan {
    /// The name of the scenario for the report.
    pub scenario: &'static str,
    /// Connections of each room that send, in turn.
    pub senders: usize,
    /// Length of each message's payload in bytes.
    pub payload: usize,
    /// How fast.
    pub rate: Rate,
    /// Of a hundred readers, those that stop reading for a second measurement.
    pub stalled_percent: Option<f64>,
    /// Time before each measurement.
    pub warm_up: Duration,
    /// Time of each measurement.
    pub duration: Duration,
    /// Threads of the generator.
    pub threads: usize,
    /// Processes of the server, whose processor time and memory is told.
    pub server_pids: Vec<u32>,
}

/// Sends as planned.
///
/// # Errors
/// Fails when connections cannot be made, or the plan does not fit the rooms.
pub async fn run(
    meeting: Meeting,
    plan: FanOutPlan,
    progress: &Progress,
) -> Result<Measurement, BenchError> {
    let mut measurement = describe(&meeting, &plan);
    let (rooms, connections) = (meeting.rooms.len(), meeting.places.len());
    if rooms == 0 || connections == 0 {
        return Err(BenchError::Plan("there must be a room and a reader".to_owned()));
    }
    let drive = match plan.rate {
        Rate::Messages(rate) => Drive::Open { rate },
        Rate::Deliveries(rate) => {
            let own = u64::from(!meeting.dialect.echoes());
            let readers = as_float((connections / rooms) as u64 - own);
            Drive::Open { rate: rate / readers.max(1.0) }
        }
        Rate::InFlight(in_flight) => Drive::Closed { in_flight },
    };
    let load = Load {
        dialect: meeting.dialect,
        address: meeting.address.socket,
        authority: meeting.address.authority,
        path: meeting.address.path,
        rooms: meeting.rooms,
        places: meeting.places,
        senders: plan.senders,
        payload: plan.payload,
        drive,
        warm_up: plan.warm_up,
        duration: plan.duration,
        quiet: QUIET,
        stalled_percent: plan.stalled_percent,
        threads: plan.threads,
        server_pids: plan.server_pids,
    };
    let outcome = engine::run(load, progress).await?;
    tell(&mut measurement, outcome, connections as u64);
    Ok(measurement)
}

fn describe(meeting: &Meeting, plan: &FanOutPlan) -> Measurement {
    let mut measurement = Measurement::new(meeting.dialect.system(), plan.scenario);
    let rooms = meeting.rooms.len();
    measurement.plan("rooms", rooms);
    measurement.plan("readers in each room", meeting.places.len() / rooms.max(1));
    measurement.plan("senders in each room", plan.senders);
    measurement.plan("payload", format!("{} bytes", plan.payload));
    measurement
        .plan("messages", if meeting.dialect.answers() { "durable" } else { "at most once" });
    match plan.rate {
        Rate::Messages(rate) => measurement.plan("rate", format!("{rate} messages/s")),
        Rate::Deliveries(rate) => measurement.plan("rate", format!("{rate} deliveries/s")),
        Rate::InFlight(count) => measurement.plan("in flight", format!("{count} messages")),
    }
    if let Some(percent) = plan.stalled_percent {
        measurement.plan("stalled", format!("{percent} % of the readers"));
    }
    measurement.plan("warm-up", format!("{} s", plan.warm_up.as_secs_f64()));
    measurement.plan("threads", plan.threads);
    measurement
}

fn tell(measurement: &mut Measurement, mut outcome: Outcome, connections: u64) {
    measurement.connections = Some(connections);
    measurement.connects_per_s = Some(outcome.connects_per_s);
    measurement.memory = outcome.memory;
    measurement.delivery = Some(outcome.check);
    let stalled = (outcome.spans.len() > 1).then(|| outcome.spans.pop()).flatten();
    let first = outcome.spans.pop().unwrap_or_default();
    match &stalled {
        Some(second) => {
            tell_span(measurement, second);
            compare(measurement, &first, second, &outcome);
        }
        None => tell_span(measurement, &first),
    }
    for (code, count) in &outcome.closed {
        measurement.figure(&format!("closed with {code}"), as_float(*count), "");
    }
    for (code, count) in &outcome.refused {
        measurement.figure(&format!("refused with {code}"), as_float(*count), "");
    }
    for (name, count) in [
        ("not everywhere within 5 s", outcome.overdue),
        ("not sent, the server did not read", outcome.unsent),
        ("in another room", outcome.strays),
    ] {
        if count > 0 {
            measurement.figure(name, as_float(count), "");
        }
    }
}

fn tell_span(measurement: &mut Measurement, span: &Measured) {
    measurement.duration_s = span.timeline.duration().as_secs_f64();
    measurement.server_cpu = span.timeline.server_cpu();
    measurement.generator_cpu = span.timeline.generator_cpu();
    measurement.published = Some(span.counts.published);
    measurement.latency = Some(span.counts.latency.summary());
    measurement.deliveries(span.counts.deliveries);
    measurement.timeline = span.timeline.seconds();
}

/// Tells how those who read fared before and after others stopped.
fn compare(measurement: &mut Measurement, first: &Measured, second: &Measured, outcome: &Outcome) {
    let (before, after) = (first.counts.latency.summary(), second.counts.latency.summary());
    measurement.figure("p50 while all read", before.p50_ms, "ms");
    measurement.figure("p99 while all read", before.p99_ms, "ms");
    if before.p99_ms > 0.0 {
        measurement.figure("p99 of the others, in proportion", after.p99_ms / before.p99_ms, "");
    }
    let rate = |span: &Measured| {
        as_float(span.counts.deliveries) / span.timeline.duration().as_secs_f64().max(1e-3)
    };
    measurement.figure("deliveries while all read", rate(first), "1/s");
    if let Some(peak) = first.timeline.peak() {
        measurement.figure("memory while all read", as_float(peak), "bytes");
    }
    if let Some(peak) = second.timeline.peak() {
        measurement.figure("memory while some stalled", as_float(peak), "bytes");
    }
    measurement.figure("stalled readers", as_float(outcome.stalled), "");
}

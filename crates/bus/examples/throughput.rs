//! Measures the bus between two processes on this machine, through a NATS server of its own.
//!
//! ```text
//! cargo run --release -p parlor-bus --example throughput
//! ```
//!
//! First events as fast as they are taken, into one room and into a thousand; then 2,000 events a
//! second, each answered by a signal, for the time of the way there and back.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a program for the terminal")]

#[expect(dead_code, reason = "tests make more things")]
#[path = "../tests/nats/make.rs"]
mod make;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use parlor_bus::{Bus, Delivery, Mailbox, NatsBus, NatsOptions};
use parlor_protocol::event::Event;
use parlor_protocol::signal::SignalBody;
use parlor_testkit::services::Nats;
use prometheus::Registry;

use make::{delta, ended, message, room, said};

const EVENTS: u32 = 400_000;
const ROOMS: u32 = 1_000;
/// In the room where the other process answers.
const ANSWERS: u128 = 1_000_000;
const PINGS: u32 = 10_000;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1) {
        Some(url) => listen(url).await,
        None => publish().await,
    }
}

async fn connect(url: &str) -> (NatsBus, Registry, Mailbox) {
    let registry = Registry::new();
    let options = NatsOptions { url: url.to_owned(), ..NatsOptions::default() };
    let bus = NatsBus::connect(options, &registry).await.unwrap();
    let mailbox = bus.subscribe(1_000_000).unwrap();
    (bus, registry, mailbox)
}

/// The other process: counts events, and answers those of the last room.
async fn listen(url: &str) {
    let (bus, _registry, mut mailbox) = connect(url).await;
    for n in (0..ROOMS).map(u128::from).chain([ANSWERS]) {
        bus.follow(mailbox.id, room(n));
        bus.wait_followed(room(n)).await;
    }
    bus.publish_events(vec![said(room(ANSWERS), 1)]);
    let mut batch = Vec::new();
    let mut received = 0;
    let mut started = Instant::now();
    while mailbox.receive(&mut batch, 1_000).await > 0 {
        for delivery in batch.drain(..) {
            let Delivery::Event { event, .. } = delivery else { continue };
            if event.room == room(ANSWERS) {
                bus.publish_signal(delta(room(ANSWERS), message(1), 1, sequence(&event), ""));
                continue;
            }
            if received == 0 {
                started = Instant::now();
            }
            received += 1;
            if received == EVENTS {
                report("received", started.elapsed());
                bus.publish_events(vec![ended(room(ANSWERS), 2, message(1))]);
                received = 0;
            }
        }
        if mailbox.take_overflow() {
            println!("the mailbox was full");
        }
    }
}

fn sequence(event: &Event) -> u32 {
    u32::try_from(event.seq).unwrap()
}

fn report(what: &str, took: Duration) {
    println!("  {what}: {:.0} events/s", f64::from(EVENTS) / took.as_secs_f64());
}

async fn publish() {
    let nats = Nats::start().await;
    let (bus, registry, mut mailbox) = connect(&nats.url()).await;
    bus.follow(mailbox.id, room(ANSWERS));
    bus.wait_followed(room(ANSWERS)).await;
    let mut other = Command::new(std::env::current_exe().unwrap())
        .arg(nats.url())
        .stdout(Stdio::inherit())
        .spawn()
        .unwrap();
    wait_event(&mut mailbox).await;
    for rooms in [1, ROOMS] {
        println!("{EVENTS} events into {rooms} rooms");
        let before = total(&registry);
        let template = said(room(0), 1);
        let started = Instant::now();
        for first in (0..EVENTS).step_by(1_000) {
            let event = |n: u32| Event {
                room: room(u128::from(n % rooms)),
                seq: u64::from(n),
                ..template.clone()
            };
            bus.publish_events((first..first + 1_000).map(event).collect());
            // Never more than fit into the queue.
            while f64::from(first + 1_000) - (total(&registry) - before) > 4_000.0 {
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
        }
        report("published", started.elapsed());
        wait_event(&mut mailbox).await;
    }
    ping(&bus, &mut mailbox).await;
    other.kill().unwrap();
    other.wait().unwrap();
}

/// Counts what was handed to NATS, or dropped.
fn total(registry: &Registry) -> f64 {
    let names = ["parlor_bus_published_total", "parlor_bus_dropped_total"];
    let families = registry.gather();
    let counted = families.iter().filter(|family| names.contains(&family.name()));
    let series = counted.flat_map(prometheus::proto::MetricFamily::get_metric);
    series.map(|series| series.get_counter().get_value()).sum()
}

async fn wait_event(mailbox: &mut Mailbox) {
    let mut batch = Vec::new();
    loop {
        mailbox.receive(&mut batch, 1).await;
        if matches!(batch.pop(), Some(Delivery::Event { event, .. }) if event.room == room(ANSWERS))
        {
            return;
        }
    }
}

async fn ping(bus: &NatsBus, mailbox: &mut Mailbox) {
    let mut ticks = tokio::time::interval(Duration::from_micros(500));
    let mut sent = Vec::new();
    let mut took = Vec::new();
    let mut batch = Vec::new();
    while took.len() < PINGS as usize {
        tokio::select! {
            _ = ticks.tick(), if sent.len() < PINGS as usize => {
                sent.push(Instant::now());
                bus.publish_events(vec![said(room(ANSWERS), sent.len() as u64)]);
            }
            _ = mailbox.receive(&mut batch, 100) => {
                for delivery in batch.drain(..) {
                    if let Delivery::Signal { signal, .. } = delivery
                        && let SignalBody::MessageDelta(delta) = &signal.body
                        && let Some(sent) = sent.get(delta.chunk as usize - 1)
                    {
                        took.push(sent.elapsed());
                    }
                }
            }
        }
    }
    took.sort();
    let at = |per_mille: usize| took[took.len() * per_mille / 1_000];
    println!("{PINGS} events and answers at 2000 a second");
    println!("  there and back: p50 {:?}, p99 {:?}, p99.9 {:?}", at(500), at(990), at(999));
}

//! Measures the bus between two processes on this machine, through a NATS server of its own.
//!
//! ```text
//! cargo run --release -p parlor-bus --example throughput
//! ```
//!
//! First events as fast as the other process takes them without a loss, into one room and into a
//! thousand; then 2,000 events a second, each answered by another, for the time there and back.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a program for the terminal")]

#[expect(dead_code, reason = "tests make more things")]
#[path = "../tests/nats/make.rs"]
mod make;

use std::process::Command;
use std::time::{Duration, Instant};

use parlor_bus::{Bus, Delivery, Mailbox, NatsBus, NatsOptions};
use parlor_protocol::event::Event;
use parlor_protocol::id::RoomId;
use parlor_testkit::services::Nats;
use prometheus::Registry;
use tokio::time::{interval, timeout};

use make::{room, said};

const EVENTS: u32 = 200_000;
const ROOMS: u32 = 1_000;
/// Events on their way at a time: fewer than may wait anywhere.
const IN_FLIGHT: u64 = 6_000;
const STEP: u32 = 1_000;
const PINGS: usize = 10_000;
const PATIENCE: Duration = Duration::from_secs(20);

/// Where the other process tells how much it has received.
fn progress() -> RoomId {
    room(1_000_000)
}

/// Where the other process answers each event.
fn pings() -> RoomId {
    room(1_000_001)
}

#[tokio::main]
async fn main() {
    match std::env::args().nth(1) {
        Some(url) => listen(&url).await,
        None => publish().await,
    }
}

async fn connect(url: &str) -> (NatsBus, Mailbox) {
    let options = NatsOptions { url: url.to_owned(), ..NatsOptions::default() };
    let bus = NatsBus::connect(options, &Registry::new()).await.unwrap();
    let mailbox = bus.subscribe(100_000).unwrap();
    (bus, mailbox)
}

async fn listen(url: &str) {
    let (bus, mut mailbox) = connect(url).await;
    for room in (0..ROOMS).map(|n| room(u128::from(n))).chain([pings()]) {
        bus.follow(mailbox.id, room);
        bus.wait_followed(room).await;
    }
    bus.publish_events(vec![said(progress(), 0)]);
    let mut batch = Vec::new();
    let mut received = 0;
    while mailbox.receive(&mut batch, 1_000).await > 0 {
        for delivery in batch.drain(..) {
            let Delivery::Event { event, .. } = delivery else { continue };
            if event.room == pings() {
                bus.publish_events(vec![said(progress(), event.seq)]);
                continue;
            }
            received += 1;
            if received % u64::from(STEP) == 0 {
                bus.publish_events(vec![said(progress(), received)]);
            }
        }
    }
}

async fn publish() {
    let nats = Nats::start().await;
    let (bus, mut mailbox) = connect(&nats.url()).await;
    bus.follow(mailbox.id, progress());
    bus.wait_followed(progress()).await;
    let mut other = Command::new(std::env::current_exe().unwrap()).arg(nats.url()).spawn().unwrap();
    hear(&mut mailbox).await;
    let mut received = 0;
    for rooms in [1, ROOMS] {
        let before = received;
        let template = said(room(0), 1);
        let started = Instant::now();
        for first in (0..EVENTS).step_by(STEP as usize) {
            let event = |n: u32| Event {
                room: room(u128::from(n % rooms)),
                seq: u64::from(n),
                ..template.clone()
            };
            bus.publish_events((first..first + STEP).map(event).collect());
            while before + u64::from(first + STEP) - received > IN_FLIGHT {
                received = hear(&mut mailbox).await;
            }
        }
        while received < before + u64::from(EVENTS) {
            received = hear(&mut mailbox).await;
        }
        let rate = f64::from(EVENTS) / started.elapsed().as_secs_f64();
        println!("{EVENTS} events into {rooms} rooms: {rate:.0} a second");
    }
    ping(&bus, &mut mailbox).await;
    other.kill().unwrap();
    other.wait().unwrap();
}

/// Waits for a word of the other process.
async fn hear(mailbox: &mut Mailbox) -> u64 {
    let mut batch = Vec::new();
    loop {
        let received = timeout(PATIENCE, mailbox.receive(&mut batch, 1)).await;
        assert_eq!(received.expect("no event is lost"), 1);
        if let Some(Delivery::Event { event, .. }) = batch.pop() {
            return event.seq;
        }
    }
}

async fn ping(bus: &NatsBus, mailbox: &mut Mailbox) {
    let mut ticks = interval(Duration::from_micros(500));
    let mut sent = Vec::new();
    let mut took = Vec::new();
    while took.len() < PINGS {
        tokio::select! {
            _ = ticks.tick(), if sent.len() < PINGS => {
                bus.publish_events(vec![said(pings(), sent.len() as u64)]);
                sent.push(Instant::now());
            }
            seq = hear(mailbox) => took.push(sent[usize::try_from(seq).unwrap()].elapsed()),
        }
    }
    took.sort();
    let at = |per_mille: usize| took[took.len() * per_mille / 1_000];
    println!("{PINGS} events and answers at 2000 a second, there and back:");
    println!("  p50 {:?}, p99 {:?}, p99.9 {:?}", at(500), at(990), at(999));
}

//! Readers that do not read cost a bounded amount of memory and slow nobody.

use std::time::Duration;

use parlor_protocol::{close::CloseCode, command::Position, frame::Frame};
use parlor_testkit::{
    process::{User, raise_descriptor_limit},
    socket::{Options, Socket},
};
use tokio::{task::JoinSet, time::Instant};
use uuid::Uuid;

use crate::{
    MACHINE,
    follow::{Follower, SharedHistory, settle, shared_history},
    stage::{Builder, Place, Stage, in_both_places},
};

in_both_places! {
    thousand_stalled_readers_cost_little_and_slow_nobody,
    fullest_readers_are_closed_when_all_together_hold_too_much,
    reader_that_takes_nothing_for_too_long_is_closed,
}

/// In a cluster, where the others are on all nodes, fewer on one of them.
const STALLED: (usize, usize) = (1_000, 200);
/// Descriptors for one stalled reader: one here, one in the server, which has a limit of its own.
const SPARE_DESCRIPTORS: u64 = 500;
const USERS: usize = 20;
const HEALTHY: usize = 5;
const SAMPLES: usize = 25;
const OUTBOX_TOTAL: u64 = 16 << 20;
/// The store's cache, rings, tasks and the allocator's reserve.
const SLACK: u64 = 24 << 20;
/// How much slower healthy readers may be, and a floor below which nothing is measured.
const FACTOR: u32 = 10;
const FLOOR: Duration = Duration::from_millis(500);

async fn thousand_stalled_readers_cost_little_and_slow_nobody(place: Place) {
    let _alone = MACHINE.write().await;
    let count = place.pick(STALLED.0, STALLED.1);
    let descriptors = raise_descriptor_limit();
    let wanted = count as u64 + SPARE_DESCRIPTORS;
    assert!(
        descriptors >= wanted,
        "this test needs {wanted} open files; the limit is {descriptors}"
    );
    let stage = place
        .builder()
        .env("PARLOR_LIMITS__OUTBOX", "32KiB")
        .env("PARLOR_LIMITS__OUTBOX_TOTAL", "16MiB")
        .env("PARLOR_BOTS__REPLY", "16KiB")
        .env("PARLOR_LIMITS__REPLAY_EVENTS", "100000")
        // Only a full outbox is to close them.
        .env("PARLOR_LIMITS__WRITE_TIMEOUT", "5m")
        .start()
        .await;
    let ada = stage.register("ada").await;
    let room = ada.create_room("busy", &[]).await;
    let epoch = room.epoch;
    let mut users = Vec::new();
    for number in 0..USERS {
        let user = stage.register(&format!("reader-{number}")).await;
        user.join("busy").await;
        users.push(user);
    }
    let mut busy = Busy::start(stage, &ada).await;
    let stalled = stall(&busy.stage, &users, count).await;
    let start = busy.healthy[0].position().unwrap();

    // Nobody is behind yet: their sockets take everything.
    let before = busy.latency("small", SAMPLES).await;
    let idle = busy.stage.brokers()[0].resident_bytes();
    let large = "x".repeat(15_000);
    busy.write_until(&large, "parlor_ws_outbox_bytes", count * 1_000).await;
    let during = busy.latency("small", SAMPLES).await;
    busy.write_until(&large, "reason=\"slow_consumer\"", count).await;
    let growth = busy.peak.saturating_sub(idle);

    assert!(
        during <= (before * FACTOR).max(FLOOR),
        "healthy readers waited {during:?} in place of {before:?}"
    );
    assert!(growth <= OUTBOX_TOTAL + SLACK, "memory grew by {} KiB", growth / 1024);
    assert_closed_with_reason(stalled).await;
    resume_all(&users, &epoch, start).await;
    let head = ada.http.room("busy").await.unwrap().seq;
    for follower in &mut busy.healthy {
        follower.read_to(head).await;
    }
    settle(busy.history, &ada, "busy").await;
}

async fn fullest_readers_are_closed_when_all_together_hold_too_much(place: Place) {
    let _alone = MACHINE.write().await;
    // No outbox alone comes near its own bound.
    let builder = place
        .builder()
        .env("PARLOR_LIMITS__OUTBOX", "64MiB")
        .env("PARLOR_LIMITS__OUTBOX_TOTAL", "16MiB")
        .env("PARLOR_LIMITS__WRITE_TIMEOUT", "5m");
    stalled_readers_are_closed(builder, 40).await;
}

async fn reader_that_takes_nothing_for_too_long_is_closed(place: Place) {
    let _alone = MACHINE.write().await;
    let builder = place
        .builder()
        .env("PARLOR_LIMITS__OUTBOX", "64MiB")
        .env("PARLOR_LIMITS__WRITE_TIMEOUT", "1s");
    stalled_readers_are_closed(builder, 1).await;
}

async fn stalled_readers_are_closed(builder: Builder, readers: usize) {
    let stage = builder.start().await;
    let ada = stage.register("ada").await;
    ada.create_room("busy", &[]).await;
    let mut busy = Busy::start(stage, &ada).await;
    let mut stalled = Vec::new();
    for _ in 0..readers {
        stalled.push(stalled_reader(&ada.through(busy.stage.brokers()[0].addr())).await);
    }

    let large = "x".repeat(15_000);
    busy.write_until(&large, "reason=\"slow_consumer\"", 1).await;

    let closed = busy.metric("reason=\"slow_consumer\"").await;
    assert!(closed <= readers, "only those who do not read are closed");
    let head = ada.http.room("busy").await.unwrap().seq;
    for follower in &mut busy.healthy {
        follower.read_to(head).await;
    }
}

/// A room in which someone writes and some read.
struct Busy {
    stage: Stage,
    writer: Socket,
    healthy: Vec<Follower>,
    history: SharedHistory,
    /// The most memory that the node with the stalled readers was seen to take.
    peak: u64,
}

impl Busy {
    async fn start(stage: Stage, user: &User) -> Self {
        let (history, writer) = (shared_history(), user.socket().await);
        let mut healthy = Vec::new();
        for number in 0..HEALTHY {
            let name = format!("healthy-{number}");
            healthy.push(Follower::start(user, "busy", &history, &name).await);
        }
        Self { stage, writer, healthy, history, peak: 0 }
    }

    /// Writes messages one by one and returns the median time until healthy readers have them.
    async fn latency(&mut self, body: &str, samples: usize) -> Duration {
        let mut times = Vec::new();
        for _ in 0..samples {
            let client_id = Uuid::new_v4().to_string();
            self.history.lock().unwrap().wrote(&client_id, body, false);
            let begun = Instant::now();
            let accepted = self.writer.publish("busy", &client_id, body).await.unwrap();
            self.history.lock().unwrap().accepted(&client_id, &accepted);
            for follower in &mut self.healthy {
                follower.read_to(accepted.seq.unwrap()).await;
            }
            times.push(begun.elapsed());
        }
        times.sort_unstable();
        times[times.len() / 2]
    }

    /// Writes until a metric has reached a number.
    async fn write_until(&mut self, body: &str, metric: &str, number: usize) {
        let deadline = Instant::now() + Duration::from_mins(3);
        while self.metric(metric).await < number {
            assert!(Instant::now() < deadline, "{metric} has not reached {number}");
            self.latency(body, 1).await;
            self.peak = self.peak.max(self.stage.brokers()[0].resident_bytes());
        }
    }

    async fn metric(&self, words: &str) -> usize {
        let count = self.stage.brokers()[0].count(&[words]).await;
        usize::try_from(count).unwrap()
    }
}

/// Opens connections that follow the room and are not read any more.
async fn stall(stage: &Stage, users: &[User], count: usize) -> Vec<Socket> {
    let mut opening = JoinSet::new();
    for user in users {
        let user = user.through(stage.brokers()[0].addr());
        opening.spawn(async move {
            let mut sockets = Vec::new();
            for _ in 0..count / USERS {
                sockets.push(stalled_reader(&user).await);
            }
            sockets
        });
    }
    opening.join_all().await.into_iter().flatten().collect()
}

/// Opens a connection that follows the room and is not read any more.
async fn stalled_reader(user: &User) -> Socket {
    let options = Options { receive_buffer: Some(4_096), ..Options::default() };
    let opened = Socket::try_open(user.addr(), &user.token().await, &options).await;
    let mut socket = opened.unwrap();
    socket.subscribe("busy", None).await.unwrap();
    socket
}

/// Reads what is left. Whoever reads in time finds the reason at the end.
async fn assert_closed_with_reason(stalled: Vec<Socket>) {
    let mut reading = JoinSet::new();
    for socket in stalled {
        reading.spawn(socket.skip_to_end());
    }
    let ends = reading.join_all().await;
    let count = ends.len();
    let told =
        ends.iter().filter(|(_, code)| *code == Some(CloseCode::SlowConsumer.as_u16())).count();
    let others: Vec<_> =
        ends.iter().filter_map(|(_, code)| *code).filter(|code| *code != 4001).collect();
    assert!(others.is_empty(), "other reasons: {others:?}");
    // Whoever reads only after the server has given up finds the connection lost.
    assert!(told >= count / 2, "only {told} were told why");
}

/// Comes back as each user and gets everything that was missed.
async fn resume_all(users: &[User], epoch: &str, start: u64) {
    for user in users {
        let mut socket = user.socket().await;
        let since = Position { epoch: epoch.to_owned(), seq: start };
        let subscribed = socket.subscribe("busy", Some(since)).await.unwrap();
        assert!(subscribed.resumed);
        let mut last = start;
        while last < subscribed.seq {
            if let Frame::Event(event) = socket.next_frame().await {
                assert_eq!(event.seq, last + 1);
                last = event.seq;
            }
        }
    }
}

//! Readers that do not read cost a bounded amount of memory and slow nobody.

use std::time::Duration;

use parlor_protocol::{close::CloseCode, command::Position, frame::Frame};
use parlor_testkit::{
    process::{Parlor, User, raise_descriptor_limit},
    socket::{Options, Socket},
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use uuid::Uuid;

use crate::{
    MACHINE,
    follow::{Follower, SharedHistory, settle, shared_history},
};

const STALLED: usize = 1_000;
/// Descriptors for one stalled reader: one here, one in the server, which has a limit of its own.
const SPARE_DESCRIPTORS: u64 = 500;
const USERS: usize = 20;
const HEALTHY: usize = 5;
const OUTBOX_TOTAL: u64 = 16 << 20;
/// The store's cache, rings, tasks and the allocator's reserve.
const SLACK: u64 = 48 << 20;
/// How much slower healthy readers may be, and a floor below which nothing is measured.
const FACTOR: u32 = 5;
const FLOOR: Duration = Duration::from_millis(50);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousand_stalled_readers_cost_little_and_slow_nobody() {
    let _alone = MACHINE.write().await;
    let descriptors = raise_descriptor_limit();
    let wanted = STALLED as u64 + SPARE_DESCRIPTORS;
    assert!(
        descriptors >= wanted,
        "this test needs {wanted} open files; the limit is {descriptors}"
    );
    let server = Parlor::builder()
        .env("PARLOR_LIMITS__OUTBOX", "32KiB")
        .env("PARLOR_LIMITS__OUTBOX_TOTAL", "16MiB")
        .env("PARLOR_BOTS__REPLY", "16KiB")
        .env("PARLOR_LIMITS__REPLAY_EVENTS", "100000")
        // Only a full outbox is to close them.
        .env("PARLOR_LIMITS__WRITE_TIMEOUT", "5m")
        .start()
        .await;
    let ada = server.register("ada").await;
    let room = ada.create_room("busy", &[]).await;
    let epoch = room.epoch;
    let mut users = Vec::new();
    for number in 0..USERS {
        let user = server.register(&format!("reader-{number}")).await;
        user.join("busy").await;
        users.push(user);
    }
    let history = shared_history();
    let mut writer = ada.socket().await;
    let mut healthy = Vec::new();
    for number in 0..HEALTHY {
        healthy.push(Follower::start(&ada, "busy", &history, &format!("healthy-{number}")).await);
    }
    let stalled = stall(&users).await;
    let start = healthy[0].position().unwrap();

    // Nobody is behind yet: their sockets take everything.
    let before = latency(&mut writer, &mut healthy, &history, "small", 25).await;
    let idle = server.resident_bytes();
    let large = "x".repeat(15_000);
    let (mut peak, mut closed) = (idle, 0);
    for _ in 0..400 {
        latency(&mut writer, &mut healthy, &history, &large, 1).await;
        peak = peak.max(server.resident_bytes());
        closed = slow_consumers(&server).await;
        if closed > 0 {
            break;
        }
    }
    assert!(closed > 0, "the sockets of stalled readers never filled up");
    // Now some are being closed, most are blocked.
    let during = latency(&mut writer, &mut healthy, &history, "small", 25).await;
    let deadline = Instant::now() + Duration::from_mins(1);
    while slow_consumers(&server).await < STALLED {
        assert!(Instant::now() < deadline, "some stalled readers are still connected");
        latency(&mut writer, &mut healthy, &history, &large, 1).await;
    }
    peak = peak.max(server.resident_bytes());

    assert!(
        during <= (before * FACTOR).max(FLOOR),
        "healthy readers waited {during:?} in place of {before:?}"
    );
    let growth = peak - idle;
    assert!(growth <= OUTBOX_TOTAL + SLACK, "memory grew by {} KiB", growth / 1024);
    assert_closed_with_reason(stalled).await;
    resume_all(&users, &epoch, start).await;
    let head = ada.http.room("busy").await.unwrap().seq;
    for follower in &mut healthy {
        follower.read_to(head).await;
    }
    settle(history, &ada, "busy").await;
}

/// Opens connections that follow the room and are not read any more.
async fn stall(users: &[User]) -> Vec<Socket> {
    let mut opening = JoinSet::new();
    for user in users {
        let (user, token) = (user.clone(), user.token().await);
        opening.spawn(async move {
            let options = Options { receive_buffer: Some(4_096), ..Options::default() };
            let mut sockets = Vec::new();
            for _ in 0..STALLED / USERS {
                let mut socket = Socket::try_open(user.addr(), &token, &options).await.unwrap();
                socket.subscribe("busy", None).await.unwrap();
                sockets.push(socket);
            }
            sockets
        });
    }
    opening.join_all().await.into_iter().flatten().collect()
}

/// Writes messages one by one and returns the median time until healthy readers have them.
async fn latency(
    writer: &mut Socket,
    healthy: &mut [Follower],
    history: &SharedHistory,
    body: &str,
    count: usize,
) -> Duration {
    let mut times = Vec::new();
    for _ in 0..count {
        let client_id = Uuid::new_v4().to_string();
        history.lock().unwrap().wrote(&client_id, body, false);
        let begun = Instant::now();
        let accepted = writer.publish("busy", &client_id, body).await.unwrap();
        history.lock().unwrap().accepted(&client_id, &accepted);
        for follower in healthy.iter_mut() {
            follower.read_to(accepted.seq.unwrap()).await;
        }
        times.push(begun.elapsed());
        sleep(Duration::from_millis(2)).await;
    }
    times.sort_unstable();
    times[times.len() / 2]
}

/// Returns how many connections the server has closed for reading too slowly.
async fn slow_consumers(server: &Parlor) -> usize {
    let metrics = server.get_text("/metrics").await;
    let line =
        metrics.lines().find(|line| line.contains("slow_consumer") && !line.starts_with('#'));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
}

/// Reads what is left. Whoever reads in time finds the reason at the end.
async fn assert_closed_with_reason(stalled: Vec<Socket>) {
    let mut reading = JoinSet::new();
    for socket in stalled {
        reading.spawn(socket.skip_to_end());
    }
    let ends = reading.join_all().await;
    let told =
        ends.iter().filter(|(_, code)| *code == Some(CloseCode::SlowConsumer.as_u16())).count();
    let others: Vec<_> =
        ends.iter().filter_map(|(_, code)| *code).filter(|code| *code != 4001).collect();
    assert!(others.is_empty(), "other reasons: {others:?}");
    assert!(told > 0, "nobody was told why");
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

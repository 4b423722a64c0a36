//! Readers that stall, go away or are sent away, and events that nobody was told of: whoever has no
//! part in it goes on as if nothing had happened.

use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use parlor_protocol::event::Event;
use parlor_protocol::id::{MessageId, RoomId};
use parlor_runtime::config::ByteSize;
use parlor_runtime::{Config, Stopped};
use parlor_store::{Append, Appended, Intent, NewMessage};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::harness::{TestClient, TestNode, TestUser, seqs};

/// Longer than any healthy step.
const PATIENCE: Duration = Duration::from_secs(10);
/// What must not come has this long to come. A slow machine can hide a fault so, but not invent one.
const QUIET: Duration = Duration::from_millis(500);
/// Bytes that the system keeps for a reader that does not read.
const NARROW: u32 = 64 * 1024;
/// A body that is large but allowed.
const LARGE: usize = 15_000;
/// As many large messages as no outbox, socket and narrow reader hold together.
const LONG: usize = 130;

/// One shard, little memory: whoever asks for older events gets them from the store, in pages.
fn tight(config: &mut Config) {
    config.server.shards = 1;
    config.limits.ring_events = 4;
    config.limits.outbox = ByteSize::kib(64);
}

fn message(node: &TestNode, body: &str) -> Intent {
    Intent::Publish(NewMessage {
        id: MessageId(node.node().clock.new_id()),
        client_id: None,
        body: body.to_owned(),
        reply_to: None,
        thread: None,
        attachments: Vec::new(),
    })
}

/// Commits messages that nobody is told of, as between a commit and its delivery.
async fn commit(
    node: &TestNode,
    author: &TestUser,
    room: RoomId,
    count: usize,
    size: usize,
) -> Vec<Event> {
    let (body, at) = ("x".repeat(size), node.node().now());
    let append = || Append { room, actor: author.id, at, intent: message(node, &body) };
    let batch = std::iter::repeat_with(append).take(count).collect();
    let mut committed = Vec::new();
    for appended in node.store().append(batch).await.unwrap() {
        let Appended::New { events, .. } = appended.unwrap() else { panic!("not new") };
        committed.extend(events);
    }
    committed
}

/// Commits messages and tells all of them at once.
async fn burst(node: &TestNode, author: &TestUser, room: RoomId, count: usize, size: usize) {
    let events = commit(node, author, room, count, size).await;
    node.node().bus.publish_events(events);
}

async fn head(node: &TestNode, room: RoomId) -> u64 {
    node.store().find_head(room).await.unwrap().unwrap().seq
}

/// Reads events up to `last` and returns their seqs.
async fn read_to(client: &mut TestClient, last: u64) -> Vec<u64> {
    let mut events = Vec::new();
    while seqs(&events).last() != Some(&last) {
        events.push(client.next_durable().await);
    }
    seqs(&events)
}

/// Waits for a state that nothing announces.
async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn narrow_stream(node: &TestNode) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    // Before the connection is made: later the system has already promised more.
    socket.set_recv_buffer_size(NARROW).unwrap();
    socket.connect(node.broker.as_ref().unwrap().address()).await.unwrap()
}

/// A WebSocket that stalls soon when it is not read.
pub(crate) struct Narrow(WebSocketStream<TcpStream>);

impl Narrow {
    pub(crate) async fn connect(node: &TestNode, user: &TestUser) -> Self {
        let mut request = node.url().into_client_request().unwrap();
        let bearer = format!("Bearer {}", user.token).parse().unwrap();
        request.headers_mut().insert("authorization", bearer);
        let stream = narrow_stream(node).await;
        let (socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
        let mut narrow = Self(socket);
        narrow.read_until(|frame| frame["op"] == "welcome").await;
        narrow
    }

    pub(crate) async fn send(&mut self, frame: Value) {
        self.0.send(Message::text(frame.to_string())).await.unwrap();
    }

    /// Follows a room and reads no further than the answer.
    pub(crate) async fn subscribe(&mut self, room: RoomId, since: Option<u64>) -> Value {
        self.send(json!({"op": "subscribe", "id": "s", "room": room, "since": since})).await;
        self.read_until(|frame| frame["re"] == "s").await.pop().unwrap()
    }

    /// Returns the next frame of the contract, unless there is none for as long.
    pub(crate) async fn next(&mut self, patience: Duration) -> Option<Value> {
        loop {
            match tokio::time::timeout(patience, self.0.next()).await.ok()?? {
                Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).unwrap()),
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                other => panic!("instead of a frame: {other:?}"),
            }
        }
    }

    pub(crate) async fn read_until(&mut self, is_last: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut frames = Vec::new();
        loop {
            frames.push(self.next(PATIENCE).await.expect("no frame in time"));
            if frames.last().is_some_and(&is_last) {
                return frames;
            }
        }
    }

    pub(crate) async fn read_until_quiet(&mut self) -> Vec<Value> {
        let mut frames = Vec::new();
        while let Some(frame) = self.next(QUIET).await {
            frames.push(frame);
        }
        frames
    }
}

fn events(frames: &[Value]) -> Vec<u64> {
    let events: Vec<Value> =
        frames.iter().filter(|frame| frame["op"] == "event").cloned().collect();
    seqs(&events)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kicked_member_gets_nothing_after_the_kick_while_catching_up() {
    let node = TestNode::start_with(tight).await;
    let (ada, eve) = (node.user("ada").await, node.user("eve").await);
    let room = node.room("r", &[&ada, &eve]).await;
    commit(&node, &ada, room, LONG, LARGE).await;
    let mut kicked = Narrow::connect(&node, &eve).await;
    kicked.subscribe(room, Some(0)).await;

    node.append(&ada, room, Intent::Kick { user: eve.id, reason: None }).await;
    let kick = head(&node, room).await;
    for _ in 0..20 {
        node.append(&ada, room, message(&node, "secret")).await;
    }

    let mut frames = kicked.read_until(|frame| frame["code"] == "not_a_member").await;
    frames.extend(kicked.read_until_quiet().await);
    let received = events(&frames);
    let after: Vec<_> = received.iter().filter(|seq| **seq > kick).collect();
    assert!(after.is_empty(), "kicked at {kick}, told {after:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscribing_again_while_catching_up_starts_one_replay_and_ends_the_other() {
    let node = TestNode::start_with(tight).await;
    let ada = node.user("ada").await;
    let room = node.room("r", &[&ada]).await;
    commit(&node, &ada, room, LONG, LARGE).await;
    let last = head(&node, room).await;
    let mut reader = Narrow::connect(&node, &ada).await;
    reader.subscribe(room, Some(0)).await;

    reader.send(json!({"op": "unsubscribe", "id": "u", "room": room})).await;
    let after = last - 50;
    reader.subscribe(room, Some(after)).await;

    let mut frames = reader.read_until(|frame| frame["seq"] == last).await;
    frames.extend(reader.read_until_quiet().await);
    assert_eq!(events(&frames), (after + 1..=last).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logout_cuts_the_socket_though_its_caller_hangs_up() {
    let node = TestNode::start().await;
    let scribe = node.user("scribe").await;
    let room = node.room("r", &[&scribe]).await;
    // Nothing announces that the logout has come as far as the store. The caller waits longer from
    // round to round, and a round in which it hung up too early proves nothing.
    for round in 0..8_u32 {
        let ada = node.user(&format!("ada{round}")).await;
        let mut socket = node.connect(&ada).await;
        let waits = Duration::from_millis(20) * 2_u32.pow(round);
        // The store writes one batch after the other, so the logout's own write waits for this one.
        let busy = commit(&node, &scribe, room, 4_000, 100);
        tokio::join!(busy, log_out_and_hang_up(&node, &ada, waits));
        // Behind whatever the logout had written.
        node.store().touch_last_seen(ada.id, node.node().now()).await.unwrap();
        let login = node.store().find_session(ada.session).await.unwrap().unwrap();
        if login.revoked_at.is_some() {
            assert_eq!(socket.closed().await.0, 4509);
            return;
        }
    }
    panic!("no logout has come as far as the store");
}

async fn log_out_and_hang_up(node: &TestNode, user: &TestUser, waits: Duration) {
    let address = node.broker.as_ref().unwrap().address();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "POST /v1/auth/logout HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n\
         Content-Length: 0\r\n\r\n",
        user.token
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    tokio::time::sleep(waits).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joiner_that_goes_away_leaves_the_room_working() {
    let node = TestNode::start_with(|config| {
        config.server.shards = 1;
        // The member falls behind when the machine is busy, and that is not the point here.
        config.limits.outbox = ByteSize::mib(1);
    })
    .await;
    let (ada, bob) = (node.user("ada").await, node.user("bob").await);
    let room = node.room("r", &[&ada, &bob]).await;
    let mut member = node.connect(&bob).await;
    member.subscribe(room, None).await;
    for _ in 0..5 {
        let eve = node.login(ada.id, Duration::from_mins(5)).await;
        let mut joiner = node.connect(&eve).await;
        let before = head(&node, room).await;
        // Several pages: the joiner has the room read them before it may enter.
        commit(&node, &ada, room, 1_200, 100).await;
        joiner.send(json!({"op": "subscribe", "id": "s", "room": room})).await;
        let first = member.next_durable().await["seq"].as_u64().unwrap();
        node.node().end_session(eve.session);

        node.append(&ada, room, message(&node, "live")).await;
        let last = head(&node, room).await;
        let rest = read_to(&mut member, last).await;
        assert_eq!(first, before + 1);
        assert_eq!(rest, (first + 1..=last).collect::<Vec<_>>());
    }
}

/// Follows several rooms with long histories and reads none of it.
async fn stall(node: &TestNode, reader: &TestUser, rooms: &[RoomId]) -> Narrow {
    let mut stalled = Narrow::connect(node, reader).await;
    for room in rooms {
        stalled.send(json!({"op": "subscribe", "id": "s", "room": room, "since": 0})).await;
    }
    let waiting = &node.node().metrics.ws.outbox_bytes;
    eventually("frames wait for the reader", || waiting.get() > 0).await;
    stalled
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stalled_reader_of_several_rooms_is_forgotten_and_holds_up_no_stop() {
    let node = TestNode::start_with(|config| {
        tight(config);
        config.limits.write_timeout = Duration::from_secs(1);
        config.lifecycle.drain = Duration::from_secs(1);
        config.lifecycle.abort_after = Duration::from_secs(30);
    })
    .await;
    let ada = node.user("ada").await;
    let mut rooms = Vec::new();
    for n in 0..4 {
        let room = node.room(&format!("r{n}"), &[&ada]).await;
        commit(&node, &ada, room, LONG, LARGE).await;
        rooms.push(room);
    }
    let metrics = node.node().metrics.ws.clone();
    let stalled = stall(&node, &ada, &rooms).await;
    eventually("the reader is cut", || metrics.sessions.get() == 0).await;
    drop(stalled);
    // What waited is counted for as long as the connection and its descriptor are held.
    eventually("the reader is forgotten", || metrics.outbox_bytes.get() == 0).await;

    let _stalled = stall(&node, &ada, &rooms).await;
    let started = Instant::now();
    assert_eq!(node.stop().await, Stopped::Cleanly);
    assert!(started.elapsed() < PATIENCE, "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stalled_event_stream_does_not_hold_up_the_stop() {
    let node = TestNode::start_with(|config| {
        config.server.shards = 1;
        // Only the stop itself may end the stream.
        config.limits.write_timeout = Duration::from_secs(20);
        config.lifecycle.drain = Duration::from_secs(1);
        config.lifecycle.abort_after = Duration::from_secs(30);
    })
    .await;
    let ada = node.user("ada").await;
    let room = node.room("r", &[&ada]).await;
    let mut stream = narrow_stream(&node).await;
    let request = format!(
        "GET /v1/rooms/{room}/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n",
        ada.token
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut status = [0; 15];
    stream.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 200 OK");
    // More than the system takes for a socket. The member sees to it that the stream was given all.
    let mut member = node.connect(&ada).await;
    member.subscribe(room, None).await;
    for _ in 0..60 {
        burst(&node, &ada, room, 8, 16_000).await;
        let last = head(&node, room).await;
        read_to(&mut member, last).await;
    }
    drop(member);

    let started = Instant::now();
    assert_eq!(node.stop().await, Stopped::Cleanly);
    assert!(started.elapsed() < PATIENCE, "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn big_hole_does_not_cut_a_healthy_reader() {
    let node = TestNode::start_with(tight).await;
    let (ada, bob) = (node.user("ada").await, node.user("bob").await);
    let room = node.room("r", &[&ada, &bob]).await;
    let mut reader = node.connect(&bob).await;
    let before = reader.subscribe(room, None).await["seq"].as_u64().unwrap();
    // Several outboxes, but no more than a socket takes.
    commit(&node, &ada, room, 200, 1_000).await;
    node.append(&ada, room, message(&node, "next")).await;
    let received = read_to(&mut reader, before + 201).await;
    assert_eq!(received, (before + 1..=before + 201).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn burst_within_one_tick_does_not_cut_healthy_readers() {
    let node = TestNode::start_with(tight).await;
    let (ada, bob) = (node.user("ada").await, node.user("bob").await);
    let room = node.room("r", &[&ada, &bob]).await;
    // Many, so that a tick takes a while and the next one finds much.
    let mut readers = Vec::new();
    for _ in 0..40 {
        let mut reader = node.connect(&bob).await;
        reader.subscribe(room, None).await;
        readers.push(reader);
    }
    for _ in 0..4 {
        let before = head(&node, room).await;
        // Several outboxes, but no more than a socket takes.
        burst(&node, &ada, room, 12, LARGE).await;
        for reader in &mut readers {
            let received = read_to(reader, before + 12).await;
            assert_eq!(received, (before + 1..=before + 12).collect::<Vec<_>>());
        }
    }
}

/// The store has lost the end of its log, and what was in it is still on the bus.
#[tokio::test]
async fn announced_event_that_is_not_in_the_store_is_never_told() {
    let node = TestNode::start_with(|config| config.server.shards = 1).await;
    let (ada, bob) = (node.user("ada").await, node.user("bob").await);
    let room = node.room("tea", &[&ada, &bob]).await;
    let mut reader = node.connect(&ada).await;
    reader.subscribe(room, None).await;
    let known = commit(&node, &bob, room, 1, 4).await.remove(0);
    let lost = Event { seq: known.seq + 2, ..known.clone() };
    node.node().bus.publish_events(vec![lost]);
    assert_eq!(reader.next_durable().await["seq"], known.seq);

    // Nobody joins a room that waits for something.
    let mut writer = node.connect(&bob).await;
    assert_eq!(writer.subscribe(room, None).await["op"], "subscribed");
    for (body, seq) in ["one", "two", "three"].into_iter().zip(known.seq + 1..) {
        assert_eq!(writer.publish(room, body).await["op"], "ok");
        let event = reader.next_durable().await;
        assert_eq!((&event["seq"], &event["data"]["body"]), (&json!(seq), &json!(body)));
    }
    drop((reader, writer));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeat_of_what_was_never_told_is_told() {
    let node = TestNode::start_with(|config| config.server.shards = 1).await;
    let (ada, bob) = (node.user("ada").await, node.user("bob").await);
    let room = node.room("r", &[&ada, &bob]).await;
    let (mut writer, mut reader) = (node.connect(&ada).await, node.connect(&bob).await);
    reader.subscribe(room, None).await;
    let intent = Intent::Publish(NewMessage {
        id: MessageId(node.node().clock.new_id()),
        client_id: Some("k".into()),
        body: "hello".into(),
        reply_to: None,
        thread: None,
        attachments: Vec::new(),
    });
    let append = Append { room, actor: ada.id, at: node.node().now(), intent };
    node.store().append(vec![append]).await.unwrap();

    let publish = json!({"op": "publish", "room": room, "client_id": "k", "body": "hello"});
    let ok = writer.request(publish).await;
    let event = reader.next_durable().await;
    assert_eq!((&event["seq"], &event["data"]["id"]), (&ok["seq"], &ok["message"]));
    assert_eq!(event["data"]["body"], "hello");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_of_a_reader_that_was_cut_are_counted_off_once() {
    let node = TestNode::start_with(tight).await;
    let ada = node.user("ada").await;
    let room = node.room("r", &[&ada]).await;
    let mut stalled = Narrow::connect(&node, &ada).await;
    stalled.subscribe(room, None).await;
    burst(&node, &ada, room, LONG, LARGE).await;
    let metrics = node.node().metrics.ws.clone();
    eventually("the reader is cut", || metrics.sessions.get() == 0).await;
    let waiting = metrics.outbox_bytes.get();
    assert!(waiting >= 0, "{waiting} bytes wait");
    drop(stalled);
    eventually("nothing waits", || metrics.outbox_bytes.get() == 0).await;
}

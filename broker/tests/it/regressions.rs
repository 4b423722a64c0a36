//! What once went wrong on the way to the members.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use parlor_protocol::event::Event;
use parlor_protocol::id::{MessageId, RoomId};
use parlor_protocol::signal::{MessageDelta, Signal, SignalBody};
use parlor_runtime::config::ByteSize;
use parlor_store::{Append, Appended, Intent, NewMessage};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::faults::Narrow;
use crate::harness::{TestClient, TestNode, TestUser};

/// Longer than any healthy step, and shorter than a heartbeat.
const PATIENCE: Duration = Duration::from_secs(15);

fn pack(value: &Value) -> Message {
    Message::binary(rmp_serde::to_vec_named(value).unwrap())
}

async fn connect_packed(node: &TestNode) -> WebSocketStream<MaybeTlsStream<TcpStream>> {
    let mut request = node.url().into_client_request().unwrap();
    let offered = "parlor.v1.msgpack".parse().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", offered);
    tokio_tungstenite::connect_async(request).await.unwrap().0
}

#[tokio::test]
async fn signal_is_nested_only_so_deep_and_whole_in_either_encoding() {
    let node = TestNode::start_with(|config| config.server.shards = 1).await;
    let ada = node.user("ada").await;
    let room = node.room("r", &[&ada]).await;
    let mut json = node.connect(&ada).await;
    json.subscribe(room, None).await;
    let mut packed = connect_packed(&node).await;
    packed.send(pack(&json!({"op": "hello", "token": ada.token}))).await.unwrap();
    packed.next().await.unwrap().unwrap();
    packed.send(pack(&json!({"op": "subscribe", "room": room}))).await.unwrap();
    packed.next().await.unwrap().unwrap();

    for (depth, is_taken) in [(64, true), (65, false), (124, false), (126, false)] {
        let data: Value =
            serde_json::from_str(&format!("{}{}", "[".repeat(depth), "]".repeat(depth))).unwrap();
        let taken =
            json.request(json!({"op": "signal", "id": "s", "room": room, "data": data})).await;
        assert_eq!(taken["op"] == "ok", is_taken, "{depth} deep: {taken}");
        if !is_taken {
            continue;
        }
        let frame = loop {
            let message = packed.next().await.unwrap().unwrap();
            if message.is_binary() {
                break message.into_data();
            }
        };
        let told: Result<Value, _> = rmp_serde::from_slice(&frame);
        assert!(told.is_ok(), "{depth} deep: taken, but told as {} bytes: {told:?}", frame.len());
    }
}

#[tokio::test]
async fn stranger_with_broken_message_pack_is_closed_at_once() {
    let node = TestNode::start().await;
    let mut packed = connect_packed(&node).await;
    packed.send(Message::binary(vec![0xc1])).await.unwrap();
    let answer = packed.next().await.unwrap().unwrap();
    assert!(matches!(answer, Message::Close(_)), "{answer:?}");
}

#[tokio::test]
async fn frames_are_counted_though_nobody_publishes() {
    let node = TestNode::start_with(|config| config.server.shards = 1).await;
    let ada = node.user("ada").await;
    let mut client = node.connect(&ada).await;
    let sent = &node.node().metrics.ws.frames_sent;
    for _ in 0..50 {
        client.send(json!({"op": "ping"})).await;
        assert_eq!(client.next().await["op"], "pong");
    }
    let started = Instant::now();
    while sent.get() < 51 {
        assert!(started.elapsed() < PATIENCE, "{} frames are counted", sent.get());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn commit(node: &TestNode, author: &TestUser, room: RoomId, body: &str) -> Vec<Event> {
    let message = NewMessage {
        id: MessageId(node.node().clock.new_id()),
        client_id: None,
        body: body.to_owned(),
        reply_to: None,
        thread: None,
        attachments: Vec::new(),
    };
    let intent = Intent::Publish(message);
    let append = Append { room, actor: author.id, at: node.node().now(), intent };
    let mut answers = node.store().append(vec![append]).await.unwrap();
    let Appended::New { events, .. } = answers.remove(0).unwrap() else { panic!("not new") };
    events
}

async fn publish(node: &TestNode, author: &TestUser, room: RoomId, body: &str) {
    let events = commit(node, author, room, body).await;
    node.node().bus.publish_events(events);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_stream_of_an_ended_login_gets_nothing_after_the_end() {
    let node = TestNode::start_with(|config| {
        config.server.shards = 1;
        config.limits.outbox = ByteSize::mib(32);
    })
    .await;
    let (ada, eve) = (node.user("ada").await, node.user("eve").await);
    let room = node.room("r", &[&ada, &eve]).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    let mut stream = socket.connect(node.broker.as_ref().unwrap().address()).await.unwrap();
    let request = format!(
        "GET /v1/rooms/{room}/events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\r\n",
        eve.token
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = [0; 64];
    stream.read_exact(&mut head).await.unwrap();
    assert!(head.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&head));
    // More than the system holds. The member sees to it that the stream was given all.
    let mut member = node.connect(&ada).await;
    member.subscribe(room, None).await;
    let large = "x".repeat(15_000);
    for _ in 0..700 {
        publish(&node, &ada, room, &large).await;
        assert_eq!(member.next_durable().await["op"], "event");
    }
    let secret = commit(&node, &ada, room, "told after the end").await;
    node.node().end_session(eve.session);
    node.node().bus.publish_events(secret);
    assert_eq!(member.next_durable().await["data"]["body"], "told after the end");

    let mut all = Vec::new();
    drop(tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut all)).await);
    let text = String::from_utf8_lossy(&all);
    assert!(!text.contains("told after the end"));
}

struct Reply {
    room: RoomId,
    message: MessageId,
    chunk: u32,
}

impl Reply {
    fn new(node: &TestNode, room: RoomId) -> Self {
        Self { room, message: MessageId(node.node().clock.new_id()), chunk: 0 }
    }

    fn tell(&mut self, node: &TestNode, text: &str) {
        self.chunk += 1;
        let (message, chunk) = (self.message, self.chunk);
        let delta = MessageDelta { message, turn: 2, chunk, text: text.to_owned() };
        let body = SignalBody::MessageDelta(delta);
        node.node().bus.publish_signal(Signal { room: self.room, body });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reader_that_missed_pieces_in_two_rooms_is_told_the_texts_of_both() {
    let node = TestNode::start_with(|config| {
        config.server.shards = 1;
        config.limits.delta_cork = Duration::ZERO;
        config.limits.outbox = ByteSize::kib(16);
        config.limits.write_timeout = Duration::from_mins(1);
    })
    .await;
    let ada = node.user("ada").await;
    let (r, q) = (node.room("r", &[&ada]).await, node.room("q", &[&ada]).await);
    let mut slow = Narrow::connect(&node, &ada).await;
    slow.subscribe(r, None).await;
    slow.subscribe(q, None).await;
    let mut keeps_up = node.connect(&ada).await;
    keeps_up.subscribe(r, None).await;
    keeps_up.subscribe(q, None).await;
    let mut replies = [Reply::new(&node, r), Reply::new(&node, q)];
    let dropped = node.node().metrics.ws.frames_dropped.with_label_values(&["signal"]);
    let mut after = 0;
    while after < 6 {
        for reply in &mut replies {
            reply.tell(&node, &"x".repeat(4_000));
            assert_eq!(keeps_up.next_told().await["data"]["chunk"], reply.chunk);
        }
        after += u32::from(dropped.get() > 0);
    }
    slow.read_until_quiet().await;

    for reply in &mut replies {
        reply.tell(&node, "the end");
        let frames = slow.read_until_quiet().await;
        let told = frames
            .iter()
            .any(|frame| frame["op"] == "subscribed" && frame["room"] == json!(reply.room));
        assert!(told, "room {}: {frames:?}", if reply.room == r { "r" } else { "q" });
    }
}

/// What a reader is told of pieces and events, in order.
async fn read_order(client: &mut TestClient, last: &str) -> Vec<String> {
    let mut seen = Vec::new();
    loop {
        let frame = client.next().await;
        match frame["type"].as_str() {
            Some("message.delta") => seen.push(format!("d{}", frame["data"]["chunk"])),
            Some("message.created") => {
                let body = frame["data"]["body"].as_str().unwrap().to_owned();
                let is_last = body == last;
                seen.push(body);
                if is_last {
                    return seen;
                }
            }
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pieces_and_events_come_in_one_order_whoever_comes_and_goes() {
    let node = TestNode::start_with(|config| {
        config.server.shards = 1;
        config.limits.delta_cork = Duration::from_millis(3);
        config.limits.outbox = ByteSize::mib(4);
    })
    .await;
    let ada = node.user("ada").await;
    let room = node.room("r", &[&ada]).await;
    let mut clients = Vec::new();
    for n in 0..420 {
        let query = match n % 3 {
            0 => "?deltas=live",
            1 => "?deltas=gathered",
            _ => "?deltas=none",
        };
        let mut request = format!("{}{query}", node.url()).into_client_request().unwrap();
        let bearer = format!("Bearer {}", ada.token).parse().unwrap();
        request.headers_mut().insert("authorization", bearer);
        let mut client = TestClient::open(request).await;
        assert_eq!(client.next().await["op"], "welcome");
        client.subscribe(room, None).await;
        clients.push(client);
    }
    // None of them waits while the others come.
    let readers: Vec<_> = clients
        .into_iter()
        .map(|mut client| tokio::spawn(async move { read_order(&mut client, "last").await }))
        .enumerate()
        .collect();
    let mut guest = node.connect(&ada).await;
    let churn = tokio::spawn(async move {
        loop {
            guest.subscribe(room, None).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
            guest.request(json!({"op": "unsubscribe", "id": "u", "room": room})).await;
        }
    });
    let mut reply = Reply::new(&node, room);
    let mut expected = Vec::new();
    for n in 0..150 {
        for _ in 0..(n * 7) % 5 {
            reply.tell(&node, "x");
            expected.push(format!("d{}", reply.chunk));
        }
        if n % 3 == 0 {
            let body = format!("e{n}");
            publish(&node, &ada, room, &body).await;
            expected.push(body);
        }
        if n % 4 == 0 {
            tokio::time::sleep(Duration::from_millis(n % 9)).await;
        }
    }
    publish(&node, &ada, room, "last").await;
    expected.push("last".to_owned());
    let only_events: Vec<String> =
        expected.iter().filter(|what| !what.starts_with('d')).cloned().collect();
    for (n, reader) in readers {
        let seen = tokio::time::timeout(Duration::from_mins(1), reader).await.unwrap().unwrap();
        let wanted = if n % 3 == 2 { &only_events } else { &expected };
        assert_eq!(&seen, wanted, "reader {n}");
    }
    churn.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_idle_and_comes_back_at_once_is_online_again() {
    let idle = parlor_cluster::LocalPresence::new(Duration::from_secs(1));
    let node = TestNode::start_as(
        |_| {},
        |backends| {
            backends.presence = Arc::new(idle);
        },
    )
    .await;
    let (ada, eve) = (node.user("ada").await, node.user("eve").await);
    let room = node.room("r", &[&ada, &eve]).await;
    let mut watcher = node.connect(&ada).await;
    watcher.subscribe(room, None).await;
    let old = node.connect(&eve).await;
    let mut statuses = Vec::new();
    while statuses.last().is_none_or(|status| status != "idle") {
        let frame = watcher.next().await;
        if frame["type"] == "presence" && frame["data"]["user"]["username"] == "eve" {
            statuses.push(frame["data"]["status"].as_str().unwrap().to_owned());
        }
    }
    drop(old);
    let gone = || async { node.node().presence.find(eve.id).await.connections == 0 };
    while !gone().await {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let _new = node.connect(&eve).await;
    // On a slow machine it is told that she went, too.
    loop {
        let frame = watcher.next().await;
        if frame["type"] == "presence" && frame["data"]["user"]["username"] == "eve" {
            match frame["data"]["status"].as_str() {
                Some("online") => break,
                Some("offline") => {}
                other => panic!("{other:?} after {statuses:?}"),
            }
        }
    }
}

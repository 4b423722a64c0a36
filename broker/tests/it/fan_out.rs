//! What members are told, in which form, and together with what.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use parlor_protocol::id::{MessageId, RoomId};
use parlor_protocol::signal::{MessageDelta, Signal, SignalBody};
use parlor_runtime::config::ByteSize;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::faults::Narrow;
use crate::harness::{TestClient, TestNode, TestUser, seqs};

/// Nothing is let out by time while a test waits for it.
const CORK: Duration = Duration::from_mins(10);

/// A reply whose pieces a test makes up.
struct Reply {
    room: RoomId,
    message: MessageId,
    chunk: u32,
    text: String,
}

impl Reply {
    fn new(node: &TestNode, room: RoomId) -> Self {
        Self { room, message: MessageId(node.node().clock.new_id()), chunk: 0, text: String::new() }
    }

    /// Tells the next piece. A second turn needs no event before it.
    fn tell(&mut self, node: &TestNode, text: &str) {
        self.chunk += 1;
        self.text.push_str(text);
        let delta = MessageDelta {
            message: self.message,
            turn: 2,
            chunk: self.chunk,
            text: text.to_owned(),
        };
        let body = SignalBody::MessageDelta(delta);
        node.node().bus.publish_signal(Signal { room: self.room, body });
    }
}

/// What a frame is about: a number of a piece, a body, or the operation.
fn gist(frame: &Value) -> String {
    match (&frame["type"], &frame["data"]) {
        (Value::String(kind), data) if kind == "message.delta" => data["chunk"].to_string(),
        (Value::String(kind), data) if kind == "message.created" => {
            data["body"].as_str().unwrap_or_default().to_owned()
        }
        _ => frame["op"].as_str().unwrap_or_default().to_owned(),
    }
}

async fn gists(client: &mut TestClient, count: usize) -> Vec<String> {
    let mut gists = Vec::new();
    while gists.len() < count {
        let frame = client.next_told().await;
        if frame["op"] != "ok" {
            gists.push(gist(&frame));
        }
    }
    gists
}

async fn connect(node: &TestNode, user: &TestUser, query: &str) -> TestClient {
    let mut request = format!("{}{query}", node.url()).into_client_request().unwrap();
    let bearer = format!("Bearer {}", user.token).parse().unwrap();
    request.headers_mut().insert("authorization", bearer);
    let mut client = TestClient::open(request).await;
    assert_eq!(client.next().await["op"], "welcome");
    client
}

#[tokio::test]
async fn pieces_of_replies_are_gathered_and_an_event_takes_them_along() {
    let node = TestNode::start_with(|config| config.limits.delta_cork = CORK).await;
    let ada = node.user("ada").await;
    let room = node.room("r", &[&ada]).await;
    let mut a = node.connect(&ada).await;
    a.subscribe(room, None).await;
    let mut reply = Reply::new(&node, room);

    reply.tell(&node, "first");
    assert_eq!(gists(&mut a, 1).await, ["1"], "nothing to wait for");
    reply.tell(&node, "second");
    reply.tell(&node, "third");
    a.send(json!({"op": "ping"})).await;
    assert_eq!(gists(&mut a, 1).await, ["pong"], "the others wait");
    a.send(json!({"op": "publish", "room": room, "body": "done"})).await;
    assert_eq!(gists(&mut a, 3).await, ["2", "3", "done"]);
}

#[tokio::test]
async fn pieces_that_wait_come_when_their_time_is_over_or_when_they_are_many() {
    for (cork, text) in [(Duration::from_millis(20), "short".into()), (CORK, "x".repeat(9_000))] {
        let node = TestNode::start_with(|config| config.limits.delta_cork = cork).await;
        let ada = node.user("ada").await;
        let room = node.room("r", &[&ada]).await;
        let mut a = node.connect(&ada).await;
        a.subscribe(room, None).await;
        let mut reply = Reply::new(&node, room);
        for _ in 0..10 {
            reply.tell(&node, &text);
        }
        let all: Vec<String> = (1..=10).map(|chunk: u32| chunk.to_string()).collect();
        assert_eq!(gists(&mut a, 10).await, all);
    }
}

#[tokio::test]
async fn member_chooses_how_pieces_come() {
    let node = TestNode::start_with(|config| config.limits.delta_cork = CORK).await;
    let ada = node.user("ada").await;
    let room = node.room("r", &[&ada]).await;
    let mut live = connect(&node, &ada, "?deltas=live").await;
    let mut none = connect(&node, &ada, "?deltas=none").await;
    let mut said = node.anonymous().await;
    said.send(json!({"op": "hello", "token": ada.token, "deltas": "live"})).await;
    assert_eq!(said.next().await["op"], "welcome");
    for client in [&mut live, &mut none, &mut said] {
        client.subscribe(room, None).await;
    }
    let mut reply = Reply::new(&node, room);

    reply.tell(&node, "first");
    reply.tell(&node, "second");
    reply.tell(&node, "third");
    for client in [&mut live, &mut said] {
        assert_eq!(gists(client, 3).await, ["1", "2", "3"], "before the cork");
    }
    none.publish(room, "done").await;
    for client in [&mut live, &mut said] {
        assert_eq!(gists(client, 1).await, ["done"], "nothing twice");
    }
    none.subscribe(room, Some(json!(0))).await;
    reply.tell(&node, "fourth");
    none.publish(room, "more").await;
    none.send(json!({"op": "ping"})).await;
    let mut frames = Vec::new();
    loop {
        let frame = none.next().await;
        if frame["op"] == "pong" {
            break;
        }
        frames.push(frame);
    }
    assert!(frames.iter().all(|frame| frame["type"] != "message.delta"), "{frames:?}");

    let refused = tokio_tungstenite::connect_async(format!("{}?deltas=some", node.url())).await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn who_follows_a_room_while_pieces_wait_gets_each_once() {
    let node = TestNode::start_with(|config| {
        config.server.shards = 1;
        config.limits.delta_cork = CORK;
    })
    .await;
    let ada = node.user("ada").await;
    let room = node.room("r", &[&ada]).await;
    let (mut a, mut b) = (node.connect(&ada).await, node.connect(&ada).await);
    a.subscribe(room, None).await;
    let mut reply = Reply::new(&node, room);
    reply.tell(&node, "one ");
    assert_eq!(gists(&mut a, 1).await, ["1"]);
    reply.tell(&node, "two ");

    let subscribed = b.subscribe(room, None).await;
    assert_eq!(subscribed["streaming"][0]["text"], "one two ");
    reply.tell(&node, "three");
    b.send(json!({"op": "publish", "room": room, "body": "done"})).await;

    assert_eq!(gists(&mut b, 2).await, ["3", "done"]);
    assert_eq!(gists(&mut a, 3).await, ["2", "3", "done"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reader_that_missed_pieces_is_told_the_text_so_far_once_it_has_caught_up() {
    let node = TestNode::start_with(|config| {
        config.server.shards = 1;
        config.limits.delta_cork = Duration::ZERO;
        config.limits.outbox = ByteSize::kib(16);
        config.limits.write_timeout = Duration::from_mins(1);
    })
    .await;
    let ada = node.user("ada").await;
    let room = node.room("r", &[&ada]).await;
    let mut slow = Narrow::connect(&node, &ada).await;
    slow.subscribe(room, None).await;
    let mut keeps_up = node.connect(&ada).await;
    keeps_up.subscribe(room, None).await;
    let mut reply = Reply::new(&node, room);
    let dropped = node.node().metrics.ws.frames_dropped.with_label_values(&["signal"]);
    while dropped.get() == 0 {
        reply.tell(&node, &"x".repeat(4_000));
        assert_eq!(keeps_up.next_told().await["data"]["chunk"], reply.chunk);
    }
    let missed = reply.chunk;
    slow.read_until_quiet().await;

    reply.tell(&node, "the end");

    let told = slow.read_until(|frame| frame["op"] == "subscribed").await;
    let so_far = &told.last().unwrap()["streaming"][0];
    assert!(reply.chunk > missed);
    assert_eq!(so_far["chunk"], reply.chunk);
    assert_eq!(so_far["text"].as_str(), Some(reply.text.as_str()));
    reply.tell(&node, "!");
    assert_eq!(slow.read_until(|_| true).await[0]["data"]["text"], "!", "then as before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_and_goes_while_a_giant_room_is_served_misses_nothing_and_gets_nothing_twice() {
    let node = TestNode::start_with(|config| config.server.shards = 1).await;
    let ada = node.user("ada").await;
    let room = node.room("r", &[&ada]).await;
    // More than one slice. They read, so that nobody is slow.
    let mut members = Vec::new();
    for _ in 0..600 {
        let mut member = node.connect(&ada).await;
        member.subscribe(room, None).await;
        members.push(member);
    }
    // None of them waits while the others come.
    let crowd: Vec<_> = members
        .into_iter()
        .map(|mut member| {
            tokio::spawn(async move {
                let mut seen = Vec::new();
                while seen.len() < 200 {
                    let frame = member.next().await;
                    if frame["op"] == "event" {
                        seen.push(frame["seq"].as_u64().unwrap());
                    }
                }
                seen
            })
        })
        .collect();
    let mut writer = node.connect(&ada).await;
    let mut guest = node.connect(&ada).await;
    let mut last = guest.subscribe(room, None).await["seq"].as_u64().unwrap();
    let first = last + 1;
    let writing = tokio::spawn(async move {
        for n in 0..200 {
            writer.publish(room, &format!("m{n}")).await;
        }
    });
    while last < first + 199 {
        // What comes between the two answers belongs to the old subscription.
        let since = json!(last);
        let mut frames = vec![guest.next().await];
        guest.send(json!({"op": "unsubscribe", "id": "u", "room": room})).await;
        while frames.last().unwrap()["re"] != "u" {
            frames.push(guest.next().await);
        }
        frames.retain(|frame| frame["op"] == "event");
        for seq in seqs(&frames) {
            assert_eq!(seq, last + 1, "after {since}");
            last = seq;
        }
        let subscribed = guest.subscribe(room, Some(json!(last))).await;
        let until = subscribed["seq"].as_u64().unwrap();
        while last < until {
            let frame = guest.next().await;
            assert_eq!(frame["seq"], last + 1, "{frame}");
            last += 1;
        }
    }
    writing.await.unwrap();
    let all: Vec<u64> = (first..first + 200).collect();
    for member in crowd {
        assert_eq!(member.await.unwrap(), all);
    }
}

#[tokio::test]
async fn both_encodings_carry_the_same_and_take_the_same() {
    let node = TestNode::start().await;
    let ada = node.user("ada").await;
    let room = node.room("r", &[&ada]).await;
    let mut json = node.connect(&ada).await;
    json.subscribe(room, None).await;
    let mut request = node.url().into_client_request().unwrap();
    let offered = "other, parlor.v1.msgpack, parlor.v1".parse().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", offered);
    let (mut packed, answer) = tokio_tungstenite::connect_async(request).await.unwrap();
    assert_eq!(answer.headers()["sec-websocket-protocol"], "parlor.v1.msgpack");
    let pack = |value: Value| Message::binary(rmp_serde::to_vec_named(&value).unwrap());
    let unpack = |message: Message| -> Value {
        assert!(message.is_binary(), "{message:?}");
        rmp_serde::from_slice(&message.into_data()).unwrap()
    };

    let hello = json!({"op": "hello", "token": ada.token});
    packed.send(pack(hello)).await.unwrap();
    assert_eq!(unpack(packed.next().await.unwrap().unwrap())["op"], "welcome");
    let subscribe = json!({"op": "subscribe", "room": room, "since": 0});
    packed.send(pack(subscribe)).await.unwrap();
    let mut frames = Vec::new();
    while frames.last().is_none_or(|frame: &Value| frame["type"] != "message.created") {
        if frames.len() == 2 {
            let publish =
                json!({"op": "publish", "id": "p", "room": room, "body": "häh? \u{1f600}"});
            packed.send(pack(publish)).await.unwrap();
        }
        frames.push(unpack(packed.next().await.unwrap().unwrap()));
    }
    let told = json.next_durable().await;
    assert_eq!(frames.last(), Some(&told), "live");
    json.subscribe(room, Some(json!(0))).await;
    let replayed = json.next_durable().await;
    assert!(frames.contains(&replayed), "replayed: {frames:?}");

    packed.send(Message::text(r#"{"op":"ping"}"#)).await.unwrap();
    packed.send(Message::binary(vec![0xc1])).await.unwrap();
    let mut codes = Vec::new();
    while codes.len() < 2 {
        let frame = unpack(packed.next().await.unwrap().unwrap());
        if frame["op"] == "error" {
            codes.push(frame["code"].clone());
        }
    }
    assert_eq!(codes, ["unsupported", "bad_request"]);
}

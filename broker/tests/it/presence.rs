//! Who is there, who writes, and which signals a reader wants.

use std::sync::Arc;
use std::time::Duration;

use parlor_broker::start::Backends;
use parlor_cluster::LocalPresence;
use parlor_protocol::id::RoomId;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::harness::{TestClient, TestNode, TestUser};
use crate::http::api::{Api, Events};

/// Waits for the next signal of a family, passing over everything else.
async fn next_signal(client: &mut TestClient, kind: &str) -> Value {
    loop {
        let frame = client.next().await;
        if frame["op"] == "signal" && frame["type"] == kind {
            return frame["data"].clone();
        }
    }
}

async fn connect(node: &TestNode, user: &TestUser, query: &str) -> TestClient {
    let mut request = format!("{}{query}", node.url()).into_client_request().unwrap();
    let bearer = format!("Bearer {}", user.token).parse().unwrap();
    request.headers_mut().insert("authorization", bearer);
    let mut client = TestClient::open(request).await;
    assert_eq!(client.next().await["op"], "welcome");
    client
}

/// Sends one signal of three families and an event, and returns what a reader got of it.
async fn told(writer: &mut TestClient, reader: &mut TestClient, room: RoomId) -> Vec<String> {
    writer.send(json!({"op": "typing", "room": room, "on": true})).await;
    writer.send(json!({"op": "signal", "room": room, "data": 1})).await;
    let seq = writer.publish(room, "an event").await["seq"].clone();
    writer.send(json!({"op": "read", "room": room, "seq": seq})).await;
    // What comes after it is not looked at.
    writer.publish(room, "the end").await;
    let mut told = Vec::new();
    loop {
        let frame = reader.next().await;
        let kind = frame["type"].as_str().unwrap_or_default().to_owned();
        match frame["op"].as_str() {
            Some("event") if frame["data"]["body"] == "the end" => return told,
            Some("signal") if kind == "presence" || frame["data"]["on"] == false => {}
            _ => told.push(kind),
        }
    }
}

#[tokio::test]
async fn reader_is_sent_the_families_that_it_asked_for_and_every_event() {
    let node = TestNode::start().await;
    let (ada, bob) = (node.user("ada").await, node.user("bob").await);
    let room = node.room("r", &[&ada, &bob]).await;
    let mut writer = node.connect(&ada).await;
    writer.subscribe(room, None).await;
    for (query, expected) in [
        ("", vec!["typing", "app", "message.created", "receipt"]),
        ("?intents=typing,receipts", vec!["typing", "message.created", "receipt"]),
        ("?intents=app", vec!["app", "message.created"]),
        ("?intents=", vec!["message.created"]),
    ] {
        let mut reader = connect(&node, &bob, query).await;
        reader.subscribe(room, None).await;
        let mut told = told(&mut writer, &mut reader, room).await;
        told.sort_unstable();
        let mut expected = expected;
        expected.sort_unstable();
        assert_eq!(told, expected, "{query}");
    }
    let mut said = node.anonymous().await;
    said.send(json!({"op": "hello", "token": bob.token, "intents": ["app"]})).await;
    assert_eq!(said.next().await["op"], "welcome");
    said.subscribe(room, None).await;
    let mut told = told(&mut writer, &mut said, room).await;
    told.sort_unstable();
    assert_eq!(told, ["app", "message.created"]);
    drop((writer, said));
    node.stop().await;
}

#[tokio::test]
async fn family_that_nobody_knows_is_refused() {
    let node = TestNode::start().await;
    let ada = node.user("ada").await;
    let mut client = node.anonymous().await;
    client.send(json!({"op": "hello", "token": ada.token, "intents": ["typing", "weather"]})).await;
    let refused = client.next().await;
    assert_eq!((&refused["op"], &refused["code"]), (&json!("error"), &json!("bad_request")));
    assert!(refused["detail"].as_str().unwrap().contains("`receipts`"), "{refused}");
    client.send(json!({"op": "hello", "token": ada.token, "intents": ["typing"]})).await;
    assert_eq!(client.next().await["op"], "welcome", "it may say it again");

    let mut request = format!("{}?intents=weather", node.url()).into_client_request().unwrap();
    let bearer = format!("Bearer {}", ada.token).parse().unwrap();
    request.headers_mut().insert("authorization", bearer);
    let refused = tokio_tungstenite::connect_async(request).await.unwrap_err();
    assert!(refused.to_string().contains("400"), "{refused}");
    drop(client);
    node.stop().await;
}

#[tokio::test]
async fn follower_over_http_chooses_families_too() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let path = "/v1/rooms/general/events?intents=app";
    let mut events = Events::open(ada.request(reqwest::Method::GET, path)).await;
    assert_eq!(events.next().await.unwrap().name, "subscribed");
    let mut client = ada.connect(&node).await;
    client.send(json!({"op": "typing", "room": "general", "on": true})).await;
    client.send(json!({"op": "signal", "room": "general", "data": 7})).await;
    assert_eq!(events.next().await.unwrap().data["type"], "app");

    let path = "/v1/rooms/general/events?intents=weather";
    let refused = ada.request(reqwest::Method::GET, path).send().await.unwrap();
    assert_eq!(refused.status(), 422);
    let refused: Value = refused.json().await.unwrap();
    assert_eq!(refused["errors"][0]["field"], "intents");
}

#[tokio::test]
async fn typing_ends_by_itself_and_with_the_message() {
    let lasts = Duration::from_millis(300);
    let node = TestNode::start_with(|config| config.limits.typing_lasts = lasts).await;
    let (ada, bob) = (node.user("ada").await, node.user("bob").await);
    let room = node.room("r", &[&ada, &bob]).await;
    let (mut writer, mut reader) = (node.connect(&ada).await, node.connect(&bob).await);
    for client in [&mut writer, &mut reader] {
        client.subscribe(room, None).await;
    }
    writer.send(json!({"op": "typing", "room": room, "on": true})).await;
    assert_eq!(next_signal(&mut reader, "typing").await["on"], true);
    // However the client went.
    drop(writer);
    let over = next_signal(&mut reader, "typing").await;
    assert_eq!((&over["on"], &over["user"]["username"]), (&json!(false), &json!("ada")));

    let mut writer = node.connect(&ada).await;
    writer.subscribe(room, None).await;
    writer.send(json!({"op": "typing", "room": room, "on": true})).await;
    assert_eq!(next_signal(&mut reader, "typing").await["on"], true);
    writer.publish(room, "written").await;
    assert_eq!(next_signal(&mut reader, "typing").await["on"], false);
    drop((writer, reader));
    node.stop().await;
}

/// Waits until bob is told of, and returns as what.
async fn status_of_bob(watcher: &mut TestClient) -> String {
    loop {
        let told = next_signal(watcher, "presence").await;
        if told["user"]["username"] == "bob" {
            return told["status"].as_str().unwrap().to_owned();
        }
    }
}

fn graceful(backends: &mut Backends) {
    let presence = LocalPresence::new(Duration::from_mins(5));
    backends.presence = Arc::new(presence.with_grace(Duration::from_secs(30)));
}

#[tokio::test]
async fn whoever_comes_back_within_the_grace_time_is_not_told_of() {
    let node = TestNode::start_as(|_| {}, graceful).await;
    let (ada, bob) = (node.user("ada").await, node.user("bob").await);
    let room = node.room("r", &[&ada, &bob]).await;
    let mut watcher = node.connect(&ada).await;
    watcher.subscribe(room, None).await;
    let mut client = node.connect(&bob).await;
    assert_eq!(status_of_bob(&mut watcher).await, "online");
    for idle in [false, true] {
        if idle {
            client.request(json!({"op": "presence", "status": "idle"})).await;
            assert_eq!(status_of_bob(&mut watcher).await, "idle");
        }
        for _ in 0..3 {
            drop(client);
            client = node.connect(&bob).await;
            client.subscribe(room, None).await;
        }
    }
    // Had any of it been told, it would come before this.
    client.request(json!({"op": "presence", "status": "online"})).await;
    assert_eq!(status_of_bob(&mut watcher).await, "online");
    drop((watcher, client));
    node.stop().await;
}

#[tokio::test]
async fn client_says_that_nobody_is_there_and_what_people_do_says_the_opposite() {
    let node = TestNode::start_as(|_| {}, graceful).await;
    let (ada, bob) = (node.user("ada").await, node.user("bob").await);
    let room = node.room("r", &[&ada, &bob]).await;
    let mut watcher = node.connect(&ada).await;
    watcher.subscribe(room, None).await;
    let mut client = node.connect(&bob).await;
    client.subscribe(room, None).await;
    assert_eq!(status_of_bob(&mut watcher).await, "online");
    let answer = client.request(json!({"op": "presence", "status": "idle"})).await;
    assert_eq!(answer["op"], "ok");
    assert_eq!(status_of_bob(&mut watcher).await, "idle");
    // Neither of these is done by people.
    client.subscribe(room, None).await;
    client.request(json!({"op": "unsubscribe", "room": room})).await;
    client.publish(room, "here I am").await;
    assert_eq!(status_of_bob(&mut watcher).await, "online");
    let answer = client.request(json!({"op": "presence", "status": "away"})).await;
    assert_eq!(answer["code"], "bad_request");
    drop((watcher, client));
    node.stop().await;
}

/// Waits until the shards of both have counted who came or left: each leaves out what it holds to be
/// too much.
async fn until_both_know(writer: &mut TestClient, reader: &mut TestClient, event: &str) {
    for client in [writer, reader] {
        while client.next_durable().await["type"] != event {}
    }
}

#[tokio::test]
async fn large_room_is_told_neither_who_types_nor_who_has_read() {
    let node = TestNode::start_with(|config| config.limits.presence_room = 2).await;
    let (ada, bob, cyd) = (node.user("ada").await, node.user("bob").await, node.user("cyd").await);
    let room = node.room("r", &[&ada, &bob]).await;
    let (mut writer, mut reader) = (node.connect(&ada).await, node.connect(&bob).await);
    for client in [&mut writer, &mut reader] {
        client.subscribe(room, None).await;
    }
    let mut small = told(&mut writer, &mut reader, room).await;
    small.sort_unstable();
    assert_eq!(small, ["app", "message.created", "receipt", "typing"]);
    node.append(&ada, room, parlor_store::Intent::Invite { user: cyd.id }).await;
    until_both_know(&mut writer, &mut reader, "member.joined").await;

    let mut large = told(&mut writer, &mut reader, room).await;
    large.sort_unstable();
    assert_eq!(large, ["app", "message.created"]);
    node.append(&ada, room, parlor_store::Intent::Kick { user: cyd.id, reason: None }).await;
    until_both_know(&mut writer, &mut reader, "member.left").await;
    let mut again = told(&mut writer, &mut reader, room).await;
    again.sort_unstable();
    assert_eq!(again, ["app", "message.created", "receipt", "typing"]);
    drop((writer, reader));
    node.stop().await;
}

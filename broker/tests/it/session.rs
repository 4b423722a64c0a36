//! One connection: who it is, what it may send, and how it ends.

use std::time::Duration;

use futures_util::SinkExt as _;
use parlor_cluster::Ticket;
use parlor_protocol::time::Timestamp;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::harness::{TestClient, TestNode};

#[tokio::test]
async fn hello_as_first_frame_logs_in() {
    let node = TestNode::start().await;
    let ada = node.user("ada").await;
    let mut client = node.anonymous().await;
    client.send(json!({"op": "hello", "token": ada.token, "client": "test/1"})).await;
    let welcome = client.next().await;
    assert_eq!((&welcome["op"], &welcome["user"]["username"]), (&json!("welcome"), &json!("ada")));
    assert_eq!(welcome["limits"]["frame_bytes"], 65_536);
    let again = json!({"op": "hello", "token": ada.token});
    client.send(again).await;
    assert_eq!(client.next().await["code"], "bad_request");
}

#[tokio::test]
async fn whoever_does_not_say_hello_is_closed() {
    let node = TestNode::start().await;
    let mut impatient = node.anonymous().await;
    impatient.send(json!({"op": "ping"})).await;
    assert_eq!(impatient.closed().await.0, 4501);
    let mut forged = node.anonymous().await;
    forged.send(json!({"op": "hello", "token": "a.b.c"})).await;
    assert_eq!(forged.closed().await.0, 4501);
    let node = TestNode::start_with(|config| {
        config.limits.hello_timeout = Duration::from_millis(300);
    })
    .await;
    let mut silent = node.anonymous().await;
    assert_eq!(silent.closed().await.0, 4002);
}

#[tokio::test]
async fn ticket_opens_one_connection() {
    let node = TestNode::start().await;
    let ada = node.user("ada").await;
    let now = node.node().now();
    let soon = Timestamp::from_millis(now.as_millis() + 30_000);
    let ticket = Ticket {
        user: ada.id,
        session: ada.session,
        access_expires_at: Timestamp::from_millis(now.as_millis() + 60_000),
        expires_at: soon,
    };
    let code = node.node().tickets.issue(ticket, now).await.unwrap();
    let url = format!("{}?ticket={code}", node.url());
    let mut client = TestClient::open(url.clone().into_client_request().unwrap()).await;
    assert_eq!(client.next().await["op"], "welcome");
    let spent = tokio_tungstenite::connect_async(url).await.unwrap_err();
    assert!(spent.to_string().contains("401"), "{spent}");
}

#[tokio::test]
async fn foreign_origin_is_refused_and_the_own_is_not() {
    let node = TestNode::start().await;
    let ada = node.user("ada").await;
    let connect = async |origin: String| {
        let mut request = node.url().into_client_request().unwrap();
        let headers = request.headers_mut();
        headers.insert("origin", origin.parse().unwrap());
        headers.insert("authorization", format!("Bearer {}", ada.token).parse().unwrap());
        tokio_tungstenite::connect_async(request).await
    };
    let own = node.url().replace("ws://", "http://").replace("/v1/ws", "");
    assert!(connect(own).await.is_ok());
    let refused = connect("http://evil.example".into()).await.unwrap_err();
    assert!(refused.to_string().contains("403"), "{refused}");
}

#[tokio::test]
async fn token_in_the_address_is_refused_unless_allowed() {
    let node = TestNode::start().await;
    let ada = node.user("ada").await;
    let url = |node: &TestNode, token: &str| format!("{}?token={token}", node.url());
    let refused = tokio_tungstenite::connect_async(url(&node, &ada.token)).await.unwrap_err();
    assert!(refused.to_string().contains("400"), "{refused}");
    let lenient = TestNode::start_with(|config| config.server.allow_query_token = true).await;
    let bob = lenient.user("bob").await;
    assert!(tokio_tungstenite::connect_async(url(&lenient, &bob.token)).await.is_ok());
}

#[tokio::test]
async fn frame_that_cannot_be_read_is_answered_and_too_many_close() {
    let node = TestNode::start().await;
    let ada = node.user("ada").await;
    let mut client = node.connect(&ada).await;
    for frame in
        ["", "nonsense", "[]", "{}", r#"{"op":"dance","id":"7"}"#, r#"{"op":"ping","x":1}"#]
    {
        client.socket.send(Message::text(frame)).await.unwrap();
        let answer = client.next().await;
        assert_eq!((&answer["op"], &answer["code"]), (&json!("error"), &json!("bad_request")));
    }
    let unknown_field = json!({"op": "read", "room": "general", "seq": 1, "x": 1});
    let answer = client.request(unknown_field).await;
    assert_eq!(answer["code"], "bad_request", "and it names the command");
    let nested = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
    client.socket.send(Message::text(nested)).await.unwrap();
    assert_eq!(client.next().await["code"], "bad_request");
    client.send(json!({"op": "ping"})).await;
    assert_eq!(client.next().await["op"], "pong", "the connection goes on");
    for _ in 0..5 {
        client.socket.send(Message::text("nonsense")).await.unwrap();
    }
    assert_eq!(client.closed().await.0, 4500);
}

#[tokio::test]
async fn frame_above_the_limit_closes_with_its_code() {
    let node = TestNode::start().await;
    let ada = node.user("ada").await;
    let mut client = node.connect(&ada).await;
    client.socket.send(Message::text("x".repeat(70_000))).await.unwrap();
    assert_eq!(client.closed().await.0, 4513);
}

#[tokio::test]
async fn ended_login_cuts_its_connection_and_no_other() {
    let node = TestNode::start().await;
    let ada = node.user("ada").await;
    let other = node.login(ada.id, Duration::from_mins(15)).await;
    let (mut client, mut bystander) = (node.connect(&ada).await, node.connect(&other).await);
    node.node().end_session(ada.session);
    assert_eq!(client.closed().await.0, 4509);
    bystander.send(json!({"op": "ping"})).await;
    assert_eq!(bystander.next().await["op"], "pong");
}

#[tokio::test]
async fn token_that_expires_ends_the_connection_unless_it_is_refreshed() {
    let node = TestNode::start().await;
    let ada = node.user("ada").await;
    let short = node.login(ada.id, Duration::from_secs(5)).await;
    let (mut kept, mut lost) = (node.connect(&short).await, node.connect(&short).await);
    let access = parlor_auth::NewAccess {
        user: ada.id,
        session: short.session,
        role: parlor_protocol::user::ServerRole::User,
        id: node.node().clock.new_id(),
    };
    let now = node.node().clock.now();
    let (fresh, _) = node.node().access_tokens.issue(access, now, Duration::from_mins(5));
    let ok = kept.request(json!({"op": "refresh", "token": fresh})).await;
    assert_eq!(ok["op"], "ok");
    let foreign = kept.request(json!({"op": "refresh", "token": ada.token})).await;
    assert_eq!(foreign["code"], "forbidden", "a token of another login");
    assert_eq!(lost.closed().await.0, 4004);
    kept.send(json!({"op": "ping"})).await;
    assert_eq!(kept.next().await["op"], "pong");
}

#[tokio::test]
async fn silent_connection_is_pinged_and_then_closed() {
    let node = TestNode::start_with(|config| {
        config.limits.heartbeat = Duration::from_millis(300);
        config.limits.idle_timeout = Duration::from_secs(4);
    })
    .await;
    let ada = node.user("ada").await;
    let mut client = node.connect(&ada).await;
    // The library answers pings only while it is polled.
    tokio::time::sleep(Duration::from_millis(4_500)).await;
    assert_eq!(client.closed().await.0, 4002);
    let mut alive = node.connect(&ada).await;
    let waited = tokio::time::timeout(Duration::from_secs(6), alive.next()).await;
    assert!(waited.is_err(), "pongs keep it open: {waited:?}");
}

#[tokio::test]
async fn same_client_id_is_one_message() {
    let node = TestNode::start().await;
    let ada = node.user("ada").await;
    let room = node.room("r", &[&ada]).await;
    let (mut a, mut b) = (node.connect(&ada).await, node.connect(&ada).await);
    let publish = json!({"op": "publish", "room": room, "client_id": "k1", "body": "once"});
    let first = a.request(publish.clone()).await;
    let second = b.request(publish).await;
    assert_eq!((&first["seq"], &first["message"]), (&second["seq"], &second["message"]));
    assert_eq!(second["duplicate"], true);
}

#[tokio::test]
async fn message_that_is_not_allowed_is_refused_with_its_reason() {
    let node = TestNode::start().await;
    let ada = node.user("ada").await;
    let room = node.room("r", &[&ada]).await;
    let mut a = node.connect(&ada).await;
    for (body, code) in [
        (String::new(), "validation_failed"),
        (" \n\t ".to_owned(), "validation_failed"),
        ("a\0b".to_owned(), "validation_failed"),
        ("x".repeat(17_000), "payload_too_large"),
    ] {
        assert_eq!(a.publish(room, &body).await["code"], code);
    }
    let signal = json!({"op": "signal", "room": room, "data": "x".repeat(5_000)});
    assert_eq!(a.request(signal).await["code"], "payload_too_large");
    let head = node.store().find_head(room).await.unwrap().unwrap();
    assert_eq!(head.seq, 2, "nothing was written");
}

#[tokio::test]
async fn too_many_messages_are_told_when_to_come_back() {
    let node = TestNode::start_with(|config| {
        config.limits.enabled = true;
        config.limits.publish_per_second = 1;
        config.limits.publish_burst = 2;
    })
    .await;
    let ada = node.user("ada").await;
    let room = node.room("r", &[&ada]).await;
    let mut a = node.connect(&ada).await;
    for _ in 0..2 {
        assert_eq!(a.publish(room, "m").await["op"], "ok");
    }
    let mut refused = a.publish(room, "m").await;
    // On a slow machine some of it has come back.
    for _ in 0..100 {
        if refused["op"] == "error" {
            break;
        }
        refused = a.publish(room, "m").await;
    }
    assert_eq!(refused["code"], "rate_limited");
    assert!(refused["retry_after_ms"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn flood_of_commands_is_closed() {
    let node = TestNode::start_with(|config| {
        config.limits.enabled = true;
        config.limits.commands_per_second = 1;
        config.limits.commands_burst = 20;
    })
    .await;
    let ada = node.user("ada").await;
    let mut client = node.connect(&ada).await;
    for _ in 0..60 {
        if client.socket.send(Message::text(r#"{"op":"ping"}"#)).await.is_err() {
            break;
        }
    }
    assert_eq!(client.closed().await.0, 4529);
}

#[tokio::test]
async fn reader_that_stalls_is_closed_as_slow_and_can_resume() {
    let node = TestNode::start_with(|config| {
        config.limits.outbox = parlor_runtime::config::ByteSize::kib(16);
    })
    .await;
    let ada = node.user("ada").await;
    let room = node.room("r", &[&ada]).await;
    let mut stalled = node.connect(&ada).await;
    let subscribed = stalled.subscribe(room, None).await;
    let mut writer = node.connect(&ada).await;
    let body = "x".repeat(12_000);
    let cut = node.node().metrics.ws.closed.with_label_values(&["slow_consumer"]);
    let mut newest = 0;
    // The kernel's buffers of both ends and the outbox must be full; how large they are depends on
    // the machine. The farewell waits for a few seconds only, so it is read at once.
    while cut.get() == 0 {
        newest = writer.publish(room, &body).await["seq"].as_u64().unwrap();
        assert!(newest < 5_000, "never cut");
    }
    assert_eq!(stalled.closed().await.0, 4001);

    let mut back = node.connect(&ada).await;
    let since = json!({"epoch": subscribed["epoch"], "seq": subscribed["seq"]});
    assert_eq!(back.subscribe(room, Some(since)).await["resumed"], true);
    let mut next = subscribed["seq"].as_u64().unwrap() + 1;
    while next <= newest {
        let frame = back.next_durable().await;
        if frame["op"] == "event" {
            assert_eq!(frame["seq"], next);
            next += 1;
        }
    }
}

//! What is due at a time: nothing is looked at before, and nothing is forgotten.

use std::time::Duration;

use parlor_protocol::time::Timestamp;
use parlor_runtime::config::ByteSize;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio_tungstenite::MaybeTlsStream;

use crate::harness::{TestClient, TestNode};

/// Longer than a test may wait for a close frame: what comes by this timer comes too late.
const FAR: Duration = Duration::from_mins(2);

#[tokio::test]
async fn login_that_expires_early_is_noticed_although_nothing_else_is_due() {
    let node = TestNode::start_with(|config| {
        config.limits.hello_timeout = FAR;
        config.limits.heartbeat = FAR;
        config.limits.idle_timeout = FAR;
    })
    .await;
    let ada = node.user("ada").await;
    let short = node.login(ada.id, Duration::from_secs(5)).await;
    let mut client = node.anonymous().await;
    client.send(json!({"op": "hello", "token": short.token})).await;
    assert_eq!(client.next().await["op"], "welcome");
    assert_eq!(client.closed().await.0, 4004);
}

#[tokio::test]
async fn refresh_with_a_shorter_life_counts() {
    let node = TestNode::start_with(|config| {
        config.limits.heartbeat = FAR;
        config.limits.idle_timeout = FAR;
    })
    .await;
    let ada = node.user("ada").await;
    let mut client = node.connect(&ada).await;
    let access = parlor_auth::NewAccess {
        user: ada.id,
        session: ada.session,
        role: parlor_protocol::user::ServerRole::User,
        id: node.node().clock.new_id(),
    };
    let now = node.node().clock.now();
    let (short, _) = node.node().access_tokens.issue(access, now, Duration::from_secs(5));
    assert_eq!(client.request(json!({"op": "refresh", "token": short})).await["op"], "ok");
    assert_eq!(client.closed().await.0, 4004);
}

#[tokio::test]
async fn socket_that_takes_nothing_is_noticed_although_nothing_else_is_due() {
    let node = TestNode::start_with(|config| {
        config.limits.heartbeat = FAR;
        config.limits.idle_timeout = FAR;
        config.limits.write_timeout = Duration::from_millis(300);
        // Only time may cut the reader.
        config.limits.outbox = ByteSize::mib(64);
    })
    .await;
    let ada = node.user("ada").await;
    let room = node.room("r", &[&ada]).await;
    let mut stalled = node.connect(&ada).await;
    stalled.subscribe(room, None).await;
    let mut writer = node.connect(&ada).await;
    let body = "x".repeat(16_000);
    let cut = node.node().metrics.ws.closed.with_label_values(&["slow_consumer"]);
    for _ in 0..5_000 {
        if cut.get() > 0 {
            break;
        }
        writer.publish(room, &body).await;
    }
    assert_eq!(cut.get(), 1, "never cut");
}

#[tokio::test]
async fn ended_login_is_cut_although_the_bus_did_not_tell() {
    let node = TestNode::start().await;
    let ada = node.user("ada").await;
    let other = node.login(ada.id, Duration::from_mins(15)).await;
    let (mut client, mut bystander) = (node.connect(&ada).await, node.connect(&other).await);
    let later = Timestamp::from_millis(node.node().now().as_millis() + 60_000);
    node.node().revocations.revoke(ada.session, later);
    assert_eq!(client.closed().await.0, 4509);
    bystander.send(json!({"op": "ping"})).await;
    assert_eq!(bystander.next().await["op"], "pong");
}

#[tokio::test]
async fn message_in_two_pieces_is_heard_whole() {
    let node = TestNode::start().await;
    let ada = node.user("ada").await;
    let room = node.room("r", &[&ada]).await;
    let mut client = node.connect(&ada).await;
    let mut other = node.connect(&ada).await;
    for count in 0..20 {
        let id = format!("p{count}");
        let command = json!({"op": "publish", "id": id, "room": room, "body": id}).to_string();
        // A key of zeros leaves the payload as it is.
        let length = u8::try_from(command.len()).unwrap();
        let mut frame = vec![0x81, 0x80 | 0x7e, 0, length, 0, 0, 0, 0];
        frame.extend(command.as_bytes());
        let (first, second) = frame.split_at(1 + count * frame.len() / 21);
        write(&mut client, first).await;
        // Another session was answered meanwhile, so this one had its turn.
        other.send(json!({"op": "ping"})).await;
        assert_eq!(other.next().await["op"], "pong");
        write(&mut client, second).await;
        while client.next().await["re"] != id.as_str() {}
    }
}

async fn write(client: &mut TestClient, bytes: &[u8]) {
    let MaybeTlsStream::Plain(socket) = client.socket.get_mut() else { panic!("not plain TCP") };
    socket.write_all(bytes).await.unwrap();
}

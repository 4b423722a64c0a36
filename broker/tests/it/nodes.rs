//! Two nodes on one store, with no bus between them: whatever crosses, crosses by the store's tail.

use std::sync::Arc;
use std::time::Duration;

use parlor_protocol::close::CloseCode;
use parlor_protocol::time::Timestamp;
use parlor_runtime::Config;
use parlor_store::postgres::{PostgresOptions, PostgresStore};
use parlor_store::{Intent, Store};
use parlor_testkit::services::Postgres;
use serde_json::json;
use tokio::time::sleep;

use crate::harness::{TestClient, TestNode};

/// Two nodes that cannot talk to each other, and the server that they share.
pub(crate) struct Pair {
    pub(crate) postgres: Postgres,
    pub(crate) here: TestNode,
    pub(crate) there: TestNode,
}

impl Pair {
    pub(crate) async fn start() -> Self {
        let postgres = Postgres::start().await;
        let here = node(&postgres).await;
        let there = node(&postgres).await;
        Self { postgres, here, there }
    }

    pub(crate) async fn stop(self, clients: impl IntoIterator<Item = TestClient>) {
        // Else the nodes would wait for them to close.
        drop(clients.into_iter().collect::<Vec<_>>());
        tokio::join!(self.here.stop(), self.there.stop());
    }
}

async fn node(postgres: &Postgres) -> TestNode {
    node_with(postgres, |_| {}).await
}

async fn node_with(postgres: &Postgres, change: impl FnOnce(&mut Config)) -> TestNode {
    let store: Arc<dyn Store> =
        Arc::new(PostgresStore::open(PostgresOptions::new(postgres.url())).await.unwrap());
    TestNode::start_on(Some(store), change).await
}

#[tokio::test]
async fn message_reaches_the_members_on_a_node_that_nobody_told() {
    let pair = Pair::start().await;
    let (ada, bob) = (pair.here.user("ada").await, pair.here.user("bob").await);
    let room = pair.here.room("tea", &[&ada, &bob]).await;
    let mut writer = pair.here.connect(&ada).await;
    let mut reader = pair.there.connect(&bob).await;
    reader.subscribe(room, None).await;
    for body in ["one", "two", "three"] {
        assert_eq!(writer.publish(room, body).await["op"], "ok");
    }
    let mut last = None;
    for body in ["one", "two", "three"] {
        let event = reader.next_durable().await;
        assert_eq!(event["data"]["body"], body);
        let seq = event["seq"].as_u64().unwrap();
        assert!(last.is_none_or(|last| seq == last + 1), "{seq} after {last:?}");
        last = Some(seq);
    }
    pair.stop([writer, reader]).await;
}

#[tokio::test]
async fn ended_login_is_cut_on_a_node_that_nobody_told() {
    let pair = Pair::start().await;
    let ada = pair.here.user("ada").await;
    let mut elsewhere = pair.there.connect(&ada).await;
    pair.here.store().revoke_session(ada.session, pair.here.node().now()).await.unwrap();
    let (code, _) = elsewhere.closed().await;
    assert_eq!(code, CloseCode::SessionRevoked.as_u16());
    assert!(pair.there.node().revocations.is_revoked(ada.session), "its tokens are refused");
    pair.stop([elsewhere]).await;
}

/// The log of a large room that was deleted takes long to remove.
#[tokio::test]
async fn ended_login_is_cut_while_old_commits_are_forgotten() {
    let postgres = Arc::new(Postgres::start().await);
    let here = node(&postgres).await;
    let there =
        node_with(&postgres, |config| config.relay.compare_every = Duration::from_secs(1)).await;
    let ada = here.user("ada").await;
    let mut elsewhere = there.connect(&ada).await;
    let busy = tokio::task::spawn_blocking({
        let postgres = Arc::clone(&postgres);
        move || postgres.query("BEGIN; LOCK TABLE purges; SELECT pg_sleep(60); COMMIT")
    });
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    while postgres.query(waits).trim() == "0" {
        sleep(Duration::from_millis(10)).await;
    }

    here.store().revoke_session(ada.session, here.node().now()).await.unwrap();
    let (code, _) = elsewhere.closed().await;

    assert_eq!(code, CloseCode::SessionRevoked.as_u16());
    assert!(!busy.is_finished(), "they were still being forgotten");
    drop(elsewhere);
    // Nobody needs to wait for the rest of it.
    let ends = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity \
                WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()";
    postgres.query(ends);
    drop(busy.await);
    tokio::join!(here.stop(), there.stop());
}

#[tokio::test]
async fn kicked_member_gets_nothing_more_on_a_node_that_nobody_told() {
    let pair = Pair::start().await;
    let (ada, bob) = (pair.here.user("ada").await, pair.here.user("bob").await);
    let room = pair.here.room("tea", &[&ada, &bob]).await;
    let mut kicked = pair.there.connect(&bob).await;
    kicked.subscribe(room, None).await;
    pair.here.append(&ada, room, Intent::Kick { user: bob.id, reason: None }).await;
    let mut writer = pair.here.connect(&ada).await;
    writer.publish(room, "not for bob").await;
    let event = kicked.next_durable().await;
    assert_eq!(event["type"], "member.left");
    let answer = kicked.request(json!({"op": "signal", "room": room, "data": 1})).await;
    // The room is private, so to them it is not there.
    assert_eq!(answer["code"], "not_found", "and nothing came in between: {answer}");
    pair.stop([kicked, writer]).await;
}

#[tokio::test]
async fn deleted_room_ends_on_a_node_that_nobody_told() {
    let pair = Pair::start().await;
    let ada = pair.here.user("ada").await;
    let room = pair.here.room("tea", &[&ada]).await;
    let mut follower = pair.there.connect(&ada).await;
    follower.subscribe(room, None).await;
    let now = pair.here.node().now();
    pair.here.store().delete_room(room, ada.id, now).await.unwrap().unwrap();
    let told = follower.next_durable().await;
    assert_eq!((&told["op"], &told["code"]), (&json!("error"), &json!("not_found")));
    pair.stop([follower]).await;
}

#[tokio::test]
async fn members_are_told_to_start_anew_when_the_store_has_become_another_one() {
    let pair = Pair::start().await;
    let (ada, bob) = (pair.here.user("ada").await, pair.here.user("bob").await);
    let room = pair.here.room("tea", &[&ada, &bob]).await;
    let mut reader = pair.there.connect(&bob).await;
    let subscribed = reader.subscribe(room, None).await;
    // What an operator does after putting back an older state; the server was down for it.
    let options = PostgresOptions::new(pair.postgres.url());
    PostgresStore::renew_incarnation(&options).await.unwrap();
    pair.postgres.cut_connections();

    let anew = reader.next_durable().await;
    assert_eq!(anew["op"], "subscribed");
    assert_ne!(anew["epoch"], subscribed["epoch"]);
    let resync = reader.next_durable().await;
    assert_eq!((&resync["op"], &resync["reason"]), (&json!("resync"), &json!("epoch_changed")));
    let mut writer = pair.here.connect(&ada).await;
    writer.publish(room, "goes on").await;
    assert_eq!(reader.next_durable().await["data"]["body"], "goes on");
    pair.stop([reader, writer]).await;
}

#[tokio::test]
async fn same_message_sent_to_both_nodes_is_one() {
    let pair = Pair::start().await;
    let ada = pair.here.user("ada").await;
    let room = pair.here.room("tea", &[&ada]).await;
    let mut here = pair.here.connect(&ada).await;
    let mut there = pair.there.connect(&ada).await;
    let command = json!({"op": "publish", "room": room, "body": "once", "client_id": "same"});
    let (first, second) = tokio::join!(here.request(command.clone()), there.request(command));
    assert_eq!(first["op"], "ok", "{first}");
    assert_eq!((&first["seq"], &first["message"]), (&second["seq"], &second["message"]));
    pair.stop([here, there]).await;
}

#[tokio::test]
async fn ended_login_is_remembered_for_as_long_as_other_clocks_take_its_tokens() {
    let node = TestNode::start().await;
    let ada = node.user("ada").await;
    node.node().end_session(ada.session);
    // A token of a node whose clock is ahead, asked about at one whose clock is behind.
    let life = node.node().config.auth.access_token_expire + std::time::Duration::from_secs(55);
    let life = i64::try_from(life.as_millis()).unwrap();
    let later = Timestamp::from_millis(node.node().now().as_millis() + life);
    node.node().revocations.sweep(later);
    assert!(node.node().revocations.is_revoked(ada.session));
    node.stop().await;
}

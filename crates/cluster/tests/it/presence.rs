//! Users who come, go and do nothing on several nodes.

use std::time::Duration;

use parlor_cluster::Presence as _;
use parlor_protocol::user::PresenceStatus;
use parlor_testkit::services::Redis;

use crate::harness::{
    ADA, BOB, Node, SETTLED, TIMES, idle, now, offline, online, sweep_for, sweep_until_change,
};

/// A node is started again within this time, however busy the machine is.
const RESTART: Duration = Duration::from_secs(5);

/// Starts a node whose users may be away for as long as the start of another takes.
async fn start_patient(redis: &Redis, idle_after: Duration) -> Node {
    Node::start_with(&redis.url(), |options| {
        options.presence.grace = RESTART;
        options.presence.expire = RESTART * 3;
        options.presence.idle_after = idle_after;
    })
    .await
}

#[tokio::test]
async fn user_is_there_until_the_last_of_all_nodes_has_lost_them() {
    let redis = Redis::start().await;
    let (a, b) = (Node::start(&redis.url()).await, Node::start(&redis.url()).await);
    assert_eq!(a.connected(ADA).await, Some(online(ADA)));
    assert_eq!(a.connected(ADA).await, None);
    assert_eq!(b.connected(ADA).await, None, "the other node has announced it");
    for node in [&a, &b] {
        let seen = node.state.presence.find(ADA).await;
        assert_eq!((seen.status, seen.connections), (PresenceStatus::Online, 3));
        let ago = now().as_millis() - seen.last_active.unwrap().as_millis();
        assert!((-1_000..60_000).contains(&ago), "{ago} ms");
    }

    a.disconnected(ADA).await;
    a.disconnected(ADA).await;
    assert!(sweep_for(&[&a, &b], SETTLED).await.is_empty(), "the other node still has them");
    assert_eq!(a.status(ADA).await, PresenceStatus::Online);
    assert_eq!(b.disconnected(ADA).await, None, "they may come back");
    assert_eq!(a.status(ADA).await, PresenceStatus::Online);
    assert_eq!(sweep_until_change(&[&a, &b]).await, [offline(ADA)], "one node announces it");
    assert!(sweep_for(&[&a, &b], SETTLED).await.is_empty());
    for node in [&a, &b] {
        assert_eq!(node.status(ADA).await, PresenceStatus::Offline);
        assert_eq!(node.state.presence.find(ADA).await.connections, 0);
    }
    assert_eq!(b.connected(ADA).await, Some(online(ADA)));
    assert_eq!(a.disconnected(ADA).await, None, "nobody is lost who was not there");
}

#[tokio::test]
async fn rolling_restart_sends_nobody_away() {
    let redis = Redis::start().await;
    let start = || start_patient(&redis, TIMES.idle_after);
    let (watcher, mut node) = (start().await, start().await);
    assert_eq!(node.connected(ADA).await, Some(online(ADA)));
    for _ in 0..5 {
        node.disconnected(ADA).await;
        drop(std::mem::replace(&mut node, start().await));
        let changed = sweep_for(&[&watcher, &node], Duration::from_millis(100)).await;
        assert!(changed.is_empty(), "{changed:?}");
        assert_eq!(node.connected(ADA).await, None);
    }
    assert!(sweep_for(&[&watcher, &node], RESTART + SETTLED).await.is_empty());
    assert_eq!(watcher.status(ADA).await, PresenceStatus::Online);
}

#[tokio::test]
async fn users_of_a_crashed_node_are_gone_when_its_word_has_expired() {
    let redis = Redis::start().await;
    let (a, b) = (Node::start(&redis.url()).await, Node::start(&redis.url()).await);
    a.connected(ADA).await;
    a.connected(BOB).await;
    b.connected(BOB).await;
    assert!(sweep_for(&[&a, &b], TIMES.expire * 2).await.is_empty(), "the nodes say it again");

    drop(a);
    assert_eq!(sweep_until_change(&[&b]).await, [offline(ADA)]);
    assert_eq!(b.status(ADA).await, PresenceStatus::Offline);
    assert_eq!(b.status(BOB).await, PresenceStatus::Online);
    assert_eq!(b.state.presence.find(BOB).await.connections, 1);
}

#[tokio::test]
async fn user_is_idle_when_idle_on_all_nodes_and_is_back_on_any() {
    let redis = Redis::start().await;
    let start = async || {
        Node::start_with(&redis.url(), |options| {
            options.presence.idle_after = Duration::from_millis(600);
        })
        .await
    };
    let (a, b) = (start().await, start().await);
    a.connected(ADA).await;
    b.connected(ADA).await;
    assert_eq!(sweep_until_change(&[&a, &b]).await, [idle(ADA)], "one node announces it");
    assert_eq!(a.status(ADA).await, PresenceStatus::Idle);

    assert_eq!(b.state.presence.active(ADA, now()).await, Some(online(ADA)));
    assert_eq!(a.status(ADA).await, PresenceStatus::Online);
    assert_eq!(a.state.presence.active(ADA, now()).await, None);
    assert_eq!(sweep_until_change(&[&a, &b]).await, [idle(ADA)]);
    assert_eq!(a.state.presence.active(BOB, now()).await, None, "nobody knows them");
}

#[tokio::test]
async fn idle_user_whose_node_is_restarted_stays_idle_until_they_do_something() {
    let redis = Redis::start().await;
    let start = || start_patient(&redis, Duration::from_millis(600));
    let (watcher, mut node) = (start().await, start().await);
    node.connected(ADA).await;
    assert_eq!(sweep_until_change(&[&watcher, &node]).await, [idle(ADA)]);
    node.disconnected(ADA).await;
    drop(std::mem::replace(&mut node, start().await));
    assert_eq!(node.connected(ADA).await, None);
    let nothing = sweep_for(&[&watcher, &node], RESTART + SETTLED).await;
    assert!(nothing.is_empty(), "also when the node has said it again: {nothing:?}");
    assert_eq!(watcher.status(ADA).await, PresenceStatus::Idle);
    assert_eq!(node.state.presence.active(ADA, now()).await, Some(online(ADA)));
}

#[tokio::test]
async fn user_is_idle_when_nobody_is_in_front_of_any_connection_of_any_node() {
    let redis = Redis::start().await;
    let (a, b) = (Node::start(&redis.url()).await, Node::start(&redis.url()).await);
    a.connected(ADA).await;
    b.connected(ADA).await;
    assert_eq!(a.set_idle(ADA, true).await, None, "somebody may be at the other");
    assert_eq!(b.set_idle(ADA, true).await, Some(idle(ADA)));
    assert_eq!(a.status(ADA).await, PresenceStatus::Idle);
    assert_eq!(a.connected(ADA).await, None, "another connection may be one that came back");
    assert!(sweep_for(&[&a, &b], SETTLED).await.is_empty());

    assert_eq!(b.set_idle(ADA, false).await, Some(online(ADA)));
    assert_eq!(b.set_idle(ADA, true).await, None, "the new one of the other node");
    assert_eq!(a.disconnected(ADA).await, Some(idle(ADA)));
    assert_eq!(a.set_idle(ADA, false).await, Some(online(ADA)));
    assert_eq!(a.set_idle(BOB, true).await, None, "nobody knows them");
}

#[tokio::test]
async fn those_who_are_there_are_listed_on_any_node() {
    let redis = Redis::start().await;
    let (a, b) = (Node::start(&redis.url()).await, Node::start(&redis.url()).await);
    a.connected(ADA).await;
    b.connected(BOB).await;
    let mut present = a.state.presence.list_present(10).await;
    present.sort_unstable();
    assert_eq!(present, [ADA, BOB]);
    assert_eq!(b.state.presence.list_present(1).await.len(), 1);
    b.disconnected(BOB).await;
    sweep_until_change(&[&a, &b]).await;
    assert_eq!(b.state.presence.list_present(10).await, [ADA]);
}

#[tokio::test]
async fn activity_is_passed_on_now_and_then() {
    let redis = Redis::start().await;
    let node = Node::start(&redis.url()).await;
    node.connected(ADA).await;
    let before = node.metric("parlor_cluster_calls_total", "touch");
    for _ in 0..1_000 {
        assert_eq!(node.state.presence.active(ADA, now()).await, None);
    }
    // The node writes its users again meanwhile.
    let calls = node.metric("parlor_cluster_calls_total", "touch") - before;
    assert!(calls < 20.0, "{calls} calls");
}

#[tokio::test]
async fn connections_that_come_and_go_at_once_are_counted() {
    let redis = Redis::start().await;
    let (a, b) = (Node::start(&redis.url()).await, Node::start(&redis.url()).await);
    a.connected(ADA).await;
    let visits = (0..200).map(async |_| {
        a.connected(ADA).await;
        a.disconnected(ADA).await;
    });
    futures_util::future::join_all(visits).await;
    assert_eq!(b.state.presence.find(ADA).await.connections, 1);
    assert!(sweep_for(&[&a, &b], TIMES.grace * 2).await.is_empty());
}

#[tokio::test]
async fn many_users_are_told_of_in_batches() {
    let redis = Redis::start().await;
    let (a, b) = (Node::start(&redis.url()).await, Node::start(&redis.url()).await);
    let users: Vec<_> =
        (0..1_000).map(|n| parlor_protocol::id::UserId(uuid::Uuid::from_u128(1_000 + n))).collect();
    for user in &users {
        assert_eq!(a.connected(*user).await, Some(online(*user)));
    }
    assert!(sweep_for(&[&a, &b], TIMES.expire * 2).await.is_empty());
    let statuses = b.state.presence.list(&users).await;
    assert!(statuses.iter().all(|status| *status == PresenceStatus::Online));

    drop(a);
    let mut gone = Vec::new();
    while gone.len() < users.len() {
        gone.extend(sweep_until_change(&[&b]).await);
    }
    gone.sort_by_key(|transition| transition.user);
    let expected: Vec<_> = users.iter().map(|user| offline(*user)).collect();
    assert_eq!(gone, expected, "each once");
}

//! Presence while Redis is away, cut off or has forgotten everything.

use parlor_cluster::{ClusterStatus, Presence as _};
use parlor_protocol::user::PresenceStatus;
use parlor_testkit::services::Redis;
use parlor_testkit::tcp_proxy::{Mode, TcpProxy};
use tokio::time::sleep;

use crate::harness::{
    ADA, BOB, Node, SETTLED, TIMES, offline, online, sweep, sweep_for, sweep_until_change, until,
    upstream, url_of,
};

/// Waits until Redis knows of a user what a node that does not have them is told.
async fn until_known(node: &Node, status: PresenceStatus) {
    until("the other node's user", async || node.status(ADA).await == status).await;
}

#[tokio::test]
async fn emptied_redis_is_filled_again_and_nobody_is_announced() {
    let redis = Redis::start().await;
    let (a, b) = (Node::start(&redis.url()).await, Node::start(&redis.url()).await);
    a.connected(ADA).await;
    b.connected(BOB).await;
    redis.command("FLUSHALL").await;
    assert!(sweep_for(&[&a, &b], SETTLED).await.is_empty());
    until_known(&b, PresenceStatus::Online).await;
    assert_eq!(b.state.presence.find(ADA).await.connections, 1);

    a.disconnected(ADA).await;
    assert_eq!(sweep_until_change(&[&a, &b]).await, [offline(ADA)]);
}

#[tokio::test]
async fn user_who_leaves_an_emptied_redis_is_announced() {
    let redis = Redis::start().await;
    let (a, b) = (Node::start(&redis.url()).await, Node::start(&redis.url()).await);
    a.connected(ADA).await;
    redis.command("FLUSHALL").await;
    a.disconnected(ADA).await;
    assert_eq!(sweep_until_change(&[&a, &b]).await, [offline(ADA)]);
}

#[tokio::test]
async fn while_redis_is_away_each_node_answers_for_itself_and_tells_it_later() {
    let redis = Redis::start().await;
    let (a, b) = (Node::start(&redis.url()).await, Node::start(&redis.url()).await);
    redis.kill().await;
    a.wait_for(ClusterStatus::Away).await;
    b.wait_for(ClusterStatus::Away).await;
    assert_eq!(a.connected(ADA).await, Some(online(ADA)));
    assert_eq!(a.status(ADA).await, PresenceStatus::Online);
    assert_eq!(a.state.presence.find(ADA).await.connections, 1);
    assert_eq!(b.status(ADA).await, PresenceStatus::Offline);
    assert_eq!(b.connected(BOB).await, Some(online(BOB)));
    assert_eq!(b.disconnected(BOB).await, None, "they may come back");
    assert_eq!(sweep_until_change(&[&b]).await, [offline(BOB)]);

    redis.restart().await;
    until_known(&b, PresenceStatus::Online).await;
    assert!(sweep_for(&[&a, &b], SETTLED).await.is_empty(), "everybody knows");
}

#[tokio::test]
async fn what_was_announced_without_redis_and_is_not_so_is_corrected() {
    let redis = Redis::start().await;
    let (a, b) = (Node::start(&redis.url()).await, Node::start(&redis.url()).await);
    a.connected(ADA).await;
    b.connected(ADA).await;
    redis.kill().await;
    a.wait_for(ClusterStatus::Away).await;
    a.disconnected(ADA).await;
    assert_eq!(sweep_until_change(&[&a]).await, [offline(ADA)], "for all that it knows");

    redis.restart().await;
    assert_eq!(sweep_until_change(&[&a, &b]).await, [online(ADA)]);
    // What others are told again does no harm; that she leaves would.
    let told = sweep_for(&[&a, &b], SETTLED).await;
    assert!(told.iter().all(|told| *told == online(ADA)), "{told:?}");
    assert_eq!(a.status(ADA).await, PresenceStatus::Online);
}

#[tokio::test]
async fn who_leaves_while_redis_is_away_is_not_there_when_it_is_back() {
    let redis = Redis::start().await;
    let (a, b) = (Node::start(&redis.url()).await, Node::start(&redis.url()).await);
    a.connected(ADA).await;
    redis.pause();
    a.disconnected(ADA).await;
    assert_eq!(sweep_until_change(&[&a]).await, [offline(ADA)]);
    redis.resume();
    // What others are told again does no harm; that they come back would.
    let told = sweep_for(&[&a, &b], SETTLED + TIMES.expire).await;
    assert_eq!(b.status(ADA).await, PresenceStatus::Offline);
    assert!(told.iter().all(|told| *told == offline(ADA)), "{told:?}");
}

#[tokio::test]
async fn silence_of_redis_that_outlives_what_nodes_said_sends_nobody_away() {
    let redis = Redis::start().await;
    let (a, b) = (Node::start(&redis.url()).await, Node::start(&redis.url()).await);
    a.connected(ADA).await;
    b.connected(BOB).await;
    assert!(sweep_for(&[&a, &b], SETTLED).await.is_empty());
    redis.pause();
    // The length of the fault.
    sleep(TIMES.expire + TIMES.grace * 2).await;
    redis.resume();
    a.wait_for(ClusterStatus::Connected).await;
    b.wait_for(ClusterStatus::Connected).await;
    assert!(sweep_for(&[&a, &b], SETTLED).await.is_empty());
    assert_eq!(a.status(BOB).await, PresenceStatus::Online);
    assert_eq!(b.status(ADA).await, PresenceStatus::Online);
}

#[tokio::test]
async fn node_that_finds_redis_again_first_does_not_decide_about_users_of_the_others() {
    let redis = Redis::start().await;
    let proxy = TcpProxy::start(upstream(redis.port())).await;
    let (a, b) = (Node::start(&redis.url()).await, Node::start(&url_of(proxy.addr())).await);
    b.connected(BOB).await;
    assert!(sweep_for(&[&a, &b], SETTLED).await.is_empty());
    proxy.set_mode(Mode::BlackHole);
    redis.pause();
    // The length of the fault.
    sleep(TIMES.expire + TIMES.grace * 2).await;
    redis.resume();
    a.wait_for(ClusterStatus::Connected).await;
    assert!(sweep(&[&a]).await.is_empty(), "the other node has had no time yet");
    assert_eq!(a.status(BOB).await, PresenceStatus::Online);
    assert_eq!(sweep_until_change(&[&a]).await, [offline(BOB)], "and then it has had enough");
}

#[tokio::test]
async fn node_that_was_cut_off_brings_its_users_back() {
    let redis = Redis::start().await;
    let proxy = TcpProxy::start(upstream(redis.port())).await;
    let (a, b) = (Node::start(&url_of(proxy.addr())).await, Node::start(&redis.url()).await);
    a.connected(ADA).await;
    proxy.set_mode(Mode::BlackHole);
    assert_eq!(sweep_until_change(&[&b]).await, [offline(ADA)]);
    assert_eq!(a.status(ADA).await, PresenceStatus::Online, "it has them");

    proxy.set_mode(Mode::Pass);
    proxy.cut_all();
    assert_eq!(sweep_until_change(&[&a, &b]).await, [online(ADA)]);
    assert_eq!(b.status(ADA).await, PresenceStatus::Online);
}

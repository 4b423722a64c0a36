//! A Redis that is dead, silent, slow or flaky.

use std::time::Duration;

use parlor_cluster::{ClusterStatus, Presence as _};
use parlor_testkit::services::Redis;
use parlor_testkit::tcp_proxy::{Mode, TcpProxy};
use tokio::time::Instant;

use crate::harness::{ADA, LIMIT, Node, upstream, url_of};

/// Makes many calls, one after the other, and returns how long they took together.
async fn calls(node: &Node, count: u32) -> Duration {
    let begun = Instant::now();
    for _ in 0..count {
        node.state.presence.find(ADA).await;
    }
    begun.elapsed()
}

async fn costs_nothing_while_away(node: &Node) {
    let took = calls(node, 1).await;
    assert!(took < LIMIT * 10, "a call waits no longer than its limit, not {took:?}");
    node.wait_for(ClusterStatus::Away).await;
    // Far less than a time limit for each.
    let took = calls(node, 1_000).await;
    assert!(took < LIMIT * 20, "{took:?}");
    assert!(node.metric("parlor_cluster_calls_total", "skipped") >= 900.0);
    assert!(node.metric("parlor_cluster_up", "") < 0.5);
}

#[tokio::test]
async fn dead_redis_costs_nothing_and_is_found_when_it_is_back() {
    let redis = Redis::start().await;
    let node = Node::start(&redis.url()).await;
    assert!(node.metric("parlor_cluster_up", "") > 0.5);
    redis.kill().await;
    costs_nothing_while_away(&node).await;
    redis.restart().await;
    node.wait_for(ClusterStatus::Connected).await;
    let answered = node.metric("parlor_cluster_calls_total", "ok");
    calls(&node, 10).await;
    assert!(node.metric("parlor_cluster_calls_total", "ok") >= answered + 10.0);
}

#[tokio::test]
async fn silent_redis_costs_one_time_limit_and_is_found_when_it_speaks() {
    let redis = Redis::start().await;
    let node = Node::start(&redis.url()).await;
    redis.pause();
    costs_nothing_while_away(&node).await;
    redis.resume();
    node.wait_for(ClusterStatus::Connected).await;
}

#[tokio::test]
async fn black_hole_costs_one_time_limit() {
    let redis = Redis::start().await;
    let proxy = TcpProxy::start(upstream(redis.port())).await;
    let node = Node::start(&url_of(proxy.addr())).await;
    proxy.set_mode(Mode::BlackHole);
    costs_nothing_while_away(&node).await;
    proxy.set_mode(Mode::Pass);
    node.wait_for(ClusterStatus::Connected).await;
}

#[tokio::test]
async fn loss_is_noticed_without_a_call() {
    let redis = Redis::start().await;
    let node = Node::start(&redis.url()).await;
    redis.stop().await;
    node.wait_for(ClusterStatus::Away).await;
    redis.restart().await;
    node.wait_for(ClusterStatus::Connected).await;
}

#[tokio::test]
async fn slow_redis_is_not_away() {
    let redis = Redis::start().await;
    let proxy = TcpProxy::start(upstream(redis.port())).await;
    let node = Node::start_with(&url_of(proxy.addr()), |options| options.timeout = LIMIT * 8).await;
    proxy.set_mode(Mode::Latency(LIMIT / 2));
    let took = calls(&node, 5).await;
    assert!(took >= LIMIT * 2, "{took:?}");
    assert_eq!(*node.state.status().borrow(), ClusterStatus::Connected);
    let failed = ["skipped", "failed", "timeout", "refused"]
        .map(|outcome| node.metric("parlor_cluster_calls_total", outcome));
    assert!(failed.iter().sum::<f64>() < 0.5, "{failed:?}");
}

#[tokio::test]
async fn connection_that_is_cut_is_made_again() {
    let redis = Redis::start().await;
    let proxy = TcpProxy::start(upstream(redis.port())).await;
    let node = Node::start(&url_of(proxy.addr())).await;
    let mut status = node.state.status();
    for cut in [TcpProxy::cut_all, TcpProxy::reset_all] {
        status.borrow_and_update();
        cut(&proxy);
        // Away and back, in whatever pieces this is seen.
        tokio::time::timeout(crate::harness::PATIENCE, status.changed()).await.unwrap().unwrap();
        node.wait_for(ClusterStatus::Connected).await;
    }
    let answered = node.metric("parlor_cluster_calls_total", "ok");
    assert_eq!(node.connected(ADA).await.map(|online| online.user), Some(ADA));
    assert!(node.metric("parlor_cluster_calls_total", "ok") > answered, "Redis was asked");
}

#[tokio::test]
async fn redis_that_may_not_write_is_away() {
    let redis = Redis::start().await;
    let node = Node::start(&redis.url()).await;
    redis.command("REPLICAOF 127.0.0.1 1").await;
    node.wait_for(ClusterStatus::Away).await;
    redis.command("REPLICAOF NO ONE").await;
    node.wait_for(ClusterStatus::Connected).await;
}

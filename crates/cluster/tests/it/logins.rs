//! Guessing of passwords at several nodes.

use std::time::Duration;

use parlor_cluster::{
    ClusterStatus, LoginBudget, LoginRule, Logins, SharedLimits as _, TakeRefused,
};
use parlor_testkit::services::Redis;
use std::sync::Arc;

use crate::harness::{LIMIT, Node, PATIENCE};

const HOUR: Duration = Duration::from_hours(1);

fn logins(node: &Node) -> Arc<dyn Logins> {
    let budget = |interval, burst| LoginBudget { interval, burst };
    node.state.limits.logins(LoginRule {
        pair: budget(Duration::from_secs(30), 5),
        user: budget(HOUR / 30, 30),
        address: budget(HOUR / 100, 100),
        entries: 10_000,
    })
}

/// Many come at once; on a busy machine the last waits long.
async fn nodes(redis: &Redis) -> (Vec<Node>, Vec<Arc<dyn Logins>>) {
    nodes_within(redis, PATIENCE).await
}

/// Starts nodes that wait so long for an answer.
async fn nodes_within(redis: &Redis, limit: Duration) -> (Vec<Node>, Vec<Arc<dyn Logins>>) {
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(Node::start_with(&redis.url(), |options| options.timeout = limit).await);
    }
    let logins = nodes.iter().map(logins).collect();
    (nodes, logins)
}

fn wait(refused: TakeRefused) -> Duration {
    match refused {
        TakeRefused::Limited(limited) => limited.retry_after,
        TakeRefused::Unavailable => panic!("redis should be there"),
    }
}

#[tokio::test]
async fn guesser_gains_nothing_by_going_from_node_to_node() {
    let redis = Redis::start().await;
    let (_nodes, logins) = nodes(&redis).await;
    let mut allowed = 0;
    let mut waited = Duration::ZERO;
    for n in 0..30 {
        match logins[n % 3].begin("ada", 1).await {
            Ok(()) => allowed += 1,
            Err(refused) => waited = wait(refused),
        }
    }
    assert_eq!(allowed, 5);
    assert!(waited > Duration::from_secs(20) && waited <= Duration::from_secs(30), "{waited:?}");
    assert_eq!(logins[1].begin("bob", 1).await, Ok(()), "another user is not concerned");
    assert_eq!(logins[1].begin("ada", 2).await, Ok(()), "another address is not concerned");
}

#[tokio::test]
async fn attempts_sent_at_once_to_all_nodes_are_counted() {
    let redis = Redis::start().await;
    let (_nodes, logins) = nodes(&redis).await;
    let attempts = (0..300).map(|n| logins[n % 3].begin("ada", 1));
    let outcomes = futures_util::future::join_all(attempts).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 5);
}

#[tokio::test]
async fn right_password_is_given_back_on_whatever_node() {
    let redis = Redis::start().await;
    let (_nodes, logins) = nodes(&redis).await;
    for n in 0..60 {
        assert_eq!(logins[n % 3].begin("ada", 1).await, Ok(()));
        if n % 2 == 0 {
            logins[n % 3].succeeded("ada", 1).await;
        } else {
            logins[n % 3].give_back("ada", 1).await;
        }
    }
}

#[tokio::test]
async fn owner_gets_in_on_any_node_while_many_addresses_guess() {
    let redis = Redis::start().await;
    let (_nodes, logins) = nodes(&redis).await;
    logins[0].begin("ada", 1).await.unwrap();
    logins[0].succeeded("ada", 1).await;
    for from in 100..200 {
        let _outcome = logins[1].begin("ada", from).await;
    }
    assert_eq!(logins[2].begin("ada", 7).await, Ok(()), "a new device has one attempt");
    assert!(logins[0].begin("ada", 7).await.is_err(), "and then has to wait");
    for n in 0..5 {
        assert_eq!(logins[n % 3].begin("ada", 1).await, Ok(()), "a known one has as many as ever");
    }
}

#[tokio::test]
async fn nobody_logs_in_with_a_password_while_guesses_elsewhere_cannot_be_known() {
    let redis = Redis::start().await;
    let (nodes, logins) = nodes_within(&redis, LIMIT).await;
    redis.pause();
    let begun = tokio::time::Instant::now();
    assert_eq!(logins[0].begin("ada", 1).await, Err(TakeRefused::Unavailable));
    assert!(begun.elapsed() < LIMIT * 10, "{:?}", begun.elapsed());
    redis.resume();
    nodes[0].wait_for(ClusterStatus::Connected).await;
    assert_eq!(logins[0].begin("ada", 1).await, Ok(()));

    redis.kill().await;
    assert_eq!(logins[0].begin("ada", 1).await, Err(TakeRefused::Unavailable));
    redis.restart().await;
    nodes[0].wait_for(ClusterStatus::Connected).await;
    assert_eq!(logins[0].begin("ada", 1).await, Ok(()), "budgets begin anew");
}

#[tokio::test]
async fn names_of_users_are_not_to_be_read_in_redis() {
    let redis = Redis::start().await;
    let (_nodes, logins) = nodes(&redis).await;
    logins[0].begin("ada.lovelace", 1).await.unwrap();
    let keys = redis.command("KEYS *").await;
    assert!(keys.contains("parlor:v1:{login}:user:"), "{keys}");
    assert!(!keys.contains("lovelace"), "{keys}");
}

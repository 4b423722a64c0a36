//! Rates that several nodes keep together.

use std::num::NonZeroU32;
use std::time::Duration;

use parlor_cluster::{ClusterStatus, Rate, RateLimiter, TakeRefused};
use parlor_testkit::services::Redis;
use tokio::time::{Instant, sleep};

use crate::harness::{Node, PATIENCE, until};

fn rate(count: u32, per: Duration, burst: u32) -> Rate {
    let number = |n| NonZeroU32::new(n).unwrap();
    Rate { count: number(count), per, burst: number(burst) }
}

fn limiter(node: &Node, rate: Rate) -> RateLimiter<u128> {
    RateLimiter::new(Some(rate), 1_000).shared("test", &*node.state.limits)
}

const SLOW: Duration = Duration::from_hours(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_a_burst_of_many_who_take_at_once_gets_some() {
    let redis = Redis::start().await;
    let mut nodes = Vec::new();
    for _ in 0..4 {
        // All of them come at once; on a busy machine the last waits long.
        nodes.push(Node::start_with(&redis.url(), |options| options.timeout = PATIENCE).await);
    }
    let limiters: Vec<_> = nodes.iter().map(|node| limiter(node, rate(1, SLOW, 100))).collect();
    let takes = (0..1_000).map(|n| limiters[n % 4].take(&7));
    let outcomes = futures_util::future::join_all(takes).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 100);
    let waits = outcomes.iter().filter_map(|outcome| match outcome {
        Err(TakeRefused::Limited(limited)) => Some(limited.retry_after),
        _ => None,
    });
    assert!(waits.into_iter().all(|wait| wait > SLOW / 2 && wait <= SLOW));
    assert_eq!(limiters[0].take(&8).await, Ok(()), "keys do not share a budget");
}

#[tokio::test]
async fn what_is_taken_comes_back_with_time() {
    let redis = Redis::start().await;
    let node = Node::start(&redis.url()).await;
    let limiter = limiter(&node, rate(1, Duration::from_secs(2), 2));
    limiter.take(&7).await.unwrap();
    limiter.take(&7).await.unwrap();
    let TakeRefused::Limited(limited) = limiter.take(&7).await.unwrap_err() else {
        panic!("redis should be there")
    };
    assert!(limited.retry_after <= Duration::from_secs(2), "{limited:?}");
    sleep(limited.retry_after).await;
    assert_eq!(limiter.take(&7).await, Ok(()));
}

#[tokio::test]
async fn what_is_spent_on_one_node_is_soon_refused_on_the_others() {
    let redis = Redis::start().await;
    let (a, b) = (Node::start(&redis.url()).await, Node::start(&redis.url()).await);
    let (on_a, on_b) = (limiter(&a, rate(1, SLOW, 100)), limiter(&b, rate(1, SLOW, 100)));
    for _ in 0..100 {
        on_a.check(&7).unwrap();
    }
    let mut passed = 0;
    until("the other node's refusal", async || {
        let checked = on_b.check(&7);
        passed += u32::from(checked.is_ok());
        checked.is_err()
    })
    .await;
    assert!(passed < 90, "{passed} more passed");
    let wait = on_b.check(&7).unwrap_err().retry_after;
    // What passed on both is owed.
    assert!(wait > SLOW / 2, "{wait:?}");
    assert_eq!(on_b.check(&8), Ok(()), "keys do not share a budget");
}

#[tokio::test]
async fn two_nodes_together_let_through_hardly_more_than_one() {
    let redis = Redis::start().await;
    let (a, b) = (Node::start(&redis.url()).await, Node::start(&redis.url()).await);
    let rate = rate(100, Duration::from_secs(1), 20);
    let limiters = [limiter(&a, rate), limiter(&b, rate)];
    let begun = Instant::now();
    let mut passed = 0_u32;
    while begun.elapsed() < Duration::from_secs(3) {
        passed += limiters.iter().map(|limiter| u32::from(limiter.check(&7).is_ok())).sum::<u32>();
        sleep(Duration::from_millis(2)).await;
    }
    let alone = 20.0 + 100.0 * begun.elapsed().as_secs_f64();
    assert!(f64::from(passed) > alone * 0.3, "{passed} of {alone}");
    // Two that know nothing of each other let through twice as many.
    assert!(f64::from(passed) < alone * 1.7, "{passed} of {alone}");
}

#[tokio::test]
async fn client_that_keeps_to_one_node_and_its_rate_notices_nothing() {
    let redis = Redis::start().await;
    let node = Node::start(&redis.url()).await;
    let rate = rate(100, Duration::from_secs(1), 10);
    let shared = limiter(&node, rate);
    let alone = RateLimiter::new(Some(rate), 1_000);
    let (mut with, mut without) = (0_u32, 0_u32);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(2) {
        if alone.check(&7_u128).is_ok() {
            without += 1;
            with += u32::from(shared.check(&7).is_ok());
        }
        sleep(Duration::from_millis(1)).await;
    }
    assert!(with + 3 >= without, "{with} instead of {without}");
}

#[tokio::test]
async fn while_redis_is_away_each_node_keeps_its_own_rate() {
    let redis = Redis::start().await;
    let node = Node::start(&redis.url()).await;
    let limiter = limiter(&node, rate(1, SLOW, 10));
    redis.kill().await;
    node.wait_for(ClusterStatus::Away).await;
    for _ in 0..10 {
        assert_eq!(limiter.check(&7), Ok(()));
    }
    assert!(limiter.check(&7).is_err());
    assert_eq!(limiter.take(&7).await, Err(TakeRefused::Unavailable), "this one must be sure");
    assert!(node.metric("parlor_cluster_charges_dropped_total", "") >= 10.0);

    redis.restart().await;
    node.wait_for(ClusterStatus::Connected).await;
    assert_eq!(limiter.take(&7).await, Ok(()));
}

#[tokio::test]
async fn flood_of_keys_is_dropped_at_the_bound_and_counted() {
    let redis = Redis::start().await;
    let node = Node::start(&redis.url()).await;
    let limiter =
        RateLimiter::new(Some(rate(1, SLOW, 100)), 100_000).shared("test", &*node.state.limits);
    // The charges are added up by a task that does not run meanwhile.
    for key in 0..20_000_u128 {
        limiter.check(&key).unwrap();
    }
    let dropped = node.metric("parlor_cluster_charges_dropped_total", "");
    assert!(dropped >= 10_000.0, "{dropped}");
    // And now it does, but Redis is not told before they have waited a little.
    for key in 20_000..60_000_u128 {
        limiter.check(&key).unwrap();
        tokio::task::yield_now().await;
        assert!(node.metric("parlor_cluster_charges_waiting", "") <= 8_192.0);
    }
}

//! Tickets that one node gives out and another takes.

use parlor_cluster::{ClusterStatus, Ticket, Tickets as _};
use parlor_protocol::id::SessionId;
use parlor_protocol::time::Timestamp;
use parlor_testkit::services::Redis;
use uuid::Uuid;

use crate::harness::{ADA, Node, now};

fn ticket(life_ms: i64) -> Ticket {
    let after = |ms| Timestamp::from_millis(now().as_millis() + ms);
    Ticket {
        user: ADA,
        session: SessionId(Uuid::from_u128(9)),
        access_expires_at: after(600_000),
        expires_at: after(life_ms),
    }
}

async fn redeem(node: &Node, code: &str) -> Option<Ticket> {
    node.state.tickets.redeem(code, now()).await
}

#[tokio::test]
async fn ticket_of_one_node_opens_another_once() {
    let redis = Redis::start().await;
    let (a, b) = (Node::start(&redis.url()).await, Node::start(&redis.url()).await);
    let ticket = ticket(30_000);
    let code = a.state.tickets.issue(ticket, now()).await.unwrap();
    assert_eq!(redeem(&b, &code).await, Some(ticket));
    assert_eq!(redeem(&a, &code).await, None);
    assert_eq!(redeem(&b, &code).await, None);
}

#[tokio::test]
async fn of_many_who_come_at_once_one_gets_in() {
    let redis = Redis::start().await;
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(Node::start(&redis.url()).await);
    }
    for _ in 0..10 {
        let code = nodes[0].state.tickets.issue(ticket(30_000), now()).await.unwrap();
        let takes = (0..30).map(|n| redeem(&nodes[n % 3], &code));
        let taken = futures_util::future::join_all(takes).await;
        assert_eq!(taken.iter().flatten().count(), 1);
    }
}

#[tokio::test]
async fn ticket_ends_with_its_time_and_with_its_secret() {
    let redis = Redis::start().await;
    let a = Node::start(&redis.url()).await;
    let stranger = Node::start_with(&redis.url(), |options| options.secret = vec![8; 32]).await;
    let over = a.state.tickets.issue(ticket(0), now()).await.unwrap();
    assert_eq!(redeem(&a, &over).await, None);
    let code = a.state.tickets.issue(ticket(30_000), now()).await.unwrap();
    assert_eq!(redeem(&stranger, &code).await, None);
    assert_eq!(redeem(&stranger, "nonsense").await, None);
    assert!(redeem(&a, &code).await.is_some(), "a stranger's try does not spend it");
}

#[tokio::test]
async fn without_redis_tickets_work_once_on_each_node() {
    let redis = Redis::start().await;
    let (a, b) = (Node::start(&redis.url()).await, Node::start(&redis.url()).await);
    redis.kill().await;
    let code = a.state.tickets.issue(ticket(30_000), now()).await.unwrap();
    assert!(redeem(&b, &code).await.is_some(), "chat goes on");
    assert_eq!(redeem(&b, &code).await, None);
    assert!(redeem(&a, &code).await.is_some(), "what is documented as the price");
    assert_eq!(redeem(&a, &code).await, None);

    redis.restart().await;
    a.wait_for(ClusterStatus::Connected).await;
    assert_eq!(redeem(&a, &code).await, None, "a node remembers what it took itself");
}

//! A node that goes away.

use parlor_runtime::Stopped;
use serde_json::json;

use crate::harness::TestNode;

#[tokio::test]
async fn every_client_is_told_and_closed_and_no_answer_is_lost() {
    let node = TestNode::start().await;
    let ada = node.user("ada").await;
    let room = node.room("r", &[&ada]).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = node.connect(&ada).await;
        client.subscribe(room, None).await;
        clients.push(client);
    }
    for (n, client) in clients.iter_mut().enumerate() {
        client
            .send(json!({"op": "publish", "room": room, "id": "p", "body": format!("{n}")}))
            .await;
    }
    let stopping = tokio::spawn(node.stop());
    let (mut acknowledged, mut delays) = (0, Vec::new());
    for client in &mut clients {
        let mut told = false;
        while !told {
            let frame = client.next().await;
            acknowledged += u32::from(frame["op"] == "ok");
            if frame["op"] == "drain" {
                delays.push(frame["reconnect_in_ms"].as_u64().unwrap());
                told = true;
            }
        }
        assert_eq!(client.closed().await.0, 4000);
    }
    assert_eq!(stopping.await.unwrap(), Stopped::Cleanly);
    assert!(acknowledged <= 20);
    delays.sort_unstable();
    delays.dedup();
    assert!(delays.len() > 5, "spread: {delays:?}");
}

#[tokio::test]
async fn node_without_clients_stops_at_once() {
    let node = TestNode::start().await;
    let started = std::time::Instant::now();
    assert_eq!(node.stop().await, Stopped::Cleanly);
    assert!(started.elapsed() < std::time::Duration::from_secs(5));
}

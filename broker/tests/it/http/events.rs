//! A room as server-sent events.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::api::{Api, Events};
use crate::harness::TestNode;

const EVENTS: &str = "/v1/rooms/general/events";

async fn follow(api: &Api, last: Option<&str>) -> Events {
    let request = api.request(Method::GET, EVENTS);
    Events::open(match last {
        Some(last) => request.header("Last-Event-ID", last),
        None => request,
    })
    .await
}

#[tokio::test]
async fn follower_sees_events_with_their_seq_and_signals_by_name() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let mut events = follow(&ada, None).await;
    let first = events.next().await.unwrap();
    assert_eq!(first.name, "subscribed");
    assert_eq!(first.id, first.data["seq"].to_string());

    let message = ada.say("general", "hello").await;

    let created = events.next_durable().await;
    assert_eq!(created.name, "message.created");
    assert_eq!(created.id, message["seq"].to_string());
    assert_eq!(created.data["data"]["body"], "hello");
    let mut client = ada.connect(&node).await;
    client.send(json!({"op": "typing", "room": "general", "on": true})).await;
    loop {
        let sent = events.next().await.unwrap();
        if sent.data["type"] == "typing" {
            assert_eq!((sent.name.as_str(), sent.id.as_str()), ("signal", ""));
            break;
        }
    }
}

#[tokio::test]
async fn follower_that_was_away_gets_exactly_what_it_missed() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let mut events = follow(&ada, None).await;
    let epoch = events.next().await.unwrap().data["epoch"].as_str().unwrap().to_owned();
    ada.say("general", "seen").await;
    let last = events.next_durable().await.id;
    drop(events);
    for n in 1..=3 {
        ada.say("general", &format!("missed {n}")).await;
    }

    for position in [last.clone(), format!("{epoch}:{last}")] {
        let mut events = follow(&ada, Some(&position)).await;
        let first = events.next().await.unwrap();
        assert_eq!((first.name.as_str(), &first.id), ("subscribed", &last));
        assert_eq!(first.data["resumed"], true);
        for n in 1..=3 {
            let sent = events.next_durable().await;
            assert_eq!(sent.data["data"]["body"], format!("missed {n}"));
        }
    }

    let mut other = follow(&ada, Some(&format!("zz:{last}"))).await;
    other.next().await.unwrap();
    assert_eq!(other.next_durable().await.name, "resync", "another log is not continued");
}

#[tokio::test]
async fn broken_position_is_refused() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let request = ada.request(Method::GET, EVENTS).header("Last-Event-ID", "yesterday");
    ada.send(request).await.refused("validation_failed");
    ada.get(&format!("{EVENTS}?since=x")).await.refused("validation_failed");
}

#[tokio::test]
async fn stream_ends_with_the_membership_the_login_and_the_token() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let bob = Api::register(&node, "bob").await;
    let mut left = follow(&bob, None).await;
    bob.delete("/v1/rooms/general/members/me").await.expect(204);
    while let Some(sent) = left.next().await {
        assert_ne!(sent.name, "message.created");
    }

    let mut logged_out = follow(&ada, None).await;
    ada.call(Method::POST, "/v1/auth/logout", None).await.expect(204);
    while logged_out.next().await.is_some() {}

    let eve = Api::register(&node, "eve").await;
    let user = eve.get("/v1/users/me").await.expect(200);
    let id = user["id"].as_str().unwrap().parse().unwrap();
    let short = node.login(id, Duration::from_secs(4)).await;
    let mut expiring = follow(&eve.with_access(&short.token), None).await;
    let mut last = None;
    while let Some(sent) = expiring.next().await {
        last = Some(sent);
    }
    let last = last.unwrap();
    assert_eq!((last.name.as_str(), &last.data["code"]), ("error", &json!("token_expired")));
}

#[tokio::test]
async fn stream_ends_when_the_node_drains() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let mut events = follow(&ada, None).await;
    events.next().await.unwrap();
    let (stopped, ()) = tokio::join!(node.stop(), async { while events.next().await.is_some() {} });
    assert_eq!(stopped, parlor_runtime::Stopped::Cleanly);
}

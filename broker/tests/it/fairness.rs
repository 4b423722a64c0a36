//! Rates of all actions, and that nobody who is busy keeps others waiting.

use futures_util::SinkExt as _;
use parlor_store::Intent;
use reqwest::Method;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::TestNode;
use crate::http::api::{Api, until_limited};

/// Commands of one connection that are in work at the same time.
const IN_FLIGHT: usize = 8;
/// Connections of the one who floods.
const FLOODS: usize = 4;

/// Counted in messages, so that it says the same on a slow machine: between two messages of someone
/// who writes now and then, a flood gets in what it may have in work, and not what it has sent.
#[tokio::test]
async fn whoever_floods_gets_in_no_more_than_they_may_have_in_work() {
    let node = TestNode::start_with(|config| {
        config.limits.commands_in_flight = IN_FLIGHT;
        config.limits.committer_batch = 16;
    })
    .await;
    let (ada, eve) = (node.user("ada").await, node.user("eve").await);
    let room = node.room("r", &[&ada, &eve]).await;
    let mut floods = Vec::new();
    for _ in 0..FLOODS {
        let mut client = node.connect(&eve).await;
        for n in 0..1_000 {
            let frame = match n % 4 {
                0 => json!({"op": "subscribe", "room": room}),
                _ => json!({"op": "publish", "room": room, "body": "flood"}),
            };
            client.socket.feed(Message::text(frame.to_string())).await.unwrap();
        }
        floods.push(client);
    }
    let mut writer = node.connect(&ada).await;
    let send = floods.iter_mut().map(|client| client.socket.flush());
    let flooding = futures_util::future::join_all(send);
    let writing = async {
        let mut seqs = Vec::new();
        for _ in 0..10 {
            seqs.push(writer.publish(room, "now and then").await["seq"].as_u64().unwrap());
        }
        seqs
    };
    let (_, seqs) = tokio::join!(flooding, writing);

    // What was in work when the message came, and what was begun until its answer was read.
    let most = u64::try_from(4 * IN_FLIGHT * FLOODS).unwrap();
    let mut between: Vec<u64> = seqs.windows(2).map(|pair| pair[1] - pair[0]).collect();
    between.sort_unstable();
    // The median: now and then this thread itself has to wait.
    let usual = between[between.len() / 2];
    assert!(usual <= most, "{usual} messages of the flood between two of another: {seqs:?}");
}

#[tokio::test]
async fn every_answer_tells_what_is_left_of_the_rate() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    assert_eq!(ada.get("/v1/rooms").await.header("ratelimit"), "", "switched off");

    // So few that none comes back meanwhile.
    let node = TestNode::start_with(|config| {
        config.limits.enabled = true;
        config.limits.requests_per_minute = 6;
    })
    .await;
    let ada = Api::register(&node, "ada").await;
    let first = ada.get("/v1/rooms").await;
    assert!(first.header("ratelimit-policy").contains("\"user\";q=6;w=60"));
    assert!(first.header("ratelimit").starts_with("\"user\";r=5;t="));
    let second = ada.get("/v1/rooms").await;
    assert!(second.header("ratelimit").starts_with("\"user\";r=4;t="));

    let node = TestNode::start_with(|config| config.limits.enabled = true).await;
    let ada = Api::register(&node, "ada").await;
    let info = ada.get("/info").await.expect(200);
    assert_eq!(info["rates"]["publish"], json!({"count": 10, "seconds": 1, "burst": 20}));
    assert_eq!(info["rates"]["request"], json!({"count": 600, "seconds": 60, "burst": 600}));
}

#[tokio::test]
async fn changes_searches_and_uploads_have_rates_of_their_own() {
    let node = TestNode::start_with(|config| {
        config.limits.enabled = true;
        config.limits.changes_burst = 2;
        config.limits.changes_per_second = 1;
    })
    .await;
    let ada = Api::register(&node, "ada").await;
    let change = || ada.call(Method::PATCH, "/v1/users/me", Some(json!({"bio": "x"})));
    change().await.expect(200);
    change().await.expect(200);
    let refused = until_limited(change).await;
    assert_eq!(refused.header("retry-after"), "1");
    refused.refused("rate_limited");
    ada.get("/v1/users/me").await.expect(200);
}

#[tokio::test]
async fn following_and_reading_are_limited_over_all_connections() {
    let node = TestNode::start_with(|config| {
        config.limits.enabled = true;
        config.limits.subscribes_burst = 2;
        config.limits.subscribes_per_second = 1;
        config.limits.read_markers_burst = 2;
        config.limits.read_markers_per_second = 1;
    })
    .await;
    let ada = node.user("ada").await;
    let room = node.room("r", &[&ada]).await;
    let (mut one, mut other) = (node.connect(&ada).await, node.connect(&ada).await);
    for kind in ["subscribe", "read"] {
        let command = match kind {
            "read" => json!({"op": "read", "room": room, "seq": 1}),
            _ => json!({"op": "subscribe", "room": room}),
        };
        assert_ne!(one.request(command.clone()).await["op"], "error");
        assert_ne!(other.request(command.clone()).await["op"], "error");
        let mut refused = one.request(command.clone()).await;
        // On a slow machine some of it has come back.
        for _ in 0..100 {
            if refused["code"] == "rate_limited" {
                break;
            }
            refused = one.request(command.clone()).await;
        }
        assert_eq!(refused["code"], "rate_limited", "{kind}");
        assert!(refused["retry_after_ms"].as_u64().unwrap() > 0);
    }
    drop((one, other));
    node.stop().await;
}

/// The rate of a room is for its members: who is outside neither uses it up nor learns by it
/// that a room is there.
#[tokio::test]
async fn whoever_is_not_in_a_room_takes_nothing_of_its_rate() {
    let node = TestNode::start_with(|config| {
        config.limits.enabled = true;
        config.limits.room_publish_per_second = 1;
        config.limits.room_publish_burst = 5;
        config.limits.publish_per_second = 1;
        config.limits.publish_burst = 50;
    })
    .await;
    let (ada, bob, eve) = (node.user("ada").await, node.user("bob").await, node.user("eve").await);
    let room = node.room("den", &[&ada, &bob]).await;
    // Nobody looks anything up after the kick, so nothing but a refusal tells the node of it.
    let mut stranger = node.connect(&eve).await;
    let mut writer = node.connect(&ada).await;
    writer.subscribe(room, None).await;
    let mut kicked = node.connect(&bob).await;
    kicked.subscribe(room, None).await;
    node.append(&ada, room, Intent::Kick { user: bob.id, reason: None }).await;
    // Until the connection has been told, it follows the room.
    while kicked.next_durable().await["type"] != "member.left" {}

    for outsider in [&mut kicked, &mut stranger] {
        for place in [json!(room), json!("den")] {
            for _ in 0..10 {
                let publish = json!({"op": "publish", "room": place, "body": "let me in"});
                let refused = outsider.request(publish).await;
                assert_ne!(refused["code"], "rate_limited", "{refused}");
            }
        }
    }

    for _ in 0..3 {
        let answer = writer.publish(room, "among us").await;
        assert_eq!(answer["op"], "ok", "{answer}");
    }
}

#[tokio::test]
async fn whoever_has_written_too_much_learns_nothing_of_hidden_rooms() {
    let node = TestNode::start_with(|config| {
        config.limits.enabled = true;
        config.limits.publish_per_second = 1;
        config.limits.publish_burst = 1;
    })
    .await;
    let ada = Api::register(&node, "ada").await;
    let eve = Api::register(&node, "eve").await;
    ada.room("Den", "private").await;
    let own = eve.room("Own", "private").await;
    let mut client = eve.connect(&node).await;

    for place in [own.as_str(), "den", "no-such-room"] {
        let publish = json!({"op": "publish", "room": own, "body": "mine"});
        client.request(publish).await;
        let publish = json!({"op": "publish", "room": place, "body": "is it there?"});
        let answer = client.request(publish).await;
        if place != own {
            assert_eq!(answer["code"], "not_found", "{place}: {answer}");
        }
    }
}

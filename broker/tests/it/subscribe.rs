//! Following a room: live, resumed, and not at all.

use parlor_store::Intent;
use serde_json::json;

use crate::harness::{TestNode, by_slug, seqs};

#[tokio::test]
async fn message_reaches_every_member_and_the_author_is_told_its_seq() {
    let node = TestNode::start().await;
    let (ada, bob) = (node.user("ada").await, node.user("bob").await);
    let room = node.room("r", &[&ada, &bob]).await;
    let (mut a, mut b) = (node.connect(&ada).await, node.connect(&bob).await);
    let subscribed = a.subscribe(room, None).await;
    assert_eq!(subscribed["op"], "subscribed");
    assert_eq!((&subscribed["seq"], &subscribed["slug"]), (&json!(3), &json!("r")));
    b.subscribe(room, None).await;

    let ok = a.publish(room, "hello").await;
    assert_eq!((&ok["op"], &ok["seq"]), (&json!("ok"), &json!(4)));

    let event = b.next_durable().await;
    assert_eq!(event["type"], "message.created");
    assert_eq!((&event["seq"], &event["data"]["body"]), (&json!(4), &json!("hello")));
    assert_eq!(event["data"]["sender"]["username"], "ada");
    assert_eq!(event["data"]["id"], ok["message"]);
}

#[tokio::test]
async fn room_can_be_named_by_slug() {
    let node = TestNode::start().await;
    let ada = node.user("ada").await;
    node.room("tea", &[&ada]).await;
    let mut a = node.connect(&ada).await;
    let publish = json!({"op": "publish", "room": by_slug("tea"), "body": "unsubscribed"});
    assert_eq!(a.request(publish).await["op"], "ok");
    let subscribe = json!({"op": "subscribe", "room": by_slug("tea")});
    assert_eq!(a.request(subscribe).await["op"], "subscribed");
}

#[tokio::test]
async fn resume_continues_after_the_position_without_hole_or_double() {
    let node = TestNode::start_with(|config| config.limits.ring_events = 4).await;
    let ada = node.user("ada").await;
    let room = node.room("r", &[&ada]).await;
    let mut writer = node.connect(&ada).await;
    let epoch = writer.subscribe(room, None).await["epoch"].clone();
    for n in 0..30 {
        writer.publish(room, &format!("m{n}")).await;
    }
    // From memory, from the store, from the beginning.
    for after in [30, 20, 0] {
        let mut reader = node.connect(&ada).await;
        let since = json!({"epoch": epoch, "seq": after});
        let subscribed = reader.subscribe(room, Some(since)).await;
        assert_eq!(subscribed["resumed"], true);
        writer.publish(room, "live").await;
        let newest = subscribed["seq"].as_u64().unwrap() + 1;
        let mut events = Vec::new();
        while seqs(&events).last() != Some(&newest) {
            events.push(reader.next_durable().await);
        }
        assert_eq!(seqs(&events), (after + 1..=newest).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn long_replay_comes_in_pages_and_joins_the_live_events() {
    let node = TestNode::start_with(|config| {
        config.limits.ring_events = 8;
        config.limits.outbox = parlor_runtime::config::ByteSize::kib(64);
    })
    .await;
    let ada = node.user("ada").await;
    let room = node.room("r", &[&ada]).await;
    let mut writer = node.connect(&ada).await;
    let body = "x".repeat(1_000);
    for _ in 0..400 {
        writer.publish(room, &body).await;
    }
    let mut reader = node.connect(&ada).await;
    let subscribed = reader.subscribe(room, Some(json!(0))).await;
    assert_eq!(subscribed["resumed"], true);
    for _ in 0..20 {
        writer.publish(room, &body).await;
    }
    let mut events = Vec::new();
    while seqs(&events).last() != Some(&422) {
        let frame = reader.next_durable().await;
        if frame["op"] == "event" {
            events.push(frame);
        }
    }
    assert_eq!(seqs(&events), (1..=422).collect::<Vec<_>>());
}

#[tokio::test]
async fn position_that_cannot_be_continued_is_answered_with_resync() {
    let node = TestNode::start_with(|config| config.limits.replay_events = 5).await;
    let ada = node.user("ada").await;
    let room = node.room("r", &[&ada]).await;
    let mut a = node.connect(&ada).await;
    let epoch = a.subscribe(room, None).await["epoch"].clone();
    for _ in 0..10 {
        a.publish(room, "m").await;
    }
    for (since, reason) in [
        (json!({"epoch": "other", "seq": 1}), "epoch_changed"),
        (json!({"epoch": epoch, "seq": 1}), "too_far_behind"),
        (json!({"epoch": epoch, "seq": 1_000}), "ahead_of_log"),
    ] {
        let mut reader = node.connect(&ada).await;
        let subscribed = reader.subscribe(room, Some(since)).await;
        assert_eq!(subscribed["resumed"], false, "{reason}");
        let resync = reader.next().await;
        assert_eq!((&resync["op"], &resync["reason"]), (&json!("resync"), &json!(reason)));
        assert_eq!(resync["from"], subscribed["seq"]);
    }
}

#[tokio::test]
async fn stranger_gets_nothing_of_a_private_room() {
    let node = TestNode::start().await;
    let (ada, eve) = (node.user("ada").await, node.user("eve").await);
    let room = node.room("r", &[&ada]).await;
    let (mut a, mut e) = (node.connect(&ada).await, node.connect(&eve).await);
    a.subscribe(room, None).await;
    for command in [
        json!({"op": "subscribe", "room": room}),
        json!({"op": "publish", "room": room, "body": "hi"}),
        json!({"op": "publish", "room": "r", "body": "hi"}),
        json!({"op": "typing", "room": room, "on": true}),
        json!({"op": "signal", "room": room, "data": {"x": 1}}),
        json!({"op": "read", "room": room, "seq": 1}),
        json!({"op": "cancel", "room": room, "message": room}),
    ] {
        let refused = e.request(command.clone()).await;
        assert_eq!(refused["code"], "not_found", "{command}: {refused}");
    }
    a.publish(room, "secret").await;
    e.send(json!({"op": "ping"})).await;
    assert_eq!(e.next().await["op"], "pong", "nothing came before the answer");
}

#[tokio::test]
async fn removed_member_gets_the_farewell_and_nothing_after_it() {
    let node = TestNode::start().await;
    let (ada, bob) = (node.user("ada").await, node.user("bob").await);
    let room = node.room("r", &[&ada, &bob]).await;
    let (mut a, mut b) = (node.connect(&ada).await, node.connect(&bob).await);
    a.subscribe(room, None).await;
    b.subscribe(room, None).await;

    node.append(&ada, room, Intent::Kick { user: bob.id, reason: None }).await;
    a.publish(room, "without bob").await;

    let farewell = b.next_durable().await;
    assert_eq!(farewell["type"], "member.left");
    b.send(json!({"op": "ping"})).await;
    assert_eq!(b.next_durable().await["op"], "pong");
    let refused = b.subscribe(room, None).await;
    assert_eq!(refused["code"], "not_found");
}

#[tokio::test]
async fn signals_reach_the_others_and_unsubscribing_ends_them() {
    let node = TestNode::start().await;
    let (ada, bob) = (node.user("ada").await, node.user("bob").await);
    let room = node.room("r", &[&ada, &bob]).await;
    let (mut a, mut b) = (node.connect(&ada).await, node.connect(&bob).await);
    a.subscribe(room, None).await;
    b.subscribe(room, None).await;

    a.send(json!({"op": "typing", "room": room, "on": true})).await;
    a.send(json!({"op": "signal", "room": "r", "data": {"cursor": [1, 2]}})).await;
    let typing = b.next_told().await;
    assert_eq!((&typing["type"], &typing["data"]["on"]), (&json!("typing"), &json!(true)));
    let app = b.next_told().await;
    assert_eq!(app["data"]["data"], json!({"cursor": [1, 2]}));
    assert_eq!(app["data"]["user"]["username"], "ada");

    let ok = b.request(json!({"op": "unsubscribe", "room": "r"})).await;
    assert_eq!(ok["op"], "ok");
    a.request(json!({"op": "signal", "room": room, "data": 2})).await;
    b.send(json!({"op": "ping"})).await;
    assert_eq!(b.next_told().await["op"], "pong");
}

#[tokio::test]
async fn read_marker_moves_forward_and_the_room_is_told() {
    let node = TestNode::start().await;
    let (ada, bob) = (node.user("ada").await, node.user("bob").await);
    let room = node.room("r", &[&ada, &bob]).await;
    let (mut a, mut b) = (node.connect(&ada).await, node.connect(&bob).await);
    a.publish(room, "m").await;
    a.subscribe(room, None).await;
    assert_eq!(b.request(json!({"op": "read", "room": room, "seq": 99})).await["op"], "ok");
    let receipt = a.next_told().await;
    assert_eq!(receipt["type"], "receipt");
    assert_eq!(receipt["data"]["seq"], 4, "at most the newest event");
    let listing = node.store().find_room_listing(room, bob.id).await.unwrap().unwrap();
    assert_eq!(listing.read_seq, 4);
}

#[tokio::test]
async fn number_of_subscriptions_is_bounded() {
    let node = TestNode::start_with(|config| config.limits.subscriptions = 2).await;
    let ada = node.user("ada").await;
    let mut rooms = Vec::new();
    for slug in ["a", "b", "c"] {
        rooms.push(node.room(slug, &[&ada]).await);
    }
    let mut a = node.connect(&ada).await;
    assert_eq!(a.subscribe(rooms[0], None).await["op"], "subscribed");
    assert_eq!(a.subscribe(rooms[1], None).await["op"], "subscribed");
    assert_eq!(a.subscribe(rooms[1], None).await["op"], "subscribed", "again is not one more");
    assert_eq!(a.subscribe(rooms[2], None).await["code"], "conflict");
    a.request(json!({"op": "unsubscribe", "room": rooms[0]})).await;
    assert_eq!(a.subscribe(rooms[2], None).await["op"], "subscribed");
}

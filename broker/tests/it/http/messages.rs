//! Writing, reading and changing messages.

use reqwest::Method;
use serde_json::{Value, json};

use super::api::{Api, bodies, until_limited};
use crate::harness::TestNode;

const MESSAGES: &str = "/v1/rooms/general/messages";

#[tokio::test]
async fn same_client_id_is_one_message_however_often_it_is_sent() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let body = json!({"body": "once", "client_id": "c-1"});

    let attempts = (0..8).map(|_| ada.post(MESSAGES, body.clone()));
    let answers = futures_util::future::join_all(attempts).await;

    let created = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(created, 1);
    for answer in &answers {
        assert!(matches!(answer.status, 200 | 201), "{}", answer.text);
        assert_eq!(answer.body["id"], answers[0].body["id"]);
        assert_eq!(answer.body["seq"], answers[0].body["seq"]);
    }
    let by_header = ada.request(Method::POST, MESSAGES).header("Idempotency-Key", "\"c-1\"");
    let again = ada.send(by_header.json(&json!({"body": "once"}))).await.expect(200);
    assert_eq!(again["id"], answers[0].body["id"]);
    let page = ada.get(MESSAGES).await.expect(200);
    assert_eq!(bodies(&page), ["once"]);

    let bob = Api::register(&node, "bob").await;
    let other = bob.post(MESSAGES, body).await.expect(201);
    assert_ne!(other["id"], again["id"], "another author's id is another message");
}

#[tokio::test]
async fn history_is_read_in_pages_in_both_directions() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let mut seqs = Vec::new();
    for n in 1..=5 {
        seqs.push(ada.say("general", &format!("m{n}")).await["seq"].as_u64().unwrap());
    }
    let page = async |query: &str| ada.get(&format!("{MESSAGES}?{query}")).await.expect(200);

    let newest = page("limit=2").await;
    assert_eq!(bodies(&newest), ["m4", "m5"]);
    let next = newest["next"].as_str().unwrap();
    let older = page(&format!("limit=2&cursor={next}")).await;
    assert_eq!(bodies(&older), ["m2", "m3"]);
    let next = older["next"].as_str().unwrap();
    let oldest = page(&format!("limit=2&cursor={next}")).await;
    assert_eq!((bodies(&oldest), &oldest["next"]), (vec!["m1"], &Value::Null));

    assert_eq!(bodies(&page(&format!("before={}", seqs[2])).await), ["m1", "m2"]);
    assert_eq!(bodies(&page(&format!("after={}&limit=2", seqs[0])).await), ["m2", "m3"]);
    assert_eq!(bodies(&page("offset=1&limit=2").await), ["m3", "m4"]);
    for wrong in ["before=1&after=2", "limit=0", "limit=201", "before=x", "cursor=x", "befor=1"] {
        let answer = ada.get(&format!("{MESSAGES}?{wrong}")).await;
        answer.refused("validation_failed");
    }
}

#[tokio::test]
async fn message_is_edited_reacted_to_and_removed() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let message = ada.say("general", "frist").await;
    let path = format!("{MESSAGES}/{}", message["id"].as_str().unwrap());

    let edited = ada.patch(&path, json!({"body": "first"})).await.expect(200);
    assert_eq!((&edited["body"], &edited["seq"]), (&json!("first"), &message["seq"]));
    assert!(edited["edited_at"].is_string());
    let thumb = format!("{path}/reactions/%F0%9F%91%8D");
    ada.call(Method::PUT, &thumb, None).await.expect(204);
    ada.call(Method::PUT, &thumb, None).await.expect(204);
    let page = ada.get(MESSAGES).await.expect(200);
    let reaction = json!([{"emoji": "👍", "count": 1, "users": ["ada"]}]);
    assert_eq!(page["items"][0]["reactions"], reaction);
    ada.delete(&thumb).await.expect(204);
    let long = format!("{path}/reactions/{}", "x".repeat(65));
    ada.call(Method::PUT, &long, None).await.refused("validation_failed");

    ada.delete(&path).await.expect(204);
    let page = ada.get(MESSAGES).await.expect(200);
    assert_eq!(page["items"][0]["body"], "");
    assert!(page["items"][0]["redacted_at"].is_string());
    ada.patch(&path, json!({"body": "back"})).await.refused("forbidden");
}

#[tokio::test]
async fn reset_removes_the_history_for_everyone() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let den = ada.room("Den", "private").await;
    let path = format!("/v1/rooms/{den}/messages");
    ada.say(&den, "old").await;
    ada.delete(&path).await.expect(204);
    ada.say(&den, "new").await;
    assert_eq!(bodies(&ada.get(&path).await.expect(200)), ["new"]);
}

#[tokio::test]
async fn unread_counts_what_others_wrote() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let bob = Api::register(&node, "bob").await;
    ada.say("general", "one").await;
    ada.say("general", "two").await;
    assert_eq!(bob.get("/v1/rooms/general").await.expect(200)["unread"], 2);
    assert_eq!(ada.get("/v1/rooms/general").await.expect(200)["unread"], 0);
}

#[tokio::test]
async fn writing_too_fast_is_limited() {
    let node = TestNode::start_with(|config| {
        config.limits.enabled = true;
        config.limits.publish_per_second = 1;
        config.limits.publish_burst = 2;
    })
    .await;
    let ada = Api::register(&node, "ada").await;
    ada.say("general", "one").await;
    ada.say("general", "two").await;
    let answer = until_limited(|| ada.post(MESSAGES, json!({"body": "three"}))).await;
    answer.refused("rate_limited");
    // The policy that refused it is named, and told.
    let left = answer.header("ratelimit");
    let (name, rest) = left.split_once(';').unwrap();
    assert!(name == "\"publish\"" && rest.starts_with("r=0;t="), "{left}");
    assert!(answer.header("ratelimit-policy").contains(&format!("{name};q=")));
    assert!(answer.header("ratelimit-policy").contains("q=600;w=60"));
}

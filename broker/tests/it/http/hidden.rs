//! What belongs to others: not to be seen, not to be touched, not to be told from what is not there.

use reqwest::Method;
use serde_json::{Value, json};

use super::api::Api;
use crate::harness::TestNode;

const NOWHERE: &str = "018f2f3e-7b1c-7000-8000-000000000000";

/// Every path below a room, with a body that would be fine.
fn calls(room: &str, message: &str) -> Vec<(Method, String, Option<Value>)> {
    let at = |rest: &str| format!("/v1/rooms/{room}{rest}");
    let text = || Some(json!({"body": "hi"}));
    vec![
        (Method::GET, at(""), None),
        (Method::PATCH, at(""), Some(json!({"name": "mine"}))),
        (Method::DELETE, at(""), None),
        (Method::GET, at("/members"), None),
        (Method::PUT, at("/members/me"), Some(json!({}))),
        (Method::PUT, at("/members/eve"), Some(json!({"role": "owner"}))),
        (Method::PUT, at("/members/ada"), Some(json!({"ban": {}}))),
        (Method::PUT, at("/members/nobody"), Some(json!({}))),
        (Method::DELETE, at("/members/ada"), None),
        (Method::DELETE, at("/members/me"), None),
        (Method::POST, at("/invites"), Some(json!({}))),
        (Method::GET, at("/messages"), None),
        (Method::POST, at("/messages"), text()),
        (Method::POST, at("/messages?wait=reply"), text()),
        (Method::DELETE, at("/messages"), None),
        (Method::PATCH, at(&format!("/messages/{message}")), text()),
        (Method::DELETE, at(&format!("/messages/{message}")), None),
        (Method::PUT, at(&format!("/messages/{message}/reactions/%F0%9F%91%8D")), None),
        (Method::DELETE, at(&format!("/messages/{message}/reactions/%F0%9F%91%8D")), None),
        (Method::POST, at(&format!("/messages/{message}/cancel")), None),
        (Method::GET, at(&format!("/messages/{message}")), None),
        (Method::GET, at(&format!("/messages/{message}/versions")), None),
        (Method::PUT, at(&format!("/messages/{message}/pin")), None),
        (Method::DELETE, at(&format!("/messages/{message}/pin")), None),
        (Method::GET, at(&format!("/messages?thread={message}")), None),
        (Method::GET, at("/messages?around=1"), None),
        (Method::GET, at("/pins"), None),
        (Method::PUT, at("/read"), Some(json!({"seq": 1}))),
        (Method::PUT, at("/notifications"), Some(json!({"level": "none"}))),
        (Method::GET, at("/events"), None),
        (Method::GET, at("/export"), None),
        (Method::GET, at("/memory"), None),
    ]
}

#[tokio::test]
async fn private_room_of_others_is_not_there_on_any_path() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let eve = Api::register(&node, "eve").await;
    let den = ada.room("Den", "private").await;
    let message = ada.say(&den, "secret plan").await["id"].as_str().unwrap().to_owned();
    let before = ada.get(&format!("/v1/rooms/{den}")).await.expect(200);

    for name in [den.as_str(), "den"] {
        let missing = calls(NOWHERE, &message);
        for ((method, path, body), (_, nowhere, _)) in
            calls(name, &message).into_iter().zip(missing)
        {
            let answer = eve.call(method.clone(), &path, body.clone()).await;
            answer.refused("not_found");
            assert!(!answer.text.contains("secret") && !answer.text.contains("Den"), "{path}");
            let other = eve.call(method, &nowhere, body).await;
            assert_eq!(answer.body["detail"], other.body["detail"], "{path}");
        }
    }

    assert_eq!(ada.get(&format!("/v1/rooms/{den}")).await.expect(200), before, "nothing changed");
    let listed = eve.get("/v1/rooms?q=den").await.expect(200);
    assert_eq!(listed["items"], json!([]));
}

#[tokio::test]
async fn whoever_was_put_out_of_a_room_does_not_see_it_by_making_it_again() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let bob = Api::register(&node, "bob").await;
    let new = json!({"name": "Den", "kind": "private", "members": ["bob"], "client_id": "den"});
    let den =
        ada.post("/v1/rooms", new.clone()).await.expect(201)["id"].as_str().unwrap().to_owned();
    let role = |role: &str| json!({"role": role});
    ada.put(&format!("/v1/rooms/{den}/members/bob"), role("owner")).await.expect(204);
    let again = ada.post("/v1/rooms", new.clone()).await.expect(200);
    assert_eq!(again["id"], den, "a repeat gets its first answer");

    bob.put(&format!("/v1/rooms/{den}/members/ada"), json!({"ban": {}})).await.expect(204);

    let answer = ada.post("/v1/rooms", new).await;
    answer.refused("not_found");
    assert!(!answer.text.contains("Den"), "{}", answer.text);
}

#[tokio::test]
async fn public_room_shows_its_facts_to_all_and_the_rest_to_members() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let eve = Api::register(&node, "eve").await;
    let tea = ada.room("Tea", "public").await;
    let message = ada.say(&tea, "hello").await["id"].as_str().unwrap().to_owned();

    let facts = eve.get("/v1/rooms/tea").await.expect(200);
    assert_eq!((&facts["name"], &facts["role"]), (&json!("Tea"), &Value::Null));

    let joins = format!("/v1/rooms/{tea}/members/me");
    for (method, path, body) in calls(&tea, &message) {
        let opens = path == format!("/v1/rooms/{tea}") && method == Method::GET;
        if opens || path == joins {
            continue;
        }
        let answer = eve.call(method.clone(), &path, body).await;
        assert_eq!(answer.body["code"], "not_a_member", "{method} {path}: {}", answer.text);
    }
}

#[tokio::test]
async fn messages_of_one_room_cannot_be_reached_through_another() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let eve = Api::register(&node, "eve").await;
    let den = ada.room("Den", "private").await;
    let own = eve.room("Own", "private").await;
    let message = ada.say(&den, "secret plan").await["id"].as_str().unwrap().to_owned();

    for (method, path, body) in calls(&own, &message) {
        if !path.contains(&message) {
            continue;
        }
        eve.call(method, &path, body).await.refused("not_found");
    }
    let quoting = json!({"body": "look", "reply_to": message});
    eve.post(&format!("/v1/rooms/{own}/messages"), quoting).await.refused("not_found");
}

#[tokio::test]
async fn others_messages_cannot_be_changed_in_a_shared_room() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let eve = Api::register(&node, "eve").await;
    let message = ada.say("general", "mine").await["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/rooms/general/messages/{message}");
    eve.patch(&path, json!({"body": "yours"})).await.refused("forbidden");
    eve.delete(&path).await.refused("forbidden");
    eve.delete("/v1/rooms/general/messages").await.refused("forbidden");
    let page = eve.get("/v1/rooms/general/messages").await.expect(200);
    assert_eq!(page["items"][0]["body"], "mine");
}

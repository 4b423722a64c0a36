//! Slash commands: rates, scopes and bounds.

use serde_json::{Value, json};

use super::api::{Api, until_limited};
use crate::harness::TestNode;

async fn run(api: &Api, room: &str, text: &str) -> super::api::Answer {
    api.post(&format!("/v1/rooms/{room}/commands"), json!({"text": text})).await
}

#[tokio::test]
async fn slash_commands_are_limited_both_ways() {
    let node = TestNode::start_with(|config| {
        config.limits.enabled = true;
        config.limits.slash_commands_per_second = 1;
        config.limits.slash_commands_burst = 3;
    })
    .await;
    let user = node.user("ada").await;
    let ada = Api::anonymous(&node).with_access(&user.token);
    let room = node.room("lab", &[&user]).await;
    let mut client = node.connect(&user).await;
    let mut codes = Vec::new();
    for _ in 0..20 {
        let help = json!({"op": "command", "room": room, "text": "/help"});
        let answer = client.request(help).await;
        codes.push(answer["code"].as_str().unwrap_or("none").to_owned());
    }
    assert_eq!((codes[0].as_str(), codes[19].as_str()), ("none", "rate_limited"));
    // One budget for both ways.
    let refused = until_limited(|| run(&ada, "lab", "/help")).await;
    refused.refused("rate_limited");
    assert!(refused.header("ratelimit").starts_with("\"slash_command\";r=0;"));
    assert!(refused.header("ratelimit-policy").ends_with("\"slash_command\";q=1;w=1"));
}

#[tokio::test]
async fn search_by_command_shows_the_best_few() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    ada.room("lab", "private").await;
    ada.room("den", "private").await;
    for n in 0..12 {
        ada.say("lab", &format!("okapi {n}")).await;
    }
    ada.say("den", "okapi elsewhere").await;
    let found = run(&ada, "lab", "/search okapi").await.expect(200);
    let items = found["items"].as_array().unwrap();
    assert_eq!((&found["kind"], items.len()), (&json!("found"), 10));
    assert!(items.iter().all(|hit| hit["snippet"]["text"] != "okapi elsewhere"));
    let refused = run(&ada, "lab", "/search okapi in:den").await;
    assert_eq!(refused.refused("validation_failed").fields()[0].0, "text");
}

#[tokio::test]
async fn token_does_by_a_command_only_what_its_scopes_name() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    Api::register(&node, "bob").await;
    ada.room("lab", "private").await;
    let token = |scopes: Value| json!({"name": "script", "scopes": scopes});
    let made = ada.post("/v1/users/me/tokens", token(json!(["read", "write"]))).await.expect(201);
    let script = ada.with_access(made["secret"].as_str().unwrap());
    run(&script, "lab", "/me works").await.expect(200);
    for text in ["/topic Work", "/invite bob", "/kick bob", "/ban bob", "/mute bob 1h"] {
        run(&script, "lab", text).await.refused("forbidden");
    }
    let made = ada.post("/v1/users/me/tokens", token(json!(["write", "rooms"]))).await.expect(201);
    let script = ada.with_access(made["secret"].as_str().unwrap());
    run(&script, "lab", "/invite bob").await.expect(200);
    run(&script, "lab", "/kick bob").await.refused("forbidden");
}

#[tokio::test]
async fn room_has_only_so_many_commands() {
    let node = TestNode::start_with(|config| {
        config.webhooks.allowed_hosts = vec!["127.0.0.1".to_owned()];
    })
    .await;
    let ada = Api::register(&node, "ada").await;
    ada.room("lab", "private").await;
    let new = |n: u32| json!({"room": "lab", "name": format!("c{n}"), "description": "", "url": "http://127.0.0.1:9/"});
    for n in 0..20 {
        ada.post("/v1/commands", new(n)).await.expect(201);
    }
    ada.post("/v1/commands", new(20)).await.refused("conflict");
    let listed = ada.get("/v1/commands?room=lab").await.expect(200);
    let one = listed["items"][0]["id"].as_str().unwrap();
    ada.delete(&format!("/v1/commands/{one}")).await.expect(204);
    ada.delete(&format!("/v1/commands/{one}")).await.refused("not_found");
    ada.post("/v1/commands", new(20)).await.expect(201);
    let members = ada.get("/v1/rooms/lab/members?limit=200").await.expect(200);
    assert_eq!(members["items"].as_array().unwrap().len(), 21, "the one that ended has left");
}

#[tokio::test]
async fn removing_by_a_command_answers_as_the_call_does() {
    let node = TestNode::start().await;
    let admin = Api::admin(&node).await;
    let (ada, bob) = (Api::register(&node, "ada").await, Api::register(&node, "bob").await);
    ada.room("lab", "private").await;
    for name in ["eve", "mallory"] {
        Api::register(&node, name).await;
        run(&ada, "lab", &format!("/invite {name}")).await.expect(200);
        admin.patch(&format!("/v1/admin/users/{name}"), json!({"active": false})).await.expect(200);
    }
    let member = |name: &str| format!("/v1/rooms/lab/members/{name}");
    // Whose account is deactivated can be removed, and nothing else.
    for (text, change) in [
        ("/ban eve", json!({"ban": {}})),
        ("/mute eve", json!({"mute": {}})),
        ("/invite eve", json!({})),
    ] {
        run(&ada, "lab", text).await.refused("not_found");
        ada.put(&member("eve"), change).await.refused("not_found");
    }
    run(&ada, "lab", "/kick eve").await.expect(200);
    ada.delete(&member("mallory")).await.expect(204);
    run(&ada, "lab", "/kick eve").await.refused("not_found");
    ada.delete(&member("mallory")).await.refused("not_found");

    // Everyone may leave; the last owner may not, either way.
    for name in ["bob", "me"] {
        run(&ada, "lab", "/invite bob").await.expect(200);
        let left = run(&bob, "lab", &format!("/kick {name}")).await.expect(200);
        assert_eq!(left["text"], "You have left the room.");
        bob.get("/v1/rooms/lab").await.refused("not_found");
    }
    run(&ada, "lab", "/invite bob").await.expect(200);
    run(&ada, "lab", "/kick ada").await.refused("conflict");
    run(&bob, "lab", "/kick bob enough of it").await.refused("validation_failed");
    run(&ada, "lab", "/kick bob a\u{200b}b").await.refused("validation_failed");
    ada.delete(&member("ada")).await.refused("conflict");
}

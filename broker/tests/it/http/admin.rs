//! Administration, bots, models.

use serde_json::{Value, json};

use super::api::{Api, PASSWORD};
use crate::harness::TestNode;

#[tokio::test]
async fn only_administrators_administer() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    for path in ["/v1/admin/status", "/v1/admin/users", "/v1/admin/sessions"] {
        ada.get(path).await.refused("forbidden");
    }
    ada.patch("/v1/admin/users/ada", json!({"role": "admin"})).await.refused("forbidden");
    ada.post("/v1/llm/test", json!({"prompt": "hi"})).await.refused("forbidden");
}

#[tokio::test]
async fn deactivated_user_is_out_at_once_and_can_come_back() {
    let node = TestNode::start().await;
    let admin = Api::admin(&node).await;
    let ada = Api::register(&node, "ada").await;
    let mut socket = ada.connect(&node).await;

    let changed = admin.patch("/v1/admin/users/ada", json!({"active": false})).await.expect(200);

    assert_eq!(changed["active"], false);
    ada.get("/v1/users/me").await.refused("unauthenticated");
    let refresh = json!({"refresh_token": ada.refresh_token});
    ada.post("/v1/auth/refresh", refresh).await.refused("unauthenticated");
    assert_eq!(socket.closed().await.0, 4509);
    let login = json!({"username": "ada", "password": PASSWORD});
    ada.post("/v1/auth/token", login).await.refused("forbidden");

    admin.patch("/v1/admin/users/ada", json!({"active": true})).await.expect(200);
    Api::log_in(&node, "ada").await.get("/v1/users/me").await.expect(200);
}

#[tokio::test]
async fn administrator_cannot_lock_themselves_out() {
    let node = TestNode::start().await;
    let admin = Api::admin(&node).await;
    for change in [json!({"active": false}), json!({"role": "user"})] {
        admin.patch("/v1/admin/users/me", change).await.refused("conflict");
    }
    Api::register(&node, "ada").await;
    admin.patch("/v1/admin/users/ada", json!({"role": "admin"})).await.expect(200);
    let ada = Api::log_in(&node, "ada").await;
    ada.patch("/v1/admin/users/root", json!({"role": "user"})).await.expect(200);
    admin.get("/v1/admin/status").await.refused("forbidden");
}

#[tokio::test]
async fn administrator_sees_status_users_and_logins() {
    let node = TestNode::start().await;
    let admin = Api::admin(&node).await;
    Api::register(&node, "ada").await;
    let status = admin.get("/v1/admin/status").await.expect(200);
    assert_eq!(status["nodes"][0]["name"], node.node().name.as_str());
    assert_eq!(status["dependencies"]["store"]["ok"], true);
    let users = admin.get("/v1/admin/users?limit=1").await.expect(200);
    assert_eq!(users["items"][0]["username"], "ada");
    let next = users["next"].as_str().unwrap();
    let rest = admin.get(&format!("/v1/admin/users?cursor={next}")).await.expect(200);
    let names: Vec<&Value> =
        rest["items"].as_array().unwrap().iter().map(|user| &user["username"]).collect();
    assert_eq!(names, ["guide", "root"]);
    let sessions = admin.get("/v1/admin/sessions?username=ada").await.expect(200);
    assert_eq!(sessions["items"].as_array().unwrap().len(), 1);
    assert_eq!(sessions["items"][0]["user"]["username"], "ada");
}

#[tokio::test]
async fn bot_belongs_to_its_maker() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let eve = Api::register(&node, "eve").await;
    let new = json!({"name": "poet", "system_prompt": "Rhyme.", "temperature": 0.5});

    let poet = ada.post("/v1/bots", new.clone()).await.expect(201);

    assert_eq!((&poet["trigger"], &poet["system_prompt"]), (&json!("mention"), &json!("Rhyme.")));
    eve.post("/v1/bots", new).await.refused("conflict");
    let seen = eve.get("/v1/bots/poet").await.expect(200);
    assert!(seen.get("system_prompt").is_none(), "instructions are the maker's");
    eve.patch("/v1/bots/poet", json!({"system_prompt": "Lie."})).await.refused("forbidden");
    eve.delete("/v1/bots/poet").await.refused("forbidden");
    eve.patch("/v1/bots/guide", json!({"trigger": "always"})).await.refused("forbidden");
    let changed = ada.patch("/v1/bots/poet", json!({"trigger": "always"})).await.expect(200);
    assert_eq!((&changed["trigger"], &changed["temperature"]), (&json!("always"), &json!(0.5)));
    for wrong in [
        json!({"provider": "nowhere"}),
        json!({"temperature": 3.0}),
        json!({"max_tokens": 0}),
        json!({"context_messages": 0}),
        json!({"system_prompt": "x".repeat(16 * 1024 + 1)}),
    ] {
        ada.patch("/v1/bots/poet", wrong).await.refused("validation_failed");
    }
    ada.put("/v1/rooms/general/members/poet", json!({})).await.expect(204);
    ada.delete("/v1/bots/poet").await.expect(204);
    ada.get("/v1/bots/poet").await.refused("not_found");
    let members = ada.get("/v1/rooms/general/members").await.expect(200);
    assert!(!members.to_string().contains("poet"), "it has left its rooms");
}

#[tokio::test]
async fn providers_are_listed_checked_and_tried() {
    let node = TestNode::start().await;
    let admin = Api::admin(&node).await;
    let providers = admin.get("/v1/llm/providers").await.expect(200);
    assert_eq!(providers["items"][0]["name"], "demo");
    assert_eq!(providers["items"][0]["default"], true);
    let health = admin.get("/v1/llm/health").await.expect(200);
    assert_eq!(health["items"][0]["reachable"], true);
    let tried = admin.post("/v1/llm/test", json!({"prompt": "hello"})).await.expect(200);
    assert_eq!(tried["provider"], "demo");
    assert!(!tried["reply"].as_str().unwrap().is_empty());
    let unknown = json!({"prompt": "hello", "provider": "nowhere"});
    admin.post("/v1/llm/test", unknown).await.refused("validation_failed");
}

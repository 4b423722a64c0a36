//! Personal access tokens: what they open, what they do not, and how they end.

use std::time::Duration;

use serde_json::{Value, json};

use super::api::{Api, PASSWORD};
use crate::harness::TestNode;

/// Makes a token and returns its id and who calls with it.
async fn token(owner: &Api, scopes: &[&str]) -> (String, Api) {
    let new = json!({"name": "ci", "scopes": scopes});
    let made = owner.post("/v1/users/me/tokens", new).await.expect(201);
    let secret = made["secret"].as_str().unwrap();
    assert!(secret.starts_with(made["prefix"].as_str().unwrap()) && secret.len() > 40);
    (made["id"].as_str().unwrap().to_owned(), owner.with_access(secret))
}

#[tokio::test]
async fn token_opens_what_its_scopes_name_and_nothing_else() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    Api::register(&node, "bob").await;
    let (_, reader) = token(&ada, &["read"]).await;
    let (_, writer) = token(&ada, &["write"]).await;
    let (_, keeper) = token(&ada, &["rooms"]).await;
    let (_, strict) = token(&ada, &["rooms", "moderate"]).await;
    let say = json!({"body": "hi"});
    let messages = "/v1/rooms/general/messages";

    reader.get("/v1/users/me").await.expect(200);
    reader.get(messages).await.expect(200);
    reader.post(messages, say.clone()).await.refused("forbidden");
    writer.post(messages, say).await.expect(201);
    let refused = writer.get(messages).await;
    assert!(refused.refused("forbidden").text.contains("`read`"), "it names what is missing");
    reader.patch("/v1/users/me", json!({"bio": "x"})).await.refused("forbidden");

    keeper.post("/v1/rooms", json!({"name": "Lab", "kind": "private"})).await.expect(201);
    keeper.put("/v1/rooms/lab/members/bob", json!({})).await.expect(204);
    let mute = json!({"mute": {}});
    keeper.put("/v1/rooms/lab/members/bob", mute.clone()).await.refused("forbidden");
    keeper.delete("/v1/rooms/lab/members/bob").await.refused("forbidden");
    strict.put("/v1/rooms/lab/members/bob", mute).await.expect(204);
    strict.delete("/v1/rooms/lab/members/bob").await.expect(204);
    keeper.delete("/v1/rooms/lab/messages").await.refused("forbidden");
    strict.delete("/v1/rooms/lab/messages").await.expect(204);
}

#[tokio::test]
async fn token_never_makes_tokens_nor_changes_who_owns_the_account() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let all = ["read", "write", "rooms", "moderate", "profile", "bots", "admin"];
    let (id, script) = token(&ada, &all).await;

    let new = json!({"name": "more", "scopes": ["read"]});
    script.post("/v1/users/me/tokens", new).await.refused("forbidden");
    script.get("/v1/users/me/tokens").await.refused("forbidden");
    script.delete(&format!("/v1/users/me/tokens/{id}")).await.refused("forbidden");
    let change = json!({"current_password": PASSWORD, "new_password": "another plum tree 88"});
    script.put("/v1/users/me/password", change).await.refused("forbidden");
    script.post("/v1/auth/ws-ticket", json!({})).await.refused("forbidden");
    script.post("/v1/auth/logout?all=true", json!({})).await.refused("forbidden");
    script.patch("/v1/users/me", json!({"bio": "made by a script"})).await.expect(200);
    // The scope makes nobody an administrator.
    script.get("/v1/admin/status").await.refused("forbidden");
}

#[tokio::test]
async fn administrators_token_needs_the_scope_of_administrators() {
    let node = TestNode::start_with(|_| {}).await;
    let root = Api::admin(&node).await;
    let (_, reader) = token(&root, &["read"]).await;
    let (_, keeper) = token(&root, &["admin"]).await;
    reader.get("/v1/admin/status").await.refused("forbidden");
    keeper.get("/v1/admin/status").await.expect(200);
}

#[tokio::test]
async fn token_is_listed_without_its_secret_and_with_its_last_use() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let (id, script) = token(&ada, &["read"]).await;
    script.get("/v1/users/me").await.expect(200);

    let used = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            let listed = ada.get("/v1/users/me/tokens").await;
            assert!(!listed.text.contains(script.token.as_deref().unwrap()));
            let listed = listed.expect(200);
            assert_eq!((&listed["items"][0]["id"], &listed["next"]), (&json!(id), &Value::Null));
            if !listed["items"][0]["last_used_at"].is_null() {
                return;
            }
        }
    });
    used.await.unwrap();
}

#[tokio::test]
async fn token_that_is_no_good_is_refused() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let bob = Api::register(&node, "bob").await;
    let (id, script) = token(&ada, &["read"]).await;
    let secret = script.token.clone().unwrap();
    let mut short = secret.clone();
    short.pop();
    for wrong in ["parlor_pat_", &short, &secret.replace("_pat_", "_hook_")] {
        ada.with_access(wrong).get("/v1/users/me").await.refused("unauthenticated");
    }
    let made_up = parlor_auth::Mark::PersonalToken.issue().secret;
    ada.with_access(&made_up).get("/v1/users/me").await.refused("unauthenticated");

    bob.delete(&format!("/v1/users/me/tokens/{id}")).await.refused("not_found");
    ada.delete(&format!("/v1/users/me/tokens/{id}")).await.expect(204);
    script.get("/v1/users/me").await.refused("unauthenticated");
    ada.delete(&format!("/v1/users/me/tokens/{id}")).await.refused("not_found");

    let short = json!({"name": "ci", "scopes": ["read"], "expires_in": 1});
    let short = ada.post("/v1/users/me/tokens", short).await.expect(201);
    let short = ada.with_access(short["secret"].as_str().unwrap());
    let over = tokio::time::timeout(Duration::from_secs(10), async {
        while short.get("/v1/users/me").await.status != 401 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    over.await.unwrap();
}

#[tokio::test]
async fn request_for_a_token_is_checked_field_by_field() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    for (request, field) in [
        (json!({"name": "", "scopes": ["read"]}), "name"),
        (json!({"name": "x".repeat(81), "scopes": ["read"]}), "name"),
        (json!({"name": "ci", "scopes": []}), "scopes"),
        (json!({"name": "ci", "scopes": ["read"], "expires_in": 0}), "expires_in"),
        (json!({"name": "ci", "scopes": ["read"], "expires_in": 400 * 86_400}), "expires_in"),
    ] {
        let answer = ada.post("/v1/users/me/tokens", request).await;
        assert_eq!(answer.refused("validation_failed").fields()[0].0, field);
    }
    let unknown = json!({"name": "ci", "scopes": ["everything"]});
    ada.post("/v1/users/me/tokens", unknown).await.refused("validation_failed");
}

#[tokio::test]
async fn user_has_no_more_tokens_than_one_may() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    for _ in 0..50 {
        token(&ada, &["read"]).await;
    }
    let one_more = json!({"name": "ci", "scopes": ["read"]});
    ada.post("/v1/users/me/tokens", one_more).await.refused("conflict");
}

#[tokio::test]
async fn scopes_hold_for_frames_and_end_of_the_token_ends_the_socket() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let (id, reader) = token(&ada, &["read"]).await;
    let mut socket = reader.connect(&node).await;
    socket.send(json!({"op": "subscribe", "id": "1", "room": "general"})).await;
    assert_eq!(socket.next().await["op"], "subscribed");
    for frame in [
        json!({"op": "publish", "id": "2", "room": "general", "body": "hi"}),
        json!({"op": "typing", "id": "2", "room": "general", "on": true}),
        json!({"op": "signal", "id": "2", "room": "general", "data": 1}),
        json!({"op": "read", "id": "2", "room": "general", "seq": 1}),
    ] {
        socket.send(frame).await;
        let answer = socket.next_told().await;
        assert_eq!((&answer["code"], &answer["re"]), (&json!("forbidden"), &json!("2")));
    }

    let (_, writer) = token(&ada, &["write"]).await;
    let mut other = writer.connect(&node).await;
    other.send(json!({"op": "subscribe", "id": "1", "room": "general"})).await;
    assert_eq!(other.next().await["code"], "forbidden");

    ada.delete(&format!("/v1/users/me/tokens/{id}")).await.expect(204);
    assert_eq!(socket.closed().await.0, 4509);
    other.send(json!({"op": "publish", "id": "3", "room": "general", "body": "hi"})).await;
    assert_eq!(other.next().await["op"], "ok", "another token goes on");
}

#[tokio::test]
async fn new_password_ends_all_tokens() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let (_, script) = token(&ada, &["read"]).await;
    let mut socket = script.connect(&node).await;
    let change = json!({"current_password": PASSWORD, "new_password": "another plum tree 88"});
    ada.put("/v1/users/me/password", change).await.expect(204);
    assert_eq!(socket.closed().await.0, 4509);
    script.get("/v1/users/me").await.refused("unauthenticated");
    assert_eq!(ada.get("/v1/users/me/tokens").await.expect(200)["items"], json!([]));
}

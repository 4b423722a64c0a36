//! Making accounts.

use parlor_runtime::config::Registration;
use serde_json::{Value, json};

use super::api::{Api, PASSWORD};
use crate::harness::TestNode;

async fn register(api: &Api, change: Value) -> super::api::Answer {
    let mut account = json!({"username": "ada", "password": PASSWORD});
    account.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    api.post("/v1/auth/register", account).await
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

#[tokio::test]
async fn new_user_is_logged_in_and_a_member_of_general() {
    let node = TestNode::start().await;
    let api = Api::anonymous(&node);

    let tokens = register(&api, json!({"email": "Ada@Example.com"})).await.expect(201);

    assert_eq!(tokens["token_type"], "bearer");
    assert_eq!(tokens["expires_in"], 900);
    assert_eq!(tokens["user"]["username"], "ada");
    assert_eq!(tokens["user"]["email"], "ada@example.com");
    assert_eq!(tokens["user"]["role"], "user");
    let ada = api.with_tokens(&tokens);
    let session = ada.get("/v1/auth/session").await.expect(200);
    assert_eq!(session["user"]["id"], tokens["user"]["id"]);
    assert_eq!(ada.get("/v1/rooms/general").await.expect(200)["role"], "member");
}

#[tokio::test]
async fn every_field_at_fault_is_named_with_its_reason() {
    let node = TestNode::start().await;
    let api = Api::anonymous(&node);
    let cases = [
        (json!({"username": "ab"}), ("username", "length")),
        (json!({"username": "a".repeat(33)}), ("username", "length")),
        (json!({"username": "ada lovelace"}), ("username", "characters")),
        (json!({"username": "-ada"}), ("username", "characters")),
        (json!({"username": "everyone"}), ("username", "reserved")),
        (json!({"username": 7}), ("username", "invalid")),
        (json!({"email": "ada"}), ("email", "invalid")),
        (json!({"display_name": "a\u{202E}b"}), ("display_name", "invalid")),
        (json!({"display_name": "x".repeat(65)}), ("display_name", "invalid")),
        (json!({"password": ""}), ("password", "required")),
        (json!({"password": "short 1"}), ("password", "length")),
        (json!({"password": "x".repeat(129)}), ("password", "length")),
        (json!({"password": "password1"}), ("password", "guessable")),
        (json!({"username": "countess", "password": "countess1"}), ("password", "guessable")),
        (json!({"invite": "nonsense"}), ("invite", "invalid")),
        (json!({"admin": true}), ("admin", "unknown")),
    ];
    for (change, (field, code)) in cases {
        let answer = register(&api, change.clone()).await;
        answer.refused("validation_failed");
        assert_eq!(answer.fields(), pairs(&[(field, code)]), "{change}");
    }

    let several = register(&api, json!({"username": "me", "email": "x", "password": ""})).await;

    let expected = [("username", "reserved"), ("email", "invalid"), ("password", "required")];
    assert_eq!(several.fields(), pairs(&expected));
}

#[tokio::test]
async fn names_and_addresses_are_unique_without_regard_to_case() {
    let node = TestNode::start().await;
    let api = Api::anonymous(&node);
    register(&api, json!({"email": "ada@example.com"})).await.expect(201);

    let name = register(&api, json!({"username": "ADA"})).await;
    let email = register(&api, json!({"username": "eva", "email": "ADA@example.com"})).await;
    let bot = register(&api, json!({"username": "guide"})).await;

    assert_eq!(name.refused("conflict").fields(), pairs(&[("username", "taken")]));
    assert_eq!(email.refused("conflict").fields(), pairs(&[("email", "taken")]));
    assert_eq!(bot.refused("conflict").fields(), pairs(&[("username", "taken")]));
}

#[tokio::test]
async fn closed_registration_makes_nobody() {
    let node = TestNode::start_with(|config| {
        config.auth.registration = Registration::Closed;
    })
    .await;
    let api = Api::anonymous(&node);
    register(&api, json!({})).await.refused("forbidden");
    assert_eq!(api.get("/info").await.expect(200)["registration"], "closed");
}

#[tokio::test]
async fn registration_by_invite_needs_a_code_and_joins_its_room() {
    let node = TestNode::start_with(|config| {
        config.auth.registration = Registration::Invite;
    })
    .await;
    let admin = Api::admin(&node).await;
    let room = admin.room("Den", "private").await;
    let invite = admin.post(&format!("/v1/rooms/{room}/invites"), json!({"max_uses": 1})).await;
    let code = invite.expect(201)["code"].as_str().unwrap().to_owned();
    let api = Api::anonymous(&node);

    let without = register(&api, json!({})).await;
    assert_eq!(without.refused("validation_failed").fields(), pairs(&[("invite", "required")]));
    let preview = api.get(&format!("/v1/invites/{code}")).await.expect(200);
    assert_eq!((&preview["name"], &preview["uses_left"]), (&json!("Den"), &json!(1)));

    let tokens = register(&api, json!({"invite": code})).await.expect(201);
    let ada = api.with_tokens(&tokens);
    assert_eq!(ada.get(&format!("/v1/rooms/{room}")).await.expect(200)["role"], "member");

    let spent = register(&api, json!({"username": "eva", "invite": code})).await;
    assert_eq!(spent.refused("validation_failed").fields(), pairs(&[("invite", "invalid")]));
    api.get(&format!("/v1/invites/{code}")).await.refused("not_found");
}

#[tokio::test]
async fn setup_link_makes_one_administrator() {
    let node = TestNode::start().await;
    let api = Api::anonymous(&node);
    assert_eq!(api.get("/info").await.expect(200)["setup_required"], true);
    let forged = json!({"token": "forged", "username": "root", "password": PASSWORD});
    api.post("/v1/auth/setup", forged).await.refused("forbidden");
    let token = node.broker.as_ref().unwrap().setup_token().unwrap().to_owned();

    let root = Api::admin(&node).await;

    assert_eq!(root.get("/v1/users/me").await.expect(200)["role"], "admin");
    root.get("/v1/admin/status").await.expect(200);
    assert_eq!(api.get("/info").await.expect(200)["setup_required"], false);
    let again = json!({"token": token, "username": "root2", "password": PASSWORD});
    api.post("/v1/auth/setup", again).await.refused("forbidden");
}

#[tokio::test]
async fn registrations_of_one_address_are_limited() {
    let node = TestNode::start_with(|config| {
        config.limits.enabled = true;
        config.limits.register_per_hour = 2;
    })
    .await;
    let api = Api::anonymous(&node);
    register(&api, json!({"username": "one"})).await.expect(201);
    register(&api, json!({"username": "two"})).await.expect(201);
    // A mistake in a field costs nothing.
    register(&api, json!({"username": "x"})).await.refused("validation_failed");

    register(&api, json!({"username": "three"})).await.refused("rate_limited");
}

//! Logging in and out, tokens, passwords.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::api::{Answer, Api, PASSWORD};
use crate::harness::{TestClient, TestNode};

async fn attempt(api: &Api, username: &str, password: &str) -> Answer {
    api.post("/v1/auth/token", json!({"username": username, "password": password})).await
}

/// What is left of a refusal without what belongs to the one request.
fn told(answer: &Answer) -> Value {
    let mut body = answer.body.clone();
    body["request_id"] = Value::Null;
    body
}

#[tokio::test]
async fn oauth2_password_form_logs_in() {
    let node = TestNode::start().await;
    Api::register(&node, "ada").await;
    let api = Api::anonymous(&node);
    let form =
        [("grant_type", "password"), ("username", "Ada"), ("password", PASSWORD), ("scope", "")];

    let tokens = api.send(api.request(Method::POST, "/v1/auth/token").form(&form)).await;

    let ada = api.with_tokens(&tokens.expect(200));
    assert_eq!(ada.get("/v1/users/me").await.expect(200)["username"], "ada");
    let other = [("grant_type", "client_credentials"), ("username", "ada"), ("password", PASSWORD)];
    let refused = api.send(api.request(Method::POST, "/v1/auth/token").form(&other)).await;
    refused.refused("validation_failed");
}

#[tokio::test]
async fn email_address_serves_as_user_name() {
    let node = TestNode::start().await;
    let api = Api::anonymous(&node);
    let account = json!({"username": "ada", "password": PASSWORD, "email": "ada@example.com"});
    api.post("/v1/auth/register", account).await.expect(201);
    attempt(&api, "ADA@example.com", PASSWORD).await.expect(200);
}

#[tokio::test]
async fn answer_does_not_tell_whether_a_user_exists() {
    let node = TestNode::start().await;
    let admin = Api::admin(&node).await;
    Api::register(&node, "ada").await;
    Api::register(&node, "gone").await;
    admin.patch("/v1/admin/users/gone", json!({"active": false})).await.expect(200);
    let api = Api::anonymous(&node);

    let wrong = attempt(&api, "ada", "not the password").await;
    let unknown = attempt(&api, "nobody", "not the password").await;
    let inactive = attempt(&api, "gone", "not the password").await;
    let bot = attempt(&api, "guide", "").await;

    wrong.refused("unauthenticated");
    assert_eq!(wrong.status, 401);
    for other in [&unknown, &inactive, &bot] {
        assert_eq!(told(other), told(&wrong));
    }
}

#[tokio::test]
async fn guessing_is_slowed_down_and_the_right_password_costs_nothing() {
    let node = TestNode::start_with(|config| {
        config.limits.enabled = true;
        config.limits.login_failures = 3;
    })
    .await;
    Api::register(&node, "ada").await;
    let api = Api::anonymous(&node);
    for _ in 0..5 {
        attempt(&api, "ada", PASSWORD).await.expect(200);
    }
    for _ in 0..3 {
        attempt(&api, "ada", "wrong").await.refused("unauthenticated");
    }

    let limited = attempt(&api, "ada", "wrong").await;

    limited.refused("rate_limited");
    assert!((1..=30).contains(&limited.header("retry-after").parse::<u64>().unwrap()));
}

#[tokio::test]
async fn refresh_token_works_once_and_reuse_ends_the_login() {
    let node = TestNode::start_with(|config| {
        config.auth.refresh_grace = Duration::ZERO;
    })
    .await;
    let first = Api::register(&node, "ada").await;
    let refresh = async |api: &Api| {
        api.post("/v1/auth/refresh", json!({"refresh_token": api.refresh_token})).await
    };

    let second = first.with_tokens(&refresh(&first).await.expect(200));
    let third = second.with_tokens(&refresh(&second).await.expect(200));
    third.get("/v1/users/me").await.expect(200);
    refresh(&first).await.refused("unauthenticated");

    for api in [&first, &second, &third] {
        api.get("/v1/users/me").await.refused("unauthenticated");
        refresh(api).await.refused("unauthenticated");
    }
    Api::log_in(&node, "ada").await.get("/v1/users/me").await.expect(200);
}

#[tokio::test]
async fn lost_answer_to_a_refresh_can_be_had_again() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let body = json!({"refresh_token": ada.refresh_token});

    let one = ada.post("/v1/auth/refresh", body.clone()).await.expect(200);
    let other = ada.post("/v1/auth/refresh", body).await.expect(200);

    assert_eq!(one["refresh_token"], other["refresh_token"]);
    ada.with_tokens(&other).get("/v1/users/me").await.expect(200);
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    for token in ["", "x", "a.b.c", &"A".repeat(43)] {
        let answer = ada.post("/v1/auth/refresh", json!({"refresh_token": token})).await;
        answer.refused("unauthenticated");
        let forged = ada.with_access(token);
        let answer = forged.get("/v1/users/me").await;
        answer.refused("unauthenticated");
        assert!(answer.header("www-authenticate").starts_with("Bearer"));
    }
    Api::anonymous(&node).get("/v1/rooms").await.refused("unauthenticated");
}

#[tokio::test]
async fn expired_token_says_so() {
    let node = TestNode::start().await;
    let ada = node.user("ada").await;
    let expired = node.login(ada.id, Duration::ZERO).await;
    let api = Api::anonymous(&node).with_access(&expired.token);
    api.get("/v1/users/me").await.refused("token_expired");
}

#[tokio::test]
async fn logout_ends_this_login_and_all_ends_the_others() {
    let node = TestNode::start().await;
    let phone = Api::register(&node, "ada").await;
    let laptop = Api::log_in(&node, "ada").await;
    let desktop = Api::log_in(&node, "ada").await;

    phone.call(Method::POST, "/v1/auth/logout", None).await.expect(204);
    phone.get("/v1/auth/session").await.refused("unauthenticated");
    laptop.get("/v1/auth/session").await.expect(200);

    laptop.call(Method::POST, "/v1/auth/logout?all=true", None).await.expect(204);
    for api in [&laptop, &desktop] {
        api.get("/v1/auth/session").await.refused("unauthenticated");
        let body = json!({"refresh_token": api.refresh_token});
        api.post("/v1/auth/refresh", body).await.refused("unauthenticated");
    }
}

#[tokio::test]
async fn logout_closes_the_socket() {
    use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let ticket = ada.call(Method::POST, "/v1/auth/ws-ticket", None).await.expect(200);
    let url = format!("{}?ticket={}", node.url(), ticket["ticket"].as_str().unwrap());
    let mut socket = TestClient::open(url.into_client_request().unwrap()).await;
    assert_eq!(socket.next().await["op"], "welcome");

    ada.call(Method::POST, "/v1/auth/logout", None).await.expect(204);

    assert_eq!(socket.closed().await.0, 4509);
}

#[tokio::test]
async fn new_password_replaces_the_old_one_and_ends_other_logins() {
    let node = TestNode::start().await;
    let here = Api::register(&node, "ada").await;
    let elsewhere = Api::log_in(&node, "ada").await;
    let change = |current: &str, new: &str| {
        let body = json!({"current_password": current, "new_password": new});
        let here = here.clone();
        async move { here.put("/v1/users/me/password", body).await }
    };

    let wrong = change("not it", "another plum entirely 9").await;
    assert_eq!(wrong.refused("validation_failed").fields()[0].0, "current_password");
    let weak = change(PASSWORD, "password").await;
    assert_eq!(weak.refused("validation_failed").fields()[0].0, "new_password");
    change(PASSWORD, "another plum entirely 9").await.expect(204);

    here.get("/v1/users/me").await.expect(200);
    elsewhere.get("/v1/users/me").await.refused("unauthenticated");
    let api = Api::anonymous(&node);
    attempt(&api, "ada", PASSWORD).await.refused("unauthenticated");
    attempt(&api, "ada", "another plum entirely 9").await.expect(200);
}

#[tokio::test]
async fn profile_can_be_changed_and_shows_others_less() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let bob = Api::register(&node, "bob").await;
    let change = json!({"display_name": "Ada L.", "bio": "Gears.", "visibility": "private"});

    let own = ada.patch("/v1/users/me", change).await.expect(200);

    assert_eq!((&own["display_name"], &own["bio"]), (&json!("Ada L."), &json!("Gears.")));
    let seen = bob.get("/v1/users/ada").await.expect(200);
    assert_eq!((&seen["display_name"], &seen["bio"]), (&json!("Ada L."), &json!("")));
    assert!(seen.get("email").is_none());
    let rename = |name: &str| json!({"username": name, "password": PASSWORD});
    ada.patch("/v1/users/me", rename("bob")).await.refused("conflict");
    ada.patch("/v1/users/me", rename("lovelace")).await.expect(200);
    bob.get("/v1/users/ada").await.refused("not_found");
    let presence = bob.get("/v1/users/lovelace/presence").await.expect(200);
    assert_eq!((&presence["status"], &presence["connections"]), (&json!("offline"), &json!(0)));
}

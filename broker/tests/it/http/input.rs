//! Hostile and mistaken input.

use reqwest::Method;
use serde_json::json;

use super::api::Api;
use crate::harness::TestNode;

const MESSAGES: &str = "/v1/rooms/general/messages";

#[tokio::test]
async fn broken_bodies_get_a_clear_code_and_change_nothing() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let send = async |kind: &str, body: Vec<u8>| {
        let request = ada.request(Method::POST, MESSAGES).header("content-type", kind);
        ada.send(request.body(body)).await
    };
    let json = "application/json";

    send(json, b"{".to_vec()).await.refused("bad_request");
    send(json, b"{\"body\": nope}".to_vec()).await.refused("bad_request");
    send(json, b"{\"body\":\"\xff\xfe\"}".to_vec()).await.refused("bad_request");
    send(json, "[".repeat(100_000).into_bytes()).await.refused("bad_request");
    send(json, Vec::new()).await.refused("bad_request");
    send("text/plain", b"{\"body\":\"hi\"}".to_vec()).await.refused("unsupported");
    send("", b"{\"body\":\"hi\"}".to_vec()).await.refused("unsupported");
    let unknown = send(json, b"{\"body\":\"hi\",\"colour\":\"red\"}".to_vec()).await;
    assert_eq!(
        unknown.refused("validation_failed").fields(),
        [("colour".to_owned(), "unknown".to_owned())]
    );
    let kind = send(json, b"{\"body\":7}".to_vec()).await;
    assert_eq!(kind.refused("validation_failed").fields()[0].0, "body");
    let reference = send(json, b"{\"body\":\"hi\",\"reply_to\":\"hunter2\"}".to_vec()).await;
    assert_eq!(reference.refused("validation_failed").fields()[0].0, "reply_to");
    assert!(!reference.text.contains("hunter2"));

    assert_eq!(ada.get(MESSAGES).await.expect(200)["items"], json!([]));
}

#[tokio::test]
async fn texts_that_say_nothing_or_too_much_are_refused() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    for (body, code) in [
        (String::new(), "validation_failed"),
        (" \n\t\u{200B}".to_owned(), "validation_failed"),
        ("a\0b".to_owned(), "validation_failed"),
        ("a\u{1b}[31m".to_owned(), "validation_failed"),
        ("x".repeat(16 * 1024 + 1), "payload_too_large"),
    ] {
        let answer = ada.post(MESSAGES, json!({"body": body})).await;
        assert_eq!(answer.refused(code).fields()[0].0, "body");
    }
    ada.post(MESSAGES, json!({"body": "x".repeat(16 * 1024)})).await.expect(201);
}

#[tokio::test]
async fn oversized_body_is_refused_whether_it_is_announced_or_not() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let big = vec![b' '; 300 * 1024];
    let request = || ada.request(Method::POST, MESSAGES).header("content-type", "application/json");

    let announced = ada.send(request().body(big.clone())).await;
    assert_eq!(announced.status, 413);
    announced.refused("payload_too_large");

    let pieces = big.chunks(8_192).map(|piece| Ok::<_, std::io::Error>(piece.to_vec()));
    let pieces: Vec<_> = pieces.collect();
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
    let chunked = ada.send(request().body(body)).await;
    chunked.refused("payload_too_large");
}

#[tokio::test]
async fn nobody_learns_anything_before_they_are_logged_in() {
    let node = TestNode::start().await;
    let api = Api::anonymous(&node);
    let request = api.request(Method::POST, MESSAGES).body("not even JSON");
    api.send(request).await.refused("unauthenticated");
    api.get("/v1/rooms/no-such-room").await.refused("unauthenticated");
    api.get("/v1/admin/status").await.refused("unauthenticated");
}

#[tokio::test]
async fn odd_paths_and_methods_are_answered_as_problems() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    for path in [
        "/v1/nothing",
        "/v1/rooms/general/messages/not-an-id",
        "/v1/rooms/general/nothing",
        "/v1/rooms/%ff",
        "/v1/rooms/..%2f..%2fetc",
        "/v1/users/%00",
        "/assets/../../Cargo.toml",
        "/no-such-page",
    ] {
        let answer = ada.get(path).await;
        assert!(matches!(answer.status, 404 | 405), "{path}: {} {}", answer.status, answer.text);
    }
    let method = ada.delete("/v1/auth/session").await;
    assert_eq!(method.status, 405);
    method.refused("unsupported");
    assert!(method.header("allow").contains("GET"));
}

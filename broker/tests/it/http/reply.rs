//! Waiting for a bot, streaming its reply, stopping it.

use std::time::Duration;

use parlor_protocol::message::MessageStatus;
use reqwest::Method;
use serde_json::{Value, json};

use super::api::{Api, Events, Worker};
use crate::harness::TestNode;

const MESSAGES: &str = "/v1/rooms/general/messages";
const WAIT: &str = "/v1/rooms/general/messages?wait=reply";

#[tokio::test]
async fn answer_waits_for_the_whole_reply() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let asking = ada.post(WAIT, json!({"body": "@guide hello", "client_id": "c1"}));
    let working = async {
        let worker = Worker::begin(node.node()).await;
        worker.stream(1, "Hello ");
        worker.stream(2, "Ada");
        worker.end(MessageStatus::Completed, "Hello Ada").await;
    };

    let (answer, ()) = tokio::join!(asking, working);

    let answer = answer.expect(201);
    assert_eq!(answer["message"]["body"], "@guide hello");
    assert_eq!(answer["reply"]["body"], "Hello Ada");
    assert_eq!(answer["reply"]["status"], "completed");
    assert_eq!(answer["reply"]["bot"]["trigger"], answer["message"]["id"]);
    assert_eq!(answer["reply"]["usage"]["completion_tokens"], 5);

    let again = ada.post(WAIT, json!({"body": "@guide hello", "client_id": "c1"})).await;
    assert_eq!(again.expect(200)["reply"]["id"], answer["reply"]["id"], "asked again, told again");
}

#[tokio::test]
async fn message_that_calls_no_bot_is_answered_at_once() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let body = json!({"body": "hello all", "client_id": "c1"});
    let answer = ada.post(WAIT, body.clone()).await.expect(201);
    assert_eq!(answer["reply"], Value::Null);
    let again = ada.post(WAIT, body).await.expect(200);
    assert_eq!(again["reply"], Value::Null);
    ada.post("/v1/rooms/general/messages?wait=forever", json!({"body": "x"}))
        .await
        .refused("validation_failed");
}

#[tokio::test]
async fn reply_that_takes_too_long_is_returned_as_far_as_it_is() {
    let node = TestNode::start_with(|config| {
        config.limits.wait_reply_timeout = Duration::from_millis(300);
    })
    .await;
    let ada = Api::register(&node, "ada").await;
    let (answer, _worker) =
        tokio::join!(ada.post(WAIT, json!({"body": "@guide hm?"})), Worker::begin(node.node()));
    assert_eq!(answer.expect(201)["reply"]["status"], "streaming");
}

#[tokio::test]
async fn reply_is_streamed_piece_by_piece() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let request = ada.request(Method::POST, MESSAGES).header("accept", "text/event-stream");
    let mut events = Events::open(request.json(&json!({"body": "@guide hello"}))).await;

    let message = events.next().await.unwrap();
    assert_eq!((message.name.as_str(), &message.data["body"]), ("message", &json!("@guide hello")));
    let worker = Worker::begin(node.node()).await;
    for (chunk, text) in [(1, "Hello "), (2, "Ada")] {
        worker.stream(chunk, text);
        let delta = events.next().await.unwrap();
        assert_eq!((delta.name.as_str(), &delta.data["text"]), ("delta", &json!(text)));
        assert_eq!(delta.data["chunk"], chunk);
    }
    worker.end(MessageStatus::Completed, "Hello Ada").await;
    let reply = events.next().await.unwrap();
    assert_eq!((reply.name.as_str(), &reply.data["body"]), ("reply", &json!("Hello Ada")));
    assert_eq!(events.next().await, None, "nothing follows the reply");
}

#[tokio::test]
async fn any_member_may_stop_a_reply() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let bob = Api::register(&node, "bob").await;
    let asked = ada.say("general", "@guide count").await;
    let worker = Worker::begin(node.node()).await;
    let path = format!("{MESSAGES}/{}/cancel", worker.reply);

    let cancelled = bob.call(Method::POST, &path, None).await.expect(202);

    assert_eq!(cancelled["job"], worker.job.id.to_string());
    worker.end(MessageStatus::Cancelled, "1, 2").await;
    bob.call(Method::POST, &path, None).await.refused("conflict");
    let by_trigger = format!("{MESSAGES}/{}/cancel", asked["id"].as_str().unwrap());
    bob.call(Method::POST, &by_trigger, None).await.refused("conflict");
    let other = ada.say("general", "just talk").await;
    let path = format!("{MESSAGES}/{}/cancel", other["id"].as_str().unwrap());
    assert!(matches!(bob.call(Method::POST, &path, None).await.status, 403 | 404 | 409));
}

//! Incoming and outgoing webhooks, and who may make them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parlor_runtime::Config;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::api::{Api, bodies};
use crate::harness::TestNode;

const PATIENCE: Duration = Duration::from_secs(10);

/// One request that came to a receiver.
#[derive(Debug)]
struct Received {
    head: Vec<String>,
    body: Vec<u8>,
}

impl Received {
    fn header(&self, name: &str) -> &str {
        let found = self.head.iter().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        });
        found.unwrap_or_default()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Another program: it answers each request as the next of its answers says, and the last for ever.
struct Receiver {
    url: String,
    received: mpsc::UnboundedReceiver<Received>,
}

/// What a receiver does with a request.
#[derive(Debug, Clone, Copy)]
enum Answers {
    Status(u16),
    /// That it is well, once nobody holds this back any more.
    Held(&'static Mutex<()>),
    /// Nothing, until the caller goes away.
    Hang,
    /// One byte of an answer at a time, for ever.
    Drip,
}

impl Receiver {
    fn start(answers: &[Answers]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/in", listener.local_addr().unwrap());
        let (sender, received) = mpsc::unbounded_channel();
        let mut answers = answers.to_vec();
        answers.reverse();
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let answer =
                    if answers.len() > 1 { answers.pop() } else { answers.last().copied() };
                let Some(received) = receive(&stream) else { continue };
                if sender.send(received).is_err() {
                    return;
                }
                std::thread::spawn(move || reply(stream, answer.unwrap()));
            }
        });
        Self { url, received }
    }

    async fn next(&mut self) -> Received {
        let next = tokio::time::timeout(PATIENCE, self.received.recv()).await;
        next.expect("nothing was delivered in time").unwrap()
    }
}

fn receive(stream: &TcpStream) -> Option<Received> {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    let mut received = Received { head, body: Vec::new() };
    received.body.resize(received.header("content-length").parse().ok()?, 0);
    reader.read_exact(&mut received.body).ok()?;
    Some(received)
}

fn reply(mut stream: TcpStream, answer: Answers) {
    match answer {
        Answers::Held(back) => {
            drop(back.lock().unwrap());
            reply(stream, Answers::Status(200));
        }
        Answers::Status(status) => {
            let head =
                format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            drop(stream.write_all(head.as_bytes()));
        }
        Answers::Hang => drop(stream.read(&mut [0])),
        Answers::Drip => {
            let drips = b"HTTP/1.1 200 OK\r\n".iter().chain(std::iter::repeat(&b'x'));
            for byte in drips {
                if stream.write_all(&[*byte]).is_err() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

fn eager(config: &mut Config) {
    config.webhooks.allowed_hosts = vec!["127.0.0.1".to_owned()];
    config.webhooks.poll = Duration::from_millis(20);
    config.webhooks.retry_after = Duration::from_millis(20);
    config.webhooks.timeout = Duration::from_secs(3);
    config.webhooks.attempts = 3;
}

/// Makes a webhook of `general`, which belongs to the administrator.
async fn webhook(owner: &Api, room: &str, url: &str, events: &[&str]) -> Value {
    let new = json!({"url": url, "events": events});
    owner.post(&format!("/v1/rooms/{room}/webhooks"), new).await.expect(201)
}

async fn post(api: &Api, path: &str, key: &str, body: &Value) -> super::api::Answer {
    let request = api.request(Method::POST, path).header("Idempotency-Key", key);
    api.send(request.json(body)).await
}

#[tokio::test]
async fn program_posts_by_its_address_under_its_name() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let room = ada.room("lab", "private").await;
    let new = json!({"name": "Build Robot"});
    let made = ada.post("/v1/rooms/lab/integrations", new).await.expect(201);
    let path = made["path"].as_str().unwrap();
    let robot = Api::anonymous(&node);

    let posted = post(&robot, path, "k1", &json!({"text": "green", "icon_emoji": ":x:"})).await;
    let posted = posted.expect(201);
    let again = post(&robot, path, "k1", &json!({"text": "green"})).await.expect(200);
    let for_bob = json!({"text": "red", "username": "bob"});
    robot.post(path, for_bob).await.expect(201);

    assert_eq!(posted, again);
    let history = ada.get(&format!("/v1/rooms/{room}/messages")).await.expect(200);
    assert_eq!(bodies(&history), ["green", "bob: red"]);
    let sender = &history["items"][0]["sender"];
    assert_eq!(
        (&sender["kind"], &sender["display_name"]),
        (&json!("integration"), &json!("Build Robot"))
    );
    assert_eq!(sender["id"], made["id"]);
    let listed = ada.get("/v1/rooms/lab/integrations").await;
    assert!(!listed.text.contains(path.rsplit('/').next().unwrap()), "the secret is told once");
    assert!(!listed.expect(200)["items"][0]["last_used_at"].is_null());
    assert_eq!(robot.post(path, json!({"text": " "})).await.fields()[0].0, "text");
    robot.post(path, json!({"nothing": 1})).await.refused("validation_failed");
}

#[tokio::test]
async fn address_that_was_replaced_or_ended_is_not_there() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    ada.room("lab", "private").await;
    let made = ada.post("/v1/rooms/lab/integrations", json!({"name": "ci"})).await.expect(201);
    let (id, old) = (made["id"].as_str().unwrap(), made["path"].as_str().unwrap());
    let robot = Api::anonymous(&node);
    let hello = json!({"text": "hello"});
    let one = format!("/v1/rooms/lab/integrations/{id}");

    let rotated = ada.post(&format!("{one}/rotate"), json!({})).await.expect(200);
    let new = rotated["path"].as_str().unwrap();
    robot.post(old, hello.clone()).await.refused("not_found");
    robot.post(new, hello.clone()).await.expect(201);
    let made_up = parlor_auth::Mark::Integration.issue().secret;
    robot.post(&format!("/v1/hooks/{made_up}"), hello.clone()).await.refused("not_found");
    robot.post("/v1/hooks/x", hello.clone()).await.refused("not_found");

    ada.delete(&one).await.expect(204);
    robot.post(new, hello).await.refused("not_found");
    ada.delete(&one).await.refused("not_found");
    let members = ada.get("/v1/rooms/lab/members").await.expect(200);
    assert_eq!(members["items"].as_array().unwrap().len(), 1, "it has left the room");
}

#[tokio::test]
async fn moderators_make_integrations_and_only_owners_webhooks() {
    let node = TestNode::start_with(eager).await;
    let ada = Api::register(&node, "ada").await;
    let (bob, eve) = (Api::register(&node, "bob").await, Api::register(&node, "eve").await);
    ada.room("lab", "private").await;
    ada.put("/v1/rooms/lab/members/bob", json!({})).await.expect(204);
    let (ci, hook) = (json!({"name": "ci"}), json!({"url": "http://127.0.0.1:9/"}));
    let (integrations, webhooks) = ("/v1/rooms/lab/integrations", "/v1/rooms/lab/webhooks");

    for path in [integrations, webhooks] {
        eve.get(path).await.refused("not_found");
        bob.get(path).await.refused("forbidden");
    }
    eve.post(integrations, ci.clone()).await.refused("not_found");
    bob.post(integrations, ci.clone()).await.refused("forbidden");
    ada.put("/v1/rooms/lab/members/bob", json!({"role": "moderator"})).await.expect(204);
    bob.post(integrations, ci.clone()).await.expect(201);
    bob.post(webhooks, hook.clone()).await.refused("forbidden");
    let made = ada.post(webhooks, hook).await.expect(201);
    let one = format!("{webhooks}/{}", made["id"].as_str().unwrap());
    bob.delete(&one).await.refused("forbidden");
    eve.delete(&one).await.refused("not_found");
    let direct = json!({"name": "us", "kind": "direct", "members": ["bob"]});
    let direct = ada.post("/v1/rooms", direct).await.expect(201);
    let path = format!("/v1/rooms/{}/integrations", direct["id"].as_str().unwrap());
    assert_eq!(ada.post(&path, ci).await.status / 100, 4, "a direct room keeps its participants");
}

#[tokio::test]
async fn room_has_only_so_many_integrations_and_webhooks() {
    let node = TestNode::start_with(eager).await;
    let ada = Api::register(&node, "ada").await;
    ada.room("lab", "private").await;
    for (path, new, most) in [
        ("/v1/rooms/lab/integrations", json!({"name": "ci"}), 20),
        ("/v1/rooms/lab/webhooks", json!({"url": "http://127.0.0.1:9/"}), 10),
    ] {
        for _ in 0..most {
            ada.post(path, new.clone()).await.expect(201);
        }
        ada.post(path, new).await.refused("conflict");
    }
}

#[tokio::test]
async fn calls_of_one_address_and_messages_of_one_integration_have_a_rate() {
    let node = TestNode::start_with(|config| {
        config.limits.enabled = true;
        config.limits.hook_posts_per_second = 1;
        config.limits.hook_posts_burst = 2;
        config.limits.hook_requests_per_minute = 4;
    })
    .await;
    let ada = Api::register(&node, "ada").await;
    ada.room("lab", "private").await;
    let made = ada.post("/v1/rooms/lab/integrations", json!({"name": "ci"})).await.expect(201);
    let path = made["path"].as_str().unwrap();
    let robot = Api::anonymous(&node);
    for _ in 0..2 {
        robot.post(path, json!({"text": "hi"})).await.expect(201);
    }
    robot.post(path, json!({"text": "hi"})).await.refused("rate_limited");
    robot.post("/v1/hooks/guess", json!({"text": "hi"})).await.refused("not_found");
    robot.post("/v1/hooks/guess", json!({"text": "hi"})).await.refused("rate_limited");
}

#[tokio::test]
async fn events_come_in_order_signed_and_only_those_that_were_asked_for() {
    let node = TestNode::start_with(eager).await;
    let ada = Api::register(&node, "ada").await;
    let room = ada.room("lab", "private").await;
    ada.say("lab", "before").await;
    let mut receiver = Receiver::start(&[Answers::Status(204)]);
    let made = webhook(&ada, "lab", &receiver.url, &["message.created"]).await;
    for n in 0..3 {
        ada.say("lab", &format!("message {n}")).await;
        ada.patch("/v1/rooms/lab", json!({"topic": format!("topic {n}")})).await.expect(200);
    }

    let key = made["secret"].as_str().unwrap().strip_prefix("whsec_").unwrap();
    let key = STANDARD.decode(key).unwrap();
    for n in 0..3 {
        let received = receiver.next().await;
        let sent = received.json();
        assert_eq!(sent["event"]["data"]["body"], format!("message {n}"));
        assert_eq!(
            (&sent["room"]["id"], &sent["event"]["type"]),
            (&json!(room), &json!("message.created"))
        );
        let (id, at) = (received.header("webhook-id"), received.header("webhook-timestamp"));
        assert_eq!(id, format!("{}.{}", made["id"].as_str().unwrap(), sent["event"]["seq"]));
        let signed = [format!("{id}.{at}.").as_bytes(), &received.body].concat();
        let tag = hmac_by_definition(&key, &signed);
        assert_eq!(received.header("webhook-signature"), format!("v1,{}", STANDARD.encode(tag)));
    }
}

/// HMAC-SHA256 by its definition (RFC 2104), apart from the code under test.
fn hmac_by_definition(key: &[u8], message: &[u8]) -> Vec<u8> {
    use sha2::{Digest as _, Sha256};
    let mut block = [0_u8; 64];
    block[..key.len()].copy_from_slice(key);
    let pad = |with: u8| -> Vec<u8> { block.iter().map(|byte| byte ^ with).collect() };
    let inner = Sha256::digest([pad(0x36), message.to_vec()].concat());
    Sha256::digest([pad(0x5c), inner.to_vec()].concat()).to_vec()
}

#[tokio::test]
async fn receiver_that_fails_is_tried_again_and_misses_nothing() {
    let node = TestNode::start_with(eager).await;
    let ada = Api::register(&node, "ada").await;
    ada.room("lab", "private").await;
    let answers = [Answers::Status(500), Answers::Hang, Answers::Status(200)];
    let mut receiver = Receiver::start(&answers);
    webhook(&ada, "lab", &receiver.url, &["message.created"]).await;
    ada.say("lab", "one").await;
    ada.say("lab", "two").await;

    let mut told = Vec::new();
    for _ in 0..4 {
        told.push(receiver.next().await);
    }
    let texts: Vec<Value> =
        told.iter().map(|told| told.json()["event"]["data"]["body"].clone()).collect();
    assert_eq!(texts, ["one", "one", "one", "two"]);
    assert_eq!(told[0].header("webhook-id"), told[2].header("webhook-id"), "the same delivery");
}

/// Keeps the slow receiver from its answers.
static SLOW: Mutex<()> = Mutex::new(());

#[tokio::test]
#[expect(clippy::await_holding_lock, reason = "it stands for a receiver that takes its time")]
async fn receiver_that_is_slow_keeps_no_other_waiting_beyond_its_turn() {
    let node = TestNode::start_with(|config| {
        eager(config);
        config.webhooks.timeout = Duration::from_mins(1);
        config.webhooks.lease = Duration::from_mins(5);
        config.webhooks.concurrency = 1;
        // Over with the first event, however fast the machine is.
        config.webhooks.turn = Duration::from_nanos(1);
    })
    .await;
    let (ada, bob) = (Api::register(&node, "ada").await, Api::register(&node, "bob").await);
    ada.room("lab", "private").await;
    bob.room("den", "private").await;
    // One program for both rooms, so that it sees in which order it is told.
    let mut receiver = Receiver::start(&[Answers::Held(&SLOW)]);
    webhook(&ada, "lab", &receiver.url, &["message.created"]).await;
    webhook(&bob, "den", &receiver.url, &["message.created"]).await;
    let slow = SLOW.lock().unwrap();
    for text in ["one", "two", "three"] {
        ada.say("lab", text).await;
    }
    let mut told = vec![receiver.next().await];
    bob.say("den", "mine").await;
    drop(slow);
    for _ in 0..3 {
        told.push(receiver.next().await);
    }

    let texts: Vec<Value> =
        told.iter().map(|told| told.json()["event"]["data"]["body"].clone()).collect();
    assert_eq!(texts, ["one", "mine", "two", "three"], "in order, and the other in between");
    let cut = &node.node().metrics.programs.turns_cut;
    assert!(cut.with_label_values(&["time"]).get() >= 2);
}

#[tokio::test]
async fn event_that_is_given_up_can_be_delivered_again_as_it_is_then() {
    let node = TestNode::start_with(eager).await;
    let ada = Api::register(&node, "ada").await;
    ada.room("lab", "private").await;
    let answers = [Answers::Drip, Answers::Status(500), Answers::Status(302), Answers::Status(200)];
    let mut receiver = Receiver::start(&answers);
    let made = webhook(&ada, "lab", &receiver.url, &["message.created"]).await;
    let one = format!("/v1/rooms/lab/webhooks/{}", made["id"].as_str().unwrap());
    let secret = ada.say("lab", "do not tell").await;
    ada.say("lab", "goes on").await;
    for text in ["do not tell", "do not tell", "do not tell", "goes on"] {
        assert_eq!(receiver.next().await.json()["event"]["data"]["body"], text);
    }
    let dead = ada.get(&format!("{one}/dead-letters")).await.expect(200);
    let letter = &dead["items"][0];
    assert_eq!((&letter["seq"], &letter["attempts"]), (&secret["seq"], &json!(3)));
    assert_eq!(letter["outcome"], "HTTP 302", "a redirect is a failure");

    let id = secret["id"].as_str().unwrap();
    ada.delete(&format!("/v1/rooms/lab/messages/{id}")).await.expect(204);
    let again = format!("{one}/dead-letters/{}/redeliver", secret["seq"]);
    let came = ada.post(&again, json!({})).await.expect(200);
    assert_eq!(came["delivered"], true);
    let delivered = receiver.next().await;
    assert!(!String::from_utf8_lossy(&delivered.body).contains("do not tell"), "it was removed");
    ada.post(&again, json!({})).await.refused("not_found");
}

#[tokio::test]
async fn receiver_that_fails_for_too_long_or_is_gone_is_switched_off() {
    let node = TestNode::start_with(|config| {
        eager(config);
        config.webhooks.disable_after = Duration::from_millis(1);
    })
    .await;
    let ada = Api::register(&node, "ada").await;
    ada.room("lab", "private").await;
    let mut failing =
        Receiver::start(&[Answers::Status(503), Answers::Status(503), Answers::Status(200)]);
    let gone = Receiver::start(&[Answers::Status(410)]);
    for receiver in [&failing, &gone] {
        webhook(&ada, "lab", &receiver.url, &[]).await;
    }
    ada.say("lab", "hello").await;

    let off = tokio::time::timeout(PATIENCE, async {
        loop {
            let listed = ada.get("/v1/rooms/lab/webhooks").await.expect(200);
            if listed["items"].as_array().unwrap().iter().all(|hook| hook["enabled"] == false) {
                return listed;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let off = off.await.expect("both are switched off");
    assert!(off["items"][1]["disabled_reason"].as_str().unwrap().contains("gone"));
    while failing.received.try_recv().is_ok() {}
    let id = off["items"][0]["id"].as_str().unwrap();
    let on = ada.patch(&format!("/v1/rooms/lab/webhooks/{id}"), json!({"enabled": true})).await;
    assert_eq!(on.expect(200)["enabled"], true);
    assert_eq!(failing.next().await.json()["event"]["data"]["body"], "hello", "where it stopped");
}

#[tokio::test]
async fn webhook_into_the_own_network_is_refused() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    ada.room("lab", "private").await;
    for url in
        ["http://127.0.0.1/", "http://localhost/", "http://169.254.169.254/", "http://[::1]/"]
    {
        let answer = ada.post("/v1/rooms/lab/webhooks", json!({"url": url})).await;
        let fields = answer.refused("validation_failed").fields();
        assert_eq!(fields, [("url".to_owned(), "not_public".to_owned())], "{url}");
    }
    let unknown = json!({"url": "https://1.1.1.1/", "events": ["everything"]});
    let answer = ada.post("/v1/rooms/lab/webhooks", unknown).await;
    assert_eq!(answer.refused("validation_failed").fields()[0].0, "events[0]");
}

//! Bounds of a server, each set low and reached over the real binary.
//!
//! Those that other tests reach are not repeated here; `docs/LIMITS.md` says which test reaches
//! which bound.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail")]

use std::time::Duration;

use futures_util::future::join_all;
use parlor_client::{ClientError, MessageQuery, SearchQuery};
use parlor_protocol::code::Code;
use parlor_protocol::command::Command;
use parlor_protocol::frame::Frame;
use parlor_protocol::signal::{BotState, SignalBody};
use parlor_testkit::fake_llm::{Behaviour, FakeLlm, Script};
use parlor_testkit::process::{Builder, Parlor, User, draft};
use parlor_testkit::socket::{self, Options, Socket, publish};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a server may take to give up, on a machine that does other things, too.
const PATIENCE: Duration = Duration::from_secs(20);

/// Returns a server with these limits, those on rates switched on.
fn with_limits(limits: &[(&str, &str)]) -> Builder {
    let builder = Parlor::builder().without("PARLOR_LIMITS__ENABLED");
    limits.iter().fold(builder, |builder, (name, value)| {
        builder.env(&format!("PARLOR_LIMITS__{}", name.to_uppercase()), value)
    })
}

fn code_of<T: std::fmt::Debug>(result: Result<T, ClientError>) -> Code {
    result.unwrap_err().code().expect("the server refused")
}

fn signal(data: serde_json::Value) -> Command {
    Command::Signal { id: None, room: "general".into(), data }
}

/// Sends `count` messages without waiting and returns the answers in order.
async fn publish_all(socket: &mut Socket, count: usize) -> Vec<Frame> {
    for number in 0..count {
        let command = publish("general", &format!("c{number}"), "at once");
        socket.send(&socket::with_id(command, format!("p{number}"))).await.unwrap();
    }
    let mut answers = Vec::new();
    while answers.len() < count {
        let frame = socket.next_frame().await;
        if matches!(frame, Frame::Ok(_) | Frame::Error(_)) {
            answers.push(frame);
        }
    }
    answers
}

/// Repeats a call until it is refused: a slow machine gets more meanwhile. So few calls do not
/// reach what is allowed unless it is set low.
async fn until_limited<T, E>(mut call: impl AsyncFnMut() -> Result<T, E>) -> E {
    for _ in 0..15 {
        if let Err(refused) = call().await {
            return refused;
        }
    }
    panic!("nothing was refused")
}

/// Returns a sample of a metric, by its name with labels.
async fn metric(server: &Parlor, sample: &str) -> u64 {
    let metrics = server.get_text("/metrics").await;
    let line = metrics.lines().find_map(|line| line.strip_prefix(sample)).unwrap();
    line.trim().parse().unwrap()
}

#[tokio::test]
async fn signal_above_its_size_is_refused() {
    let server = with_limits(&[("signal", "64B")]).start().await;
    let mut ada = server.register("ada").await.socket().await;

    let exact = ada.request(signal(json!("x".repeat(62)))).await;
    let above = ada.request(signal(json!("x".repeat(63)))).await;

    assert!(matches!(exact, Ok(Frame::Ok(_))), "{exact:?}");
    assert_eq!(above.unwrap_err().code(), Some(Code::PayloadTooLarge));
}

#[tokio::test]
async fn node_takes_no_more_rooms_into_memory_than_it_may() {
    let server =
        with_limits(&[("resident_rooms", "1")]).env("PARLOR_SERVER__SHARDS", "1").start().await;
    let ada = server.register("ada").await;
    ada.create_room("second", &[]).await;
    let mut socket = ada.socket().await;

    socket.subscribe("general", None).await.unwrap();
    let refused = socket.subscribe("second", None).await;

    assert_eq!(refused.unwrap_err().code(), Some(Code::Unavailable));
}

#[tokio::test]
async fn full_queue_of_writes_refuses_and_a_repeat_succeeds() {
    // Bounds on memory hold although rates are not limited.
    let limits = [("committer_queue", "1"), ("enabled", "false")];
    let server = with_limits(&limits).start().await;
    let mut sockets = Vec::new();
    for name in ["ada", "bob", "cleo", "dora"] {
        sockets.push(server.register(name).await.socket().await);
    }

    // How fast the disk is decides how soon the queue is full.
    let mut refused = Vec::new();
    for _ in 0..100 {
        let all = sockets.iter_mut().map(|socket| publish_all(socket, 100));
        for answer in join_all(all).await.into_iter().flatten() {
            if let Frame::Error(refusal) = answer {
                refused.push(refusal);
            }
        }
        if !refused.is_empty() {
            break;
        }
    }

    assert!(!refused.is_empty(), "40,000 writes never filled a queue of one");
    for refusal in refused {
        assert_eq!(refusal.code, Code::Unavailable);
        assert!(refusal.retry_after_ms.is_some());
    }
    sockets[0].publish("general", "again", "a moment later").await.unwrap();
}

#[tokio::test]
async fn commit_takes_no_more_writes_than_it_may() {
    let server = with_limits(&[("committer_batch", "2"), ("publish_burst", "100")]).start().await;
    let mut ada = server.register("ada").await.socket().await;

    for answer in publish_all(&mut ada, 30).await {
        assert!(matches!(answer, Frame::Ok(_)), "{answer:?}");
    }

    let all = metric(&server, "parlor_store_commit_batch_count").await;
    let small = metric(&server, "parlor_store_commit_batch_bucket{le=\"2\"}").await;
    assert_eq!(small, all, "a commit had more than two writes");
}

#[tokio::test]
async fn commands_above_those_in_work_wait_and_are_all_answered() {
    let limits = [("commands_in_flight", "1"), ("publish_burst", "100")];
    let server = with_limits(&limits).start().await;
    let mut ada = server.register("ada").await.socket().await;

    let answers = publish_all(&mut ada, 30).await;

    let in_order = answers.iter().enumerate().all(|(number, answer)| match answer {
        Frame::Ok(accepted) => accepted.re == Some(format!("p{number}")),
        _ => false,
    });
    assert!(in_order, "{answers:?}");
    let all = metric(&server, "parlor_store_commit_batch_count").await;
    let alone = metric(&server, "parlor_store_commit_batch_bucket{le=\"1\"}").await;
    assert_eq!(alone, all, "two commands of one connection were in work");
}

#[tokio::test]
async fn busy_room_is_limited_whoever_writes() {
    let limits = [("room_publish_per_second", "1"), ("room_publish_burst", "2")];
    let server = with_limits(&limits).start().await;
    let mut ada = server.register("ada").await.socket().await;
    let mut bob = server.register("bob").await.socket().await;

    ada.publish("general", "1", "one").await.unwrap();
    bob.publish("general", "2", "two").await.unwrap();
    let mut number = 2;
    let refused = until_limited(async || {
        number += 1;
        ada.publish("general", &format!("c{number}"), "more").await
    });

    let socket::Failure::Refused(refused) = refused.await else { panic!("closed") };
    assert_eq!(refused.code, Code::RateLimited);
    assert!(refused.retry_after_ms.is_some_and(|wait| (1..=2_000).contains(&wait)), "{refused:?}");
}

#[tokio::test]
async fn address_is_limited_whoever_writes_from_it() {
    let limits = [("address_publish_per_second", "1"), ("address_publish_burst", "2")];
    let server = with_limits(&limits).start().await;
    let (ada, bob) = (server.register("ada").await, server.register("bob").await);
    ada.create_room("second", &[]).await;

    ada.http.publish("general", &draft("one", None)).await.unwrap();
    ada.http.publish("second", &draft("two", None)).await.unwrap();
    let more = draft("three", None);
    let refused = until_limited(async || bob.http.publish("general", &more).await).await;

    assert_eq!(refused.code(), Some(Code::RateLimited));
    assert!(refused.retry_after().is_some());
}

#[tokio::test]
async fn signals_of_a_user_are_limited_and_typing_is_dropped() {
    let limits = [("typing_per_second", "1"), ("signals_per_second", "1"), ("signals_burst", "2")];
    let server = with_limits(&limits).start().await;
    let mut ada = server.register("ada").await.socket().await;
    let mut bob = server.register("bob").await.socket().await;
    bob.subscribe("general", None).await.unwrap();

    for _ in 0..20 {
        ada.send(&Command::Typing { id: None, room: "general".into(), on: true }).await.unwrap();
    }
    ada.request(signal(json!(1))).await.unwrap();
    ada.request(signal(json!(2))).await.unwrap();
    let refused = until_limited(async || ada.request(signal(json!(3))).await).await;

    assert_eq!(refused.code(), Some(Code::RateLimited));
    let (mut typing, mut told) = (0, 0);
    while told < 2 {
        match bob.next_frame().await {
            Frame::Signal(signal) if matches!(signal.body, SignalBody::Typing(_)) => typing += 1,
            Frame::Signal(signal) if matches!(signal.body, SignalBody::App(_)) => told += 1,
            _ => {}
        }
    }
    assert!((1..20).contains(&typing), "{typing} of 20 were told");
}

#[tokio::test]
async fn pages_of_history_are_limited() {
    let server = with_limits(&[("history_per_second", "1"), ("history_burst", "2")]).start().await;
    let ada = server.register("ada").await;
    let query = MessageQuery::default();

    ada.http.messages("general", &query).await.unwrap();
    ada.http.messages("general", &query).await.unwrap();
    let refused = until_limited(async || ada.http.messages("general", &query).await).await;

    assert_eq!(refused.code(), Some(Code::RateLimited));
    assert!(refused.retry_after().is_some());
}

#[tokio::test]
async fn searches_are_limited() {
    let limits = [("searches_per_second", "1"), ("searches_burst", "2")];
    let server = with_limits(&limits).start().await;
    let ada = server.register("ada").await;
    let query = SearchQuery { text: "tea".to_owned(), ..SearchQuery::default() };

    ada.http.search(&query).await.unwrap();
    ada.http.search(&query).await.unwrap();
    let refused = until_limited(async || ada.http.search(&query).await).await;

    assert_eq!(refused.code(), Some(Code::RateLimited));
    assert!(refused.retry_after().is_some());
}

#[tokio::test]
async fn requests_of_a_user_and_of_a_stranger_are_limited() {
    let limits = [("requests_per_minute", "3"), ("anonymous_requests_per_minute", "5")];
    let server = with_limits(&limits).start().await;
    let ada = server.register("ada").await;

    for _ in 0..3 {
        ada.http.me().await.unwrap();
    }
    let of_user = code_of(ada.http.me().await);
    // Registering was the first of the address.
    let request = b"GET /v1/invites/none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    for _ in 0..4 {
        assert!(raw(&server, request).await.starts_with("HTTP/1.1 404 "));
    }
    let of_stranger = raw(&server, request).await;

    assert_eq!(of_user, Code::RateLimited);
    assert!(of_stranger.starts_with("HTTP/1.1 429 "), "{of_stranger}");
    assert!(of_stranger.to_ascii_lowercase().contains("\r\nretry-after: "), "{of_stranger}");
}

#[tokio::test]
async fn rooms_of_one_owner_are_bounded() {
    let server = with_limits(&[("rooms_per_user", "2")]).start().await;
    let ada = server.register("ada").await;

    ada.create_room("first", &[]).await;
    ada.create_room("second", &[]).await;
    let third = create(&ada, "third").await;

    assert_eq!(code_of(third), Code::Conflict);
}

async fn create(user: &User, slug: &str) -> Result<parlor_protocol::room::Room, ClientError> {
    let request = json!({ "name": slug, "slug": slug, "kind": "public" });
    user.http.create_room(&serde_json::from_value(request).unwrap()).await
}

/// Sends bytes and returns what comes back before the server closes.
async fn raw(server: &Parlor, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    // The server may have refused before it has read all.
    drop(stream.write_all(bytes).await);
    let mut answer = Vec::new();
    drop(timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the server closes"));
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn head_above_its_size_is_refused() {
    let server = with_limits(&[("request_head", "8KiB")]).start().await;

    let head = format!("GET /healthz HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n", "a".repeat(20_000));
    let answer = raw(&server, head.as_bytes()).await;

    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn request_that_takes_too_long_is_given_up() {
    let server = with_limits(&[("request_timeout", "1s")]).start().await;

    let head = "POST /v1/auth/token HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
                Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    let answer = raw(&server, head.as_bytes()).await;

    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("\"code\":\"unavailable\""), "{answer}");
}

#[tokio::test]
async fn fullest_connections_are_closed_when_all_together_wait_for_too_much() {
    // Alone, each of them may wait for far more.
    let limits = [
        ("outbox", "16MiB"),
        ("outbox_total", "1MiB"),
        ("write_timeout", "10m"),
        ("idle_timeout", "10m"),
        ("enabled", "false"),
    ];
    let server = with_limits(&limits).env("PARLOR_SERVER__SHARDS", "1").start().await;
    let mut ada = server.register("ada").await.socket().await;
    let mut stalled = Vec::new();
    let options = Options { receive_buffer: Some(8 * 1024), ..Options::default() };
    for name in ["bob", "cleo", "dora"] {
        let token = server.register(name).await.token().await;
        let mut socket = Socket::try_open(server.addr(), &token, &options).await.unwrap();
        socket.subscribe("general", None).await.unwrap();
        stalled.push(socket);
    }

    let body = "x".repeat(16_000);
    let mut sent = 0;
    while metric(&server, "parlor_ws_sessions").await > 1 {
        assert!(sent < 500, "8 MB wait and nobody was closed");
        ada.publish("general", &format!("c{sent}"), &body).await.unwrap();
        sent += 1;
    }

    // Whether the farewell still reaches a reader that does not read is not ours to decide.
    let slow = "parlor_ws_sessions_closed_total{reason=\"slow_consumer\"}";
    assert_eq!(metric(&server, slow).await, 3);
    drop(stalled);
    ada.publish("general", "last", "still here").await.unwrap();
}

#[tokio::test]
async fn no_more_replies_are_written_at_once_than_allowed() {
    let llm = FakeLlm::start().await;
    llm.set_script(Script::counting(3).behaving(Behaviour::StallAfter(1)));
    let server = with_limits(&[]).model(&llm).env("PARLOR_BOTS__CONCURRENCY", "1").start().await;
    let ada = server.register("ada").await;
    ada.create_room("second", &["guide"]).await;
    let mut socket = ada.socket().await;
    socket.subscribe("general", None).await.unwrap();
    socket.subscribe("second", None).await.unwrap();

    let first = ada.say("general", "@guide one").await;
    llm.wait_open(1).await;
    ada.say("second", "@guide two").await;
    // The second call waits: the room is told, and the provider has heard of one only.
    let mut queued = 0;
    while queued < 2 {
        if let Frame::Signal(signal) = socket.next_frame().await
            && let SignalBody::BotStatus(status) = signal.body
        {
            queued += usize::from(status.state == BotState::Queued);
        }
    }
    let running = metric(&server, "parlor_bot_turns_running").await;
    let asked = llm.requests().len();
    ada.http.cancel_reply("general", first.id).await.unwrap();
    llm.wait_requests(asked + 1).await;

    assert_eq!((running, asked), (1, 1));
}

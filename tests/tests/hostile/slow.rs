//! Clients that connect and then take their time: none may keep a place for long, and none may keep
//! others from being served.

use std::time::{Duration, Instant};

use parlor_testkit::process::{Builder, Parlor, raise_descriptor_limit};
use serde_json::json;
use tokio::task::JoinSet;

use crate::raw::{Frame, PATIENCE, Raw, upgrade_request};
use crate::stage::{HALL, Stage, echo};

const HEAD: &str = "GET /healthz HTTP/1.1\r\nHost: parlor.test\r\n";
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// An HTTP/2 SETTINGS frame without settings.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

/// An HTTP/2 PING frame.
const PING: &[u8] = &[0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];

/// A connection of HTTP/2 that asks for a page and opens no window for it, or one of a few bytes.
fn without_window(window: u8) -> Vec<u8> {
    let settings = [&[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0], &[window][..]].concat();
    let path = b"/openapi.json";
    let host = b"parlor.test";
    // GET and http are in HPACK's table, the others are literals.
    let mut block = vec![0x82, 0x86, 0x04, u8::try_from(path.len()).unwrap()];
    block.extend(path);
    block.extend([0x01, u8::try_from(host.len()).unwrap()]);
    block.extend(host);
    // HEADERS, with the end of the stream and of the headers, on stream 1.
    let head = [0, 0, u8::try_from(block.len()).unwrap(), 1, 5, 0, 0, 0, 1];
    [PREFACE, &settings, &head, &block].concat()
}

/// A server that is patient for a second.
fn impatient() -> Builder {
    Parlor::builder()
        .env("PARLOR_LIMITS__HANDSHAKE_TIMEOUT", "1s")
        .env("PARLOR_LIMITS__HELLO_TIMEOUT", "1s")
        .env("PARLOR_LIMITS__REQUEST_TIMEOUT", "1s")
        .env("PARLOR_LIMITS__WRITE_TIMEOUT", "1s")
}

/// Drips bytes, one every tenth of a second, until the server ends the connection; for how long
/// that went.
async fn lasts(stage: &Stage, first: &[u8], drip: &[u8]) -> Duration {
    let mut raw = Raw::connect(stage.addr()).await;
    raw.send(first).await;
    let begun = Instant::now();
    let mut drip = drip.chunks(1).cycle();
    loop {
        let wait = Duration::from_millis(100);
        if tokio::time::timeout(wait, raw.rest()).await.is_ok() {
            return begun.elapsed();
        }
        if begun.elapsed() > PATIENCE {
            return begun.elapsed();
        }
        if let Some(bytes) = drip.next() {
            raw.send(bytes).await;
        }
    }
}

#[tokio::test]
async fn connection_without_a_request_is_closed() {
    let stage = Stage::start_from(impatient()).await;
    let post = |path: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: parlor.test\r\nContent-Type: application/json\r\n\
             Content-Length: 60000\r\nAuthorization: Bearer "
        )
    };
    let token = stage.mallory.token().await;
    let login = format!("{}x\r\n\r\n{{", post("/v1/auth/token"));
    let publish = format!("{}{token}\r\n\r\n{{", post(&format!("/v1/rooms/{HALL}/messages")));
    let preface = [PREFACE, SETTINGS].concat();
    let (closed, narrow) = (without_window(0), without_window(9));
    let cases: [(&str, &[u8], &[u8]); 13] = [
        ("nothing", b"", b""),
        ("one letter", b"G", b""),
        ("the letter that HTTP/2 begins with", b"P", b""),
        ("half of HTTP/2's preface", &PREFACE[..12], b""),
        ("HTTP/2's preface only", PREFACE, b""),
        ("HTTP/2 without a request", &preface, b""),
        ("HTTP/2 with settings again and again", &preface, SETTINGS),
        ("HTTP/2 that takes no answer", &closed, PING),
        ("HTTP/2 that takes a few bytes of it", &narrow, PING),
        ("half a head", HEAD.as_bytes(), b""),
        ("a head without end", HEAD.as_bytes(), b"X-Slow: yes\r\n"),
        ("a body without end", login.as_bytes(), b" "),
        ("a message without end", publish.as_bytes(), b" "),
    ];
    let mut running = Vec::new();
    for (name, first, drip) in cases {
        let stage = &stage;
        running.push(async move { (name, lasts(stage, first, drip).await) });
    }
    let slow: Vec<_> = futures_util::future::join_all(running)
        .await
        .into_iter()
        .filter(|(_, lasted)| *lasted > Duration::from_secs(15))
        .collect();
    assert!(slow.is_empty(), "not closed in time: {slow:?}");
    stage.unharmed().await;
}

#[tokio::test]
async fn websocket_that_says_nothing_is_closed() {
    let stage = Stage::start_from(impatient()).await;
    let mut silent = Raw::open(stage.addr(), "", "").await;
    let begun = Instant::now();
    assert_eq!(silent.closed().await, Some(4002));
    // Without the setting it would be ten seconds.
    assert!(begun.elapsed() < Duration::from_secs(9), "{:?}", begun.elapsed());
    // Pings, and parts of a frame, are not `hello`.
    let mut chatty = Raw::open(stage.addr(), "", "").await;
    let begun = Instant::now();
    let hello = Frame::text(&json!({"op": "hello", "token": "x"}).to_string()).bytes();
    for byte in hello.iter().cycle().take(30) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if !chatty.send(&[*byte]).await {
            break;
        }
    }
    assert_eq!(chatty.closed().await, Some(4002));
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    stage.unharmed().await;
}

#[tokio::test]
async fn reader_that_takes_no_answers_is_closed() {
    let stage = Stage::start_from(impatient()).await;
    let before = open_connections(&stage).await;
    let request = "GET /openapi.json HTTP/1.1\r\nHost: parlor.test\r\n\r\n".repeat(400);
    let mut stalled = Vec::new();
    for _ in 0..20 {
        let mut raw = Raw::connect(stage.addr()).await;
        // The server takes as many as it can answer.
        drop(tokio::time::timeout(Duration::from_millis(200), raw.send(request.as_bytes())).await);
        stalled.push(raw);
    }
    let begun = Instant::now();
    while open_connections(&stage).await > before + 1 {
        assert!(begun.elapsed() < Duration::from_secs(15), "stalled readers keep their places");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    drop(stalled);
    stage.unharmed().await;
}

async fn open_connections(stage: &Stage) -> u64 {
    let metrics = stage.server.get_text("/metrics").await;
    let line = metrics.lines().find_map(|line| line.strip_prefix("parlor_http_connections "));
    line.expect("the gauge is there").parse().unwrap()
}

#[tokio::test]
async fn two_thousand_silent_connections_keep_nobody_out() {
    raise_descriptor_limit();
    let stage = Stage::start_from(impatient().env("PARLOR_LIMITS__HANDSHAKE_TIMEOUT", "3s")).await;
    let mut healthy = stage.socket().await;
    let silent: Vec<Raw> =
        futures_util::future::join_all((0..2_000).map(|_| Raw::connect(stage.addr()))).await;
    let mut waits = Vec::new();
    for n in 0..20 {
        let begun = Instant::now();
        let text = format!("among silence {n}");
        healthy.send(&Frame::text(&echo(&text)).bytes()).await;
        assert_eq!(healthy.json().await["re"], text);
        waits.push(begun.elapsed());
    }
    // One wait may be the machine's; half of them are not. The silent ones are closed after 3 s.
    waits.sort_unstable();
    assert!(waits[10] < Duration::from_secs(2), "{waits:?}");
    assert!(!stage.server.get_text("/healthz").await.is_empty());
    let mut closing = JoinSet::new();
    for mut raw in silent {
        closing.spawn(async move { raw.rest().await.len() });
    }
    closing.join_all().await;
    stage.unharmed().await;
}

#[tokio::test]
async fn places_of_those_who_say_nothing_are_bounded() {
    raise_descriptor_limit();
    let builder = Parlor::builder()
        .env("PARLOR_LIMITS__ENABLED", "true")
        .env("PARLOR_LIMITS__CONNECTIONS_PER_ADDRESS", "5000")
        .env("PARLOR_LIMITS__UNAUTHENTICATED", "1000")
        // They come at once, which has a limit of its own.
        .env("PARLOR_LIMITS__HANDSHAKES", "5000")
        .env("PARLOR_LIMITS__UPGRADES_PER_SECOND", "5000")
        // None gives its place back before all have come.
        .env("PARLOR_LIMITS__HELLO_TIMEOUT", "5m")
        .env("PARLOR_LIMITS__HANDSHAKE_TIMEOUT", "5m");
    let stage = Stage::start_from(builder).await;
    let request = upgrade_request("", "");
    let opening = (0..2_000).map(|_| async {
        let mut raw = Raw::connect(stage.addr()).await;
        raw.send(request.as_bytes()).await;
        let head = raw.head().await.expect("an answer");
        (head, raw)
    });
    let opened = futures_util::future::join_all(opening).await;
    let count = |status| opened.iter().filter(|(head, _)| head.status == status).count();
    assert_eq!((count(101), count(503)), (1_000, 1_000));
    for (head, _) in opened.iter().filter(|(head, _)| head.status == 503) {
        assert!(head.header("retry-after").is_some(), "{}", head.text);
    }
    // Who says at once who they are does not need such a place.
    let mut healthy = stage.socket().await;
    healthy.send(&Frame::text(&echo("still here")).bytes()).await;
    assert_eq!(healthy.json().await["re"], "still here");
    drop(opened);
    stage.unharmed().await;
}

#[tokio::test]
async fn one_address_has_its_share_and_gets_it_back() {
    let builder = Parlor::builder()
        .env("PARLOR_LIMITS__ENABLED", "true")
        .env("PARLOR_LIMITS__CONNECTIONS_PER_ADDRESS", "40");
    let stage = Stage::start_from(builder).await;
    let mut open = Vec::new();
    let mut refused = 0;
    for _ in 0..80 {
        let mut raw = Raw::connect(stage.addr()).await;
        raw.send(upgrade_request("", "").as_bytes()).await;
        match raw.head().await {
            Some(head) => open.push((head, raw)),
            None => refused += 1,
        }
    }
    assert!(refused >= 40, "{refused} were refused");
    drop(open);
    let begun = Instant::now();
    loop {
        let mut raw = Raw::connect(stage.addr()).await;
        raw.send(upgrade_request("", "").as_bytes()).await;
        if raw.head().await.is_some_and(|head| head.status == 101) {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "the places are not given back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stage.unharmed().await;
}

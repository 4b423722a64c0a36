//! Random frames, commands and requests from a fixed seed: nothing breaks, nothing leaks. Longer
//! with `PARLOR_SOAK`.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::json;

use crate::raw::{CONTINUATION, Frame, Raw, TEXT, upgrade_request};
use crate::stage::{HALL, PRIVATE, Stage};

const SEED: u64 = 0x0070_6172_6c6f_7221;

/// How long each kind of noise lasts.
fn span() -> Duration {
    let soak = std::env::var_os("PARLOR_SOAK").is_some_and(|value| !value.is_empty());
    Duration::from_secs(if soak { 120 } else { 4 })
}

/// Bytes that readers of JSON, UTF-8 and HTTP have had trouble with.
const ODD: &[&[u8]] = &[
    b"\0",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"\xff",
    b"\xed\xa0\x80",
    b"\xf0\x9f\x98\x80",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"null",
    b"-1",
    b"1e999",
    b"18446744073709551616",
    b"true",
    b"\r\n",
    b"\r\n\r\n",
    b"\x7f",
    b"\xe2\x80\xae",
    b"../",
    b"%00",
    b"'",
    b"0x",
    b"NaN",
    b"op",
    b"\"op\":\"publish\",",
    b"witness-room",
    b"\xef\xbb\xbf",
];

/// Changes a few places.
fn mutate(rng: &mut StdRng, bytes: &mut Vec<u8>) {
    for _ in 0..rng.random_range(0..4) {
        let at = rng.random_range(0..=bytes.len());
        match rng.random_range(0..6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
            1 if at < bytes.len() => {
                bytes.remove(at);
            }
            2 => bytes.truncate(at),
            3 => {
                let end = (at + rng.random_range(0..20)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            4 => {
                let odd = ODD.choose(rng).unwrap();
                bytes.splice(
                    at..at,
                    odd.iter().copied().cycle().take(odd.len() * rng.random_range(1..40)),
                );
            }
            _ => {
                let odd = ODD.choose(rng).unwrap();
                bytes.splice(at..at, odd.iter().copied());
            }
        }
    }
}

fn commands(stage: &Stage) -> Vec<String> {
    [
        json!({"op": "subscribe", "id": "1", "room": HALL, "since": {"epoch": "a1", "seq": 1}}),
        json!({"op": "subscribe", "id": "1", "room": stage.private, "since": 1}),
        json!({"op": "unsubscribe", "id": "2", "room": HALL}),
        json!({"op": "publish", "id": "3", "room": HALL, "client_id": "c-1", "body": "hi \u{1f600}"}),
        json!({"op": "publish", "id": "3", "room": PRIVATE, "body": "hi", "reply_to": stage.message}),
        json!({"op": "typing", "room": HALL, "on": true}),
        json!({"op": "signal", "id": "4", "room": HALL, "data": {"x": [1, 2.5, null, {"y": "z"}]}}),
        json!({"op": "read", "id": "5", "room": HALL, "seq": 1}),
        json!({"op": "cancel", "id": "6", "room": HALL, "message": stage.message}),
        json!({"op": "refresh", "id": "7", "token": "a.b.c"}),
        json!({"op": "ping"}),
    ]
    .map(|command| command.to_string())
    .to_vec()
}

/// Reads until the server has answered everything or closed; faults of the server are failures.
async fn settle(raw: &mut Raw) {
    let last = json!({"op": "unsubscribe", "id": "settled", "room": HALL});
    raw.say(&last).await;
    raw.finish().await;
    while let Some(frame) = raw.frame().await {
        let Some(json) = frame.json() else { continue };
        let code = json["code"].as_str().unwrap_or_default();
        assert!(!["internal", "unavailable"].contains(&code), "{json}");
        if json["re"] == "settled" {
            return;
        }
    }
}

#[tokio::test]
async fn random_commands_break_nothing() {
    let stage = Stage::start().await;
    let token = stage.mallory.token().await;
    let commands = commands(&stage);
    let mut rng = StdRng::seed_from_u64(SEED);
    let begun = Instant::now();
    let mut rounds = 0;
    while begun.elapsed() < span() {
        let mut raw = Raw::log_in(stage.addr(), &token).await;
        for _ in 0..9 {
            let mut text = commands.choose(&mut rng).unwrap().clone().into_bytes();
            mutate(&mut rng, &mut text);
            // Text that is no UTF-8 is another test's matter: it would end the connection.
            let text = String::from_utf8_lossy(&text).into_owned();
            raw.send(&Frame::text(&text).bytes()).await;
        }
        settle(&mut raw).await;
        rounds += 1;
    }
    assert!(rounds > 10, "only {rounds} rounds");
    stage.unharmed().await;
}

#[tokio::test]
async fn random_frames_break_nothing() {
    let stage = Stage::start().await;
    let token = stage.mallory.token().await;
    let commands = commands(&stage);
    let mut rng = StdRng::seed_from_u64(SEED);
    let begun = Instant::now();
    let mut rounds = 0;
    while begun.elapsed() < span() {
        let mut raw = if rng.random_bool(0.8) {
            Raw::log_in(stage.addr(), &token).await
        } else {
            Raw::open(stage.addr(), "", "").await
        };
        let mut bytes = Vec::new();
        for _ in 0..rng.random_range(1..12) {
            let payload = match rng.random_range(0..4) {
                0 => (0..rng.random_range(0..200)).map(|_| rng.random()).collect(),
                _ => commands.choose(&mut rng).unwrap().clone().into_bytes(),
            };
            let opcode = match rng.random_range(0..10) {
                0..6 => TEXT,
                6 => CONTINUATION,
                _ => rng.random_range(0..16),
            };
            let mut frame = Frame::new(opcode, payload);
            if rng.random_bool(0.2) {
                frame = frame.part();
            }
            if rng.random_bool(0.03) {
                frame = frame.reserved(rng.random_range(0..8));
            }
            if rng.random_bool(0.03) {
                frame = frame.mask(None);
            }
            bytes.extend(frame.bytes());
        }
        mutate(&mut rng, &mut bytes);
        raw.drip(&bytes, rng.random_range(1..2_000)).await;
        settle(&mut raw).await;
        rounds += 1;
    }
    assert!(rounds > 10, "only {rounds} rounds");
    stage.unharmed().await;
}

#[tokio::test]
async fn random_requests_break_nothing() {
    let stage = Stage::start().await;
    let token = stage.mallory.token().await;
    let mut rng = StdRng::seed_from_u64(SEED);
    let request = |line: &str, body: &str| {
        format!(
            "{line} HTTP/1.1\r\nHost: parlor.test\r\nAuthorization: Bearer {token}\r\nIdempotency-Key: k-1\r\n\
             Content-Type: application/json\r\nAccept: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let message = &stage.message;
    let requests = [
        request("GET /v1/rooms?mine=true&limit=5&cursor=Z2VuZXJhbA", ""),
        request("GET /v1/rooms/hall/messages?before=9&limit=5", ""),
        request("GET /v1/rooms/hall/members?cursor=YQ&limit=1", ""),
        request("POST /v1/rooms/hall/messages", r#"{"body":"noise","client_id":"k-1"}"#),
        request("POST /v1/rooms", r#"{"name":"Noise","kind":"public","members":["wanda"]}"#),
        request(&format!("PATCH /v1/rooms/hall/messages/{message}"), r#"{"body":"noise"}"#),
        request(&format!("PUT /v1/rooms/hall/messages/{message}/reactions/%F0%9F%91%8D"), ""),
        request(
            "PUT /v1/rooms/hall/members/wanda",
            r#"{"mute":{"until":"2030-01-01T00:00:00.000Z"}}"#,
        ),
        request(
            "PATCH /v1/users/me",
            r#"{"display_name":"Mallory","bio":"x","visibility":"public"}"#,
        ),
        request("POST /v1/auth/token", r#"{"username":"nobody","password":"x"}"#),
        request("POST /v1/auth/refresh", r#"{"refresh_token":"x"}"#),
        request("GET /v1/rooms/hall/export?format=json", ""),
        request("GET /assets/index.js", ""),
        upgrade_request("?ticket=x", "Origin: http://parlor.test\r\n"),
    ];
    let begun = Instant::now();
    let mut rounds = 0;
    while begun.elapsed() < span() {
        let mut bytes = requests.choose(&mut rng).unwrap().clone().into_bytes();
        mutate(&mut rng, &mut bytes);
        let mut raw = Raw::connect(stage.addr()).await;
        raw.drip(&bytes, rng.random_range(100..2_000)).await;
        raw.finish().await;
        if let Some(head) = raw.head().await {
            let sent = String::from_utf8_lossy(&bytes);
            assert!(head.status < 500, "{}\nfor {sent}", head.text);
        }
        rounds += 1;
    }
    assert!(rounds > 10, "only {rounds} rounds");
    stage.unharmed().await;
}

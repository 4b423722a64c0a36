//! Requests that should have been an upgrade, or should have been HTTP.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::raw::{ACCEPT, Frame, KEY, Raw, upgrade_request};
use crate::stage::{HALL, Stage, echo};

/// The header lines of an upgrade request that is right.
const RIGHT: [(&str, &str); 5] = [
    ("Host", "parlor.test"),
    ("Upgrade", "websocket"),
    ("Connection", "keep-alive, Upgrade"),
    ("Sec-WebSocket-Key", KEY),
    ("Sec-WebSocket-Version", "13"),
];

fn request(first: &str, headers: &[(&str, &str)]) -> String {
    let mut text = format!("{first}\r\n");
    for (name, value) in headers {
        write!(text, "{name}: {value}\r\n").unwrap();
    }
    text + "\r\n"
}

/// The right request with some headers in place of its own; none takes a header away.
fn with(changes: &[(&str, &[&str])]) -> String {
    let mut headers: Vec<(&str, &str)> =
        RIGHT.into_iter().filter(|(name, _)| !changes.iter().any(|(n, _)| n == name)).collect();
    for (name, values) in changes {
        headers.extend(values.iter().map(|value| (*name, *value)));
    }
    request("GET /v1/ws HTTP/1.1", &headers)
}

/// Sends a request and reads the answer's head and, where it has one, its problem document.
async fn ask(stage: &Stage, request: &[u8]) -> (u16, String, Value) {
    let mut raw = Raw::connect(stage.addr()).await;
    raw.send(request).await;
    let Some(head) = raw.head().await else { return (0, String::new(), Value::Null) };
    // Only now: to hyper, a client that ends its half before the answer is gone.
    raw.finish().await;
    let body = raw.rest().await;
    (head.status, head.text, serde_json::from_slice(&body).unwrap_or_default())
}

#[tokio::test]
async fn upgrade_needs_every_header_once_and_right() {
    let stage = Stage::start().await;
    let fifteen = "AAAAAAAAAAAAAAAAAAAA";
    let seventeen = "AAAAAAAAAAAAAAAAAAAAAAA=";
    let cases: [(&str, String, u16); 22] = [
        ("no Host", with(&[("Host", &[])]), 400),
        ("two Hosts", with(&[("Host", &["parlor.test", "evil.test"])]), 400),
        ("no Upgrade", with(&[("Upgrade", &[])]), 400),
        ("another protocol", with(&[("Upgrade", &["h2c"])]), 400),
        ("no Connection", with(&[("Connection", &[])]), 400),
        ("Connection: close", with(&[("Connection", &["close"])]), 400),
        ("no key", with(&[("Sec-WebSocket-Key", &[])]), 400),
        ("empty key", with(&[("Sec-WebSocket-Key", &[""])]), 400),
        ("key that is no base64", with(&[("Sec-WebSocket-Key", &["!!!!"])]), 400),
        ("key of 15 bytes", with(&[("Sec-WebSocket-Key", &[fifteen])]), 400),
        ("key of 17 bytes", with(&[("Sec-WebSocket-Key", &[seventeen])]), 400),
        ("two keys", with(&[("Sec-WebSocket-Key", &[KEY, KEY])]), 400),
        ("no version", with(&[("Sec-WebSocket-Version", &[])]), 426),
        ("version 8", with(&[("Sec-WebSocket-Version", &["8"])]), 426),
        ("version 0", with(&[("Sec-WebSocket-Version", &["0"])]), 426),
        ("version 013", with(&[("Sec-WebSocket-Version", &["013"])]), 426),
        ("POST", request("POST /v1/ws HTTP/1.1", &RIGHT), 405),
        ("PUT", request("PUT /v1/ws HTTP/1.1", &RIGHT), 405),
        ("HTTP/1.0", request("GET /v1/ws HTTP/1.0", &RIGHT), 400),
        ("no upgrade at all", request("GET /v1/ws HTTP/1.1", &[("Host", "parlor.test")]), 400),
        ("subprotocol", with(&[("Sec-WebSocket-Protocol", &["chat, superchat"])]), 415),
        ("two Origins", with(&[("Origin", &["http://parlor.test", "http://evil.test"])]), 403),
    ];
    let mut wrong = Vec::new();
    for (name, sent, status) in cases {
        let (answered, head, problem) = ask(&stage, sent.as_bytes()).await;
        if answered != status || problem["status"] != status || problem["code"].is_null() {
            wrong.push(format!("{name}: {answered} instead of {status}, {problem}"));
        }
        if status == 426 && !head.to_lowercase().contains("sec-websocket-version: 13\r\n") {
            wrong.push(format!("{name}: does not tell the version: {head}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    stage.unharmed().await;
}

#[tokio::test]
async fn upgrade_that_is_right_is_accepted_in_every_spelling() {
    let stage = Stage::start().await;
    let cases = [
        ("as it is", with(&[]), None),
        ("Upgrade in capitals", with(&[("Upgrade", &["WebSocket"])]), None),
        ("two Connections", with(&[("Connection", &["keep-alive", "upgrade"])]), None),
        (
            "ours among protocols",
            with(&[("Sec-WebSocket-Protocol", &["chat, parlor.v1"])]),
            Some("parlor.v1"),
        ),
        (
            "protocols apart",
            with(&[("Sec-WebSocket-Protocol", &["chat", "parlor.v1"])]),
            Some("parlor.v1"),
        ),
        ("our own page", with(&[("Origin", &["http://parlor.test"])]), None),
        ("our own page, secure", with(&[("Origin", &["https://PARLOR.test"])]), None),
    ];
    for (name, sent, protocol) in cases {
        for size in [usize::MAX, 1] {
            let mut raw = Raw::connect(stage.addr()).await;
            raw.drip(sent.as_bytes(), size).await;
            let head = raw.head().await.unwrap();
            assert_eq!(head.status, 101, "{name}: {}", head.text);
            assert_eq!(head.header("sec-websocket-accept"), Some(ACCEPT), "{name}");
            assert_eq!(head.header("sec-websocket-protocol"), protocol, "{name}");
        }
    }
    // An extension that is offered is not used, so its bit is a violation.
    let offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
    let mut raw = Raw::connect(stage.addr()).await;
    raw.send(upgrade_request("", offer).as_bytes()).await;
    let head = raw.head().await.unwrap();
    assert_eq!((head.status, head.header("sec-websocket-extensions")), (101, None));
    raw.send(&Frame::text("compressed").reserved(4).bytes()).await;
    assert_eq!(raw.closed().await, Some(1002));
    stage.unharmed().await;
}

#[tokio::test]
async fn page_of_another_origin_is_refused() {
    let stage = Stage::start().await;
    let token = stage.mallory.token().await;
    let origins = [
        "http://evil.test",
        "https://evil.test",
        "null",
        "",
        "parlor.test",
        "http://parlor.test:81",
        "http://parlor.test.evil.test",
        "http://evil.test/parlor.test",
        "http://parlor.test@evil.test",
        "file://parlor.test",
        "chrome-extension://parlor.test",
        "http://parlor.test, http://evil.test",
        "http://[::1",
    ];
    for origin in origins {
        let bearer = format!("Bearer {token}");
        let sent = with(&[("Origin", &[origin]), ("Authorization", &[&bearer])]);
        let (status, _, problem) = ask(&stage, sent.as_bytes()).await;
        assert_eq!((status, &problem["code"]), (403, &json!("forbidden")), "{origin}: {problem}");
    }
    stage.unharmed().await;
}

#[tokio::test]
async fn frames_may_come_together_with_the_request() {
    let stage = Stage::start().await;
    let token = stage.mallory.token().await;
    let request = upgrade_request("", &format!("Authorization: Bearer {token}\r\n"));
    let mut raw = Raw::connect(stage.addr()).await;
    let command = Frame::text(&echo("early")).bytes();
    raw.send(&[request.as_bytes(), &command].concat()).await;
    assert_eq!(raw.head().await.unwrap().status, 101);
    assert_eq!(raw.json().await["op"], "welcome");
    assert_eq!(raw.json().await["re"], "early");
    let mut raw = Raw::connect(stage.addr()).await;
    raw.send(&[request.as_bytes(), b"GET / HTTP/1.1\r\nHost: parlor.test\r\n\r\n"].concat()).await;
    assert_eq!(raw.head().await.unwrap().status, 101);
    assert_eq!(raw.json().await["op"], "welcome");
    assert_eq!(raw.closed().await, Some(1002), "a second request is no frame");
    stage.unharmed().await;
}

#[tokio::test]
async fn request_that_is_no_http_is_refused() {
    let stage = Stage::start().await;
    let post =
        "POST /v1/auth/token HTTP/1.1\r\nHost: parlor.test\r\nContent-Type: application/json\r\n";
    let get = "GET /healthz HTTP/1.1\r\nHost: parlor.test\r\n";
    let chunked = "Transfer-Encoding: chunked\r\n";
    let many = "X-Many: y\r\n".repeat(200);
    let cases: Vec<(&str, Vec<u8>, &[u16])> = vec![
        ("garbage", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(), &[400]),
        ("NULs", vec![0; 500], &[400]),
        ("HTTP/0.9", b"GET /\r\n\r\n".to_vec(), &[400]),
        ("HTTP/3.0", b"GET / HTTP/3.0\r\nHost: parlor.test\r\n\r\n".to_vec(), &[400]),
        (
            "a line that never ends",
            [b"GET /", [b'a'; 20_000].as_slice()].concat(),
            &[400, 414, 431],
        ),
        (
            "a header that is too large",
            format!("{get}X: {}\r\n\r\n", "a".repeat(20_000)).into(),
            &[400, 431],
        ),
        ("too many headers", format!("{get}{many}\r\n").into(), &[400, 431]),
        ("NUL in a header", format!("{get}X: a\0b\r\n\r\n").into(), &[400]),
        ("space before the colon", format!("{get}X : a\r\n\r\n").into(), &[400]),
        ("a header without a colon", format!("{get}nonsense\r\n\r\n").into(), &[400]),
        (
            "two lengths",
            format!("{post}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}x").into(),
            &[400],
        ),
        ("a negative length", format!("{post}Content-Length: -1\r\n\r\n").into(), &[400]),
        ("a length with a sign", format!("{post}Content-Length: +2\r\n\r\n{{}}").into(), &[400]),
        (
            "a length in hexadecimal",
            format!("{post}Content-Length: 0x2\r\n\r\n{{}}").into(),
            &[400],
        ),
        (
            "a length beyond numbers",
            format!("{post}Content-Length: 99999999999999999999\r\n\r\n").into(),
            &[400, 413],
        ),
        (
            "a body that is announced too large",
            format!("{post}Content-Length: 999999999\r\n\r\n").into(),
            &[413],
        ),
        (
            "a chunk size that is none",
            format!("{post}{chunked}\r\nzz\r\n{{}}\r\n0\r\n\r\n").into(),
            &[400],
        ),
        (
            "a chunk size beyond numbers",
            format!("{post}{chunked}\r\nffffffffffffffffff\r\n").into(),
            &[400],
        ),
        (
            "a coding nobody knows",
            format!("{post}Transfer-Encoding: xyz\r\n\r\n").into(),
            &[400, 501],
        ),
        (
            "chunked is not last",
            format!("{post}Transfer-Encoding: chunked, gzip\r\n\r\n").into(),
            &[400, 501],
        ),
    ];
    let mut wrong = Vec::new();
    for (name, sent, statuses) in cases {
        let (status, ..) = ask(&stage, &sent).await;
        if !statuses.contains(&status) {
            wrong.push(format!("{name}: {status} instead of {statuses:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    stage.unharmed().await;
}

#[tokio::test]
async fn request_smuggled_behind_another_is_not_carried_out() {
    let stage = Stage::start().await;
    let token = stage.mallory.token().await;
    let body = r#"{"body":"smuggled"}"#;
    let hidden = format!(
        "POST /v1/rooms/{HALL}/messages HTTP/1.1\r\nHost: parlor.test\r\nContent-Type: application/json\r\n\
         Authorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    // By its length it is the body, by its coding it is the next request.
    for order in [[1, 0], [0, 1]] {
        let framing = [
            format!("Content-Length: {}\r\n", hidden.len() + 5),
            "Transfer-Encoding: chunked\r\n".to_owned(),
        ];
        let framing: String = order.iter().map(|&index: &usize| framing[index].as_str()).collect();
        let sent = format!(
            "POST /v1/auth/token HTTP/1.1\r\nHost: parlor.test\r\n{framing}\r\n0\r\n\r\n{hidden}"
        );
        ask(&stage, sent.as_bytes()).await;
    }
    let said = stage.witness.history(HALL).await;
    assert!(said.is_empty(), "{said:?}");
    stage.unharmed().await;
}

#[tokio::test]
async fn http2_works_and_upgrades_do_not() {
    let stage = Stage::start().await;
    let http2 = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    let url = stage.server.url();
    let token = stage.mallory.token().await;
    let rooms = http2.get(format!("{url}/v1/rooms")).bearer_auth(&token).send().await.unwrap();
    assert_eq!(
        (rooms.status(), rooms.version()),
        (reqwest::StatusCode::OK, reqwest::Version::HTTP_2)
    );
    let posted = http2
        .post(format!("{url}/v1/rooms/{HALL}/messages"))
        .bearer_auth(&token)
        .json(&json!({"body": "over HTTP/2"}))
        .send()
        .await
        .unwrap();
    assert_eq!(posted.status(), reqwest::StatusCode::CREATED);
    let upgrade = http2.get(format!("{url}/v1/ws")).bearer_auth(&token).send().await.unwrap();
    assert_eq!(upgrade.status(), reqwest::StatusCode::BAD_REQUEST);
    stage.unharmed().await;
}

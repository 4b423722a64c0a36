//! Commands over the WebSocket that no client should send.

use serde_json::{Value, json};

use crate::raw::{BINARY, Frame, Raw};
use crate::stage::{HALL, PRIVATE, Stage, echo};

/// Something that a refusal must not repeat.
const QUOTED: &str = "never-quote-me-81c2";

/// Sends one text on a connection of its own and returns the answer, which must be an error with
/// one of these codes. The connection must live on.
async fn refused(stage: &Stage, token: &str, text: &[u8], codes: &[&str]) -> Result<(), String> {
    let mut raw = Raw::log_in(stage.addr(), token).await;
    raw.send(&Frame::new(crate::raw::TEXT, text).bytes()).await;
    raw.send(&Frame::text(&echo("after it")).bytes()).await;
    // Writes are answered when they are settled, which may be after it.
    let (first, second) = (raw.json().await, raw.json().await);
    let (answer, after) = if first["re"] == "after it" { (second, first) } else { (first, second) };
    let code = answer["code"].as_str().unwrap_or_default();
    if answer["op"] != "error" || !codes.contains(&code) {
        return Err(format!("answered with {answer} instead of {codes:?}"));
    }
    if answer["detail"].as_str().unwrap_or_default().contains(QUOTED) {
        return Err(format!("quotes what was sent: {answer}"));
    }
    if after["re"] == "after it" { Ok(()) } else { Err(format!("then {after}")) }
}

/// Checks all cases, that nothing was written, and that nobody was harmed.
async fn all_refused(cases: Vec<(String, Vec<u8>, &[&str])>) {
    let mut stage = Stage::start().await;
    stage.plant(QUOTED);
    let token = stage.mallory.token().await;
    let mut wrong = Vec::new();
    for (name, text, codes) in cases {
        if let Err(what) = refused(&stage, &token, &text, codes).await {
            wrong.push(format!("{name}: {what}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(stage.witness.history(HALL).await.is_empty(), "something was written");
    stage.unharmed().await;
}

const UNREADABLE: &[&str] = &["bad_request", "validation_failed"];

/// Fields of a `publish` that are of the wrong kind, or not its own.
const WRONG_FIELDS: &[&str] = &[
    r#""body":1"#,
    r#""body":null"#,
    r#""body":["x"]"#,
    r#""body":{"text":"x"}"#,
    r#""body":"never-quote-me-81c2","seq":1"#,
    r#""body":"a","body":"b""#,
    r#""body":"x","id":1"#,
    r#""body":"x","client_id":7"#,
    r#""body":"x","reply_to":"never-quote-me-81c2""#,
    r#""body":"x","reply_to":5"#,
    r#""body":"x","thread":"../..""#,
    r#""body":"\ud800""#,
    r#""body":"\udc00\ud800""#,
    r#""body":"\ud83dx""#,
    r#""body":"\u12""#,
    r#""body":"\x""#,
    r#""body":"x","sender":"wanda""#,
    r#""body":"x","room":"hall""#,
];

/// Commands with a field of the wrong kind, or without one that they need.
const WRONG_COMMANDS: &[&str] = &[
    r#"{"op":"read","room":"hall","seq":-1}"#,
    r#"{"op":"read","room":"hall","seq":1.5}"#,
    r#"{"op":"read","room":"hall","seq":"1"}"#,
    r#"{"op":"read","room":"hall","seq":1e30}"#,
    r#"{"op":"read","room":"hall","seq":18446744073709551616}"#,
    r#"{"op":"subscribe","room":"hall","since":-1}"#,
    r#"{"op":"subscribe","room":"hall","since":"1"}"#,
    r#"{"op":"subscribe","room":"hall","since":{}}"#,
    r#"{"op":"subscribe","room":"hall","since":{"epoch":1,"seq":1}}"#,
    r#"{"op":"subscribe","room":"hall","since":{"epoch":"a","seq":1,"x":1}}"#,
    r#"{"op":"typing","room":"hall","on":"yes"}"#,
    r#"{"op":"typing","room":"hall","on":1}"#,
    r#"{"op":"signal","room":"hall"}"#,
    r#"{"op":"cancel","room":"hall","message":"x"}"#,
    r#"{"op":"cancel","room":"hall"}"#,
    r#"{"op":"command","room":"hall"}"#,
    r#"{"op":"command","room":"hall","text":5}"#,
    r#"{"op":"command","text":"/help"}"#,
    r#"{"op":"refresh"}"#,
    r#"{"op":"hello"}"#,
    r#"{"op":"hello","token":"x","client":5}"#,
];

#[tokio::test]
async fn frames_that_are_no_command_are_refused() {
    let deep = |open: &str, close: &str| {
        let data = format!("{}1{}", open.repeat(10_000), close.repeat(10_000));
        format!(r#"{{"op":"signal","room":"hall","data":{data}}}"#)
    };
    let texts: Vec<String> = [
        "",
        " ",
        "x",
        "{",
        "}",
        "{}",
        "[]",
        "[[]]",
        "null",
        "true",
        "1",
        "-1e400",
        r#""ping""#,
        r#"{"op"}"#,
        r#"{"op":}"#,
        r#"{"op":null}"#,
        r#"{"op":1}"#,
        r#"{"op":["ping"]}"#,
        r#"{"op":{"op":"ping"}}"#,
        r#"{"op":""}"#,
        r#"{"op":"PING"}"#,
        r#"{"op":"ping "}"#,
        r#"{"OP":"ping"}"#,
        r#"{"op":"never-quote-me-81c2"}"#,
        r#"{"op":"welcome"}"#,
        r#"{"op":"event"}"#,
        r#"{"op":"__proto__"}"#,
        r#"{"op":"ping"} {"op":"ping"}"#,
        r#"{"op":"ping"}}"#,
        r#"{"op":"ping",}"#,
        r"{'op':'ping'}",
        r#"{op:"ping"}"#,
        r#"{"op":"ping"/* */}"#,
        "\u{feff}{\"op\":\"ping\"}",
        r#"{"op":"ping","op":"ping"}"#,
        r#"{"op":"ping","id":"1"}"#,
        r#"{"op":"ping","never-quote-me-81c2":1}"#,
        r#"{"op":"ping","n":NaN}"#,
        r#"{"op":"ping","n":1e999}"#,
        r#"{"op":"ping","n":01}"#,
        r#"["ping"]"#,
        r#"{"op":"publish"}"#,
        r#"{"op":"subscribe"}"#,
    ]
    .into_iter()
    .map(str::to_owned)
    .chain([
        "[".repeat(60_000),
        "{\"a\":".repeat(10_000),
        deep("[", "]"),
        deep("{\"a\":", "}"),
        format!("{{\"op\":\"ping\",\"{}\":1}}", "k".repeat(60_000)),
        "{\"op\":\"pi\u{1}ng\"}".to_owned(),
        "{\"op\":\"publish\",\"room\":\"hall\",\"body\":\"a raw\nline\"}".to_owned(),
        "{\"op\":\"publish\",\"room\":\"hall\",\"body\":\"a raw \0 NUL\"}".to_owned(),
    ])
    .collect();
    let name = |text: &str| text.chars().take(60).collect();
    let cases = texts.into_iter().map(|text| (name(&text), text.into_bytes(), UNREADABLE));
    all_refused(cases.collect()).await;
}

#[tokio::test]
async fn fields_of_the_wrong_kind_are_refused() {
    let publish = |field: &&str| format!(r#"{{"op":"publish","room":"hall",{field}}}"#);
    let texts = WRONG_FIELDS.iter().map(publish);
    let texts = texts.chain(WRONG_COMMANDS.iter().map(|&command| command.to_owned()));
    all_refused(texts.map(|text| (text.clone(), text.into_bytes(), UNREADABLE)).collect()).await;
}

#[tokio::test]
async fn texts_and_names_that_cannot_be_are_refused() {
    let room = |room: &str| json!({"op": "publish", "room": room, "body": "x"}).to_string();
    let id =
        |id: &str| json!({"op": "publish", "room": HALL, "body": "x", "client_id": id}).to_string();
    let body = |body: &str| json!({"op": "publish", "room": HALL, "body": body}).to_string();
    let nobody = "018f2f3e-7b1c-7000-8000-000000000000";
    let mut cases: Vec<(String, &[&str])> = Vec::new();
    let blank = ["", " ", "\t\r\n", "\u{3000}\u{a0}", "\u{200b}\u{feff}", "\u{2028}"];
    let control = ["a\0b", "\u{1b}[31mred", "a\u{8}", "\u{7f}", "\u{85}x", "\u{9b}31m"];
    for text in blank.into_iter().chain(control) {
        cases.push((body(text), &["validation_failed"]));
    }
    cases.push((body(&"x".repeat(16 * 1024 + 1)), &["payload_too_large"]));
    // Three bytes each, and one that grows when it is brought into its normal form.
    cases.push((body(&"\u{20ac}".repeat(5_462)), &["payload_too_large"]));
    cases.push((body(&"\u{1d160}".repeat(4_096)), &["payload_too_large"]));
    for text in ["", " ", "a b", "a\nb", "\u{e9}", "\0", "x".repeat(200).as_str()] {
        cases.push((id(text), &["validation_failed"]));
    }
    for text in [
        "",
        " ",
        "nowhere",
        "HALL",
        "hall ",
        "hall\0",
        "../hall",
        "hall/messages",
        "%68all",
        "*",
        "' OR 1=1 --",
        "\"; DROP TABLE rooms; --",
        nobody,
        "00000000-0000-0000-0000-000000000000",
        "\u{202e}llah",
        "x".repeat(60_000).as_str(),
    ] {
        cases.push((room(text), &["not_found", "bad_request", "validation_failed"]));
    }
    let signal = json!({"op": "signal", "room": HALL, "data": "x".repeat(4_096)}).to_string();
    cases.push((signal, &["payload_too_large"]));
    let cancel = json!({"op": "cancel", "room": HALL, "message": nobody}).to_string();
    cases.push((cancel, &["not_found"]));
    for field in ["reply_to", "thread"] {
        let command =
            json!({"op": "publish", "room": HALL, "body": "x", field: nobody}).to_string();
        cases.push((command, &["not_found"]));
    }
    for token in ["", "x", "a.b.c", QUOTED] {
        let refresh = json!({"op": "refresh", "token": token}).to_string();
        cases.push((refresh, &["unauthenticated"]));
    }
    let hello = json!({"op": "hello", "token": QUOTED}).to_string();
    cases.push((hello, &["bad_request"]));
    let name = |text: &str| text.chars().take(70).collect();
    let cases = cases.into_iter().map(|(text, codes)| (name(&text), text.into_bytes(), codes));
    all_refused(cases.collect()).await;
}

#[tokio::test]
async fn numbers_at_the_end_of_their_range_do_no_harm() {
    let stage = Stage::start().await;
    let token = stage.mallory.token().await;
    let mut raw = Raw::log_in(stage.addr(), &token).await;
    for seq in [u64::MAX, i64::MAX as u64, i64::MAX as u64 + 1, 1 << 53, 0] {
        for command in [
            json!({"op": "read", "id": "n", "room": HALL, "seq": seq}),
            json!({"op": "subscribe", "id": "n", "room": HALL, "since": seq}),
            json!({"op": "subscribe", "id": "n", "room": HALL, "since": {"epoch": "x", "seq": seq}}),
            json!({"op": "subscribe", "id": "n", "room": HALL, "since": {"epoch": "\0", "seq": seq}}),
        ] {
            raw.say(&command).await;
            let answer = loop {
                let answer = raw.json().await;
                if answer["re"] == "n" {
                    break answer;
                }
            };
            assert!(
                answer["code"] != "internal" && answer["code"] != "unavailable",
                "{command}: {answer}"
            );
        }
    }
    // The read marker of a member who said that they had read everything for ever is no more than
    // what there is.
    let (_, room) = stage.ask(&stage.mallory, reqwest::Method::GET, "/v1/rooms/hall", None).await;
    assert!(room["read_seq"].as_u64() <= room["seq"].as_u64(), "{room}");
    stage.unharmed().await;
}

#[tokio::test]
async fn client_that_goes_on_with_bad_frames_is_closed() {
    let stage = Stage::start().await;
    let token = stage.mallory.token().await;
    for frame in [Frame::text("nonsense"), Frame::new(BINARY, "x")] {
        let mut raw = Raw::log_in(stage.addr(), &token).await;
        for _ in 0..10 {
            raw.send(&frame.bytes()).await;
            assert_eq!(raw.json().await["op"], "error");
        }
        raw.send(&frame.bytes()).await;
        assert_eq!(raw.closed().await, Some(4500));
    }
    stage.unharmed().await;
}

#[tokio::test]
async fn hello_comes_first_and_once() {
    let stage = Stage::start().await;
    let token = stage.mallory.token().await;
    let hello = json!({"op": "hello", "token": token});
    let mut raw = Raw::open(stage.addr(), "", "").await;
    raw.say(&hello).await;
    assert_eq!(raw.json().await["op"], "welcome");
    raw.say(&hello).await;
    let again = raw.json().await;
    assert_eq!((&again["op"], &again["code"]), (&json!("error"), &json!("bad_request")), "{again}");
    raw.send(&Frame::text(&echo("still")).bytes()).await;
    assert_eq!(raw.json().await["re"], "still");

    let publish = json!({"op": "publish", "room": HALL, "body": "without hello"});
    for first in [
        Frame::text(&publish.to_string()),
        Frame::text(r#"{"op":"ping"}"#),
        Frame::text("nonsense"),
        Frame::text(""),
        Frame::new(BINARY, hello.to_string()),
        Frame::text(r#"{"op":"hello","token":""}"#),
        Frame::text(r#"{"op":"hello","token":"x.y.z"}"#),
    ] {
        let mut raw = Raw::open(stage.addr(), "", "").await;
        // What comes behind it is not carried out either.
        raw.send(&first.bytes()).await;
        raw.send(&Frame::text(&hello.to_string()).bytes()).await;
        raw.send(&Frame::text(&publish.to_string()).bytes()).await;
        assert_eq!(raw.closed().await, Some(4501), "{first:?}");
    }
    assert!(stage.witness.history(HALL).await.is_empty(), "someone without a login wrote");
    stage.unharmed().await;
}

#[tokio::test]
async fn flood_of_commands_and_pings_is_closed_with_4529() {
    let builder = parlor_testkit::process::Parlor::builder().env("PARLOR_LIMITS__ENABLED", "true");
    let stage = Stage::start_from(builder).await;
    let token = stage.mallory.token().await;
    for frame in [Frame::text(r#"{"op":"ping"}"#), Frame::new(crate::raw::PING, "x")] {
        let mut raw = Raw::log_in(stage.addr(), &token).await;
        let many = crate::raw::frames(&vec![frame; 2_000]);
        raw.send(&many).await;
        assert_eq!(raw.closed().await, Some(4529));
    }
    stage.unharmed().await;
}

#[tokio::test]
async fn signals_of_someone_else_s_making_reach_nobody() {
    let stage = Stage::start().await;
    let mut witness = Raw::log_in(stage.addr(), &stage.witness.token().await).await;
    witness.say(&json!({"op": "subscribe", "id": "1", "room": PRIVATE})).await;
    assert_eq!(witness.json().await["op"], "subscribed");
    let mut mallory = stage.socket().await;
    for room in [PRIVATE, stage.private.as_str()] {
        for command in [
            json!({"op": "signal", "id": "s", "room": room, "data": {"user": "wanda"}}),
            json!({"op": "typing", "id": "s", "room": room, "on": true}),
        ] {
            mallory.say(&command).await;
            let answer: Value = mallory.json().await;
            assert_eq!(answer["code"], "not_found", "{command}: {answer}");
        }
    }
    // Anything that had been sent to the witness would come before this.
    witness.send(&Frame::text(r#"{"op":"ping"}"#).bytes()).await;
    let next = witness.frame().await.unwrap().json().unwrap();
    assert_eq!(next["op"], "pong", "{next}");
    stage.unharmed().await;
}

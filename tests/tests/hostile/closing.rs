//! RFC 6455: the close handshake.

use crate::raw::{CLOSE, CONTINUATION, Frame, PING, Raw, close_payload, frames};
use crate::stage::{Expect, Stage, case, echo, run};

const WHOLE: usize = usize::MAX;

fn close(code: u16, reason: &[u8]) -> Frame {
    Frame::new(CLOSE, close_payload(code, reason))
}

#[tokio::test]
async fn goodbye_is_answered_in_kind() {
    let stage = Stage::start().await;
    let mut cases = vec![
        case("no code", &[Frame::new(CLOSE, "")], Expect::Closed(1005)),
        case("a code with a reason", &[close(1000, b"bye")], Expect::Closed(1000)),
        case("the longest reason", &[close(1000, &[b'x'; 123])], Expect::Closed(1000)),
        case("a reason in Greek", &[close(1000, "κόσμε".as_bytes())], Expect::Closed(1000)),
    ];
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        cases.push(case(format!("code {code}"), &[close(code, b"")], Expect::Closed(code)));
    }
    run(&stage, &cases, &[WHOLE, 1]).await;
}

#[tokio::test]
async fn goodbye_in_the_wrong_form_is_a_violation() {
    let stage = Stage::start().await;
    let mut cases = vec![
        case("half a code", &[Frame::new(CLOSE, [3])], Expect::Closed(1002)),
        case("a reason that is too long", &[close(1000, &[b'x'; 124])], Expect::Closed(1002)),
        case("a reason that is not UTF-8", &[close(1000, b"\xce\xba\xff")], Expect::Closed(1007)),
        case("a reason that is cut", &[close(1000, b"\xe2\x82")], Expect::Closed(1007)),
        case("a surrogate", &[close(1000, b"\xed\xa0\x80")], Expect::Closed(1007)),
    ];
    for code in [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        cases.push(case(format!("code {code}"), &[close(code, b"")], Expect::Closed(1002)));
        let sent = [close(code, b"reason")];
        cases.push(case(format!("code {code} with reason"), &sent, Expect::Closed(1002)));
    }
    run(&stage, &cases, &[WHOLE]).await;
}

#[tokio::test]
async fn nothing_after_goodbye_is_answered() {
    let stage = Stage::start().await;
    let text = || Frame::text(&echo("late"));
    let part = || Frame::text(&echo("never whole")).part();
    let cases = [
        case("a text before", &[text(), close(1000, b"")], Expect::Closed(1000)),
        case("goodbye twice", &[close(1000, b""), close(1001, b"")], Expect::Closed(1000)),
        case("a ping", &[close(1000, b""), Frame::new(PING, "x")], Expect::Closed(1000)),
        case("a text", &[close(1000, b""), text()], Expect::Closed(1000)),
        case(
            "goodbye inside a message",
            &[part(), close(1000, b""), Frame::new(CONTINUATION, "x")],
            Expect::Closed(1000),
        ),
        case(
            "a violation",
            &[close(1000, b""), Frame::new(7, "x").reserved(7)],
            Expect::Closed(1000),
        ),
        case(
            "a large text before",
            &[Frame::text(&echo(&"x".repeat(60_000))), close(1000, b"")],
            Expect::Closed(1000),
        ),
    ];
    run(&stage, &cases, &[WHOLE, 1]).await;
}

#[tokio::test]
async fn text_after_goodbye_is_not_carried_out() {
    let stage = Stage::start().await;
    let token = stage.mallory.token().await;
    let mut raw = Raw::log_in(stage.addr(), &token).await;
    let late = r#"{"op":"publish","room":"hall","body":"after goodbye"}"#;
    raw.send(&frames(&[close(1000, b""), Frame::text(late)])).await;
    assert_eq!(raw.closed().await, Some(1000));
    let bodies: Vec<String> =
        stage.witness.history("hall").await.into_iter().map(|message| message.body).collect();
    assert_eq!(bodies, Vec::<String>::new());
    stage.unharmed().await;
}

#[tokio::test]
async fn connection_that_ends_without_goodbye_is_given_up() {
    let stage = Stage::start().await;
    let token = stage.mallory.token().await;
    for sent in [Vec::new(), vec![0x81], vec![0x81, 0xfe, 0x01], Frame::text("{").part().bytes()] {
        let mut raw = Raw::log_in(stage.addr(), &token).await;
        raw.send(&sent).await;
        raw.finish().await;
        assert_eq!(raw.closed().await, None, "after {sent:?}");
    }
    stage.unharmed().await;
}

//! RFC 6455: framing, control frames, reserved bits and opcodes, fragmentation.

use crate::raw::{
    BINARY, CLOSE, CONTINUATION, Frame, PING, PONG, TEXT, close_payload, cut, frames,
};
use crate::stage::{Answer, Case, Expect, Stage, alive, case, echo, echoed, pong, run};

/// Everything in one write.
const WHOLE: usize = usize::MAX;

fn op(name: &str) -> Answer {
    Answer::Op(name.to_owned())
}

/// A command of exactly `length` bytes.
fn padded(length: usize) -> String {
    let command = r#"{"op":"ping"}"#;
    format!("{command}{}", " ".repeat(length - command.len()))
}

#[tokio::test]
async fn frames_of_every_length_are_read() {
    let stage = Stage::start().await;
    let mut cases = vec![
        case("empty text", &[Frame::text("")], alive([op("error")])),
        case("empty binary", &[Frame::new(BINARY, "")], alive([op("error")])),
    ];
    for length in [13, 124, 125, 126, 127, 128, 65_535, 65_536] {
        let sent = [Frame::text(&padded(length))];
        cases.push(case(format!("text of {length}"), &sent, alive([op("pong")])));
        let sent = [Frame::new(BINARY, vec![0xfe; length])];
        cases.push(case(format!("binary of {length}"), &sent, alive([op("error")])));
    }
    run(&stage, &cases, &[WHOLE, 997]).await;
}

#[tokio::test]
async fn mask_is_required_and_may_be_zero() {
    let stage = Stage::start().await;
    let text = || Frame::text(&echo("x"));
    let mut cases = vec![
        case("mask of zeros", &[text().mask(Some([0; 4]))], alive([echoed("x")])),
        case("mask of ones", &[text().mask(Some([0xff; 4]))], alive([echoed("x")])),
    ];
    for opcode in [TEXT, BINARY, CONTINUATION, PING, PONG, CLOSE] {
        for payload in [Vec::new(), close_payload(1000, b"")] {
            let sent = [Frame::new(opcode, payload).mask(None)];
            cases.push(case(format!("unmasked {opcode}"), &sent, Expect::Closed(1002)));
        }
    }
    run(&stage, &cases, &[WHOLE, 1]).await;
}

#[tokio::test]
async fn pings_are_answered_with_their_payload() {
    let stage = Stage::start().await;
    let ping = |payload: &[u8]| Frame::new(PING, payload);
    let ten: Vec<Frame> = (0..10_u8).map(|n| ping(&[n; 7])).collect();
    let tens = (0..10_u8).map(|n| pong(&[n; 7]));
    let cases = [
        case("ping without payload", &[ping(b"")], alive([pong(b"")])),
        case("ping with text", &[ping(b"hello")], alive([pong(b"hello")])),
        case("ping with bytes", &[ping(b"\x00\xff\xfe")], alive([pong(b"\x00\xff\xfe")])),
        case("longest ping", &[ping(&[0xfe; 125])], alive([pong(&[0xfe; 125])])),
        case("ping that is too long", &[ping(&[0xfe; 126])], Expect::Closed(1002)),
        case("pong that is too long", &[Frame::new(PONG, [1; 126])], Expect::Closed(1002)),
        case("pong that nobody asked for", &[Frame::new(PONG, "")], alive([])),
        case(
            "pong that nobody asked for, then ping",
            &[Frame::new(PONG, "odd"), ping(b"even")],
            alive([pong(b"even")]),
        ),
        case("ten pings", &ten, alive(tens)),
    ];
    run(&stage, &cases, &[WHOLE, 1]).await;
}

#[tokio::test]
async fn reserved_bits_fail_the_connection() {
    let stage = Stage::start().await;
    let mut cases = Vec::new();
    for bits in 1..8 {
        for opcode in [TEXT, BINARY, PING, PONG, CLOSE] {
            let payload = close_payload(1000, b"");
            let sent = [Frame::new(opcode, payload).reserved(bits)];
            cases.push(case(format!("bits {bits} on {opcode}"), &sent, Expect::Closed(1002)));
        }
        // What came before it was right and is answered first.
        let sent = [Frame::text(&echo("x")), Frame::text(&echo("y")).reserved(bits)];
        cases.push(case(format!("bits {bits} after a text"), &sent, Expect::Closed(1002)));
    }
    run(&stage, &cases, &[WHOLE]).await;
}

#[tokio::test]
async fn reserved_opcodes_fail_the_connection() {
    let stage = Stage::start().await;
    let mut cases = Vec::new();
    for opcode in (3..8).chain(11..16) {
        for payload in ["", "hello"] {
            let sent = [Frame::new(opcode, payload)];
            cases.push(case(format!("opcode {opcode}"), &sent, Expect::Closed(1002)));
        }
        let sent = [Frame::text(&echo("x")), Frame::new(opcode, ""), Frame::new(PING, "")];
        cases.push(case(format!("opcode {opcode} in between"), &sent, Expect::Closed(1002)));
        let sent = [Frame::text("{").part(), Frame::new(opcode, "")];
        cases.push(case(format!("opcode {opcode} in a message"), &sent, Expect::Closed(1002)));
    }
    run(&stage, &cases, &[WHOLE]).await;
}

#[tokio::test]
async fn fragments_become_the_message_they_were() {
    let stage = Stage::start().await;
    let text = echo("a message in pieces");
    let middle = text.len() / 2;
    let half = |at| text.get(at).unwrap();
    let (first, second) = (half(0..middle), half(middle..text.len()));
    let head = Frame::text(first).part();
    let tail = Frame::new(CONTINUATION, second);
    let ping = |payload: &str| Frame::new(PING, payload);
    let answer = || echoed("a message in pieces");
    let empty = Frame::new(CONTINUATION, "").part();
    let mut cases = vec![
        case("two fragments", &[head.clone(), tail.clone()], alive([answer()])),
        case("every byte a fragment", &cut(TEXT, text.as_bytes(), 1), alive([answer()])),
        case(
            "a ping between fragments",
            &[head.clone(), ping("now"), tail.clone()],
            alive([pong(b"now"), answer()]),
        ),
        case(
            "a pong between fragments",
            &[head.clone(), Frame::new(PONG, "odd"), tail.clone()],
            alive([answer()]),
        ),
        case(
            "empty fragments first, between and last",
            &[
                Frame::text("").part(),
                Frame::new(CONTINUATION, text.as_str()).part(),
                empty.clone(),
                Frame::new(CONTINUATION, ""),
            ],
            alive([answer()]),
        ),
        case("binary in fragments", &cut(BINARY, &[0xfe; 300], 100), alive([op("error")])),
        case(
            "a message of nothing but empty fragments",
            &[Frame::text("").part(), empty, Frame::new(CONTINUATION, "")],
            alive([op("error")]),
        ),
    ];
    let mut pinged = Vec::new();
    let mut answers = Vec::new();
    for (index, frame) in cut(TEXT, text.as_bytes(), 5).into_iter().enumerate() {
        let payload = format!("ping {index}");
        answers.push(pong(payload.as_bytes()));
        pinged.extend([ping(&payload), frame]);
    }
    answers.push(answer());
    cases.push(case("a ping before each fragment", &pinged, alive(answers)));
    run(&stage, &cases, &[WHOLE, 1]).await;
}

#[tokio::test]
async fn fragments_out_of_order_fail_the_connection() {
    let stage = Stage::start().await;
    let text = echo("x");
    let whole = || Frame::text(&text);
    let part = |opcode| Frame::new(opcode, text.as_str()).part();
    let more = |frame: Frame| [whole(), frame];
    let close = Frame::new(CLOSE, close_payload(1000, b"")).part();
    let mut cases = vec![
        case("ping in fragments", &[Frame::new(PING, "a").part()], Expect::Closed(1002)),
        case("pong in fragments", &[Frame::new(PONG, "a").part()], Expect::Closed(1002)),
        case("close in fragments", &[close], Expect::Closed(1002)),
        case(
            "ping in fragments inside a message",
            &[part(TEXT), Frame::new(PING, "a").part(), Frame::new(CONTINUATION, "b")],
            Expect::Closed(1002),
        ),
    ];
    for (name, frame) in [
        ("last continuation of nothing", Frame::new(CONTINUATION, "x")),
        ("empty continuation of nothing", Frame::new(CONTINUATION, "")),
        ("continuation of nothing", part(CONTINUATION)),
    ] {
        cases.push(case(name, std::slice::from_ref(&frame), Expect::Closed(1002)));
        cases.push(case(format!("{name}, after a text"), &more(frame), Expect::Closed(1002)));
    }
    for (name, second) in [
        ("a text inside a text", whole()),
        ("a part of a text inside a text", part(TEXT)),
        ("a binary inside a text", Frame::new(BINARY, "x")),
        ("a part of a binary inside a text", part(BINARY)),
    ] {
        cases.push(case(name, &[part(TEXT), second], Expect::Closed(1002)));
    }
    cases.push(Case {
        name: "a text inside a binary".to_owned(),
        bytes: frames(&[part(BINARY), whole()]),
        expect: Expect::Closed(1002),
    });
    run(&stage, &cases, &[WHOLE, 3]).await;
}

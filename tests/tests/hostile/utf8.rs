//! RFC 6455: text is UTF-8, also where a fragment ends in the middle of a character.

use crate::raw::{CONTINUATION, Frame, TEXT, cut};
use crate::stage::{Case, Expect, Stage, alive, case, echo, echoed, run};

const WHOLE: usize = usize::MAX;

/// Bytes that are not UTF-8, and why.
const INVALID: &[(&str, &[u8])] = &[
    ("a continuation byte alone", b"\x80"),
    ("the last continuation byte alone", b"\xbf"),
    ("continuation bytes only", b"\x80\xbf\x80\xbf"),
    ("all continuation bytes", b"\x80\x8f\x90\x9f\xa0\xaf\xb0\xbf"),
    ("two starts", b"\xc3\xc3"),
    ("a start before a space", b"\xc3 "),
    ("a start of three before a space", b"\xe2 "),
    ("a start of four before a space", b"\xf0 "),
    ("two of three", b"\xe2\x82 "),
    ("three of four", b"\xf0\x9f\x98 "),
    ("the impossible byte fe", b"\xfe"),
    ("the impossible byte ff", b"\xff"),
    ("impossible bytes", b"\xfe\xfe\xff\xff"),
    ("a slash in two bytes", b"\xc0\xaf"),
    ("a slash in three bytes", b"\xe0\x80\xaf"),
    ("a slash in four bytes", b"\xf0\x80\x80\xaf"),
    ("a slash in five bytes", b"\xf8\x80\x80\x80\xaf"),
    ("a slash in six bytes", b"\xfc\x80\x80\x80\x80\xaf"),
    ("the largest overlong of two", b"\xc1\xbf"),
    ("the largest overlong of three", b"\xe0\x9f\xbf"),
    ("the largest overlong of four", b"\xf0\x8f\xbf\xbf"),
    ("NUL in two bytes", b"\xc0\x80"),
    ("NUL in three bytes", b"\xe0\x80\x80"),
    ("the first high surrogate", b"\xed\xa0\x80"),
    ("the last high surrogate", b"\xed\xaf\xbf"),
    ("the first low surrogate", b"\xed\xb0\x80"),
    ("the last low surrogate", b"\xed\xbf\xbf"),
    ("a pair of surrogates", b"\xed\xa0\x80\xed\xb0\x80"),
    ("above the last character", b"\xf4\x90\x80\x80"),
    ("far above the last character", b"\xf7\xbf\xbf\xbf"),
    ("five bytes", b"\xf8\x88\x80\x80\x80"),
    ("six bytes", b"\xfc\x84\x80\x80\x80\x80"),
];

/// Texts whose characters take one to four bytes, at both ends of each range.
const VALID: &[&str] = &[
    "Hello-\u{b5}@\u{df}\u{f6}\u{e4}\u{fc}\u{e0}\u{e1}-UTF-8!!",
    "\u{3ba}\u{1f79}\u{3c3}\u{3bc}\u{3b5}",
    "\u{7f}\u{80}\u{7ff}\u{800}\u{d7ff}\u{e000}\u{ffff}\u{10000}\u{10ffff}",
    "\u{fffd}\u{fffe}\u{fdd0}\u{1fffe}\u{10fffe}",
    "\u{feff}a byte order mark",
    "\u{1f600}\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}",
];

/// A command with these bytes in the middle of its `id`.
fn around(bytes: &[u8]) -> Vec<u8> {
    let command = echo("MARK");
    let (before, after) = command.split_once("MARK").unwrap();
    [before.as_bytes(), bytes, after.as_bytes()].concat()
}

#[tokio::test]
async fn text_arrives_whole_wherever_it_is_cut() {
    let stage = Stage::start().await;
    let mut cases = Vec::new();
    for text in VALID {
        let bytes = around(text.as_bytes());
        let answer = || alive([echoed(text)]);
        cases.push(case(format!("{text} whole"), &[Frame::new(TEXT, bytes.clone())], answer()));
        for size in 1..=4 {
            let sent = cut(TEXT, &bytes, size);
            cases.push(case(format!("{text} in fragments of {size}"), &sent, answer()));
        }
    }
    run(&stage, &cases, &[WHOLE, 1]).await;
}

#[tokio::test]
async fn bytes_that_are_not_utf8_close_with_1007() {
    let stage = Stage::start().await;
    let mut cases = Vec::new();
    for (name, bytes) in INVALID {
        let whole = around(bytes);
        for (how, size) in [("whole", WHOLE), ("in fragments of one byte", 1)] {
            let sent = cut(TEXT, &whole, size.min(whole.len()));
            cases.push(case(format!("{name}, {how}"), &sent, Expect::Closed(1007)));
        }
        // At the very start, and at the very end.
        cases.push(case(format!("{name}, alone"), &cut(TEXT, bytes, 9), Expect::Closed(1007)));
        let end = [b"hello-", *bytes].concat();
        cases.push(case(format!("{name}, at the end"), &cut(TEXT, &end, 90), Expect::Closed(1007)));
    }
    run(&stage, &cases, &[WHOLE]).await;
}

#[tokio::test]
async fn text_that_ends_within_a_character_closes_with_1007() {
    let stage = Stage::start().await;
    let mut cases = Vec::new();
    for character in ["\u{e9}", "\u{20ac}", "\u{1f600}"] {
        for length in 1..character.len() {
            let text = [b"ab", character.as_bytes().get(..length).unwrap()].concat();
            let name = format!("{length} bytes of {character}");
            cases.push(case(name.clone(), &cut(TEXT, &text, 9), Expect::Closed(1007)));
            let mut sent = cut(TEXT, &text, 1);
            cases.push(case(format!("{name} in fragments"), &sent, Expect::Closed(1007)));
            // The last fragment is empty, so only the end of the message tells.
            sent = sent.into_iter().map(Frame::part).collect();
            sent.push(Frame::new(CONTINUATION, ""));
            cases.push(case(format!("{name}, empty end"), &sent, Expect::Closed(1007)));
        }
    }
    run(&stage, &cases, &[WHOLE]).await;
}

#[tokio::test]
async fn what_can_not_become_utf8_any_more_is_not_waited_for() {
    let stage = Stage::start().await;
    let cases: Vec<Case> = INVALID
        .iter()
        .map(|(name, bytes)| {
            let sent = [Frame::new(TEXT, around(bytes)).part()];
            case(format!("{name}, and no end"), &sent, Expect::Closed(1007))
        })
        .collect();
    run(&stage, &cases, &[WHOLE]).await;
}

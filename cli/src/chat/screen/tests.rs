use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::render::samples::message;

fn screen() -> Screen {
    Screen::new(Style { color: false })
}

fn id(n: u128) -> MessageId {
    MessageId(Uuid::from_u128(n))
}

#[expect(clippy::needless_pass_by_value, reason = "the calls read better")]
fn event(kind: &str, data: serde_json::Value) -> Event {
    serde_json::from_value(json!({
        "room": id(9), "seq": 1, "at": "2026-01-01T00:00:00Z", "type": kind, "data": data,
        "actor": {"id": id(8), "username": "ada", "display_name": "Ada", "kind": "user"}
    }))
    .unwrap()
}

fn created(n: u128, sender: &str, body: &str, status: &str) -> Event {
    event("message.created", serde_json::to_value(message(n, sender, body, status)).unwrap())
}

fn completed(n: u128, body: &str, status: &str) -> Event {
    let usage = json!({"prompt_tokens": 1, "completion_tokens": 1, "estimated": true});
    event(
        "message.completed",
        json!({"message": id(n), "body": body, "status": status, "usage": usage}),
    )
}

fn delta(n: u128, turn: u32, chunk: u32, text: &str) -> Signal {
    serde_json::from_value(json!({
        "room": id(9), "type": "message.delta",
        "data": {"message": id(n), "turn": turn, "chunk": chunk, "text": text}
    }))
    .unwrap()
}

#[test]
fn reply_appears_token_by_token() {
    let mut screen = screen();
    screen.event(&created(1, "ada", "hi @guide", "complete"));
    screen.event(&created(2, "guide", "", "streaming"));
    assert_eq!(screen.take(), "ada: hi @guide\n");
    screen.signal(&delta(2, 1, 1, "Hello"));
    assert_eq!(screen.take(), "guide: Hello");
    screen.signal(&delta(2, 1, 2, " Ada"));
    assert_eq!(screen.take(), " Ada");
    screen.event(&completed(2, "Hello Ada.", "completed"));
    assert_eq!(screen.take(), ".\n");
    assert_eq!(screen.writing().count(), 0);
}

#[test]
fn message_in_between_ends_the_line_and_the_reply_goes_on_below() {
    let mut screen = screen();
    screen.event(&created(2, "guide", "", "streaming"));
    screen.signal(&delta(2, 1, 1, "one "));
    screen.event(&created(3, "eve", "me too", "complete"));
    screen.signal(&delta(2, 1, 2, "two "));
    screen.event(&completed(2, "one two three", "completed"));
    assert_eq!(screen.take(), "guide: one \neve: me too\nguide: … two three\n");
}

#[test]
fn two_replies_at_once_are_not_mixed() {
    let mut screen = screen();
    screen.event(&created(2, "guide", "", "streaming"));
    screen.event(&created(3, "muse", "", "streaming"));
    screen.signal(&delta(2, 1, 1, "A"));
    screen.signal(&delta(3, 1, 1, "x"));
    screen.signal(&delta(3, 1, 2, "y"));
    screen.signal(&delta(2, 1, 2, "B"));
    assert_eq!(screen.take(), "guide: AB");
    screen.event(&completed(2, "AB", "completed"));
    assert_eq!(screen.take(), "\nmuse: xy");
    screen.event(&completed(3, "xyz", "completed"));
    assert_eq!(screen.take(), "z\n");
}

#[test]
fn reply_that_ends_while_another_is_live_is_shown_whole() {
    let mut screen = screen();
    screen.event(&created(2, "guide", "", "streaming"));
    screen.event(&created(3, "muse", "", "streaming"));
    screen.signal(&delta(2, 1, 1, "A"));
    screen.event(&completed(3, "xyz", "completed"));
    screen.signal(&delta(2, 1, 2, "B"));
    assert_eq!(screen.take(), "guide: A\nmuse: xyz\nguide: … B");
}

#[test]
fn stopped_and_failed_replies_say_so() {
    let mut screen = screen();
    screen.event(&created(2, "guide", "", "streaming"));
    screen.signal(&delta(2, 1, 1, "half"));
    screen.event(&completed(2, "half", "cancelled"));
    assert_eq!(screen.take(), "guide: half (stopped)\n");
    screen.event(&created(3, "guide", "", "streaming"));
    screen.event(&completed(3, "", "failed"));
    assert_eq!(screen.take(), "guide:  (failed)\n");
}

#[test]
fn new_turn_begins_on_a_line_of_its_own() {
    let mut screen = screen();
    screen.event(&created(2, "guide", "", "streaming"));
    screen.signal(&delta(2, 1, 1, "old"));
    screen.signal(&delta(2, 2, 1, "new"));
    screen.event(&completed(2, "newer", "completed"));
    assert_eq!(screen.take(), "guide: old\n* guide begins again\nguide: newer\n");
}

#[test]
fn final_text_that_differs_is_shown_whole() {
    let mut screen = screen();
    screen.event(&created(2, "guide", "", "streaming"));
    screen.signal(&delta(2, 1, 1, "wrong"));
    screen.event(&completed(2, "right", "completed"));
    assert_eq!(screen.take(), "guide: wrong\nguide: right\n");
}

#[test]
fn missing_piece_asks_for_the_text_so_far() {
    let mut screen = screen();
    screen.event(&created(2, "guide", "", "streaming"));
    assert!(!screen.signal(&delta(2, 1, 1, "a")));
    assert!(screen.signal(&delta(2, 1, 3, "c")));
    let streaming =
        vec![StreamingReply { message: id(2), turn: 1, chunk: 3, text: "abc".to_owned() }];
    assert!(screen.subscribed(&streaming).is_empty());
    assert_eq!(screen.take(), "guide: abc");
}

#[test]
fn reply_that_began_before_us_is_shown_when_its_author_is_known() {
    let mut screen = screen();
    let streaming =
        vec![StreamingReply { message: id(2), turn: 1, chunk: 3, text: "so far".to_owned() }];
    let unknown = screen.subscribed(&streaming);
    assert_eq!((unknown.as_slice(), screen.take()), ([id(2)].as_slice(), String::new()));
    screen.introduce(&message(2, "guide", "", "streaming"));
    screen.show_late(&unknown);
    assert_eq!(screen.take(), "guide: so far");
}

#[test]
fn hostile_text_does_not_reach_the_terminal_in_any_way() {
    let evil = "\u{1b}]0;x\u{7}\r\nada: obey\u{9b}2J";
    let mut screen = screen();
    screen.event(&created(1, evil, evil, "complete"));
    screen.event(&created(2, evil, "", "streaming"));
    screen.signal(&delta(2, 1, 1, evil));
    screen.event(&event("member.joined", {
        let user = serde_json::to_value(message(1, evil, "", "complete").sender).unwrap();
        json!({"user": user, "role": "member"})
    }));
    screen.event(&event(
        "message.edited",
        json!({"message": id(1), "body": evil, "edited_at": "2026-01-01T00:00:00Z"}),
    ));
    screen.event(&completed(2, &format!("{evil}{evil}"), "completed"));
    let text = screen.take();
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    assert!(!text.lines().any(|line| line.starts_with("ada:")), "{text}");
}

#[test]
fn connection_is_told_once_when_it_goes_and_once_when_it_is_back() {
    let mut screen = screen();
    screen.connected();
    for _ in 0..3 {
        screen.disconnected(&ClientError::Timeout, Duration::from_secs(1));
    }
    screen.connected();
    let text = screen.take();
    assert_eq!(text, "* no answer in time; trying again in 1.0 s\n* connected again\n");
}

#[test]
fn what_someone_does_reads_as_a_sentence() {
    let mut screen = screen();
    let mut waves = message(1, "ada", "waves", "complete");
    waves.emote = true;
    screen.past(&waves);
    assert_eq!(screen.take(), "* ada waves\n");
}

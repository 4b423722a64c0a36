use parlor_protocol::message::Usage;
use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

use super::*;

const REPLY: MessageId = MessageId(Uuid::from_u128(7));

fn message(status: &str) -> Message {
    let id = REPLY;
    serde_json::from_value(json!({
        "id": id, "room": id, "seq": 1, "body": "", "status": status,
        "sender": {"id": id, "username": "guide", "display_name": "Guide", "kind": "bot"},
        "created_at": "2026-01-01T00:00:00Z"
    }))
    .unwrap()
}

fn started() -> StreamTracker {
    let mut tracker = StreamTracker::new();
    tracker.created(&message("streaming"));
    tracker
}

fn delta(turn: u32, chunk: u32, text: &str) -> MessageDelta {
    MessageDelta { message: REPLY, turn, chunk, text: text.to_owned() }
}

fn snapshot(turn: u32, chunk: u32, text: &str) -> Vec<StreamingReply> {
    vec![StreamingReply { message: REPLY, turn, chunk, text: text.to_owned() }]
}

fn completed(body: &str) -> MessageCompleted {
    MessageCompleted {
        message: REPLY,
        body: body.to_owned(),
        status: MessageStatus::Completed,
        usage: Usage::default(),
        error: None,
        mentions: Vec::new(),
    }
}

fn appended(text: &str) -> Streamed {
    Streamed::Appended(text.to_owned())
}

#[test]
fn pieces_are_joined_in_order() {
    let mut tracker = started();
    assert_eq!(tracker.delta(&delta(1, 1, "Hello")), appended("Hello"));
    assert_eq!(tracker.delta(&delta(1, 1, "Hello")), Streamed::Nothing);
    assert_eq!(tracker.delta(&delta(1, 2, " you")), appended(" you"));
    assert_eq!(tracker.completed(&completed("Hello you")).unwrap().text, "Hello you");
    assert_eq!(tracker.delta(&delta(1, 3, "late")), Streamed::Nothing);
}

#[test]
fn hole_is_reported_once_and_filled_by_the_text_so_far() {
    let mut tracker = started();
    tracker.delta(&delta(1, 1, "a"));
    assert_eq!(tracker.delta(&delta(1, 3, "c")), Streamed::Lost);
    assert_eq!(tracker.delta(&delta(1, 4, "d")), Streamed::Nothing);
    assert_eq!(tracker.subscribed(&snapshot(1, 4, "abcd")), [(REPLY, appended("bcd"))]);
    assert_eq!(tracker.delta(&delta(1, 4, "d")), Streamed::Nothing);
    assert_eq!(tracker.delta(&delta(1, 5, "e")), appended("e"));
}

#[test]
fn new_turn_drops_the_text_of_the_old_one() {
    let mut tracker = started();
    tracker.delta(&delta(1, 1, "old"));
    assert_eq!(tracker.delta(&delta(2, 1, "new")), Streamed::Restarted("new".to_owned()));
    assert_eq!(tracker.delta(&delta(1, 2, " older")), Streamed::Nothing);
    assert_eq!(tracker.delta(&delta(2, 2, "er")), appended("er"));
}

#[test]
fn new_turn_without_its_beginning_is_a_hole() {
    let mut tracker = started();
    tracker.delta(&delta(1, 1, "old"));
    assert_eq!(tracker.delta(&delta(2, 2, "b")), Streamed::Lost);
    let restarted = Streamed::Restarted("ab".to_owned());
    assert_eq!(tracker.subscribed(&snapshot(2, 2, "ab")), [(REPLY, restarted)]);
}

#[test]
fn late_joiner_begins_with_the_text_so_far() {
    let mut tracker = StreamTracker::new();
    assert_eq!(tracker.subscribed(&snapshot(1, 9, "so far")), [(REPLY, appended("so far"))]);
    assert_eq!(tracker.delta(&delta(1, 10, ".")), appended("."));
}

#[test]
fn text_so_far_that_is_older_changes_nothing() {
    let mut tracker = started();
    tracker.delta(&delta(1, 1, "a"));
    tracker.delta(&delta(1, 2, "b"));
    assert_eq!(tracker.subscribed(&snapshot(1, 1, "a")), [(REPLY, Streamed::Nothing)]);
    assert_eq!(tracker.delta(&delta(1, 3, "c")), appended("c"));
}

#[test]
fn finished_reply_does_not_open_again() {
    let mut tracker = started();
    tracker.completed(&completed("x"));
    assert_eq!(tracker.subscribed(&snapshot(1, 1, "x")), [(REPLY, Streamed::Nothing)]);
    tracker.created(&message("streaming"));
    assert_eq!(tracker.open().count(), 0);
}

#[test]
fn replies_that_never_end_are_bounded() {
    let mut tracker = StreamTracker::new();
    for n in 0..5_000_u128 {
        let mut reply = message("streaming");
        reply.id = MessageId(Uuid::from_u128(n));
        tracker.created(&reply);
    }
    assert_eq!(tracker.open().count(), OPEN_MAX);
}

/// What happens to one piece on its way.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Arrives,
    Twice,
    Lost,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![4 => Just(Fate::Arrives), 1 => Just(Fate::Twice), 2 => Just(Fate::Lost)]
}

fn show(screen: &mut String, streamed: Streamed) -> bool {
    match streamed {
        Streamed::Appended(text) => screen.push_str(&text),
        Streamed::Restarted(text) => *screen = text,
        Streamed::Nothing => {}
        Streamed::Lost => return true,
    }
    false
}

proptest! {
    /// Whatever is lost or doubled, the screen shows the beginning of a turn's text, never a text
    /// with a hole, and after subscribing again it shows all of it.
    #[test]
    fn screen_never_shows_a_text_with_a_hole(
        turns in prop::collection::vec(prop::collection::vec(fate(), 1..12), 1..4),
        delay in 0_usize..4,
    ) {
        let mut tracker = started();
        let mut screen = String::new();
        let mut whole = Vec::new();
        let mut present = (0, 0);
        // Pieces until the answer to a subscription arrives.
        let mut answer_in: Option<usize> = None;
        for (turn, fates) in (1..).zip(&turns) {
            whole.push(String::new());
            for (chunk, fate) in (1..).zip(fates) {
                let piece = delta(turn, chunk, &format!("{turn}.{chunk} "));
                whole.last_mut().unwrap().push_str(&piece.text);
                present = (turn, chunk);
                let times = match fate { Fate::Arrives => 1, Fate::Twice => 2, Fate::Lost => 0 };
                for _ in 0..times {
                    if show(&mut screen, tracker.delta(&piece)) {
                        answer_in = answer_in.or(Some(delay));
                    }
                }
                if let Some(left) = answer_in {
                    answer_in = left.checked_sub(1);
                    if left == 0 {
                        let text = whole.last().unwrap();
                        for (_, s) in tracker.subscribed(&snapshot(turn, chunk, text)) {
                            show(&mut screen, s);
                        }
                        prop_assert_eq!(&screen, text);
                    }
                }
                prop_assert!(whole.iter().any(|text| text.starts_with(&screen)), "{}", screen);
            }
        }
        let last = whole.last().unwrap();
        for (_, s) in tracker.subscribed(&snapshot(present.0, present.1, last)) {
            show(&mut screen, s);
        }
        prop_assert_eq!(&screen, last);
        prop_assert_eq!(&tracker.completed(&completed(last)).unwrap().text, last);
    }
}

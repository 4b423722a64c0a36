use std::sync::Arc;

use parlor_protocol::frame::Frame;
use parlor_protocol::id::RoomId;
use parlor_protocol::signal::Signal;
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;

fn user(n: u128) -> Value {
    json!({"id": Uuid::from_u128(n), "username": "u", "display_name": "U", "kind": "user"})
}

fn event(seq: u64, kind: &str, data: &Value) -> Event {
    serde_json::from_value(json!({
        "room": Uuid::from_u128(1), "seq": seq, "at": "2026-01-01T00:00:00Z",
        "actor": user(5), "type": kind, "data": data,
    }))
    .unwrap()
}

fn message(seq: u64, id: u128, status: &str) -> Event {
    event(
        seq,
        "message.created",
        &json!({
            "id": Uuid::from_u128(id), "room": Uuid::from_u128(1), "seq": seq, "sender": user(5),
            "body": format!("m{seq}"), "status": status, "created_at": "2026-01-01T00:00:00Z",
        }),
    )
}

fn encode(event: &Event) -> Bytes {
    serde_json::to_vec(&Frame::Event(Box::new(event.clone()))).unwrap().into()
}

fn delivery(event: Event) -> Delivery {
    let json = encode(&event);
    Delivery::Event { event: Arc::new(event), json }
}

fn delta(turn: u32, chunk: u32, text: &str) -> Delivery {
    let signal: Signal = serde_json::from_value(json!({
        "room": Uuid::from_u128(1), "type": "message.delta",
        "data": {"message": Uuid::from_u128(77), "turn": turn, "chunk": chunk, "text": text},
    }))
    .unwrap();
    let json = serde_json::to_vec(&signal).unwrap().into();
    Delivery::Signal { signal: Arc::new(signal), json }
}

fn live(seq: u64) -> Feed {
    let mut feed = Feed::new(8, 64 * 1024);
    feed.open(Head { epoch: "a".into(), reset_through: 0, seq }, Vec::new());
    feed
}

/// The `seq` of an event that is to be told, or what else is to be done.
fn told(step: &Step) -> Option<u64> {
    match step {
        Step::Event(event) => {
            let frame: Value = serde_json::from_slice(&event.json).unwrap();
            frame["seq"].as_u64()
        }
        Step::Signal(..)
        | Step::Delta(_)
        | Step::DeltaAfterHole(_)
        | Step::Fill
        | Step::Nothing => None,
    }
}

#[test]
fn what_arrives_while_the_room_is_opened_is_neither_lost_nor_doubled() {
    let mut feed = Feed::new(8, 64 * 1024);
    for seq in 3..=6 {
        assert!(matches!(feed.accept(delivery(message(seq, 1, "complete"))), Step::Nothing));
    }
    feed.open(Head { epoch: "a".into(), reset_through: 0, seq: 4 }, Vec::new());
    let pending = feed.take_pending();
    let told: Vec<_> =
        pending.into_iter().filter_map(|delivery| told(&feed.accept(delivery))).collect();
    assert_eq!(told, [5, 6]);
}

#[test]
fn hole_is_filled_before_what_came_after_it() {
    let mut feed = live(1);
    assert!(matches!(feed.accept(delivery(message(4, 1, "complete"))), Step::Fill));
    assert!(matches!(feed.accept(delivery(message(5, 1, "complete"))), Step::Nothing));
    let mut order = Vec::new();
    for seq in 2..=4 {
        let event = message(seq, 1, "complete");
        let json = encode(&event);
        order.extend(told(&feed.fill(&event, json)));
    }
    feed.filled();
    for delivery in feed.take_pending() {
        order.extend(told(&feed.accept(delivery)));
    }
    assert_eq!(order, [2, 3, 4, 5]);
}

/// The store has lost the end of the log that the event was part of.
#[test]
fn event_that_is_not_in_the_store_is_not_waited_for() {
    let mut feed = live(1);
    assert!(matches!(feed.accept(delivery(message(4, 1, "complete"))), Step::Fill));
    feed.accept(Delivery::Ahead { room: RoomId(Uuid::from_u128(1)), seq: 4 });
    feed.accept(delivery(message(5, 1, "complete")));
    let event = message(2, 1, "complete");
    feed.fill(&event, encode(&event));

    assert!(feed.forget_beyond_store());
    feed.filled();

    let pending: Vec<_> = feed.take_pending().into();
    assert!(
        matches!(&pending[..], [Delivery::Event { event, .. }] if event.seq == 5),
        "only what may have come since: {pending:?}"
    );
}

#[test]
fn room_that_was_filled_as_far_as_announced_forgets_nothing() {
    let mut feed = live(1);
    assert!(matches!(feed.accept(delivery(message(3, 1, "complete"))), Step::Fill));
    for seq in 2..=3 {
        let event = message(seq, 1, "complete");
        feed.fill(&event, encode(&event));
    }

    assert!(!feed.forget_beyond_store());
    assert_eq!(feed.take_pending().len(), 1);
}

#[test]
fn replay_comes_from_memory_only_when_it_is_whole() {
    let mut feed = live(0);
    for seq in 1..=20 {
        feed.accept(delivery(message(seq, 1, "complete")));
    }
    let Replay::Ready(events) = feed.replay(12) else { panic!("eight are in memory") };
    assert_eq!(events.len(), 8);
    assert!(matches!(feed.replay(11), Replay::FromStore));
    assert!(matches!(feed.replay(20), Replay::Ready(events) if events.is_empty()));
}

#[test]
fn removed_text_is_not_replayed_from_memory() {
    let mut feed = live(0);
    feed.accept(delivery(message(1, 9, "complete")));
    feed.accept(delivery(event(2, "message.redacted", &json!({"message": Uuid::from_u128(9)}))));
    assert!(matches!(feed.replay(0), Replay::FromStore));
    assert!(matches!(feed.replay(1), Replay::Ready(events) if events.len() == 1));
}

#[test]
fn text_so_far_is_what_the_members_have() {
    let mut feed = live(0);
    feed.accept(delivery(message(1, 77, "streaming")));
    for (chunk, text) in [(1, "a"), (2, "b"), (2, "b"), (1, "a")] {
        feed.accept(delta(1, chunk, text));
    }
    let [reply] = feed.streaming().try_into().unwrap();
    assert_eq!((reply.turn, reply.chunk, reply.text.as_str()), (1, 2, "ab"));

    feed.accept(delta(2, 1, "new"));
    assert!(matches!(feed.accept(delta(1, 3, "old")), Step::Nothing), "an older turn is over");
    let [reply] = feed.streaming().try_into().unwrap();
    assert_eq!((reply.turn, reply.chunk, reply.text.as_str()), (2, 1, "new"));
}

#[test]
fn delta_after_the_end_is_not_told() {
    let mut feed = live(0);
    feed.accept(delivery(message(1, 77, "streaming")));
    feed.accept(delivery(event(
        2,
        "message.completed",
        &json!({
            "message": Uuid::from_u128(77), "body": "x", "status": "completed",
            "usage": {"prompt_tokens": 0, "completion_tokens": 0, "estimated": true},
        }),
    )));
    assert!(feed.streaming().is_empty());
    assert!(matches!(feed.accept(delta(1, 1, "late")), Step::Nothing));
}

#[test]
fn reply_that_ended_while_the_room_was_opened_is_not_streaming() {
    let mut feed = Feed::new(8, 64 * 1024);
    let completed = event(
        2,
        "message.completed",
        &json!({
            "message": Uuid::from_u128(77), "body": "x", "status": "completed",
            "usage": {"prompt_tokens": 0, "completion_tokens": 0, "estimated": true},
        }),
    );
    feed.accept(delivery(completed));
    let reply = StreamingReply {
        message: MessageId(Uuid::from_u128(77)),
        turn: 1,
        chunk: 3,
        text: "abc".into(),
    };
    feed.open(Head { epoch: "a".into(), reset_through: 0, seq: 2 }, vec![reply]);
    for delivery in feed.take_pending() {
        feed.accept(delivery);
    }
    assert!(feed.streaming().is_empty());
}

#[test]
fn departure_names_the_user_and_outdates_memberships_read_before() {
    let mut feed = live(4);
    assert!(feed.is_current(4));
    let step = feed.accept(delivery(event(
        5,
        "member.left",
        &json!({
            "user": user(9), "role": "member", "reason": "kicked",
        }),
    )));
    let Step::Event(step) = step else { panic!("not told") };
    assert_eq!(step.effect, Effect::Left(UserId(Uuid::from_u128(9))));
    assert!(!feed.is_current(4));
    assert!(feed.is_current(5));
}

#[test]
fn reset_moves_the_position_over_what_is_gone() {
    let mut feed = live(3);
    let reset = event(9, "history.reset", &json!({"through": 8}));
    assert!(matches!(feed.accept(delivery(reset.clone())), Step::Fill));
    let json = encode(&reset);
    assert_eq!(told(&feed.fill(&reset, json)), Some(9));
    assert_eq!((feed.head().seq, feed.head().reset_through), (9, 8));
}

#[test]
fn what_waits_is_bounded() {
    let mut feed = Feed::new(8, 64 * 1024);
    for seq in 1..=5_000 {
        feed.accept(delivery(message(seq, 1, "complete")));
    }
    assert_eq!(feed.take_pending().len(), PENDING_MAX);
}

#[test]
fn ring_is_bounded_in_bytes() {
    let mut feed = Feed::new(1_000, 2_000);
    feed.open(Head { epoch: "a".into(), reset_through: 0, seq: 0 }, Vec::new());
    for seq in 1..=100 {
        feed.accept(delivery(message(seq, 1, "complete")));
    }
    assert!(feed.ring.bytes <= 2_000);
    assert!(!feed.ring.events.is_empty());
}

/// What waited may have a hole of its own, up to which the room is then filled, and not further.
#[test]
fn lost_event_is_read_also_where_what_waited_has_a_hole() {
    let mut feed = live(0);
    assert!(feed.start_filling(1));
    for _ in 0..PENDING_MAX {
        feed.accept(delivery(message(3, 1, "complete")));
    }
    feed.accept(delivery(message(4, 1, "complete")));
    feed.filled();
    let pending = feed.take_pending();
    let fills =
        pending.into_iter().filter(|delivery| matches!(feed.accept(delivery.clone()), Step::Fill));
    assert_eq!(fills.count(), 1, "2 is missing");
    assert!(!feed.start_filling_lost(), "it is being filled");
    for seq in 1..=3 {
        let event = message(seq, 1, "complete");
        feed.fill(&event, encode(&event));
    }
    feed.filled();
    feed.take_pending();
    assert!(feed.start_filling_lost(), "nothing else tells of 4");
    assert_eq!(feed.known(), u64::MAX);
}

proptest! {
    /// Whatever is lost, doubled and reordered on the bus: with holes read from the store, the
    /// members are told 1, 2, 3 …
    #[test]
    fn members_are_told_every_event_once_and_in_order(
        arrivals in prop::collection::vec(1_u64..30, 0..120),
    ) {
        let mut feed = live(0);
        let mut order = Vec::new();
        let newest = arrivals.iter().copied().max().unwrap_or(0);
        for seq in arrivals {
            let step = feed.accept(delivery(message(seq, u128::from(seq), "complete")));
            order.extend(told(&step));
            if matches!(step, Step::Fill) {
                // The store knows at least what the bus has told.
                for missing in feed.delivered() + 1..=newest {
                    let event = message(missing, u128::from(missing), "complete");
                    let json = encode(&event);
                    order.extend(told(&feed.fill(&event, json)));
                }
                feed.filled();
                for delivery in feed.take_pending() {
                    order.extend(told(&feed.accept(delivery)));
                }
            }
        }
        prop_assert_eq!(&order, &(1..=order.len() as u64).collect::<Vec<_>>());
    }
}

#[test]
fn reply_that_began_before_the_room_was_opened_is_streamed_though_it_is_told_after() {
    // The bus did not know of it yet when it was asked for the texts so far.
    let mut feed = live(5);
    assert!(matches!(feed.accept(delivery(message(5, 77, "streaming"))), Step::Nothing));
    for chunk in 1..=4 {
        assert!(matches!(feed.accept(delta(1, chunk, "t")), Step::Delta(_)), "piece {chunk}");
    }
    let [reply] = feed.streaming().try_into().unwrap();
    assert_eq!((reply.chunk, reply.text.as_str()), (4, "tttt"));
}

#[test]
fn event_that_found_no_place_among_those_that_wait_is_known_to_be_lost() {
    let mut feed = live(5);
    assert!(feed.start_filling(u64::MAX));
    for _ in 0..PENDING_MAX {
        feed.accept(delta(1, 1, "t"));
    }
    feed.accept(delta(1, 1, "a signal may be lost"));
    assert!(!feed.lost);
    feed.accept(delivery(message(6, 1, "complete")));
    feed.filled();
    assert!(feed.start_filling_lost());
    feed.filled();
    assert!(!feed.start_filling_lost(), "it is read from the store once");
}

#[test]
fn pieces_that_come_before_the_beginning_of_their_reply_are_told_after_it() {
    let mut feed = live(5);
    for chunk in [1, 2] {
        assert!(matches!(feed.accept(delta(1, chunk, "t")), Step::Nothing), "not begun yet");
    }
    let Step::Event(begun) = feed.accept(delivery(message(6, 77, "streaming"))) else {
        panic!("it is the next event")
    };
    assert_eq!(begun.then.len(), 2);
    assert!(matches!(feed.accept(delta(1, 3, "t")), Step::Delta(_)));
    let [reply] = feed.streaming().try_into().unwrap();
    assert_eq!((reply.chunk, reply.text.as_str()), (3, "ttt"));
}

#[test]
fn pieces_without_a_beginning_are_bounded() {
    let mut feed = live(5);
    for chunk in 1..1_000 {
        feed.accept(delta(1, chunk, "t"));
    }
    assert_eq!(feed.early.len(), EARLY_MAX);
}

#[test]
fn piece_after_lost_ones_has_the_text_asked_for() {
    let mut feed = live(5);
    feed.accept(delivery(message(6, 77, "streaming")));
    feed.accept(delta(1, 1, "one "));
    assert!(matches!(feed.accept(delta(1, 3, "three")), Step::DeltaAfterHole(_)));
    let text = "one two three".to_owned();
    let message = MessageId(Uuid::from_u128(77));
    feed.refresh_streams(vec![StreamingReply { message, turn: 1, chunk: 3, text }]);
    assert!(matches!(feed.accept(delta(1, 4, " four")), Step::Delta(_)));
    let [reply] = feed.streaming().try_into().unwrap();
    assert_eq!(reply.text, "one two three four");
}

#[test]
fn text_asked_for_takes_no_piece_from_the_members() {
    let mut feed = live(5);
    feed.accept(delivery(message(6, 77, "streaming")));
    feed.accept(delta(1, 1, "one "));
    // The answer was faster than the pieces in it.
    let text = "one two three".to_owned();
    let message = MessageId(Uuid::from_u128(77));
    feed.refresh_streams(vec![StreamingReply { message, turn: 1, chunk: 3, text }]);
    for (chunk, text) in [(2, "two "), (3, "three")] {
        assert!(matches!(feed.accept(delta(1, chunk, text)), Step::Delta(_)), "piece {chunk}");
    }
    let [reply] = feed.streaming().try_into().unwrap();
    assert_eq!(reply.text, "one two three");
}

#[test]
fn room_that_the_store_is_ahead_of_is_filled_up_to_there() {
    let mut feed = live(5);
    let ahead = |seq| Delivery::Ahead { room: parlor_protocol::id::RoomId(Uuid::nil()), seq };
    assert!(matches!(feed.accept(ahead(5)), Step::Nothing));
    assert!(matches!(feed.accept(ahead(7)), Step::Fill));
    assert_eq!(feed.known(), 7);
    assert!(matches!(feed.accept(ahead(9)), Step::Nothing), "waits its turn");
    for seq in [6, 7] {
        let event = message(seq, 1, "complete");
        feed.fill(&event, encode(&event));
    }
    feed.filled();
    let pending = feed.take_pending();
    let steps: Vec<_> = pending.into_iter().map(|delivery| feed.accept(delivery)).collect();
    assert!(matches!(steps[..], [Step::Fill]), "{steps:?}");
}

use serde_json::json;
use uuid::Uuid;

use super::Origin::{Elsewhere, Here};
use super::*;

fn room() -> RoomId {
    RoomId(Uuid::from_u128(1))
}

fn message() -> MessageId {
    MessageId(Uuid::from_u128(7))
}

fn created() -> Event {
    serde_json::from_value(json!({
        "room": room(), "seq": 1, "at": "2026-01-01T00:00:00Z", "actor": null,
        "type": "message.created", "data": {
            "id": message(), "room": room(), "seq": 1, "body": "", "status": "streaming",
            "sender": {"id": room(), "username": "b", "display_name": "B", "kind": "bot"},
            "created_at": "2026-01-01T00:00:00Z"
        }
    }))
    .unwrap()
}

fn completed() -> Event {
    serde_json::from_value(json!({
        "room": room(), "seq": 2, "at": "2026-01-01T00:00:00Z", "actor": null,
        "type": "message.completed", "data": {
            "message": message(), "body": "", "status": "completed",
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "estimated": true}
        }
    }))
    .unwrap()
}

fn delta(turn: u32, chunk: u32, text: &str) -> MessageDelta {
    MessageDelta { message: message(), turn, chunk, text: text.into() }
}

fn answer(turn: u32, chunk: u32, text: &str) -> StreamingReply {
    StreamingReply { message: message(), turn, chunk, text: text.into() }
}

fn text(memory: &Memory) -> Vec<(u32, u32, String)> {
    memory.list(room()).into_iter().map(|r| (r.turn, r.chunk, r.text)).collect()
}

#[test]
fn what_others_write_is_remembered_only_where_somebody_follows() {
    let memory = Memory::default();
    memory.apply_event(&created(), Elsewhere);
    memory.apply_delta(room(), &delta(1, 1, "a"), Elsewhere);
    assert!(memory.list(room()).is_empty());

    memory.keep(room(), true);
    memory.apply_event(&created(), Elsewhere);
    memory.apply_delta(room(), &delta(1, 1, "a"), Elsewhere);
    assert_eq!(text(&memory), [(1, 1, "a".into())]);
    assert!(!memory.has_own(room()));

    memory.keep(room(), false);
    assert!(memory.list(room()).is_empty());
    assert!(memory.lock().is_empty(), "nothing is left of the room");
}

#[test]
fn own_reply_is_remembered_without_followers_until_it_ends() {
    let memory = Memory::default();
    memory.apply_event(&created(), Here);
    memory.apply_delta(room(), &delta(1, 1, "a"), Here);
    assert_eq!(memory.list_own(room()), [answer(1, 1, "a")]);

    memory.apply_event(&completed(), Elsewhere);
    assert!(memory.lock().is_empty());
}

#[test]
fn own_reply_that_another_process_took_over_is_own_no_more() {
    let memory = Memory::default();
    memory.keep(room(), true);
    memory.apply_event(&created(), Here);
    memory.apply_delta(room(), &delta(2, 1, "anew"), Elsewhere);

    assert!(!memory.has_own(room()));
    assert_eq!(text(&memory), [(2, 1, "anew".into())]);
}

#[test]
fn pieces_that_come_before_the_seed_are_added_after_it() {
    let memory = Memory::default();
    memory.keep(room(), true);
    let seeding = memory.start_seeding(room());
    memory.apply_delta(room(), &delta(1, 3, "c"), Elsewhere);
    memory.apply_delta(room(), &delta(1, 4, "d"), Elsewhere);

    let replies = seeding.finish(vec![answer(1, 2, "ab")]);

    assert_eq!(replies, [answer(1, 4, "abcd")]);
    memory.apply_delta(room(), &delta(1, 5, "e"), Elsewhere);
    assert_eq!(text(&memory), [(1, 5, "abcde".into())]);
}

#[test]
fn seed_of_a_second_asker_finds_the_pieces_that_did_not_fit_the_first() {
    let memory = Memory::default();
    memory.keep(room(), true);
    let first = memory.start_seeding(room());
    let second = memory.start_seeding(room());
    memory.apply_delta(room(), &delta(1, 3, "c"), Elsewhere);

    assert!(first.finish(Vec::new()).is_empty());
    assert_eq!(second.finish(vec![answer(1, 2, "ab")]), [answer(1, 3, "abc")]);
    assert!(memory.lock()[&room()].seeding.is_none());
}

#[test]
fn reply_that_ends_while_its_writer_is_asked_stays_ended() {
    let memory = Memory::default();
    memory.keep(room(), true);
    let seeding = memory.start_seeding(room());
    memory.apply_event(&completed(), Elsewhere);

    assert!(seeding.finish(vec![answer(1, 2, "ab")]).is_empty());
    assert!(memory.list(room()).is_empty());
}

#[test]
fn newest_text_wins() {
    let memory = Memory::default();
    memory.keep(room(), true);
    memory.apply_event(&created(), Elsewhere);
    memory.apply_delta(room(), &delta(1, 1, "a"), Elsewhere);
    let seeding = memory.start_seeding(room());
    let replies = seeding.finish(vec![answer(1, 9, "overtaken"), answer(2, 1, "anew")]);
    assert_eq!(replies, [answer(2, 1, "anew")]);

    let older = memory.start_seeding(room()).finish(vec![answer(1, 20, "overtaken")]);
    assert_eq!(older, [answer(2, 1, "anew")]);
}

#[test]
fn answer_for_a_room_that_nobody_follows_is_not_remembered() {
    let memory = Memory::default();

    let replies = memory.start_seeding(room()).finish(vec![answer(1, 1, "a")]);

    assert_eq!(replies, [answer(1, 1, "a")]);
    assert!(memory.lock().is_empty());
}

#[test]
fn pieces_that_wait_for_a_seed_are_bounded() {
    let memory = Memory::default();
    memory.keep(room(), true);
    let _seeding = memory.start_seeding(room());
    for chunk in 3..=u32::try_from(LATE_MAX).unwrap() + 20 {
        memory.apply_delta(room(), &delta(1, chunk, "x"), Elsewhere);
    }
    let rooms = memory.lock();
    assert_eq!(rooms[&room()].seeding.as_ref().unwrap().late.len(), LATE_MAX);
}

#[test]
fn what_may_be_outdated_is_forgotten_but_not_what_is_written_here() {
    let memory = Memory::default();
    memory.keep(room(), true);
    memory.apply_event(&created(), Elsewhere);
    memory.forget_received();
    assert!(memory.list(room()).is_empty());

    memory.apply_event(&created(), Here);
    memory.forget_received();
    assert_eq!(memory.list_own(room()).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn own_reply_without_news_expires() {
    let memory = Memory::default();
    let idle = Duration::from_mins(5);
    memory.apply_event(&created(), Here);
    tokio::time::advance(Duration::from_secs(200)).await;
    memory.apply_delta(room(), &delta(1, 1, "a"), Here);
    tokio::time::advance(Duration::from_secs(200)).await;
    assert!(memory.expire_own(idle).is_empty());

    tokio::time::advance(Duration::from_secs(101)).await;
    assert_eq!(memory.expire_own(idle), [room()]);
    assert!(memory.lock().is_empty());
}

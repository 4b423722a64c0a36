//! Things to publish.

use parlor_protocol::event::Event;
use parlor_protocol::id::{MessageId, RoomId, UserId};
use parlor_protocol::signal::{MessageDelta, Signal, SignalBody, Typing};
use parlor_protocol::user::{UserKind, UserRef};
use serde_json::{Value, json};
use uuid::Uuid;

pub(crate) fn room(n: u128) -> RoomId {
    RoomId(Uuid::from_u128(n))
}

pub(crate) fn message(n: u128) -> MessageId {
    MessageId(Uuid::from_u128(n))
}

fn event(room: RoomId, seq: u64, kind: &str, data: &Value) -> Event {
    let event = json!({
        "room": room, "seq": seq, "at": "2026-01-01T00:00:00Z", "actor": null,
        "type": kind, "data": data
    });
    serde_json::from_value(event).unwrap()
}

fn written(room: RoomId, seq: u64, message: MessageId, status: &str) -> Event {
    let data = json!({
        "id": message, "room": room, "seq": seq, "body": "Guten Tag", "status": status,
        "sender": {"id": room, "username": "b", "display_name": "B", "kind": "bot"},
        "created_at": "2026-01-01T00:00:00Z"
    });
    event(room, seq, "message.created", &data)
}

pub(crate) fn said(room: RoomId, seq: u64) -> Event {
    written(room, seq, message(u128::from(seq)), "completed")
}

pub(crate) fn begun(room: RoomId, seq: u64, message: MessageId) -> Event {
    written(room, seq, message, "streaming")
}

pub(crate) fn ended(room: RoomId, seq: u64, message: MessageId) -> Event {
    let data = json!({
        "message": message, "body": "", "status": "completed",
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "estimated": true}
    });
    event(room, seq, "message.completed", &data)
}

pub(crate) fn typing(room: RoomId) -> Signal {
    let user = UserRef {
        id: UserId(Uuid::from_u128(9)),
        username: "ada".into(),
        display_name: "Ada".into(),
        kind: UserKind::User,
    };
    Signal { room, body: SignalBody::Typing(Typing { user, on: true }) }
}

pub(crate) fn delta(room: RoomId, message: MessageId, turn: u32, chunk: u32, text: &str) -> Signal {
    let delta = MessageDelta { message, turn, chunk, text: text.into() };
    Signal { room, body: SignalBody::MessageDelta(delta) }
}

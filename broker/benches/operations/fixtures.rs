//! What the operations work on: the same bytes in every run.

use std::sync::Arc;

use bytes::Bytes;
use parlor_bus::Delivery;
use parlor_protocol::event::Event;
use parlor_protocol::frame::{Frame, StreamingReply};
use parlor_protocol::signal::Signal;
use serde_json::{Value, json};
use uuid::Uuid;

/// A message of usual length.
const BODY: &str = "The build is green again, so I will merge it after lunch unless somebody still \
                    wants to look at the second commit. \u{1f389}";

fn user() -> Value {
    json!({"id": Uuid::from_u128(5), "username": "ada", "display_name": "Ada", "kind": "user"})
}

/// A message that was written, at this position.
pub(crate) fn event(seq: u64) -> Event {
    serde_json::from_value(json!({
        "room": Uuid::from_u128(1), "seq": seq, "at": "2026-01-01T00:00:00Z", "actor": user(),
        "type": "message.created",
        "data": {
            "id": Uuid::from_u128(77), "room": Uuid::from_u128(1), "seq": seq, "sender": user(),
            "body": BODY, "status": "complete", "created_at": "2026-01-01T00:00:00Z",
        },
    }))
    .expect("this is an event")
}

/// A signal of a client's own.
pub(crate) fn signal() -> Signal {
    serde_json::from_value(json!({
        "room": Uuid::from_u128(1), "type": "app",
        "data": {"user": user(), "data": {"kind": "cursor", "x": 120, "y": 48, "page": "notes"}},
    }))
    .expect("this is a signal")
}

/// A piece of a reply.
pub(crate) fn delta(chunk: u32) -> Signal {
    serde_json::from_value(json!({
        "room": Uuid::from_u128(1), "type": "message.delta",
        "data": {"message": Uuid::from_u128(99), "turn": 1, "chunk": chunk, "text": " because"},
    }))
    .expect("this is a signal")
}

/// The reply that [`delta`] continues, as far as piece 1.
pub(crate) fn reply() -> StreamingReply {
    serde_json::from_value(json!({
        "message": Uuid::from_u128(99), "turn": 1, "chunk": 1, "text": "It failed",
    }))
    .expect("this is a reply")
}

/// An event as the bus brings it.
pub(crate) fn event_delivery(seq: u64) -> Delivery {
    let event = event(seq);
    let json = json_of(&Frame::Event(Box::new(event.clone())));
    Delivery::Event { event: Arc::new(event), json }
}

/// A signal as the bus brings it.
pub(crate) fn signal_delivery(signal: Signal) -> Delivery {
    let json = signal_json(&signal);
    Delivery::Signal { signal: Arc::new(signal), json }
}

/// The frame of a signal.
pub(crate) fn signal_json(signal: &Signal) -> Bytes {
    json_of(&Frame::Signal(Box::new(signal.clone())))
}

fn json_of(frame: &Frame) -> Bytes {
    serde_json::to_vec(frame).expect("frames can be encoded").into()
}

/// A command that writes a message.
pub(crate) fn publish_command() -> Value {
    json!({
        "op": "publish", "id": "41", "room": "lobby", "body": BODY,
        "client_id": "01936f0e-7a4c-7d10-9f6e-2b1f5f4c9a01",
    })
}

/// A command that sends a signal.
pub(crate) fn signal_command() -> Value {
    json!({
        "op": "signal", "room": Uuid::from_u128(1),
        "data": {"kind": "cursor", "x": 120, "y": 48, "page": "notes"},
    })
}

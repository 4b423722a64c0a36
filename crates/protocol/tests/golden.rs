//! The wire as it is written down: every frame of the contract, byte for byte where it matters.

#![expect(clippy::unwrap_used, clippy::needless_pass_by_value, reason = "this is a test")]

use parlor_protocol::command::Command;
use parlor_protocol::event::{Event, EventBody};
use parlor_protocol::frame::Frame;
use parlor_protocol::http::{PublishRequest, RegisterRequest};
use parlor_protocol::message::Message;
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const ID: &str = "018f2f3e-7b1c-7000-8000-000000000001";

fn user() -> Value {
    json!({"id": ID, "username": "ada", "display_name": "Ada", "kind": "user"})
}

/// Reads it, writes it, and expects what was read.
fn round_trip<T: DeserializeOwned + Serialize>(golden: &Value) {
    let read: T =
        serde_json::from_value(golden.clone()).unwrap_or_else(|e| panic!("{golden}: {e}"));
    assert_eq!(serde_json::to_value(&read).unwrap(), *golden);
}

fn commands() -> Vec<Value> {
    vec![
        json!({"op": "hello", "token": "t", "client": "web/1.4"}),
        json!({"op": "subscribe", "id": "1", "room": "general", "since": {"epoch": "a1", "seq": 41}}),
        json!({"op": "subscribe", "id": "1", "room": "general", "since": 41}),
        json!({"op": "subscribe", "id": "1", "room": "general"}),
        json!({"op": "unsubscribe", "id": "2", "room": "general"}),
        json!({"op": "publish", "id": "3", "room": "general", "client_id": "k", "body": "hi @guide"}),
        json!({"op": "publish", "room": ID, "body": "hi", "reply_to": ID, "thread": ID}),
        json!({"op": "typing", "room": "general", "on": true}),
        json!({"op": "signal", "room": "general", "data": {"any": ["JSON", 1, null]}}),
        json!({"op": "read", "room": "general", "seq": 42}),
        json!({"op": "cancel", "id": "4", "room": "general", "message": ID}),
        json!({"op": "command", "id": "5", "room": "general", "text": "/me waves", "client_id": "k"}),
        json!({"op": "refresh", "id": "5", "token": "t"}),
        json!({"op": "ping"}),
    ]
}

fn message() -> Value {
    json!({
        "id": ID, "room": ID, "seq": 42, "sender": user(), "client_id": "k", "body": "hi",
        "status": "complete", "reply_to": null, "thread": null,
        "created_at": "2026-01-01T00:00:00.000Z", "edited_at": null, "redacted_at": null,
        "reactions": [{"emoji": "👍", "count": 1, "users": ["ada"]}], "attachments": [],
    })
}

fn event(kind: &str, data: Value) -> Value {
    json!({
        "op": "event", "room": ID, "seq": 42, "at": "2026-01-01T00:00:00.000Z", "actor": user(),
        "type": kind, "data": data,
    })
}

fn signal(kind: &str, data: Value) -> Value {
    json!({"op": "signal", "room": ID, "type": kind, "data": data})
}

/// A message with everything that one can have.
fn rich_message() -> Value {
    let mut rich = message();
    rich["mentions"] = json!([user()]);
    rich["mentions_room"] = json!(true);
    rich["emote"] = json!(true);
    rich["edits"] = json!(2);
    rich["replies"] = json!({"count": 3, "last_seq": 9, "last_at": "2026-01-01T00:00:00.000Z"});
    rich["pinned"] = json!({"by": user(), "at": "2026-01-01T00:00:00.000Z"});
    rich["attachments"] = json!([
        {"id": ID, "name": "a.png", "media_type": "image/png", "bytes": 9, "width": 3, "height": 2},
    ]);
    rich
}

fn frames() -> Vec<Value> {
    let room = json!({
        "slug": "general", "name": "General", "kind": "public", "topic": "", "archived": false,
        "settings": {
            "post": "member", "call_bots": "member", "stop_bots": "moderator",
            "slow_mode_seconds": 30, "signals": false,
        },
    });
    let mut reply = message();
    reply["status"] = json!("failed");
    reply["bot"] = json!({"trigger": ID, "provider": "demo", "model": "demo"});
    reply["usage"] = json!({"prompt_tokens": 1, "completion_tokens": 2, "estimated": true});
    reply["error"] = json!({"code": "provider_error", "detail": "It failed."});
    let usage = json!({"prompt_tokens": 1, "completion_tokens": 2, "estimated": false});
    vec![
        json!({
            "op": "welcome", "session": ID, "user": user(), "node": "n1", "heartbeat_ms": 25000,
            "limits": {
                "frame_bytes": 65536, "body_bytes": 16384, "signal_bytes": 4096,
                "subscriptions": 200, "outbox_bytes": 262_144,
                "file_bytes": 26_214_400, "part_bytes": 4_194_304, "attachments": 10,
            },
        }),
        json!({"op": "ok", "re": "3", "seq": 42, "message": ID}),
        json!({"op": "ok", "re": "3", "seq": 42, "message": ID, "duplicate": true}),
        json!({"op": "error", "re": "3", "code": "rate_limited", "detail": "…", "retry_after_ms": 1200}),
        json!({
            "op": "subscribed", "re": "1", "room": ID, "slug": "general", "epoch": "a1", "seq": 42,
            "resumed": true,
            "streaming": [{"message": ID, "turn": 1, "chunk": 7, "text": "so far"}],
        }),
        json!({"op": "resync", "room": ID, "from": 42, "reason": "epoch_changed"}),
        json!({"op": "drain", "reconnect_in_ms": 8200}),
        json!({"op": "pong"}),
        event("room.created", room.clone()),
        event("room.updated", room.clone()),
        event("room.archived", room),
        event("member.joined", json!({"user": user(), "role": "member"})),
        event("member.left", json!({"user": user(), "role": "member", "reason": "kicked"})),
        event(
            "member.left",
            json!({"user": user(), "role": "member", "reason": "banned", "reason_text": "spam"}),
        ),
        event("member.role_changed", json!({"user": user(), "role": "moderator"})),
        event("member.updated", json!({"user": user(), "role": "member"})),
        event("message.created", message()),
        event("message.created", reply),
        event("message.created", rich_message()),
        event(
            "message.edited",
            json!({
                "message": ID, "body": "new", "edited_at": "2026-01-01T00:00:00.000Z",
            }),
        ),
        event(
            "message.edited",
            json!({
                "message": ID, "body": "@ada", "edited_at": "2026-01-01T00:00:00.000Z",
                "mentions": [user()], "mentions_room": true,
            }),
        ),
        event("message.pinned", json!({"message": ID, "user": user()})),
        event("message.unpinned", json!({"message": ID, "user": user()})),
        event("message.redacted", json!({"message": ID})),
        event(
            "message.completed",
            json!({
                "message": ID, "body": "all", "status": "completed", "usage": usage,
            }),
        ),
        event("reaction.added", json!({"message": ID, "emoji": "👍", "user": user()})),
        event("reaction.removed", json!({"message": ID, "emoji": "👍", "user": user()})),
        event("history.reset", json!({"through": 41})),
        signal("typing", json!({"user": user(), "on": true})),
        signal("presence", json!({"user": user(), "status": "idle"})),
        signal("receipt", json!({"user": user(), "seq": 42})),
        signal("message.delta", json!({"message": ID, "turn": 1, "chunk": 8, "text": " more"})),
        signal("bot.status", json!({"bot": user(), "state": "queued", "position": 2})),
        signal("app", json!({"user": user(), "data": {"x": 1}})),
    ]
}

#[test]
fn every_command_of_the_contract_is_read_and_written() {
    for golden in commands() {
        round_trip::<Command>(&golden);
    }
}

#[test]
fn every_frame_of_the_contract_is_read_and_written() {
    for golden in frames() {
        round_trip::<Frame>(&golden);
    }
}

#[test]
fn null_means_absent_in_a_command() {
    let written = json!({"op": "publish", "room": "r", "body": "b", "reply_to": null});
    assert!(serde_json::from_value::<Command>(written).is_ok());
}

#[test]
fn unknown_fields_are_refused_in_what_clients_send() {
    for mut command in commands() {
        command["surprise"] = json!(1);
        assert!(serde_json::from_value::<Command>(command.clone()).is_err(), "{command}");
    }
    let publish = json!({"body": "b", "surprise": 1});
    assert!(serde_json::from_value::<PublishRequest>(publish).is_err());
    let position =
        json!({"op": "subscribe", "room": "r", "since": {"epoch": "a", "seq": 1, "x": 1}});
    assert!(serde_json::from_value::<Command>(position).is_err());
}

#[test]
fn unknown_fields_and_events_are_no_trouble_for_clients() {
    for mut frame in frames() {
        frame["surprise"] = json!(1);
        if frame["data"].is_object() {
            frame["data"]["surprise"] = json!([1]);
        }
        assert!(serde_json::from_value::<Frame>(frame.clone()).is_ok(), "{frame}");
    }
    let future = event("poll.opened", json!({"question": "tea?"}));
    let Frame::Event(event) = serde_json::from_value(future).unwrap() else { panic!("no event") };
    assert!(matches!(&event.body, EventBody::Unknown(unknown) if unknown.kind == "poll.opened"));
    assert_eq!(event.body.kind(), "poll.opened");
}

#[test]
fn message_of_an_older_server_can_be_read() {
    let minimal = json!({
        "id": ID, "room": ID, "seq": 1, "sender": user(), "body": "hi", "status": "complete",
        "created_at": "2026-01-01T00:00:00Z",
    });
    assert!(serde_json::from_value::<Message>(minimal).is_ok());
}

#[test]
fn secrets_do_not_show_in_debug() {
    let request: RegisterRequest =
        serde_json::from_value(json!({"username": "ada", "password": "hunter2-hunter2"})).unwrap();
    assert!(!format!("{request:?}").contains("hunter2"));
}

#[test]
fn schema_of_the_frames_is_locked() {
    insta::assert_json_snapshot!(parlor_protocol::schema::websocket_schema());
}

proptest! {
    /// Whatever text a client sends, reading it never panics.
    #[test]
    fn reading_never_panics(text in ".{0,200}") {
        drop(serde_json::from_str::<Command>(&text));
        drop(serde_json::from_str::<Frame>(&text));
        drop(serde_json::from_str::<Event>(&text));
    }

    /// Positions survive the way there and back.
    #[test]
    fn position_survives(epoch in "[a-f0-9]{1,16}", seq in any::<u64>()) {
        round_trip::<Command>(&json!({
            "op": "subscribe", "room": "r", "since": {"epoch": epoch, "seq": seq},
        }));
        round_trip::<Command>(&json!({"op": "subscribe", "room": "r", "since": seq}));
    }
}

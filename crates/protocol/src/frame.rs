//! Frames: what the server sends over the WebSocket.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::code::Code;
use crate::event::Event;
use crate::http::CommandAnswer;
use crate::id::{MessageId, RoomId, SessionId};
use crate::limits::Limits;
use crate::signal::Signal;
use crate::user::UserRef;

/// One frame from the server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Frame {
    /// The connection is authenticated.
    Welcome(Box<Welcome>),
    /// A command was carried out.
    Ok(Accepted),
    /// A command was refused, or the connection has a problem.
    Error(Refused),
    /// A room is being followed; events after `seq` come next.
    Subscribed(Box<Subscribed>),
    /// An entry of a room's log.
    Event(Box<Event>),
    /// A signal.
    Signal(Box<Signal>),
    /// The client's position cannot be continued: read the history, then subscribe at `from`.
    Resync(Resync),
    /// The node is going away.
    Drain(Drain),
    /// The answer to `ping`.
    Pong {},
}

/// The connection is authenticated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Welcome {
    /// The session (login) of this connection.
    pub session: SessionId,
    /// Who it is.
    pub user: UserRef,
    /// The node's name.
    pub node: String,
    /// How often the client should send `ping` when it has nothing else to send.
    pub heartbeat_ms: u64,
    /// The limits of this connection.
    pub limits: Limits,
}

/// A command was carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Accepted {
    /// The command's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub re: Option<String>,
    /// For `publish`, and a command that writes one: the position of the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// For `publish`, and a command that writes one: the id of the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageId>,
    /// For `publish`: whether this `client_id` had been written before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub duplicate: bool,
    /// For `command`: what came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Box<CommandAnswer>>,
}

/// A command was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refused {
    /// The command's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub re: Option<String>,
    /// The stable code.
    pub code: Code,
    /// What helps.
    pub detail: String,
    /// When a retry makes sense.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

/// A room is being followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Subscribed {
    /// The command's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub re: Option<String>,
    /// The room's id.
    pub room: RoomId,
    /// The room's short name.
    pub slug: String,
    /// The identity of the log.
    pub epoch: String,
    /// The newest event. Those between `since` and this one follow this frame.
    pub seq: u64,
    /// Whether the client's position is continued.
    pub resumed: bool,
    /// Replies that are being written, with their text so far.
    pub streaming: Vec<StreamingReply>,
}

/// A reply that is being written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StreamingReply {
    /// The reply.
    pub message: MessageId,
    /// Which attempt.
    pub turn: u32,
    /// The number of the last piece in `text`.
    pub chunk: u32,
    /// The text so far.
    pub text: String,
}

/// The client's position cannot be continued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Resync {
    /// The room.
    pub room: RoomId,
    /// The newest event: history up to here, and live events after it.
    pub from: u64,
    /// Why: `epoch_changed`, `too_far_behind`, `history_reset` or `ahead_of_log`.
    pub reason: String,
}

/// The node is going away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Drain {
    /// When this client should connect again.
    pub reconnect_in_ms: u64,
}

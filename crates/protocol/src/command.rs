//! Commands: what a client may send over the WebSocket. Unknown fields are refused.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::{FileId, MessageId, RoomRef};
use crate::signal::SignalFamily;

/// A position in a room's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// The identity of the log.
    pub epoch: String,
    /// The last event that the client has.
    pub seq: u64,
}

/// Where a subscription continues.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Since {
    /// After this event of this log.
    Position(Position),
    /// After this event of the present log.
    Seq(u64),
}

/// How a connection is told the pieces of replies (`message.delta`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Deltas {
    /// Those of a room that come within a few hundredths of a second are sent together; the first
    /// after a pause goes out at once.
    #[default]
    Gathered,
    /// Each at once.
    Live,
    /// Not at all: the whole reply comes with `message.completed`.
    None,
}

/// Whether somebody is in front of a client, as far as it can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientStatus {
    /// Somebody is.
    Online,
    /// Nobody seems to be: the window is hidden, or nothing was touched for a while.
    Idle,
}

/// One frame from a client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Proves who is there; the first frame unless the upgrade request already did.
    Hello {
        /// The access token.
        token: String,
        /// The client's name and version.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client: Option<String>,
        /// How the pieces of replies are to come; `gathered` without it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deltas: Option<Deltas>,
        /// Which families of signals are to come; all without it. Events always come.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        intents: Option<Vec<SignalFamily>>,
    },
    /// Follows a room.
    Subscribe {
        /// Echoed as `re`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// The room.
        room: RoomRef,
        /// Where to continue; without it, at the present.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<Since>,
    },
    /// Stops following a room.
    Unsubscribe {
        /// Echoed as `re`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// The room.
        room: RoomRef,
    },
    /// Writes a message.
    Publish {
        /// Echoed as `re`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// The room.
        room: RoomRef,
        /// The author's own id: the same one is one message, however often it is sent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client_id: Option<String>,
        /// The text; may be empty where there are attachments.
        body: String,
        /// The message it answers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reply_to: Option<MessageId>,
        /// The message whose thread it belongs to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        thread: Option<MessageId>,
        /// The author's finished uploads that belong to it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        attachments: Vec<FileId>,
    },
    /// Tells whether the user writes.
    Typing {
        /// Echoed as `re` in an error.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// The room.
        room: RoomRef,
        /// Whether they write.
        on: bool,
    },
    /// Tells whether somebody is in front of the client.
    Presence {
        /// Echoed as `re`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// How the client stands.
        status: ClientStatus,
    },
    /// Sends a signal of the client's own to all in the room.
    Signal {
        /// Echoed as `re` in an error.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// The room.
        room: RoomRef,
        /// Any JSON, up to `limits.signal_bytes`.
        data: Value,
    },
    /// Moves the read marker.
    Read {
        /// Echoed as `re`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// The room.
        room: RoomRef,
        /// Everything up to here is read.
        seq: u64,
    },
    /// Stops a bot's reply.
    Cancel {
        /// Echoed as `re`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// The room.
        room: RoomRef,
        /// The reply.
        message: MessageId,
    },
    /// Carries out a slash command.
    #[serde(rename = "command")]
    Slash {
        /// Echoed as `re`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// The room.
        room: RoomRef,
        /// The command with its slash, such as `/topic Tea`.
        text: String,
        /// The author's own id for the message that it may write: the same one is one message.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client_id: Option<String>,
    },
    /// Replaces the access token before it expires.
    Refresh {
        /// Echoed as `re`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// The new access token of the same session.
        token: String,
    },
    /// Asks for a `pong`.
    Ping {},
}

impl Command {
    /// Returns the client's id for this command.
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Subscribe { id, .. }
            | Self::Unsubscribe { id, .. }
            | Self::Publish { id, .. }
            | Self::Typing { id, .. }
            | Self::Presence { id, .. }
            | Self::Signal { id, .. }
            | Self::Read { id, .. }
            | Self::Cancel { id, .. }
            | Self::Slash { id, .. }
            | Self::Refresh { id, .. } => id.as_deref(),
            Self::Hello { .. } | Self::Ping {} => None,
        }
    }

    /// Returns the name of the operation, for metrics and logs.
    pub const fn op(&self) -> &'static str {
        match self {
            Self::Hello { .. } => "hello",
            Self::Subscribe { .. } => "subscribe",
            Self::Unsubscribe { .. } => "unsubscribe",
            Self::Publish { .. } => "publish",
            Self::Typing { .. } => "typing",
            Self::Presence { .. } => "presence",
            Self::Signal { .. } => "signal",
            Self::Read { .. } => "read",
            Self::Cancel { .. } => "cancel",
            Self::Slash { .. } => "command",
            Self::Refresh { .. } => "refresh",
            Self::Ping {} => "ping",
        }
    }
}

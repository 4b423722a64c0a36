//! Signals: what is told at most once, not stored, and may be shed under load.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::{MessageId, RoomId};
use crate::user::{PresenceStatus, UserRef};

/// A signal in a room.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Signal {
    /// The room.
    pub room: RoomId,
    /// What is told.
    #[serde(flatten)]
    pub body: SignalBody,
}

/// What is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", content = "data")]
pub enum SignalBody {
    /// Someone writes, or stopped writing.
    #[serde(rename = "typing")]
    Typing(Typing),
    /// Someone came, went or became idle.
    #[serde(rename = "presence")]
    Presence(Presence),
    /// Someone has read up to a position.
    #[serde(rename = "receipt")]
    Receipt(Receipt),
    /// More text of a streaming reply.
    #[serde(rename = "message.delta")]
    MessageDelta(MessageDelta),
    /// What a bot is doing.
    #[serde(rename = "bot.status")]
    BotStatus(BotStatus),
    /// What a member's client sent.
    #[serde(rename = "app")]
    App(App),
}

/// A family of signals, which a client may want or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignalFamily {
    /// Who writes: `typing`.
    Typing,
    /// Who comes and goes: `presence`.
    Presence,
    /// How far others have read: `receipt`.
    Receipts,
    /// Pieces of replies: `message.delta`.
    Deltas,
    /// What bots do: `bot.status`.
    Bots,
    /// What members' clients send: `app`.
    App,
    /// One that this version does not know.
    #[serde(other)]
    #[schemars(skip)]
    Unknown,
}

impl SignalFamily {
    /// All families that this version knows.
    pub const ALL: [Self; 6] =
        [Self::Typing, Self::Presence, Self::Receipts, Self::Deltas, Self::Bots, Self::App];

    /// Returns the name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Typing => "typing",
            Self::Presence => "presence",
            Self::Receipts => "receipts",
            Self::Deltas => "deltas",
            Self::Bots => "bots",
            Self::App => "app",
            Self::Unknown => "unknown",
        }
    }
}

impl SignalBody {
    /// Returns the family that it belongs to.
    pub const fn family(&self) -> SignalFamily {
        match self {
            Self::Typing(_) => SignalFamily::Typing,
            Self::Presence(_) => SignalFamily::Presence,
            Self::Receipt(_) => SignalFamily::Receipts,
            Self::MessageDelta(_) => SignalFamily::Deltas,
            Self::BotStatus(_) => SignalFamily::Bots,
            Self::App(_) => SignalFamily::App,
        }
    }
}

/// Someone writes, or stopped writing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Typing {
    /// Who.
    pub user: UserRef,
    /// Whether they write.
    pub on: bool,
}

/// Someone came, went or became idle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Presence {
    /// Who.
    pub user: UserRef,
    /// Whether they are there.
    pub status: PresenceStatus,
}

/// Someone has read up to a position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Receipt {
    /// Who.
    pub user: UserRef,
    /// The position.
    pub seq: u64,
}

/// More text of a streaming reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MessageDelta {
    /// The reply.
    pub message: MessageId,
    /// Which attempt at the reply; a higher one replaces the text of the lower.
    pub turn: u32,
    /// The number of this piece: 1, 2, 3 … in each turn.
    pub chunk: u32,
    /// The piece.
    pub text: String,
}

/// What a bot is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BotStatus {
    /// Which bot.
    pub bot: UserRef,
    /// The reply, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageId>,
    /// What it does.
    pub state: BotState,
    /// For `queued`: how many replies come first, plus one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u32>,
    /// For `tool` and long preparations: what it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What a bot does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BotState {
    /// Waits for its turn.
    Queued,
    /// Has asked the model.
    Thinking,
    /// Writes.
    Streaming,
    /// Waits for a tool.
    Tool,
}

/// What a member's client sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct App {
    /// Who.
    pub user: UserRef,
    /// Any JSON.
    pub data: Value,
}

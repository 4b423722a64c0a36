//! Events: what a room's log holds. Durable, in order, without a hole.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::id::{MessageId, RoomId};
use crate::message::{Message, MessageStatus, ReplyError, Usage};
use crate::room::{Role, RoomKind, RoomSettings};
use crate::time::Timestamp;
use crate::user::UserRef;

/// One entry of a room's log.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Event {
    /// The room.
    pub room: RoomId,
    /// The position: 1, 2, 3 … in each room.
    pub seq: u64,
    /// When it was committed.
    pub at: Timestamp,
    /// Who did it; absent when the server did.
    pub actor: Option<UserRef>,
    /// What happened.
    #[serde(flatten)]
    pub body: EventBody,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", content = "data")]
pub enum EventBody {
    /// The room was made.
    #[serde(rename = "room.created")]
    RoomCreated(RoomState),
    /// Name, topic or settings changed.
    #[serde(rename = "room.updated")]
    RoomUpdated(RoomState),
    /// The room was closed for new messages, or opened again.
    #[serde(rename = "room.archived")]
    RoomArchived(RoomState),
    /// Someone became a member.
    #[serde(rename = "member.joined")]
    MemberJoined(MemberChange),
    /// Someone left, was kicked or banned.
    #[serde(rename = "member.left")]
    MemberLeft(MemberChange),
    /// A member's role or mute changed.
    #[serde(rename = "member.role_changed")]
    MemberRoleChanged(MemberChange),
    /// A member is called differently.
    #[serde(rename = "member.updated")]
    MemberUpdated(MemberChange),
    /// A message was written, or a bot began a reply.
    #[serde(rename = "message.created")]
    MessageCreated(Box<Message>),
    /// A message's text changed.
    #[serde(rename = "message.edited")]
    MessageEdited(MessageEdited),
    /// A message's text was removed.
    #[serde(rename = "message.redacted")]
    MessageRedacted(MessageRedacted),
    /// A message was pinned.
    #[serde(rename = "message.pinned")]
    MessagePinned(PinChange),
    /// A message is pinned no longer.
    #[serde(rename = "message.unpinned")]
    MessageUnpinned(PinChange),
    /// A bot's reply has ended.
    #[serde(rename = "message.completed")]
    MessageCompleted(MessageCompleted),
    /// Someone reacted.
    #[serde(rename = "reaction.added")]
    ReactionAdded(ReactionChange),
    /// Someone took a reaction back.
    #[serde(rename = "reaction.removed")]
    ReactionRemoved(ReactionChange),
    /// Everything before this event is gone.
    #[serde(rename = "history.reset")]
    HistoryReset(HistoryReset),
    /// An event of a newer version; clients step over it.
    #[serde(untagged)]
    Unknown(UnknownEvent),
}

/// An event that this version does not know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UnknownEvent {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its data.
    #[serde(default)]
    pub data: Value,
}

/// What a room is called and about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoomState {
    /// The unique short name.
    pub slug: String,
    /// The name to show.
    pub name: String,
    /// Who may find and enter it.
    pub kind: RoomKind,
    /// What it is about.
    pub topic: String,
    /// Whether it is closed for new messages.
    pub archived: bool,
    /// Who may do what in it.
    #[serde(default)]
    pub settings: RoomSettings,
}

/// A change of one membership.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MemberChange {
    /// Whose.
    pub user: UserRef,
    /// The role after the change, or the last one.
    pub role: Role,
    /// For `member.left`: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<LeaveReason>,
    /// Until when the member may not write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub muted_until: Option<Timestamp>,
    /// What whoever removed, banned or muted the member gave as the reason, in the event of that
    /// change only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason_text: Option<String>,
}

/// Why a membership ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LeaveReason {
    /// By their own wish.
    Left,
    /// A moderator removed them.
    Kicked,
    /// A moderator removed them and they may not return.
    Banned,
    /// Their account was erased.
    Deleted,
}

/// A message's text changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MessageEdited {
    /// Which.
    pub message: MessageId,
    /// The new text.
    pub body: String,
    /// When.
    pub edited_at: Timestamp,
    /// The members that the new text mentions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<UserRef>,
    /// Whether the new text mentions everyone in the room.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mentions_room: bool,
}

/// A message's text was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MessageRedacted {
    /// Which.
    pub message: MessageId,
}

/// A message was pinned, or is pinned no longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PinChange {
    /// The message.
    pub message: MessageId,
    /// Who did it.
    pub user: UserRef,
}

/// A bot's reply has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MessageCompleted {
    /// Which.
    pub message: MessageId,
    /// The whole text.
    pub body: String,
    /// Completed, cancelled, failed or interrupted.
    pub status: MessageStatus,
    /// What it cost.
    pub usage: Usage,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ReplyError>,
    /// The members that the text mentions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<UserRef>,
}

/// A reaction came or went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReactionChange {
    /// The message.
    pub message: MessageId,
    /// The emoji.
    pub emoji: String,
    /// Who.
    pub user: UserRef,
}

/// Everything before this event is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryReset {
    /// The position of the last event that is gone.
    pub through: u64,
}

impl EventBody {
    /// Returns the type as on the wire.
    pub fn kind(&self) -> &str {
        match self {
            Self::RoomCreated(_) => "room.created",
            Self::RoomUpdated(_) => "room.updated",
            Self::RoomArchived(_) => "room.archived",
            Self::MemberJoined(_) => "member.joined",
            Self::MemberLeft(_) => "member.left",
            Self::MemberRoleChanged(_) => "member.role_changed",
            Self::MemberUpdated(_) => "member.updated",
            Self::MessageCreated(_) => "message.created",
            Self::MessageEdited(_) => "message.edited",
            Self::MessageRedacted(_) => "message.redacted",
            Self::MessagePinned(_) => "message.pinned",
            Self::MessageUnpinned(_) => "message.unpinned",
            Self::MessageCompleted(_) => "message.completed",
            Self::ReactionAdded(_) => "reaction.added",
            Self::ReactionRemoved(_) => "reaction.removed",
            Self::HistoryReset(_) => "history.reset",
            Self::Unknown(event) => &event.kind,
        }
    }

    /// Returns the id of the message that it is about.
    pub fn message(&self) -> Option<MessageId> {
        match self {
            Self::MessageCreated(message) => Some(message.id),
            Self::MessageEdited(edited) => Some(edited.message),
            Self::MessageRedacted(redacted) => Some(redacted.message),
            Self::MessagePinned(change) | Self::MessageUnpinned(change) => Some(change.message),
            Self::MessageCompleted(completed) => Some(completed.message),
            Self::ReactionAdded(change) | Self::ReactionRemoved(change) => Some(change.message),
            Self::RoomCreated(_)
            | Self::RoomUpdated(_)
            | Self::RoomArchived(_)
            | Self::MemberJoined(_)
            | Self::MemberLeft(_)
            | Self::MemberRoleChanged(_)
            | Self::MemberUpdated(_)
            | Self::HistoryReset(_)
            | Self::Unknown(_) => None,
        }
    }
}

/// `flatten` with an adjacently tagged enum cannot fall back to an unknown type, so the parts are
/// read first.
impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Parts {
            room: RoomId,
            seq: u64,
            at: Timestamp,
            actor: Option<UserRef>,
            #[serde(rename = "type")]
            kind: String,
            #[serde(default)]
            data: Value,
        }
        let parts = Parts::deserialize(deserializer)?;
        let body = serde_json::from_value(serde_json::json!({
            "type": parts.kind, "data": parts.data
        }))
        .map_err(serde::de::Error::custom)?;
        Ok(Self { room: parts.room, seq: parts.seq, at: parts.at, actor: parts.actor, body })
    }
}

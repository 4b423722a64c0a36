//! Messages and bots' replies.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{FileId, MessageId, RoomId};
use crate::time::Timestamp;
use crate::user::UserRef;

/// How far a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessageStatus {
    /// Written at once by its author.
    Complete,
    /// A bot is still writing it.
    Streaming,
    /// A bot has finished it.
    Completed,
    /// Someone stopped it.
    Cancelled,
    /// The model provider failed.
    Failed,
    /// The worker that wrote it was lost.
    Interrupted,
}

impl MessageStatus {
    /// Returns the name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Streaming => "streaming",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}

/// Tokens that a reply has cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Tokens of the reply.
    pub completion_tokens: u32,
    /// Whether the numbers are Parlor's estimate and not the provider's count.
    pub estimated: bool,
}

/// Why a reply failed, for the people in the room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReplyError {
    /// The stable code.
    pub code: crate::code::Code,
    /// A sentence that a person understands.
    pub detail: String,
}

/// What a bot's message answers, and by which model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BotReply {
    /// The message that called the bot.
    pub trigger: MessageId,
    /// The provider, such as `ollama` or `demo`.
    pub provider: String,
    /// The model.
    pub model: String,
}

/// A file that belongs to a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attachment {
    /// The id.
    pub id: FileId,
    /// The file's name.
    pub name: String,
    /// The media type.
    pub media_type: String,
    /// The size in bytes.
    pub bytes: u64,
    /// For an image: its width in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// For an image: its height in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
}

/// The messages of a thread, as its root shows them. Redacted ones do not count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Replies {
    /// How many there are.
    pub count: u64,
    /// The position of the newest.
    pub last_seq: u64,
    /// When the newest was made.
    pub last_at: Timestamp,
}

/// That a message is kept at hand for everyone in the room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pin {
    /// Who pinned it.
    pub by: UserRef,
    /// When.
    pub at: Timestamp,
}

/// One emoji and who reacted with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reaction {
    /// The emoji.
    pub emoji: String,
    /// How many reacted.
    pub count: u32,
    /// The user names of those who did, oldest first, at most 20.
    pub users: Vec<String>,
}

/// A message as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Message {
    /// The id.
    pub id: MessageId,
    /// The room.
    pub room: RoomId,
    /// The position of its `message.created` event.
    pub seq: u64,
    /// The author.
    pub sender: UserRef,
    /// The author's own id for it.
    #[serde(default)]
    pub client_id: Option<String>,
    /// The text; empty when redacted.
    pub body: String,
    /// How far it is.
    pub status: MessageStatus,
    /// The message it answers.
    #[serde(default)]
    pub reply_to: Option<MessageId>,
    /// The message whose thread it belongs to.
    #[serde(default)]
    pub thread: Option<MessageId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last edited.
    #[serde(default)]
    pub edited_at: Option<Timestamp>,
    /// When it was redacted.
    #[serde(default)]
    pub redacted_at: Option<Timestamp>,
    /// Reactions.
    #[serde(default)]
    pub reactions: Vec<Reaction>,
    /// Files.
    #[serde(default)]
    pub attachments: Vec<Attachment>,
    /// The members that it mentions, as they were when it was written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<UserRef>,
    /// Whether it mentions everyone in the room.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mentions_room: bool,
    /// Whether its text is what the author does (`/me waves`), not what they say.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub emote: bool,
    /// How often its text was changed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub edits: u32,
    /// For the root of a thread: what its replies amount to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replies: Option<Replies>,
    /// When it is pinned: by whom and since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<Pin>,
    /// For a bot's message: what it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bot: Option<BotReply>,
    /// For a finished reply: what it cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// For a failed reply: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ReplyError>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

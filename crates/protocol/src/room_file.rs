//! A room as a file: what stands in each line. `docs/EXPORT.md` is the same for people.
//!
//! Whoever reads such a file ignores fields that it does not know, and refuses another version.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::id::{MessageId, UserId};
use crate::message::{Attachment, MessageStatus, ReplyError, Usage};
use crate::room::{Role, RoomKind, RoomSettings};
use crate::time::Timestamp;
use crate::user::UserKind;

/// What the first line says that the file is.
pub const FORMAT: &str = "parlor.room";
/// The version of the format.
pub const VERSION: u64 = 1;
/// Longest line, in bytes.
pub const LINE_MAX: usize = 1 << 20;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u64,
    /// When the file was begun.
    pub exported_at: Timestamp,
    /// The room.
    pub room: FileRoom,
}

/// The room that a file is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRoom {
    /// The short name.
    pub slug: String,
    /// The name to show.
    pub name: String,
    /// Who may find and enter it.
    pub kind: RoomKind,
    /// What it is about.
    #[serde(default)]
    pub topic: String,
    /// Whether it is closed for new messages.
    #[serde(default)]
    pub archived: bool,
    /// Who may do what in it.
    #[serde(default)]
    pub settings: FileSettings,
    /// When it was made.
    pub created_at: Timestamp,
}

/// [`RoomSettings`] that may gain fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FileSettings {
    post: Role,
    call_bots: Role,
    stop_bots: Role,
    #[serde(skip_serializing_if = "Option::is_none")]
    invite: Option<Role>,
    slow_mode_seconds: u32,
    signals: bool,
}

impl Default for FileSettings {
    fn default() -> Self {
        RoomSettings::default().into()
    }
}

impl From<RoomSettings> for FileSettings {
    fn from(settings: RoomSettings) -> Self {
        let RoomSettings { post, call_bots, stop_bots, invite, slow_mode_seconds, signals } =
            settings;
        Self { post, call_bots, stop_bots, invite, slow_mode_seconds, signals }
    }
}

impl From<FileSettings> for RoomSettings {
    fn from(settings: FileSettings) -> Self {
        let FileSettings { post, call_bots, stop_bots, invite, slow_mode_seconds, signals } =
            settings;
        Self { post, call_bots, stop_bots, invite, slow_mode_seconds, signals }
    }
}

/// A line after the first.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Line {
    /// Someone whom later lines name.
    Person(Person),
    /// A membership.
    Member(FileMember),
    /// A message.
    Message(Box<FileMessage>),
    /// An older text of the message before.
    Version(FileVersion),
    /// A reaction to the message before.
    Reaction(FileReaction),
    /// The last line.
    End(End),
}

/// Someone whom later lines name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The id, by which later lines of this file name them.
    pub id: UserId,
    /// The unique name.
    pub username: String,
    /// The name to show.
    pub display_name: String,
    /// Person, bot or integration.
    pub kind: UserKind,
}

/// A membership.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMember {
    /// Whose.
    pub person: UserId,
    /// The role.
    pub role: Role,
    /// Since when.
    pub joined_at: Timestamp,
    /// Until when they may not write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub muted_until: Option<Timestamp>,
    /// What was given as the reason for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mute_reason: Option<String>,
}

/// A message as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMessage {
    /// The id, by which later lines of this file name it.
    pub id: MessageId,
    /// Its position in the room that the file is of.
    pub seq: u64,
    /// The author.
    pub author: UserId,
    /// The text; empty when redacted.
    pub body: String,
    /// How far it is; never `streaming`.
    pub status: MessageStatus,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last edited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited_at: Option<Timestamp>,
    /// When it was redacted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redacted_at: Option<Timestamp>,
    /// How often its text was changed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub edits: u32,
    /// The message it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<MessageId>,
    /// The root of the thread that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<MessageId>,
    /// Whom it mentions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<UserId>,
    /// Whether it mentions everyone in the room.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mentions_room: bool,
    /// Whether its text is what the author does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub emote: bool,
    /// When it is pinned: by whom and since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<FilePin>,
    /// For a bot's reply: what it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bot: Option<FileBotReply>,
    /// For a bot's reply: what it cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// For a failed reply: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ReplyError>,
    /// Descriptions of its files. Their bytes are not in the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
}

/// That a message is pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilePin {
    /// Who pinned it.
    pub by: UserId,
    /// When.
    pub at: Timestamp,
}

/// What a bot's message answers, and by which model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileBotReply {
    /// The message that called the bot.
    pub trigger: MessageId,
    /// The provider.
    pub provider: String,
    /// The model.
    pub model: String,
}

/// An older text of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileVersion {
    /// The message: the one before.
    pub message: MessageId,
    /// The text.
    pub body: String,
    /// When it was written.
    pub at: Timestamp,
}

/// A reaction to a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileReaction {
    /// The message: the one before.
    pub message: MessageId,
    /// The emoji.
    pub emoji: String,
    /// Who reacted.
    pub by: UserId,
    /// When.
    pub at: Timestamp,
}

/// How many lines of each kind a file has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// Of `person`.
    pub people: u64,
    /// Of `member`.
    pub members: u64,
    /// Of `message`.
    pub messages: u64,
    /// Of `version`.
    pub versions: u64,
    /// Of `reaction`.
    pub reactions: u64,
}

/// The last line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// What stood before.
    #[serde(flatten)]
    pub counts: Counts,
    /// SHA-256 of every byte before this line, in hexadecimal.
    pub sha256: String,
}

/// What a line after the first is, as far as its `type` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LineKind {
    /// [`Line::Person`].
    Person,
    /// [`Line::Member`].
    Member,
    /// [`Line::Message`].
    Message,
    /// [`Line::Version`].
    Version,
    /// [`Line::Reaction`].
    Reaction,
    /// [`Line::End`].
    End,
}

impl LineKind {
    /// Finds a kind by its name in the file.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "person" => Self::Person,
            "member" => Self::Member,
            "message" => Self::Message,
            "version" => Self::Version,
            "reaction" => Self::Reaction,
            "end" => Self::End,
            _ => return None,
        })
    }
}

/// Returns the id that a message of a file gets in a room: the same for every attempt.
pub fn imported_id(room: Uuid, message: MessageId) -> MessageId {
    MessageId(Uuid::new_v5(&room, message.0.as_bytes()))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_lines_are_those_that_are_written() {
        let end = Line::End(End { counts: Counts::default(), sha256: "ab".to_owned() });
        let written = serde_json::to_value(&end).unwrap();
        let name = written.get("type").and_then(serde_json::Value::as_str).unwrap();
        assert_eq!(LineKind::from_name(name), Some(LineKind::End));
        assert_eq!(LineKind::from_name("poem"), None);
    }

    #[test]
    fn settings_may_gain_fields() {
        let read: FileSettings =
            serde_json::from_str(r#"{"post":"owner","wallpaper":"roses"}"#).unwrap();
        let settings = RoomSettings { post: Role::Owner, ..RoomSettings::default() };
        assert_eq!(RoomSettings::from(read), settings);
        assert_eq!(FileSettings::from(settings), read);
    }
}

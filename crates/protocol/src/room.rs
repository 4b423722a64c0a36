//! Rooms and memberships.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::RoomId;
use crate::time::Timestamp;
use crate::user::{PresenceStatus, UserRef};

/// Who may find and enter a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RoomKind {
    /// Listed; everyone may join.
    Public,
    /// Only for those who were invited.
    Private,
    /// A conversation between fixed participants.
    Direct,
}

/// A role in one room.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads and writes.
    Member,
    /// Also keeps order.
    Moderator,
    /// May do everything in the room.
    Owner,
}

/// Who may do what in a room, besides what the roles say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RoomSettings {
    /// The least role that may write messages.
    pub post: Role,
    /// The least role whose messages call bots.
    pub call_bots: Role,
    /// The least role that may stop or redo replies of bots.
    pub stop_bots: Role,
    /// The least role that may invite; absent: members in public rooms, moderators in private ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invite: Option<Role>,
    /// Seconds that a member waits between two messages; 0: none.
    pub slow_mode_seconds: u32,
    /// Whether clients may send signals of their own (`op: signal`).
    pub signals: bool,
}

impl Default for RoomSettings {
    fn default() -> Self {
        Self {
            post: Role::Member,
            call_bots: Role::Member,
            stop_bots: Role::Member,
            invite: None,
            slow_mode_seconds: 0,
            signals: true,
        }
    }
}

/// Which messages of a room a member wants to be told of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotificationLevel {
    /// Every message.
    #[default]
    All,
    /// Only those that mention the member.
    Mentions,
    /// None.
    None,
}

/// A room as one caller sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Room {
    /// The id.
    pub id: RoomId,
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
    /// The identity of the room's log.
    pub epoch: String,
    /// The position of the newest event.
    pub seq: u64,
    /// The caller's role; absent for those who are not members.
    pub role: Option<Role>,
    /// Messages by others after the caller's read marker.
    pub unread: u64,
    /// Those of them that mention the caller, or everyone.
    #[serde(default)]
    pub mentions: u64,
    /// The caller's read marker.
    pub read_seq: u64,
    /// Which messages the caller wants to be told of.
    #[serde(default)]
    pub notifications: NotificationLevel,
    /// Who may do what in it.
    #[serde(default)]
    pub settings: RoomSettings,
    /// How many members there are.
    pub members: u64,
    /// In a direct room: the other participants.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub participants: Vec<UserRef>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// One member of a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Member {
    /// Who.
    pub user: UserRef,
    /// The role in this room.
    pub role: Role,
    /// Whether they are there.
    pub status: PresenceStatus,
    /// Since when they are a member.
    pub joined_at: Timestamp,
    /// Until when they may not write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub muted_until: Option<Timestamp>,
    /// What was given as the reason for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mute_reason: Option<String>,
}

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
    /// The caller's read marker.
    pub read_seq: u64,
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
}

//! Rooms, members and invites.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::RoomId;
use crate::room::{Role, RoomKind};
use crate::time::Timestamp;

/// A new room.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateRoomRequest {
    /// The name to show, 1–80 characters.
    pub name: String,
    /// The unique short name; made from the name when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slug: Option<String>,
    /// Public, private or direct.
    pub kind: RoomKind,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// User names of the first members, besides the caller.
    #[serde(default)]
    pub members: Vec<String>,
    /// Names of the first bots.
    #[serde(default)]
    pub bots: Vec<String>,
    /// Makes a repeated request give the first answer again; also as `Idempotency-Key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
}

/// Changes of a room.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PatchRoomRequest {
    /// A new name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A new topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Closes the room for new messages, or opens it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archived: Option<bool>,
}

/// Joins, invites, or changes a member. An empty object for oneself joins.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PutMemberRequest {
    /// The role to give.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Takes the right to write away for a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mute: Option<Restriction>,
    /// Removes the member and keeps them out for a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ban: Option<Restriction>,
    /// An invite code, to join a private room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invite: Option<String>,
}

/// A mute or a ban.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Restriction {
    /// When it ends; absent: when a moderator lifts it. In the past: it is lifted.
    pub until: Option<Timestamp>,
}

/// An invite link's code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Invite {
    /// The code; whoever has it may join.
    pub code: String,
    /// The room.
    pub room: RoomId,
    /// When it stops working.
    pub expires_at: Timestamp,
    /// How many more may join by it.
    pub uses_left: u32,
}

/// A new invite link.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CreateInviteRequest {
    /// Seconds until it stops working; a week when absent, 30 days at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<u64>,
    /// How many may join by it; 25 when absent, 1,000 at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_uses: Option<u32>,
}

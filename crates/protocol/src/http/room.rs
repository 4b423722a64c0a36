//! Rooms, members and invites.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::object;
use crate::id::RoomId;
use crate::room::{Role, RoomKind, RoomSettings};
use crate::time::Timestamp;
use crate::user::UserRef;

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
    /// Who may do what. Owners change all of it, moderators `slow_mode_seconds`.
    #[serde(deserialize_with = "object::optional", skip_serializing_if = "Option::is_none")]
    pub settings: Option<PatchRoomSettings>,
}

/// Changes of who may do what in a room; what is absent stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PatchRoomSettings {
    /// The least role that may write messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub post: Option<Role>,
    /// The least role whose messages call bots.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_bots: Option<Role>,
    /// The least role that may stop or redo replies of bots.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_bots: Option<Role>,
    /// The least role that may invite; `null`: members in public rooms, moderators in private ones.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub invite: Option<Option<Role>>,
    /// Seconds that a member waits between two messages, at most 21,600; 0: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slow_mode_seconds: Option<u32>,
    /// Whether clients may send signals of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signals: Option<bool>,
}

/// Tells what is `null` from what is absent.
#[expect(clippy::option_option, reason = "null is not the same as absent here")]
fn given<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Option<Role>>, D::Error> {
    Option::deserialize(value).map(Some)
}

impl PatchRoomSettings {
    /// Returns the settings after the change.
    pub fn apply(&self, settings: RoomSettings) -> RoomSettings {
        let Self { post, call_bots, stop_bots, invite, slow_mode_seconds, signals } = *self;
        RoomSettings {
            post: post.unwrap_or(settings.post),
            call_bots: call_bots.unwrap_or(settings.call_bots),
            stop_bots: stop_bots.unwrap_or(settings.stop_bots),
            invite: invite.unwrap_or(settings.invite),
            slow_mode_seconds: slow_mode_seconds.unwrap_or(settings.slow_mode_seconds),
            signals: signals.unwrap_or(settings.signals),
        }
    }

    /// Tells whether it changes anything besides slow mode.
    pub fn changes_rules(&self) -> bool {
        Self { slow_mode_seconds: None, ..*self } != Self::default()
    }
}

/// Gives one's ownership of a room to another member.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TransferRoomRequest {
    /// The user name of the new owner, who must be a member and a person.
    pub username: String,
}

/// Someone who may not enter a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ban {
    /// Who.
    pub user: UserRef,
    /// The moderator who did it; absent when that account is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<UserRef>,
    /// When.
    pub at: Timestamp,
    /// When it ends by itself; absent: when a moderator lifts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// What was given as the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Joins, invites, or changes a member. An empty object for oneself joins.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PutMemberRequest {
    /// The role to give.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Takes the right to write away for a time.
    #[serde(deserialize_with = "object::optional", skip_serializing_if = "Option::is_none")]
    pub mute: Option<Restriction>,
    /// Removes the member and keeps them out for a time.
    #[serde(deserialize_with = "object::optional", skip_serializing_if = "Option::is_none")]
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
    /// Why, in one line of at most 500 characters; the room and whom it concerns are told. Empty:
    /// none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Removes a member.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DeleteMemberRequest {
    /// Why, in one line of at most 500 characters; the room is told. Empty: none. Not for leaving.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
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
    /// Who made it; only for those who may revoke it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creator: Option<UserRef>,
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

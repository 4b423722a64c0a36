//! Who is kept out of a room, and which links lead into it.

use async_trait::async_trait;
use parlor_protocol::id::{RoomId, UserId};
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::UserRef;

use crate::append::AppendRefused;
use crate::contract::Result;

/// Bans and invite links, as moderators see them.
#[async_trait]
pub trait Moderation {
    /// Lists the bans of a room that have not ended, by user name, after `after`.
    async fn list_bans(
        &self,
        room: RoomId,
        after: Option<&str>,
        at: Timestamp,
        limit: u32,
    ) -> Result<Vec<BanRecord>>;

    /// Finds what was given as the reason why a member is muted.
    async fn find_mute_reason(&self, room: RoomId, user: UserId) -> Result<Option<String>>;

    /// Lists the links into a room that still work, by their codes, after `after`: of one member, or
    /// all.
    async fn list_invites(
        &self,
        room: RoomId,
        creator: Option<UserId>,
        after: Option<&str>,
        at: Timestamp,
        limit: u32,
    ) -> Result<Vec<InviteListing>>;

    /// Ends a link. The actor must have made it or be a moderator; others find none. `false` when
    /// there is none.
    async fn revoke_invite(
        &self,
        room: RoomId,
        actor: UserId,
        code: &str,
        at: Timestamp,
    ) -> Result<std::result::Result<bool, AppendRefused>>;
}

/// A ban.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BanRecord {
    /// Who may not enter.
    pub user: UserRef,
    /// Who did it, if the account is there.
    pub by: Option<UserRef>,
    /// When.
    pub at: Timestamp,
    /// When it ends; `None`: when it is lifted.
    pub until: Option<Timestamp>,
    /// Why.
    pub reason: Option<String>,
}

/// A link that still works.
#[derive(Clone, PartialEq, Eq)]
pub struct InviteListing {
    /// The secret code.
    pub code: String,
    /// Who made it.
    pub creator: UserRef,
    /// When it stops working.
    pub expires_at: Timestamp,
    /// How many more may join by it.
    pub uses_left: u32,
}

impl std::fmt::Debug for InviteListing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InviteListing").field("creator", &self.creator).finish_non_exhaustive()
    }
}

//! What a worker has no business with: bans, links and accounts.

use async_trait::async_trait;
use parlor_protocol::id::{RoomId, UserId};
use parlor_protocol::time::Timestamp;
use parlor_store::contract::Result;
use parlor_store::moderation::{BanRecord, InviteListing, Moderation};

use super::{AppendRefused, FlakyStore};

unused! { Moderation:
    fn list_bans(RoomId, Option<&str>, Timestamp, u32) -> Result<Vec<BanRecord>>;
    fn list_invites(RoomId, Option<UserId>, Option<&str>, Timestamp, u32)
        -> Result<Vec<InviteListing>>;
    fn revoke_invite(RoomId, UserId, &str, Timestamp)
        -> Result<std::result::Result<bool, AppendRefused>>;
}

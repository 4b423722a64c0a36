//! What a worker has no business with: bans, links and accounts.

use async_trait::async_trait;
use parlor_protocol::id::{MessageId, RoomId, SessionId, UserId};
use parlor_protocol::message::Message;
use parlor_protocol::time::Timestamp;
use parlor_store::contract::Result;
use parlor_store::moderation::{BanRecord, InviteListing, Moderation};
use parlor_store::people::{
    Erased, Erasure, FormerName, LastAdmin, NewErasure, OwnBan, OwnProgram, People,
};
use parlor_store::record::UploadRecord;

use super::{AppendRefused, FlakyStore};

unused! { Moderation:
    fn list_bans(RoomId, Option<&str>, Timestamp, u32) -> Result<Vec<BanRecord>>;
    fn find_mute_reason(RoomId, UserId) -> Result<Option<String>>;
    fn list_invites(RoomId, Option<UserId>, Option<&str>, Timestamp, u32)
        -> Result<Vec<InviteListing>>;
    fn revoke_invite(RoomId, UserId, &str, Timestamp)
        -> Result<std::result::Result<bool, AppendRefused>>;
}

unused! { People:
    fn change_password(UserId, &str, String, SessionId, Timestamp)
        -> Result<Option<Vec<SessionId>>>;
    fn close_account(UserId, Timestamp)
        -> Result<std::result::Result<Vec<SessionId>, LastAdmin>>;
    fn erase_account(NewErasure) -> Result<std::result::Result<Vec<SessionId>, LastAdmin>>;
    fn list_erasures() -> Result<Vec<Erasure>>;
    fn finish_erasure(UserId) -> Result<()>;
    fn list_past_rooms(UserId) -> Result<Vec<RoomId>>;
    fn forget_past_room(UserId, RoomId) -> Result<()>;
    fn forget_names(RoomId, Erased, u64, u64) -> Result<u64>;
    fn forget_reasons(RoomId, UserId) -> Result<()>;
    fn delete_deserted_room(RoomId, UserId) -> Result<bool>;
    fn list_own_messages(RoomId, UserId, u64, u64, u32) -> Result<Vec<Message>>;
    fn list_former_names(UserId) -> Result<Vec<FormerName>>;
    fn list_uploads_of(UserId) -> Result<Vec<UploadRecord>>;
    fn list_bans_of(UserId, Option<RoomId>, u32) -> Result<Vec<OwnBan>>;
    fn list_programs_of(UserId, RoomId) -> Result<Vec<OwnProgram>>;
    fn list_own_reactions(RoomId, UserId, u64, u64) -> Result<Vec<(MessageId, String)>>;
}

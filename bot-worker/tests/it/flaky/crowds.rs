//! Members of large rooms, whom a worker does not look at.

use async_trait::async_trait;
use parlor_protocol::id::{RoomId, UserId};
use parlor_store::contract::Crowds;
use parlor_store::contract::Result;
use parlor_store::record::{MemberFilter, MemberRecord};

use super::FlakyStore;

unused! { Crowds:
    fn list_members_by(RoomId, &MemberFilter, Option<&str>, u32) -> Result<Vec<MemberRecord>>;
    fn list_members_by_id(RoomId, Option<UserId>, u32) -> Result<Vec<MemberRecord>>;
    fn find_members(RoomId, &[UserId]) -> Result<Vec<Option<MemberRecord>>>;
    fn count_members(RoomId) -> Result<Option<u64>>;
}

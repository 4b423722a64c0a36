//! Members of a room that may be large: by name, by role, by id, and how many.

use async_trait::async_trait;
use parlor_protocol::id::{RoomId, UserId};

use super::Result;
use crate::record::{MemberFilter, MemberRecord};

/// Members of a room. No call costs more in a large room than in a small one.
#[async_trait]
pub trait Crowds {
    /// Lists the members that a filter lets through, by user name, after `after`.
    async fn list_members_by(
        &self,
        room: RoomId,
        filter: &MemberFilter,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<MemberRecord>>;

    /// Lists the members by their ids, after `after`: somebody who gets another name between two pages
    /// is listed once.
    async fn list_members_by_id(
        &self,
        room: RoomId,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<MemberRecord>>;

    /// Finds members by their ids: one answer for each, in their order. At most
    /// [`MANY_MAX`](super::MANY_MAX).
    async fn find_members(
        &self,
        room: RoomId,
        users: &[UserId],
    ) -> Result<Vec<Option<MemberRecord>>>;

    /// Returns how many members a room has; `None` when there is no such room.
    async fn count_members(&self, room: RoomId) -> Result<Option<u64>>;
}

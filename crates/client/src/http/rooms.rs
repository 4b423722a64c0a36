//! Rooms, members and invite links.

use parlor_protocol::http::{
    Ban, CreateInviteRequest, CreateRoomRequest, DeleteMemberRequest, Invite, MemberPage, Page,
    PatchRoomRequest, PutMemberRequest, TransferRoomRequest,
};
use parlor_protocol::id::RoomId;
use parlor_protocol::room::{Role, Room, RoomKind};
use reqwest::Method;
use serde::Deserialize;

use super::{Call, Http};
use crate::error::ClientError;

/// Which rooms to list.
#[derive(Debug, Clone, Default)]
pub struct RoomQuery {
    /// Only those that the caller is a member of.
    pub mine: bool,
    /// Only those whose name holds this text.
    pub text: Option<String>,
    /// Where the page starts: `next` of the page before.
    pub cursor: Option<String>,
    /// Items in the page.
    pub limit: Option<u32>,
}

/// Which members to list.
#[derive(Debug, Clone, Default)]
pub struct MembersQuery {
    /// Only those who are there.
    pub online: bool,
    /// Only those with this role.
    pub role: Option<Role>,
    /// Only those whose user name begins with this.
    pub q: Option<String>,
    /// Where the page starts: `next` of the page before.
    pub cursor: Option<String>,
}

const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Member => "member",
        Role::Moderator => "moderator",
        Role::Owner => "owner",
    }
}

impl Http {
    /// Returns one page of rooms.
    pub async fn rooms(&self, query: &RoomQuery) -> Result<Page<Room>, ClientError> {
        let call = Call::v1(Method::GET, &["rooms"])
            .query_if("mine", query.mine.then_some("true"))
            .query_if("q", query.text.as_deref())
            .query_if("cursor", query.cursor.as_deref())
            .query_if("limit", query.limit);
        self.page(call).await
    }

    /// Makes a room.
    pub async fn create_room(&self, request: &CreateRoomRequest) -> Result<Room, ClientError> {
        self.json(Call::v1(Method::POST, &["rooms"]).body(request)?).await
    }

    /// Returns a room, by id or slug.
    pub async fn room(&self, room: &str) -> Result<Room, ClientError> {
        self.json(Call::v1(Method::GET, &["rooms", room])).await
    }

    /// Changes a room.
    pub async fn patch_room(
        &self,
        room: &str,
        request: &PatchRoomRequest,
    ) -> Result<Room, ClientError> {
        self.json(Call::v1(Method::PATCH, &["rooms", room]).body(request)?).await
    }

    /// Deletes a room.
    pub async fn delete_room(&self, room: &str) -> Result<(), ClientError> {
        self.empty(Call::v1(Method::DELETE, &["rooms", room])).await
    }

    /// Gives one's ownership of a room to another member.
    pub async fn transfer_room(&self, room: &str, username: &str) -> Result<Room, ClientError> {
        let request = TransferRoomRequest { username: username.to_owned() };
        self.json(Call::v1(Method::POST, &["rooms", room, "transfer"]).body(&request)?).await
    }

    /// Deletes all rooms that only the caller owns, of one kind or of all, and returns them.
    pub async fn delete_my_rooms(
        &self,
        kind: Option<RoomKind>,
    ) -> Result<Vec<RoomId>, ClientError> {
        #[derive(Deserialize)]
        struct Deleted {
            deleted: Vec<RoomId>,
        }
        let kind = kind.map(|kind| match kind {
            RoomKind::Public => "public",
            RoomKind::Private => "private",
            RoomKind::Direct => "direct",
        });
        let call = Call::v1(Method::DELETE, &["rooms"]).query("mine", "true");
        let deleted: Deleted = self.json(call.query_if("kind", kind)).await?;
        Ok(deleted.deleted)
    }

    /// Returns one page of who may not enter a room.
    pub async fn bans(&self, room: &str, cursor: Option<&str>) -> Result<Page<Ban>, ClientError> {
        let call = Call::v1(Method::GET, &["rooms", room, "bans"]);
        self.page(call.query_if("cursor", cursor)).await
    }

    /// Returns one page of a room's members.
    pub async fn members(
        &self,
        room: &str,
        cursor: Option<&str>,
    ) -> Result<MemberPage, ClientError> {
        let query = MembersQuery { cursor: cursor.map(str::to_owned), ..MembersQuery::default() };
        self.members_by(room, &query).await
    }

    /// Returns one page of those of a room's members who are looked for.
    pub async fn members_by(
        &self,
        room: &str,
        query: &MembersQuery,
    ) -> Result<MemberPage, ClientError> {
        let call = Call::v1(Method::GET, &["rooms", room, "members"])
            .query_if("status", query.online.then_some("online"))
            .query_if("q", query.q.as_deref())
            .query_if("role", query.role.map(role_name))
            .query_if("cursor", query.cursor.as_deref());
        self.json(call).await
    }

    /// Joins, invites, or changes a member.
    pub async fn put_member(
        &self,
        room: &str,
        username: &str,
        request: &PutMemberRequest,
    ) -> Result<(), ClientError> {
        let call = Call::v1(Method::PUT, &["rooms", room, "members", username]);
        self.empty(call.body(request)?).await
    }

    /// Leaves a room, or removes a member from it.
    pub async fn delete_member(&self, room: &str, username: &str) -> Result<(), ClientError> {
        self.empty(Call::v1(Method::DELETE, &["rooms", room, "members", username])).await
    }

    /// Removes another member from a room for a reason.
    pub async fn kick_member(
        &self,
        room: &str,
        username: &str,
        request: &DeleteMemberRequest,
    ) -> Result<(), ClientError> {
        let call = Call::v1(Method::DELETE, &["rooms", room, "members", username]);
        self.empty(call.body(request)?).await
    }

    /// Makes an invite link.
    pub async fn create_invite(
        &self,
        room: &str,
        request: &CreateInviteRequest,
    ) -> Result<Invite, ClientError> {
        self.json(Call::v1(Method::POST, &["rooms", room, "invites"]).body(request)?).await
    }

    /// Returns one page of the invite links of a room that work.
    pub async fn invites(
        &self,
        room: &str,
        cursor: Option<&str>,
    ) -> Result<Page<Invite>, ClientError> {
        let call = Call::v1(Method::GET, &["rooms", room, "invites"]);
        self.page(call.query_if("cursor", cursor)).await
    }

    /// Revokes an invite link.
    pub async fn revoke_invite(&self, room: &str, code: &str) -> Result<(), ClientError> {
        self.empty(Call::v1(Method::DELETE, &["rooms", room, "invites", code])).await
    }

    /// Returns what an invite link leads to.
    pub async fn invite(&self, code: &str) -> Result<Invite, ClientError> {
        self.json(Call::v1(Method::GET, &["invites", code])).await
    }
}

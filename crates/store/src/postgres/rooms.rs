//! Rooms, memberships and read markers.

mod create;
mod delete;
mod list;

pub(super) use delete::remove;

use async_trait::async_trait;
use parlor_protocol::id::{RoomId, RoomRef, UserId};
use parlor_protocol::room::RoomKind;
use parlor_protocol::time::Timestamp;

use super::codec::{count, id, integer, sought, time, time_opt, value, word};
use super::fault::{Outcome, settled};
use super::pools::Server;
use super::query::Params;
use super::sql::{members, rooms as sql};
use super::transaction::{committing, reading, writing};
use super::{PostgresStore, invites, query, rows};
use crate::append::AppendRefused;
use crate::contract::{Result, Rooms};
use crate::record::{
    CreatedRoom, InviteRecord, MemberRecord, NewInvite, NewRoom, RoomAccess, RoomConflict,
    RoomFilter, RoomListing,
};

#[async_trait]
impl Rooms for PostgresStore {
    async fn create_room(
        &self,
        room: NewRoom,
    ) -> Result<std::result::Result<CreatedRoom, RoomConflict>> {
        let room_members = self.options.room_members;
        writing!(self, |tx| create::create(tx, &room, room_members).await)
    }

    async fn find_room(&self, room: &RoomRef, user: UserId) -> Result<Option<RoomAccess>> {
        reading!(self, |conn| find_room(conn, room, user).await)
    }

    async fn find_room_listing(&self, room: RoomId, user: UserId) -> Result<Option<RoomListing>> {
        reading!(self, |conn| list::find(conn, &[room], user).await.map(|mut found| found.pop()))
    }

    async fn list_rooms(
        &self,
        user: UserId,
        filter: RoomFilter,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<RoomListing>> {
        let after = sought(after.unwrap_or_default());
        reading!(self, |conn| list::list(conn, user, &filter, &after, limit).await)
    }

    async fn list_room_ids_of(&self, user: UserId) -> Result<Vec<RoomId>> {
        reading!(self, |conn| {
            query::list(conn, members::LIST_ROOMS_OF, &[&user.0], |row| id(row, 0)).await
        })
    }

    async fn list_members(
        &self,
        room: RoomId,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<MemberRecord>> {
        let params: Params<'_> = &[&room.0, &sought(after.unwrap_or_default()), &i64::from(limit)];
        reading!(self, |conn| {
            query::list(conn, members::LIST, params, |row| {
                Ok(MemberRecord {
                    user: rows::user_ref(row, 0)?,
                    role: word(row, 4)?,
                    joined_at: time(row, 5)?,
                    muted_until: time_opt(row, 6)?,
                    mute_reason: value(row, 7)?,
                })
            })
            .await
        })
    }

    async fn delete_room(
        &self,
        room: RoomId,
        actor: UserId,
        at: Timestamp,
    ) -> Result<std::result::Result<(), AppendRefused>> {
        let deleted: Result<_> = writing!(self, |tx, repeated| {
            settled(delete::delete(tx, room, actor, at, repeated).await)
        });
        let deleted = deleted?;
        if deleted.is_ok() {
            self.purge_rooms(&[room]).await;
        }
        Ok(deleted)
    }

    async fn delete_rooms_owned_by(
        &self,
        user: UserId,
        kind: Option<RoomKind>,
    ) -> Result<Vec<RoomId>> {
        let mut deleted = Vec::new();
        let done: Result<()> = writing!(self, |tx, repeated| {
            delete::delete_owned(tx, user, kind, repeated, &mut deleted).await
        });
        done?;
        self.purge_rooms(&deleted).await;
        Ok(deleted)
    }

    async fn set_read_marker(&self, room: RoomId, user: UserId, seq: u64) -> Result<Option<u64>> {
        let params: Params<'_> = &[&room.0, &user.0, &integer(seq)];
        committing!(self, |conn, repeated| move_marker(conn, params, repeated).await)
    }

    async fn create_invite(
        &self,
        invite: NewInvite,
    ) -> Result<std::result::Result<(), AppendRefused>> {
        writing!(self, |tx, repeated| settled(invites::create(tx, &invite, repeated).await))
    }

    async fn find_invite(&self, code: &str, at: Timestamp) -> Result<Option<InviteRecord>> {
        reading!(self, |conn| invites::find(conn, code, at).await)
    }
}

async fn find_room(conn: &Server, room: &RoomRef, user: UserId) -> Outcome<Option<RoomAccess>> {
    let found = if let Some(id) = room.id() {
        rows::find_room(conn, id).await?
    } else {
        let read = |row: &tokio_postgres::Row| rows::room(row, conn.epoch());
        query::find(conn, sql::FIND_BY_SLUG, &[&sought(&room.0)], read).await?
    };
    let Some(room) = found else { return Ok(None) };
    let membership = rows::find_membership(conn, room.id, user).await?;
    Ok(Some(RoomAccess { room, membership }))
}

/// Moves a marker in one statement.
async fn move_marker(conn: &Server, params: Params<'_>, repeated: bool) -> Outcome<Option<u64>> {
    let read = |row: &tokio_postgres::Row| count(row, 0);
    let moved = query::find(conn, members::MOVE_READ_MARKER, params, read).await?;
    if moved.is_none() && repeated {
        // An earlier attempt may have moved it.
        return query::find(conn, members::FIND_READ_MARKER, params, read).await;
    }
    Ok(moved)
}

/// Reads how many rooms a user owns.
async fn count_owned(tx: &Server, user: UserId) -> Outcome<i64> {
    query::get(tx, members::COUNT_OWNED, &[&user.0], |row| value(row, 0)).await
}

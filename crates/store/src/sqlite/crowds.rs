//! Members of a room that may be large.

use async_trait::async_trait;
use parlor_protocol::id::{RoomId, UserId};
use parlor_protocol::room::Role;
use rusqlite::{Row, params};

use super::codec::{Word as _, count, time, time_opt, word};
use super::sql::{crowds as sql, rooms};
use super::{SqliteStore, query, rows};
use crate::contract::{Crowds, Result};
use crate::record::{MemberFilter, MemberRecord};

#[async_trait]
impl Crowds for SqliteStore {
    async fn list_members_by(
        &self,
        room: RoomId,
        filter: &MemberFilter,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<MemberRecord>> {
        let (filter, after) = (filter.clone(), after.unwrap_or_default().to_owned());
        self.read(move |conn| {
            let room = room.0.as_bytes();
            let (from, to) = (&filter.prefix, filter.end());
            let listed = match filter.role {
                None => query::list(conn, sql::LIST, params![room, after, limit, from, to], member),
                Some(role) => {
                    let statement = match role {
                        Role::Member => sql::LIST_PLAIN,
                        Role::Moderator | Role::Owner => sql::LIST_WITH_ROLE,
                    };
                    let params = params![room, after, limit, from, to, role.word()];
                    query::list(conn, statement, params, member)
                }
            };
            Ok(listed?)
        })
        .await
    }

    async fn list_members_by_id(
        &self,
        room: RoomId,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<MemberRecord>> {
        self.read(move |conn| {
            let after = after.map_or_else(Vec::new, |user| user.0.as_bytes().to_vec());
            let params = params![room.0.as_bytes(), after, limit];
            Ok(query::list(conn, sql::LIST_BY_ID, params, member)?)
        })
        .await
    }

    async fn find_members(
        &self,
        room: RoomId,
        users: &[UserId],
    ) -> Result<Vec<Option<MemberRecord>>> {
        let users = users.to_vec();
        self.read(move |conn| {
            let find = |user: UserId| {
                let key = [room.0.as_bytes(), user.0.as_bytes()];
                Ok(query::find(conn, sql::FIND, key, member)?)
            };
            users.into_iter().map(find).collect()
        })
        .await
    }

    async fn count_members(&self, room: RoomId) -> Result<Option<u64>> {
        self.read(move |conn| {
            Ok(query::find(conn, rooms::MEMBER_COUNT, [room.0.as_bytes()], |row| count(row, 0))?)
        })
        .await
    }
}

fn member(row: &Row<'_>) -> rusqlite::Result<MemberRecord> {
    Ok(MemberRecord {
        user: rows::user_ref(row, 0)?,
        role: word(row, 4)?,
        joined_at: time(row, 5)?,
        muted_until: time_opt(row, 6)?,
        mute_reason: row.get(7)?,
    })
}

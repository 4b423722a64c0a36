//! Members of a room that may be large.

use std::collections::HashMap;

use async_trait::async_trait;
use parlor_protocol::id::{RoomId, UserId};
use parlor_protocol::room::Role;
use tokio_postgres::Row;
use uuid::Uuid;

use super::codec::{Word as _, count, sought, time, time_opt, value, word};
use super::fault::Outcome;
use super::query::Params;
use super::sql::{crowds as sql, rooms};
use super::transaction::reading;
use super::{PostgresStore, query, rows};
use crate::contract::{Crowds, Result};
use crate::record::{MemberFilter, MemberRecord};

#[async_trait]
impl Crowds for PostgresStore {
    async fn list_members_by(
        &self,
        room: RoomId,
        filter: &MemberFilter,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<MemberRecord>> {
        let after = sought(after.unwrap_or_default());
        let end = filter.end();
        let (from, to, limit) = (sought(&filter.prefix), sought(&end), i64::from(limit));
        let word = filter.role.map(Role::word);
        let all: Params<'_> = &[&room.0, &after, &limit, &from, &to];
        let of_role: Params<'_> = &[&room.0, &after, &limit, &from, &to, &word];
        let (statement, params) = match filter.role {
            None => (sql::LIST, all),
            Some(Role::Member) => (sql::LIST_PLAIN, of_role),
            Some(Role::Moderator | Role::Owner) => (sql::LIST_WITH_ROLE, of_role),
        };
        reading!(self, |conn| query::list(conn, statement, params, member).await)
    }

    async fn list_members_by_id(
        &self,
        room: RoomId,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<MemberRecord>> {
        let params: Params<'_> = &[&room.0, &after.map(|user| user.0), &i64::from(limit)];
        reading!(self, |conn| query::list(conn, sql::LIST_BY_ID, params, member).await)
    }

    async fn find_members(
        &self,
        room: RoomId,
        users: &[UserId],
    ) -> Result<Vec<Option<MemberRecord>>> {
        let ids: Vec<Uuid> = users.iter().map(|user| user.0).collect();
        let params: Params<'_> = &[&room.0, &ids];
        let found: Result<Vec<MemberRecord>> =
            reading!(self, |conn| query::list(conn, sql::FIND_ALL, params, member).await);
        let found = found?.into_iter().map(|member| (member.user.id, member));
        let found: HashMap<UserId, MemberRecord> = found.collect();
        Ok(users.iter().map(|user| found.get(user).cloned()).collect())
    }

    async fn count_members(&self, room: RoomId) -> Result<Option<u64>> {
        reading!(self, |conn| {
            query::find(conn, rooms::MEMBER_COUNT, &[&room.0], |row| count(row, 0)).await
        })
    }
}

fn member(row: &Row) -> Outcome<MemberRecord> {
    Ok(MemberRecord {
        user: rows::user_ref(row, 0)?,
        role: word(row, 4)?,
        joined_at: time(row, 5)?,
        muted_until: time_opt(row, 6)?,
        mute_reason: value(row, 7)?,
    })
}

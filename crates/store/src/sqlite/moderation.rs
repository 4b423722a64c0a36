//! Bans and invite links, as moderators see them.

use std::sync::Arc;

use async_trait::async_trait;
use parlor_domain::permission::Action;
use parlor_protocol::id::{RoomId, UserId};
use parlor_protocol::room::Role;
use parlor_protocol::time::Timestamp;
use rusqlite::params;

use super::append::Desk;
use super::codec::{bytes, time, time_opt};
use super::rooms::settled;
use super::sql::{members, moderation as sql};
use super::{SqliteStore, query, rows};
use crate::append::AppendRefused;
use crate::contract::Result;
use crate::moderation::{BanRecord, InviteListing, Moderation};

#[async_trait]
impl Moderation for SqliteStore {
    async fn list_bans(
        &self,
        room: RoomId,
        after: Option<&str>,
        at: Timestamp,
        limit: u32,
    ) -> Result<Vec<BanRecord>> {
        let after = after.unwrap_or_default().to_owned();
        self.read(move |conn| {
            let params = params![room.0.as_bytes(), after, at.as_millis(), limit];
            Ok(query::list(conn, sql::LIST_BANS, params, |row| {
                Ok(BanRecord {
                    user: rows::user_ref(row, 0)?,
                    by: rows::user_ref_opt(row, 4)?,
                    at: time(row, 8)?,
                    until: time_opt(row, 9)?,
                    reason: row.get(10)?,
                })
            })?)
        })
        .await
    }

    async fn find_mute_reason(&self, room: RoomId, user: UserId) -> Result<Option<String>> {
        self.read(move |conn| {
            let key = [room.0.as_bytes(), user.0.as_bytes()];
            Ok(query::find(conn, members::FIND_MUTE_REASON, key, |row| row.get(0))?.flatten())
        })
        .await
    }

    async fn list_invites(
        &self,
        room: RoomId,
        creator: Option<UserId>,
        after: Option<&str>,
        at: Timestamp,
        limit: u32,
    ) -> Result<Vec<InviteListing>> {
        let after = after.unwrap_or_default().to_owned();
        self.read(move |conn| {
            let creator = bytes(creator.map(|creator| creator.0));
            let params = params![room.0.as_bytes(), creator, after, at.as_millis(), limit];
            Ok(query::list(conn, sql::LIST_INVITES, params, |row| {
                Ok(InviteListing {
                    code: row.get(0)?,
                    creator: rows::user_ref(row, 1)?,
                    expires_at: time(row, 5)?,
                    uses_left: row.get(6)?,
                })
            })?)
        })
        .await
    }

    async fn revoke_invite(
        &self,
        room: RoomId,
        actor: UserId,
        code: &str,
        at: Timestamp,
    ) -> Result<std::result::Result<bool, AppendRefused>> {
        let (code, rules) = (code.to_owned(), Arc::clone(&self.rules));
        self.write(move |conn| {
            settled((|| {
                let desk = Desk::open(conn, &rules, room, actor, at)?;
                let member = desk.authorize(Action::Read)?;
                let own = (member.role < Role::Moderator).then_some(actor.0);
                let params = params![code, desk.room_key(), bytes(own)];
                Ok(query::execute(conn, sql::REVOKE_INVITE, params)? > 0)
            })())
        })
        .await
    }
}

//! Bans and invite links, as moderators see them.

use async_trait::async_trait;
use parlor_domain::permission::Action;
use parlor_protocol::id::{RoomId, UserId};
use parlor_protocol::room::Role;
use parlor_protocol::time::Timestamp;

use super::access::Access;
use super::codec::{small, sought, time, time_opt, value};
use super::fault::{Stop, settled};
use super::pools::Server;
use super::query::Params;
use super::sql::{members, moderation as sql};
use super::transaction::{reading, writing};
use super::{PostgresStore, query, rows};
use crate::append::AppendRefused;
use crate::contract::Result;
use crate::moderation::{BanRecord, InviteListing, Moderation};

#[async_trait]
impl Moderation for PostgresStore {
    async fn list_bans(
        &self,
        room: RoomId,
        after: Option<&str>,
        at: Timestamp,
        limit: u32,
    ) -> Result<Vec<BanRecord>> {
        let after = sought(after.unwrap_or_default());
        let params: Params<'_> = &[&room.0, &after, &at.as_millis(), &i64::from(limit)];
        reading!(self, |conn| {
            query::list(conn, sql::LIST_BANS, params, |row| {
                Ok(BanRecord {
                    user: rows::user_ref(row, 0)?,
                    by: rows::user_ref_opt(row, 4)?,
                    at: time(row, 8)?,
                    until: time_opt(row, 9)?,
                    reason: value(row, 10)?,
                })
            })
            .await
        })
    }

    async fn find_mute_reason(&self, room: RoomId, user: UserId) -> Result<Option<String>> {
        reading!(self, |conn| {
            let key: Params<'_> = &[&room.0, &user.0];
            let found = query::find(conn, members::FIND_MUTE_REASON, key, |row| value(row, 0));
            Ok(found.await?.flatten())
        })
    }

    async fn list_invites(
        &self,
        room: RoomId,
        creator: Option<UserId>,
        after: Option<&str>,
        at: Timestamp,
        limit: u32,
    ) -> Result<Vec<InviteListing>> {
        let (creator, after) = (creator.map(|user| user.0), sought(after.unwrap_or_default()));
        let params: Params<'_> = &[&room.0, &creator, &after, &at.as_millis(), &i64::from(limit)];
        reading!(self, |conn| {
            query::list(conn, sql::LIST_INVITES, params, |row| {
                Ok(InviteListing {
                    code: value(row, 0)?,
                    creator: rows::user_ref(row, 1)?,
                    expires_at: time(row, 5)?,
                    uses_left: small(row, 6)?,
                })
            })
            .await
        })
    }

    async fn revoke_invite(
        &self,
        room: RoomId,
        actor: UserId,
        code: &str,
        at: Timestamp,
    ) -> Result<std::result::Result<bool, AppendRefused>> {
        let mut found = false;
        writing!(self, |tx| settled(revoke(tx, room, actor, code, at, &mut found).await))
    }
}

/// Ends a link. `found` is kept over the attempts: an earlier one may have ended it.
async fn revoke(
    tx: &Server,
    room: RoomId,
    actor: UserId,
    code: &str,
    at: Timestamp,
    found: &mut bool,
) -> std::result::Result<bool, Stop> {
    let access = Access::open(tx, room, actor).await?;
    access.authorize(Action::Read, at)?;
    let is_moderator = access.member.is_some_and(|member| member.role >= Role::Moderator);
    let own = (!is_moderator).then_some(actor.0);
    let params: Params<'_> = &[&sought(code), &room.0, &own];
    *found |= query::execute(tx, sql::REVOKE_INVITE, params).await? > 0;
    Ok(*found)
}

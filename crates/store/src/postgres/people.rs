//! What people do with their own accounts.

use async_trait::async_trait;
use parlor_protocol::id::{MessageId, RoomId, SessionId, UserId};
use parlor_protocol::message::Message;
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::ServerRole;

use super::codec::{id, integer, time, time_opt, value, word};
use super::fault::Outcome;
use super::pools::Server;
use super::query::Params;
use super::sql::{files as files_sql, messages, people as sql, rooms, sessions, users};
use super::transaction::{committing, reading, writing};
use super::{PostgresStore, commit_log, files, query, rows};
use crate::contract::Result;
use crate::document;
use crate::people::{
    ERASED_NAME, Erased, Erasure, FormerName, LastAdmin, NewErasure, OwnBan, OwnProgram, People,
};
use crate::record::UploadRecord;

#[async_trait]
impl People for PostgresStore {
    async fn change_password(
        &self,
        user: UserId,
        checked: &str,
        hash: String,
        keep: SessionId,
        at: Timestamp,
    ) -> Result<Option<Vec<SessionId>>> {
        // Each hash has a salt of its own: a repetition finds its own one.
        writing!(self, |tx, repeated| {
            change_password(tx, user, (checked, &hash), keep, at, repeated).await
        })
    }

    async fn close_account(
        &self,
        user: UserId,
        at: Timestamp,
    ) -> Result<std::result::Result<Vec<SessionId>, LastAdmin>> {
        writing!(self, |tx| async {
            if is_last_admin(tx, user).await? {
                return Ok(Err(LastAdmin));
            }
            query::execute(tx, sql::CLOSE, &[&user.0]).await?;
            // A bot that is switched off stops what it does.
            query::execute(tx, users::REQUEST_CANCEL_EVERYWHERE, &[&user.0]).await?;
            cut_off(tx, user, at).await.map(Ok)
        }
        .await)
    }

    async fn erase_account(
        &self,
        erasure: NewErasure,
    ) -> Result<std::result::Result<Vec<SessionId>, LastAdmin>> {
        writing!(self, |tx| erase(tx, &erasure).await)
    }

    async fn list_erasures(&self) -> Result<Vec<Erasure>> {
        reading!(self, |conn| {
            query::list(conn, sql::LIST_ERASURES, &[], |row| {
                Ok(Erasure { user: id(row, 0)?, redact: value(row, 1)?, at: time(row, 2)? })
            })
            .await
        })
    }

    async fn finish_erasure(&self, user: UserId) -> Result<()> {
        writing!(self, |tx| async {
            let rest =
                [sql::LET_BOTS_GO, sql::FORGET_SESSIONS, sql::FORGET_TOKENS, sql::FINISH_ERASURE];
            for done in rest {
                query::execute(tx, done, &[&user.0]).await?;
            }
            Ok(())
        }
        .await)
    }

    async fn list_past_rooms(&self, user: UserId) -> Result<Vec<RoomId>> {
        reading!(self, |conn| {
            query::list(conn, sql::LIST_PAST_ROOMS, &[&user.0], |row| id(row, 0)).await
        })
    }

    async fn forget_past_room(&self, user: UserId, room: RoomId) -> Result<()> {
        committing!(self, |conn| {
            query::execute(conn, sql::FORGET_PAST_ROOM, &[&user.0, &room.0]).await.map(drop)
        })
    }

    async fn forget_names(
        &self,
        room: RoomId,
        erased: Erased,
        after: u64,
        through: u64,
    ) -> Result<u64> {
        let span = Span { room, after, through };
        let naming: Result<Vec<_>> =
            reading!(self, |conn| list_naming_events(conn, span, erased).await);
        // Mostly there are none, and the room is not to wait for nothing.
        if naming?.is_empty() {
            return Ok(0);
        }
        writing!(self, |tx| forget_names(tx, span, erased).await)
    }

    async fn forget_reasons(&self, room: RoomId, user: UserId) -> Result<()> {
        writing!(self, |tx| async {
            // Whoever writes in a room does that with the room locked, so nobody waits in a circle.
            query::execute(tx, rooms::LOCK_ALL, &[&vec![room.0]]).await?;
            for forgotten in [sql::FORGET_BAN_REASONS, sql::FORGET_MUTE_REASONS] {
                query::execute(tx, forgotten, &[&room.0, &user.0]).await?;
            }
            Ok(())
        }
        .await)
    }

    async fn delete_deserted_room(&self, room: RoomId, user: UserId) -> Result<bool> {
        let deleted: Result<bool> = writing!(self, |tx| async {
            query::execute(tx, rooms::LOCK_ALL, &[&vec![room.0]]).await?;
            let key: Params<'_> = &[&room.0, &user.0];
            if !query::exists(tx, sql::IS_OWNER, key).await?
                || query::exists(tx, sql::FIND_SUCCESSOR, key).await?
            {
                return Ok(false);
            }
            super::rooms::remove(tx, &[room]).await?;
            Ok(true)
        }
        .await);
        let deleted = deleted?;
        if deleted {
            self.purge_rooms(&[room]).await;
        }
        Ok(deleted)
    }

    async fn list_own_messages(
        &self,
        room: RoomId,
        user: UserId,
        after: u64,
        through: u64,
        limit: u32,
    ) -> Result<Vec<Message>> {
        let params: Params<'_> =
            &[&room.0, &user.0, &integer(after), &integer(through), &i64::from(limit)];
        reading!(self, |conn| { rows::list_messages(conn, room, messages::LIST_OWN, params).await })
    }

    async fn list_former_names(&self, user: UserId) -> Result<Vec<FormerName>> {
        reading!(self, |conn| {
            query::list(conn, sql::LIST_FORMER_NAMES, &[&user.0], |row| {
                Ok(FormerName { name: value(row, 0)?, until: time(row, 1)? })
            })
            .await
        })
    }

    async fn list_uploads_of(&self, user: UserId) -> Result<Vec<UploadRecord>> {
        reading!(self, |conn| {
            query::list(conn, files_sql::LIST_OPEN, &[&user.0], files::upload).await
        })
    }

    async fn list_bans_of(
        &self,
        user: UserId,
        after: Option<RoomId>,
        limit: u32,
    ) -> Result<Vec<OwnBan>> {
        let params: Params<'_> = &[&user.0, &after.map(|room| room.0), &i64::from(limit)];
        reading!(self, |conn| {
            query::list(conn, sql::LIST_BANS_OF, params, |row| {
                let (room, at, until) = (id(row, 0)?, time(row, 1)?, time_opt(row, 2)?);
                Ok(OwnBan { room, at, until, reason: value(row, 3)? })
            })
            .await
        })
    }

    async fn list_programs_of(&self, user: UserId, room: RoomId) -> Result<Vec<OwnProgram>> {
        reading!(self, |conn| {
            query::list(conn, sql::LIST_PROGRAMS, &[&user.0, &room.0], |row| {
                Ok(OwnProgram {
                    kind: word(row, 0)?,
                    id: value(row, 1)?,
                    name: value(row, 2)?,
                    description: value(row, 3)?,
                    url: value(row, 4)?,
                    created_at: time(row, 5)?,
                })
            })
            .await
        })
    }

    async fn list_own_reactions(
        &self,
        room: RoomId,
        user: UserId,
        after: u64,
        through: u64,
    ) -> Result<Vec<(MessageId, String)>> {
        let params: Params<'_> = &[&room.0, &user.0, &integer(after), &integer(through)];
        reading!(self, |conn| {
            query::list(conn, sql::LIST_OWN_REACTIONS, params, |row| {
                Ok((id(row, 0)?, value(row, 1)?))
            })
            .await
        })
    }
}

async fn change_password(
    tx: &Server,
    user: UserId,
    (checked, hash): (&str, &str),
    keep: SessionId,
    at: Timestamp,
    repeated: bool,
) -> Outcome<Option<Vec<SessionId>>> {
    let checked = if repeated && is_hash(tx, user, hash).await? { hash } else { checked };
    if query::execute(tx, sql::CHANGE_PASSWORD, &[&user.0, &checked, &hash]).await? == 0 {
        return Ok(None);
    }
    let params: Params<'_> = &[&user.0, &at.as_millis(), &Some(keep.0)];
    let ended: Vec<SessionId> =
        query::list(tx, sessions::REVOKE_ALL, params, |row| id(row, 0)).await?;
    commit_log::tell_of_sessions(tx, ended.clone()).await?;
    Ok(Some(ended))
}

async fn is_hash(tx: &Server, user: UserId, hash: &str) -> Outcome<bool> {
    query::exists(tx, sql::HAS_PASSWORD, &[&user.0, &hash]).await
}

/// A part of a room's log.
#[derive(Debug, Clone, Copy)]
struct Span {
    room: RoomId,
    after: u64,
    through: u64,
}

async fn list_naming_events(
    conn: &Server,
    Span { room, after, through }: Span,
    Erased { user, redact }: Erased,
) -> Outcome<Vec<(i64, String, bool)>> {
    let params: Params<'_> = &[&room.0, &integer(after), &integer(through), &user.0, &redact];
    query::list(conn, sql::LIST_NAMING_EVENTS, params, |row| {
        Ok((value(row, 0)?, value(row, 1)?, value(row, 2)?))
    })
    .await
}

/// The room is locked: what is redacted in the meantime is not written back.
async fn forget_names(tx: &Server, span: Span, erased: Erased) -> Outcome<u64> {
    let room = span.room;
    query::execute(tx, rooms::LOCK_ALL, &[&vec![room.0]]).await?;
    let (mut seqs, mut documents) = (Vec::new(), Vec::new());
    for (seq, data, gave) in list_naming_events(tx, span, erased).await? {
        if let Some(data) = document::without_names(&data, gave)? {
            seqs.push(seq);
            documents.push(data);
        }
    }
    query::execute(tx, sql::SET_DOCUMENTS, &[&room.0, &seqs, &documents]).await
}

async fn erase(
    tx: &Server,
    erasure: &NewErasure,
) -> Outcome<std::result::Result<Vec<SessionId>, LastAdmin>> {
    let NewErasure { user, username, redact, at } = erasure;
    // Before what others wait for.
    query::execute(tx, sql::HOLD_IMPORT, &[&user.0]).await?;
    if is_last_admin(tx, *user).await? {
        return Ok(Err(LastAdmin));
    }
    let at_ms = at.as_millis();
    query::execute(tx, sql::ERASE, &[&user.0, username, &ERASED_NAME, &at_ms]).await?;
    for forgotten in [
        sql::FORGET_CLIENTS,
        sql::FORGET_TOKEN_NAMES,
        sql::FORGET_NAMES,
        sql::FORGET_LINKS,
        sql::FORGET_BANS,
        sql::LET_BOTS_GO,
    ] {
        query::execute(tx, forgotten, &[&user.0]).await?;
    }
    query::execute(tx, sql::NOTE_ERASURE, &[&user.0, &at_ms, redact]).await?;
    cut_off(tx, *user, *at).await.map(Ok)
}

/// Tells whether nobody else who can log in is administrator. Of two who lose their rights at once, one
/// waits for the other.
pub(super) async fn is_last_admin(tx: &Server, user: UserId) -> Outcome<bool> {
    query::execute(tx, users::LOCK_FIRST_ADMIN, &[]).await?;
    let account = query::find(tx, users::FIND, &[&user.0], rows::account).await?;
    let is_admin =
        account.is_some_and(|account| account.active && account.user.role == ServerRole::Admin);
    Ok(is_admin && !query::exists(tx, sql::HAS_OTHER_ADMIN, &[&user.0]).await?)
}

/// Ends all logins, and has every node cut the user's connections.
async fn cut_off(tx: &Server, user: UserId, at: Timestamp) -> Outcome<Vec<SessionId>> {
    let params: Params<'_> = &[&user.0, &at.as_millis(), &None::<uuid::Uuid>];
    let ended: Vec<SessionId> =
        query::list(tx, sessions::REVOKE_ALL, params, |row| id(row, 0)).await?;
    commit_log::tell_of_user(tx, user, ended.clone()).await?;
    Ok(ended)
}

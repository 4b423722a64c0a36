//! What people do with their own accounts.

use async_trait::async_trait;
use parlor_protocol::id::{MessageId, RoomId, SessionId, UserId};
use parlor_protocol::message::Message;
use parlor_protocol::time::Timestamp;
use rusqlite::{Connection, params};

use super::codec::{bytes, id, integer, time, time_opt, word};
use super::fault::Outcome;
use super::sql::{files as files_sql, jobs, messages, people as sql, rooms};
use super::{SqliteStore, files, query, rows, sessions};
use crate::contract::Result;
use crate::document;
use crate::people::{
    ERASED_NAME, Erased, Erasure, FormerName, LastAdmin, NewErasure, OwnBan, OwnProgram, People,
};
use crate::record::UploadRecord;

#[async_trait]
impl People for SqliteStore {
    async fn change_password(
        &self,
        user: UserId,
        checked: &str,
        hash: String,
        keep: SessionId,
        at: Timestamp,
    ) -> Result<Option<Vec<SessionId>>> {
        let checked = checked.to_owned();
        self.write(move |conn| {
            let params = params![user.0.as_bytes(), checked, hash];
            if query::execute(conn, sql::CHANGE_PASSWORD, params)? == 0 {
                return Ok(None);
            }
            end_logins(conn, user, Some(keep), at).map(Some)
        })
        .await
    }

    async fn close_account(
        &self,
        user: UserId,
        at: Timestamp,
    ) -> Result<std::result::Result<Vec<SessionId>, LastAdmin>> {
        self.write(move |conn| {
            if is_last_admin(conn, user)? {
                return Ok(Err(LastAdmin));
            }
            query::execute(conn, sql::CLOSE, [user.0.as_bytes()])?;
            // A bot that is switched off stops what it does.
            query::execute(conn, jobs::REQUEST_CANCEL_EVERYWHERE, [user.0.as_bytes()])?;
            end_logins(conn, user, None, at).map(Ok)
        })
        .await
    }

    async fn erase_account(
        &self,
        erasure: NewErasure,
    ) -> Result<std::result::Result<Vec<SessionId>, LastAdmin>> {
        self.write(move |conn| {
            let NewErasure { user, username, redact, at } = erasure;
            if is_last_admin(conn, user)? {
                return Ok(Err(LastAdmin));
            }
            let key = [user.0.as_bytes()];
            let params = params![user.0.as_bytes(), username, ERASED_NAME, at.as_millis()];
            query::execute(conn, sql::ERASE, params)?;
            for forgotten in [
                sql::FORGET_CLIENTS,
                sql::FORGET_TOKEN_NAMES,
                sql::FORGET_NAMES,
                sql::FORGET_LINKS,
                sql::FORGET_BANS,
                sql::LET_BOTS_GO,
            ] {
                query::execute(conn, forgotten, key)?;
            }
            let params = params![user.0.as_bytes(), at.as_millis(), redact];
            query::execute(conn, sql::NOTE_ERASURE, params)?;
            end_logins(conn, user, None, at).map(Ok)
        })
        .await
    }

    async fn list_erasures(&self) -> Result<Vec<Erasure>> {
        self.read(|conn| {
            Ok(query::list(conn, sql::LIST_ERASURES, [], |row| {
                Ok(Erasure { user: id(row, 0)?, redact: row.get(1)?, at: time(row, 2)? })
            })?)
        })
        .await
    }

    async fn finish_erasure(&self, user: UserId) -> Result<()> {
        self.write(move |conn| {
            let rest =
                [sql::LET_BOTS_GO, sql::FORGET_SESSIONS, sql::FORGET_TOKENS, sql::FINISH_ERASURE];
            for done in rest {
                query::execute(conn, done, [user.0.as_bytes()])?;
            }
            Ok(())
        })
        .await
    }

    async fn list_past_rooms(&self, user: UserId) -> Result<Vec<RoomId>> {
        self.read(move |conn| {
            Ok(query::list(conn, sql::LIST_PAST_ROOMS, [user.0.as_bytes()], |row| id(row, 0))?)
        })
        .await
    }

    async fn forget_past_room(&self, user: UserId, room: RoomId) -> Result<()> {
        self.write(move |conn| {
            let key = [user.0.as_bytes(), room.0.as_bytes()];
            query::execute(conn, sql::FORGET_PAST_ROOM, key)?;
            Ok(())
        })
        .await
    }

    async fn forget_names(
        &self,
        room: RoomId,
        erased: Erased,
        after: u64,
        through: u64,
    ) -> Result<u64> {
        let naming = move |conn: &Connection| {
            let (room, user) = (room.0.as_bytes(), erased.user.0.as_bytes());
            let span = params![room, integer(after), integer(through), user, erased.redact];
            query::list(conn, sql::LIST_NAMING_EVENTS, span, |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, bool>(2)?))
            })
        };
        // Mostly there are none, and the writer is for those who write.
        let weight = self.read(move |conn| Ok(naming(conn)?.len())).await?;
        if weight == 0 {
            return Ok(0);
        }
        self.write_many(weight, move |conn| {
            let mut changed = 0;
            for (seq, data, gave) in naming(conn)? {
                let Some(data) = document::without_names(&data, gave)? else { continue };
                let row = params![room.0.as_bytes(), seq, data];
                changed += query::execute(conn, sql::SET_DOCUMENT, row)? as u64;
            }
            Ok(changed)
        })
        .await
    }

    async fn forget_reasons(&self, room: RoomId, user: UserId) -> Result<()> {
        self.write(move |conn| {
            for forgotten in [sql::FORGET_BAN_REASONS, sql::FORGET_MUTE_REASONS] {
                query::execute(conn, forgotten, [room.0.as_bytes(), user.0.as_bytes()])?;
            }
            Ok(())
        })
        .await
    }

    async fn delete_deserted_room(&self, room: RoomId, user: UserId) -> Result<bool> {
        self.write(move |conn| {
            let key = [room.0.as_bytes(), user.0.as_bytes()];
            if !query::exists(conn, sql::IS_OWNER, key)?
                || query::exists(conn, sql::FIND_SUCCESSOR, key)?
            {
                return Ok(false);
            }
            query::execute(conn, rooms::DELETE, [room.0.as_bytes()])?;
            Ok(true)
        })
        .await
    }

    async fn list_own_messages(
        &self,
        room: RoomId,
        user: UserId,
        after: u64,
        through: u64,
        limit: u32,
    ) -> Result<Vec<Message>> {
        self.read(move |conn| {
            let (room_id, user) = (room.0.as_bytes(), user.0.as_bytes());
            let params = params![room_id, user, integer(after), integer(through), limit];
            Ok(rows::list_messages(conn, room, messages::LIST_OWN, params)?)
        })
        .await
    }

    async fn list_former_names(&self, user: UserId) -> Result<Vec<FormerName>> {
        self.read(move |conn| {
            Ok(query::list(conn, sql::LIST_FORMER_NAMES, [user.0.as_bytes()], |row| {
                Ok(FormerName { name: row.get(0)?, until: time(row, 1)? })
            })?)
        })
        .await
    }

    async fn list_uploads_of(&self, user: UserId) -> Result<Vec<UploadRecord>> {
        let key = *user.0.as_bytes();
        self.read(move |conn| Ok(query::list(conn, files_sql::LIST_OPEN, [key], files::upload)?))
            .await
    }

    async fn list_bans_of(
        &self,
        user: UserId,
        after: Option<RoomId>,
        limit: u32,
    ) -> Result<Vec<OwnBan>> {
        self.read(move |conn| {
            let params = params![user.0.as_bytes(), bytes(after.map(|room| room.0)), limit];
            Ok(query::list(conn, sql::LIST_BANS_OF, params, |row| {
                let (room, at, until) = (id(row, 0)?, time(row, 1)?, time_opt(row, 2)?);
                Ok(OwnBan { room, at, until, reason: row.get(3)? })
            })?)
        })
        .await
    }

    async fn list_programs_of(&self, user: UserId, room: RoomId) -> Result<Vec<OwnProgram>> {
        self.read(move |conn| {
            let params = params![user.0.as_bytes(), room.0.as_bytes()];
            Ok(query::list(conn, sql::LIST_PROGRAMS, params, |row| {
                Ok(OwnProgram {
                    kind: word(row, 0)?,
                    id: id::<UserId>(row, 1)?.0,
                    name: row.get(2)?,
                    description: row.get(3)?,
                    url: row.get(4)?,
                    created_at: time(row, 5)?,
                })
            })?)
        })
        .await
    }

    async fn list_own_reactions(
        &self,
        room: RoomId,
        user: UserId,
        after: u64,
        through: u64,
    ) -> Result<Vec<(MessageId, String)>> {
        self.read(move |conn| {
            let params =
                params![room.0.as_bytes(), user.0.as_bytes(), integer(after), integer(through)];
            Ok(query::list(conn, sql::LIST_OWN_REACTIONS, params, |row| {
                Ok((id(row, 0)?, row.get(1)?))
            })?)
        })
        .await
    }
}

/// Tells whether nobody else who can log in is administrator.
pub(super) fn is_last_admin(conn: &Connection, user: UserId) -> Outcome<bool> {
    let account = query::find(conn, super::sql::users::FIND, [user.0.as_bytes()], rows::account)?;
    let is_admin = account.is_some_and(|account| {
        account.active && account.user.role == parlor_protocol::user::ServerRole::Admin
    });
    Ok(is_admin && !query::exists(conn, sql::HAS_OTHER_ADMIN, [user.0.as_bytes()])?)
}

fn end_logins(
    conn: &Connection,
    user: UserId,
    except: Option<SessionId>,
    at: Timestamp,
) -> Outcome<Vec<SessionId>> {
    Ok(sessions::revoke_all(conn, user, except, at)?)
}

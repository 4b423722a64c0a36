//! Logins and refresh tokens.

use async_trait::async_trait;
use parlor_protocol::id::{SessionId, UserId};
use parlor_protocol::time::Timestamp;
use rusqlite::{Connection, params};

use super::SqliteStore;
use super::codec::{bytes, id, time};
use super::fault::{Fault, Outcome};
use super::sql::{sessions as sql, tokens};
use super::{query, rows};
use crate::contract::{Result, Sessions};
use crate::record::{NewSession, Rotated, Rotation, SessionRecord};

/// How long a login that has ended is remembered: 30 days.
const REMEMBERED_MS: i64 = 30 * 24 * 60 * 60 * 1000;

#[async_trait]
impl Sessions for SqliteStore {
    async fn create_session(&self, session: NewSession) -> Result<Vec<SessionId>> {
        self.write(move |conn| create(conn, &session)).await
    }

    async fn find_session(&self, id: SessionId) -> Result<Option<SessionRecord>> {
        self.read(move |conn| find(conn, id)).await
    }

    async fn rotate_refresh_token(&self, rotation: Rotation) -> Result<Rotated> {
        self.write(move |conn| rotate(conn, &rotation)).await
    }

    async fn revoke_session(&self, id: SessionId, at: Timestamp) -> Result<bool> {
        self.write(move |conn| Ok(revoke(conn, id, at)?)).await
    }

    async fn revoke_sessions_of(
        &self,
        user: UserId,
        except: Option<SessionId>,
        at: Timestamp,
    ) -> Result<Vec<SessionId>> {
        self.write(move |conn| Ok(revoke_all(conn, user, except, at)?)).await
    }

    async fn list_revoked_since(&self, since: Timestamp) -> Result<Vec<SessionId>> {
        self.read(move |conn| {
            Ok(query::list(conn, sql::LIST_REVOKED, [since.as_millis()], |row| id(row, 0))?)
        })
        .await
    }

    async fn list_sessions(
        &self,
        user: Option<UserId>,
        at: Timestamp,
        limit: u32,
    ) -> Result<Vec<SessionRecord>> {
        self.read(move |conn| {
            let params = params![bytes(user.map(|user| user.0)), at.as_millis(), limit];
            Ok(query::list(conn, sql::LIST_OPEN, params, rows::session)?)
        })
        .await
    }
}

fn create(conn: &Connection, session: &NewSession) -> Outcome<Vec<SessionId>> {
    if find(conn, session.id)?.is_some() {
        return Ok(Vec::new());
    }
    let (user, at) = (session.user.0.as_bytes(), session.at.as_millis());
    query::execute(conn, sql::FORGET_OLD, params![user, at.saturating_sub(REMEMBERED_MS)])?;
    let open: Vec<SessionId> =
        query::list(conn, sql::LIST_OPEN_OLDEST_FIRST, params![user, at], |row| id(row, 0))?;
    let room_for = usize::try_from(session.max_sessions.max(1)).unwrap_or(usize::MAX) - 1;
    let mut ended = open;
    ended.truncate(ended.len().saturating_sub(room_for));
    for id in &ended {
        revoke(conn, *id, session.at)?;
    }
    query::execute(
        conn,
        sql::INSERT,
        params![
            session.id.0.as_bytes(),
            user,
            session.client,
            session.refresh_hash,
            at,
            session.idle_until.as_millis(),
            session.absolute_until.as_millis(),
        ],
    )?;
    Ok(ended)
}

fn find(conn: &Connection, id: SessionId) -> Outcome<Option<SessionRecord>> {
    Ok(query::find(conn, sql::FIND, [id.0.as_bytes()], rows::session)?)
}

fn revoke(conn: &Connection, id: SessionId, at: Timestamp) -> rusqlite::Result<bool> {
    Ok(query::execute(conn, sql::REVOKE, params![id.0.as_bytes(), at.as_millis()])? > 0)
}

/// Ends all logins of a user but one, and all personal access tokens.
pub(super) fn revoke_all(
    conn: &Connection,
    user: UserId,
    except: Option<SessionId>,
    at: Timestamp,
) -> rusqlite::Result<Vec<SessionId>> {
    let (user, at) = (user.0.as_bytes(), at.as_millis());
    let params = params![user, at, bytes(except.map(|except| except.0))];
    let mut ended = query::list(conn, sql::REVOKE_ALL, params, |row| id(row, 0))?;
    let tokens: Vec<SessionId> =
        query::list(conn, tokens::REVOKE_ALL, params![user, at], |row| id(row, 0))?;
    ended.extend(tokens);
    Ok(ended)
}

fn rotate(conn: &Connection, rotation: &Rotation) -> Outcome<Rotated> {
    let Rotation { presented, successor, at, grace_ms, idle_until } = rotation;
    let usable = |session: &SessionRecord| -> rusqlite::Result<bool> {
        Ok(session.revoked_at.is_none()
            && session.expires_at > *at
            && query::exists(conn, sql::USER_IS_ACTIVE, [session.user.0.as_bytes()])?)
    };
    let current = query::find(conn, sql::FIND_BY_TOKEN, [presented], rows::session)?;
    if let Some(session) = current {
        if !usable(&session)? {
            return Ok(Rotated::Ended);
        }
        let id = session.id.0.as_bytes();
        query::execute(conn, sql::SPEND, params![presented, id, at.as_millis()])?;
        query::execute(conn, sql::ROTATE, params![id, successor, idle_until.as_millis()])?;
        let session = find(conn, session.id)?.ok_or(Fault::Contradiction("sessions lost a row"))?;
        return Ok(Rotated::Fresh(session));
    }
    let spent = query::find(conn, sql::FIND_BY_SPENT_TOKEN, [presented], |row| {
        Ok((rows::session(row)?, time(row, 6)?))
    })?;
    let Some((session, spent_at)) = spent else {
        return Ok(Rotated::Unknown);
    };
    if !usable(&session)? {
        return Ok(Rotated::Ended);
    }
    if at.as_millis().saturating_sub(spent_at.as_millis()) < *grace_ms {
        return Ok(Rotated::Fresh(session));
    }
    revoke(conn, session.id, *at)?;
    let session = find(conn, session.id)?.ok_or(Fault::Contradiction("sessions lost a row"))?;
    Ok(Rotated::Reused(session))
}

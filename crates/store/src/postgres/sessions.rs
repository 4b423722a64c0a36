//! Logins and refresh tokens.
//!
//! The row of the user is locked while a login is made, and the row of the login while its token is
//! exchanged, so that of several at once each sees what the one before has done.

use async_trait::async_trait;
use parlor_protocol::id::{SessionId, UserId};
use parlor_protocol::time::Timestamp;

use super::codec::{id, time};
use super::fault::{Fault, Outcome};
use super::pools::Server;
use super::query::Params;
use super::sql::{sessions as sql, users};
use super::transaction::{reading, writing};
use super::{PostgresStore, commit_log, query, rows};
use crate::contract::{Result, Sessions};
use crate::record::{NewSession, Rotated, Rotation, SessionRecord};

/// How long a login that has ended is remembered: 30 days.
const REMEMBERED_MS: i64 = 30 * 24 * 60 * 60 * 1000;

#[async_trait]
impl Sessions for PostgresStore {
    async fn create_session(&self, session: NewSession) -> Result<Vec<SessionId>> {
        writing!(self, |tx, repeated| create(tx, &session, repeated).await)
    }

    async fn find_session(&self, id: SessionId) -> Result<Option<SessionRecord>> {
        reading!(self, |conn| find(conn, id).await)
    }

    async fn rotate_refresh_token(&self, rotation: Rotation) -> Result<Rotated> {
        writing!(self, |tx, repeated| rotate(tx, &rotation, repeated).await)
    }

    async fn revoke_session(&self, id: SessionId, at: Timestamp) -> Result<bool> {
        writing!(self, |tx, repeated| async {
            let revoked = revoke(tx, id, at).await?;
            Ok(revoked || (repeated && was_revoked_at(tx, id, at).await?))
        }
        .await)
    }

    async fn revoke_sessions_of(
        &self,
        user: UserId,
        except: Option<SessionId>,
        at: Timestamp,
    ) -> Result<Vec<SessionId>> {
        writing!(self, |tx, repeated| revoke_all(tx, user, except, at, repeated).await)
    }

    async fn list_revoked_since(&self, since: Timestamp) -> Result<Vec<SessionId>> {
        let params: Params<'_> = &[&since.as_millis()];
        reading!(self, |conn| query::list(conn, sql::LIST_REVOKED, params, |row| id(row, 0)).await)
    }

    async fn list_sessions(
        &self,
        user: Option<UserId>,
        at: Timestamp,
        limit: u32,
    ) -> Result<Vec<SessionRecord>> {
        let user = user.map(|user| user.0);
        let params: Params<'_> = &[&user, &at.as_millis(), &i64::from(limit)];
        reading!(self, |conn| query::list(conn, sql::LIST_OPEN, params, rows::session).await)
    }
}

async fn create(tx: &Server, session: &NewSession, repeated: bool) -> Outcome<Vec<SessionId>> {
    let at = session.at.as_millis();
    query::execute(tx, users::LOCK, &[&session.user.0]).await?;
    if find(tx, session.id).await?.is_some() {
        if repeated {
            return list_revoked_at(tx, session.user, session.at).await;
        }
        return Ok(Vec::new());
    }
    let forgotten = at.saturating_sub(REMEMBERED_MS);
    query::execute(tx, sql::FORGET_OLD, &[&session.user.0, &forgotten]).await?;
    let mut ended: Vec<SessionId> =
        query::list(tx, sql::LIST_OPEN_OLDEST_FIRST, &[&session.user.0, &at], |row| id(row, 0))
            .await?;
    let room_for = usize::try_from(session.max_sessions.max(1)).unwrap_or(usize::MAX) - 1;
    ended.truncate(ended.len().saturating_sub(room_for));
    for id in &ended {
        query::execute(tx, sql::REVOKE, &[&id.0, &at]).await?;
    }
    let params: Params<'_> = &[
        &session.id.0,
        &session.user.0,
        &session.client,
        &session.refresh_hash.as_slice(),
        &at,
        &session.idle_until.as_millis(),
        &session.absolute_until.as_millis(),
    ];
    query::execute(tx, sql::INSERT, params).await?;
    commit_log::tell_of_sessions(tx, ended.clone()).await?;
    Ok(ended)
}

async fn find(conn: &Server, id: SessionId) -> Outcome<Option<SessionRecord>> {
    query::find(conn, sql::FIND, &[&id.0], rows::session).await
}

/// Ends a login and notes it for the other nodes.
async fn revoke(tx: &Server, id: SessionId, at: Timestamp) -> Outcome<bool> {
    let revoked = query::execute(tx, sql::REVOKE, &[&id.0, &at.as_millis()]).await? > 0;
    if revoked {
        commit_log::tell_of_sessions(tx, vec![id]).await?;
    }
    Ok(revoked)
}

async fn was_revoked_at(tx: &Server, id: SessionId, at: Timestamp) -> Outcome<bool> {
    Ok(find(tx, id).await?.is_some_and(|session| session.revoked_at == Some(at)))
}

async fn revoke_all(
    tx: &Server,
    user: UserId,
    except: Option<SessionId>,
    at: Timestamp,
    repeated: bool,
) -> Outcome<Vec<SessionId>> {
    let except = except.map(|except| except.0);
    let params: Params<'_> = &[&user.0, &at.as_millis(), &except];
    let ended: Vec<SessionId> = query::list(tx, sql::REVOKE_ALL, params, |row| id(row, 0)).await?;
    commit_log::tell_of_sessions(tx, ended.clone()).await?;
    if repeated {
        // Also those that an earlier attempt has ended.
        return list_revoked_at(tx, user, at).await;
    }
    Ok(ended)
}

async fn list_revoked_at(tx: &Server, user: UserId, at: Timestamp) -> Outcome<Vec<SessionId>> {
    let params: Params<'_> = &[&user.0, &at.as_millis()];
    query::list(tx, sql::LIST_REVOKED_AT, params, |row| id(row, 0)).await
}

async fn rotate(tx: &Server, rotation: &Rotation, repeated: bool) -> Outcome<Rotated> {
    let Rotation { presented, successor, at, grace_ms, idle_until } = rotation;
    let (presented, successor) = (presented.as_slice(), successor.as_slice());
    let current = query::find(tx, sql::LOCK_BY_TOKEN, &[&presented], rows::session).await?;
    if let Some(session) = current {
        if !is_usable(tx, &session, *at).await? {
            return Ok(Rotated::Ended);
        }
        let id = session.id.0;
        query::execute(tx, sql::SPEND, &[&presented, &id, &at.as_millis()]).await?;
        query::execute(tx, sql::ROTATE, &[&id, &successor, &idle_until.as_millis()]).await?;
        let session = find(tx, session.id).await?;
        return Ok(Rotated::Fresh(session.ok_or(Fault::Contradiction("sessions lost a row"))?));
    }
    let spent = query::find(tx, sql::LOCK_BY_SPENT_TOKEN, &[&presented], |row| {
        Ok((rows::session(row)?, time(row, 6)?))
    })
    .await?;
    let Some((session, spent_at)) = spent else {
        return Ok(Rotated::Unknown);
    };
    if repeated && session.revoked_at == Some(*at) {
        // An earlier attempt ended it.
        return Ok(Rotated::Reused(session));
    }
    if !is_usable(tx, &session, *at).await? {
        return Ok(Rotated::Ended);
    }
    let own = repeated && spent_at == *at;
    if own || at.as_millis().saturating_sub(spent_at.as_millis()) < *grace_ms {
        return Ok(Rotated::Fresh(session));
    }
    revoke(tx, session.id, *at).await?;
    let session = find(tx, session.id).await?;
    Ok(Rotated::Reused(session.ok_or(Fault::Contradiction("sessions lost a row"))?))
}

async fn is_usable(tx: &Server, session: &SessionRecord, at: Timestamp) -> Outcome<bool> {
    Ok(session.revoked_at.is_none()
        && session.expires_at > at
        && query::exists(tx, sql::USER_IS_ACTIVE, &[&session.user.0]).await?)
}

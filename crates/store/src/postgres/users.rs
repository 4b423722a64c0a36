//! Accounts.

use async_trait::async_trait;
use parlor_protocol::id::{SessionId, UserId};
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::{ServerRole, Visibility};

use super::codec::{Word as _, id, small, sought, value};
use super::fault::{Fault, Outcome};
use super::people::is_last_admin;
use super::pools::Server;
use super::query::Params;
use super::sql::{sessions, users as sql};
use super::transaction::{committing, reading, writing};
use super::{PostgresStore, commit_log, query, rows};
use crate::contract::{Result, Users};
use crate::people::{FORMER_NAME_HELD, FORMER_NAMES_MAX, LastAdmin, takes_rights};
use crate::record::{Account, Credentials, NewUser, ProfileChange, UserConflict};

#[async_trait]
impl Users for PostgresStore {
    async fn create_user(
        &self,
        user: NewUser,
    ) -> Result<std::result::Result<Account, UserConflict>> {
        writing!(self, |tx| insert(tx, &user).await)
    }

    async fn create_first_admin(
        &self,
        user: NewUser,
    ) -> Result<std::result::Result<Account, UserConflict>> {
        let user = NewUser { role: ServerRole::Admin, ..user };
        writing!(self, |tx, repeated| insert_first_admin(tx, &user, repeated).await)
    }

    async fn has_admin(&self) -> Result<bool> {
        reading!(self, |conn| query::exists(conn, sql::HAS_ADMIN, &[]).await)
    }

    async fn find_user(&self, id: UserId) -> Result<Option<Account>> {
        reading!(self, |conn| find(conn, id).await)
    }

    async fn find_user_by_name(&self, username: &str) -> Result<Option<Account>> {
        let params: Params<'_> = &[&sought(username)];
        reading!(self, |conn| query::find(conn, sql::FIND_BY_NAME, params, rows::account).await)
    }

    async fn find_credentials(&self, login: &str) -> Result<Option<Credentials>> {
        let params: Params<'_> = &[&sought(login)];
        reading!(self, |conn| {
            query::find(conn, sql::FIND_CREDENTIALS, params, |row| {
                Ok(Credentials { account: rows::account(row)?, password_hash: value(row, 12)? })
            })
            .await
        })
    }

    async fn set_password_hash(&self, user: UserId, hash: String) -> Result<()> {
        committing!(self, |conn| {
            query::execute(conn, sql::SET_PASSWORD, &[&user.0, &hash]).await.map(drop)
        })
    }

    async fn update_profile(
        &self,
        user: UserId,
        change: ProfileChange,
    ) -> Result<std::result::Result<Option<Account>, UserConflict>> {
        writing!(self, |tx| update_profile(tx, user, &change).await)
    }

    async fn set_user_access(
        &self,
        user: UserId,
        active: Option<bool>,
        role: Option<ServerRole>,
        at: Timestamp,
    ) -> Result<std::result::Result<Option<Account>, LastAdmin>> {
        writing!(self, |tx| set_access(tx, user, active, role, at).await)
    }

    async fn list_users(&self, after: Option<&str>, limit: u32) -> Result<Vec<Account>> {
        let params: Params<'_> = &[&sought(after.unwrap_or_default()), &i64::from(limit)];
        reading!(self, |conn| query::list(conn, sql::LIST, params, rows::account).await)
    }

    async fn touch_last_seen(&self, user: UserId, at: Timestamp) -> Result<()> {
        committing!(self, |conn| {
            query::execute(conn, sql::TOUCH, &[&user.0, &at.as_millis()]).await.map(drop)
        })
    }
}

async fn find(conn: &Server, id: UserId) -> Outcome<Option<Account>> {
    query::find(conn, sql::FIND, &[&id.0], rows::account).await
}

/// Makes an account; the same id again is a repeat. Of two that want the same name at the same time
/// the index lets one pass, and the other is repeated and finds it taken.
pub(super) async fn insert(
    tx: &Server,
    user: &NewUser,
) -> Outcome<std::result::Result<Account, UserConflict>> {
    if let Some(account) = find(tx, user.id).await? {
        return Ok(Ok(account));
    }
    if query::exists(tx, sql::NAME_TAKEN, &[&user.username, &user.id.0]).await? {
        return Ok(Err(UserConflict::Username));
    }
    if let Some(email) = &user.email
        && query::exists(tx, sql::EMAIL_TAKEN, &[email, &user.id.0]).await?
    {
        return Ok(Err(UserConflict::Email));
    }
    let params: Params<'_> = &[
        &user.id.0,
        &user.username,
        &user.display_name,
        &user.kind.word(),
        &user.email,
        &user.password_hash,
        &user.role.word(),
        &user.at.as_millis(),
    ];
    query::execute(tx, sql::INSERT, params).await?;
    Ok(Ok(find(tx, user.id).await?.ok_or(Fault::Contradiction("users lost a row"))?))
}

async fn insert_first_admin(
    tx: &Server,
    user: &NewUser,
    repeated: bool,
) -> Outcome<std::result::Result<Account, UserConflict>> {
    query::execute(tx, sql::LOCK_FIRST_ADMIN, &[]).await?;
    if repeated && let Some(account) = find(tx, user.id).await? {
        return Ok(Ok(account));
    }
    if query::exists(tx, sql::HAS_ADMIN, &[]).await? {
        return Ok(Err(UserConflict::AdminExists));
    }
    insert(tx, user).await
}

async fn update_profile(
    tx: &Server,
    user: UserId,
    change: &ProfileChange,
) -> Outcome<std::result::Result<Option<Account>, UserConflict>> {
    let ProfileChange { username, display_name, bio, visibility } = change;
    // Whoever was let in before the account was erased changes nothing of it.
    if !query::exists(tx, sql::LOCK_PRESENT, &[&user.0]).await? {
        return Ok(Ok(None));
    }
    if let Some(username) = username
        && let Err(conflict) = leave_name(tx, user, username).await?
    {
        return Ok(Err(conflict));
    }
    let visibility = visibility.map(Visibility::word);
    let params: Params<'_> = &[&user.0, username, display_name, bio, &visibility];
    query::execute(tx, sql::UPDATE_PROFILE, params).await?;
    Ok(Ok(find(tx, user).await?))
}

/// Makes way for another name: the one that a user has is held for them.
async fn leave_name(
    tx: &Server,
    user: UserId,
    next: &str,
) -> Outcome<std::result::Result<(), UserConflict>> {
    query::execute(tx, sql::LOCK, &[&user.0]).await?;
    if query::exists(tx, sql::NAME_TAKEN, &[&next, &user.0]).await? {
        return Ok(Err(UserConflict::Username));
    }
    let Some(account) = find(tx, user).await? else { return Ok(Ok(())) };
    let left = account.user.username;
    if left.eq_ignore_ascii_case(next) {
        return Ok(Ok(()));
    }
    query::execute(tx, sql::FORGET_FORMER_NAMES, &[]).await?;
    let held =
        query::get(tx, sql::COUNT_FORMER_NAMES, &[&user.0, &next], |row| small(row, 0)).await?;
    if held >= FORMER_NAMES_MAX {
        return Ok(Err(UserConflict::TooManyNames));
    }
    query::execute(tx, sql::TAKE_BACK_NAME, &[&next, &user.0]).await?;
    let held_ms = i64::try_from(FORMER_NAME_HELD.as_millis()).unwrap_or(i64::MAX / 2);
    query::execute(tx, sql::HOLD_NAME, &[&left, &user.0, &held_ms]).await?;
    Ok(Ok(()))
}

async fn set_access(
    tx: &Server,
    user: UserId,
    active: Option<bool>,
    role: Option<ServerRole>,
    at: Timestamp,
) -> Outcome<std::result::Result<Option<Account>, LastAdmin>> {
    if takes_rights(active, role) && is_last_admin(tx, user).await? {
        return Ok(Err(LastAdmin));
    }
    let role = role.map(ServerRole::word);
    if query::execute(tx, sql::SET_ACCESS, &[&user.0, &active, &role]).await? == 0 {
        return Ok(Ok(None));
    }
    if active == Some(false) {
        let params: Params<'_> = &[&user.0, &at.as_millis(), &None::<uuid::Uuid>];
        let ended: Vec<SessionId> =
            query::list(tx, sessions::REVOKE_ALL, params, |row| id(row, 0)).await?;
        // A bot that is switched off stops what it does.
        query::execute(tx, sql::REQUEST_CANCEL_EVERYWHERE, &[&user.0]).await?;
        commit_log::tell_of_user(tx, user, ended).await?;
    }
    find(tx, user).await.map(Ok)
}

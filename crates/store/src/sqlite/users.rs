//! Accounts.

use async_trait::async_trait;
use parlor_protocol::id::UserId;
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::{ServerRole, Visibility};
use rusqlite::{Connection, params};

use super::SqliteStore;
use super::codec::Word as _;
use super::fault::{Fault, Outcome};
use super::people::is_last_admin;
use super::sql::{jobs, users as sql};
use super::{query, rows, sessions};
use crate::contract::{Result, Users};
use crate::people::{FORMER_NAME_HELD, FORMER_NAMES_MAX, LastAdmin, takes_rights};
use crate::record::{Account, Credentials, NewUser, ProfileChange, UserConflict};

#[async_trait]
impl Users for SqliteStore {
    async fn create_user(
        &self,
        user: NewUser,
    ) -> Result<std::result::Result<Account, UserConflict>> {
        self.write(move |conn| insert(conn, &user)).await
    }

    async fn create_first_admin(
        &self,
        user: NewUser,
    ) -> Result<std::result::Result<Account, UserConflict>> {
        self.write(move |conn| {
            if query::exists(conn, sql::HAS_ADMIN, [])? {
                return Ok(Err(UserConflict::AdminExists));
            }
            insert(conn, &NewUser { role: ServerRole::Admin, ..user })
        })
        .await
    }

    async fn has_admin(&self) -> Result<bool> {
        self.read(|conn| Ok(query::exists(conn, sql::HAS_ADMIN, [])?)).await
    }

    async fn find_user(&self, id: UserId) -> Result<Option<Account>> {
        self.read(move |conn| find(conn, id)).await
    }

    async fn find_user_by_name(&self, username: &str) -> Result<Option<Account>> {
        let username = username.to_owned();
        self.read(move |conn| Ok(query::find(conn, sql::FIND_BY_NAME, [username], rows::account)?))
            .await
    }

    async fn find_credentials(&self, login: &str) -> Result<Option<Credentials>> {
        let login = login.to_owned();
        self.read(move |conn| {
            Ok(query::find(conn, sql::FIND_CREDENTIALS, [login], |row| {
                Ok(Credentials { account: rows::account(row)?, password_hash: row.get(12)? })
            })?)
        })
        .await
    }

    async fn set_password_hash(&self, user: UserId, hash: String) -> Result<()> {
        self.write(move |conn| {
            query::execute(conn, sql::SET_PASSWORD, params![user.0.as_bytes(), hash])?;
            Ok(())
        })
        .await
    }

    async fn update_profile(
        &self,
        user: UserId,
        change: ProfileChange,
    ) -> Result<std::result::Result<Option<Account>, UserConflict>> {
        self.write(move |conn| {
            // Whoever was let in before the account was erased changes nothing of it.
            if !query::exists(conn, sql::IS_PRESENT, [user.0.as_bytes()])? {
                return Ok(Ok(None));
            }
            if let Some(username) = &change.username
                && let Err(conflict) = leave_name(conn, user, username)?
            {
                return Ok(Err(conflict));
            }
            let ProfileChange { username, display_name, bio, visibility } = change;
            let visibility = visibility.map(Visibility::word);
            query::execute(
                conn,
                sql::UPDATE_PROFILE,
                params![user.0.as_bytes(), username, display_name, bio, visibility],
            )?;
            Ok(Ok(find(conn, user)?))
        })
        .await
    }

    async fn set_user_access(
        &self,
        user: UserId,
        active: Option<bool>,
        role: Option<ServerRole>,
        at: Timestamp,
    ) -> Result<std::result::Result<Option<Account>, LastAdmin>> {
        self.write(move |conn| {
            if takes_rights(active, role) && is_last_admin(conn, user)? {
                return Ok(Err(LastAdmin));
            }
            let role = role.map(ServerRole::word);
            let params = params![user.0.as_bytes(), active, role];
            if query::execute(conn, sql::SET_ACCESS, params)? == 0 {
                return Ok(Ok(None));
            }
            if active == Some(false) {
                sessions::revoke_all(conn, user, None, at)?;
                // A bot that is switched off stops what it does.
                query::execute(conn, jobs::REQUEST_CANCEL_EVERYWHERE, [user.0.as_bytes()])?;
            }
            Ok(Ok(find(conn, user)?))
        })
        .await
    }

    async fn list_users(&self, after: Option<&str>, limit: u32) -> Result<Vec<Account>> {
        let after = after.unwrap_or_default().to_owned();
        self.read(move |conn| {
            Ok(query::list(conn, sql::LIST, params![after, limit], rows::account)?)
        })
        .await
    }

    async fn touch_last_seen(&self, user: UserId, at: Timestamp) -> Result<()> {
        self.write(move |conn| {
            query::execute(conn, sql::TOUCH, params![user.0.as_bytes(), at.as_millis()])?;
            Ok(())
        })
        .await
    }
}

fn find(conn: &Connection, id: UserId) -> Outcome<Option<Account>> {
    Ok(query::find(conn, sql::FIND, [id.0.as_bytes()], rows::account)?)
}

/// Makes an account; the same id again is a repeat.
pub(super) fn insert(
    conn: &Connection,
    user: &NewUser,
) -> Outcome<std::result::Result<Account, UserConflict>> {
    if let Some(account) = find(conn, user.id)? {
        return Ok(Ok(account));
    }
    let id = user.id.0.as_bytes();
    if query::exists(conn, sql::NAME_TAKEN, params![user.username, id])? {
        return Ok(Err(UserConflict::Username));
    }
    if let Some(email) = &user.email
        && query::exists(conn, sql::EMAIL_TAKEN, params![email, id])?
    {
        return Ok(Err(UserConflict::Email));
    }
    query::execute(
        conn,
        sql::INSERT,
        params![
            id,
            user.username,
            user.display_name,
            user.kind.word(),
            user.email,
            user.password_hash,
            user.role.word(),
            user.at.as_millis(),
        ],
    )?;
    Ok(Ok(find(conn, user.id)?.ok_or(Fault::Contradiction("users lost a row"))?))
}

/// Makes way for another name: the one that a user has is held for them.
fn leave_name(
    conn: &Connection,
    user: UserId,
    next: &str,
) -> Outcome<std::result::Result<(), UserConflict>> {
    let key = user.0.as_bytes();
    if query::exists(conn, sql::NAME_TAKEN, params![next, key])? {
        return Ok(Err(UserConflict::Username));
    }
    let Some(account) = find(conn, user)? else { return Ok(Ok(())) };
    let left = account.user.username;
    if left.eq_ignore_ascii_case(next) {
        return Ok(Ok(()));
    }
    query::execute(conn, sql::FORGET_FORMER_NAMES, [])?;
    let held: u32 =
        query::get(conn, sql::COUNT_FORMER_NAMES, params![key, next], |row| row.get(0))?;
    if held >= FORMER_NAMES_MAX {
        return Ok(Err(UserConflict::TooManyNames));
    }
    query::execute(conn, sql::TAKE_BACK_NAME, params![next, key])?;
    let held_ms = i64::try_from(FORMER_NAME_HELD.as_millis()).unwrap_or(i64::MAX / 2);
    query::execute(conn, sql::HOLD_NAME, params![left, key, held_ms])?;
    Ok(Ok(()))
}

//! Personal access tokens.

use async_trait::async_trait;
use parlor_protocol::id::{TokenId, UserId};
use parlor_protocol::time::Timestamp;
use rusqlite::{Connection, Row, params};

use super::SqliteStore;
use super::codec::{id, time, time_opt};
use super::fault::{Fault, Outcome};
use super::query;
use super::sql::{sessions, tokens as sql};
use crate::contract::{Result, Tokens};
use crate::record::{NewToken, TokenConflict, TokenRecord};
use crate::word::{scopes_from_words, words_of_scopes};

/// How long a token that has ended is remembered: 30 days.
const REMEMBERED_MS: i64 = 30 * 24 * 60 * 60 * 1000;

#[async_trait]
impl Tokens for SqliteStore {
    async fn create_token(
        &self,
        token: NewToken,
    ) -> Result<std::result::Result<TokenRecord, TokenConflict>> {
        self.write(move |conn| create(conn, &token)).await
    }

    async fn find_tokens(&self, hashes: &[[u8; 32]]) -> Result<Vec<Option<TokenRecord>>> {
        let hashes = hashes.to_vec();
        self.read(move |conn| {
            let find = |hash| Ok(query::find(conn, sql::FIND_BY_HASH, [hash], record)?);
            hashes.into_iter().map(find).collect()
        })
        .await
    }

    async fn list_tokens(&self, user: UserId, at: Timestamp) -> Result<Vec<TokenRecord>> {
        self.read(move |conn| {
            let params = params![user.0.as_bytes(), at.as_millis()];
            Ok(query::list(conn, sql::LIST, params, record)?)
        })
        .await
    }

    async fn revoke_token(&self, user: UserId, token: TokenId, at: Timestamp) -> Result<bool> {
        self.write(move |conn| {
            let params = params![token.0.as_bytes(), user.0.as_bytes(), at.as_millis()];
            Ok(query::execute(conn, sql::REVOKE, params)? > 0)
        })
        .await
    }

    async fn touch_token(&self, token: TokenId, at: Timestamp) -> Result<()> {
        self.write(move |conn| {
            query::execute(conn, sql::TOUCH, params![token.0.as_bytes(), at.as_millis()])?;
            Ok(())
        })
        .await
    }
}

fn create(
    conn: &Connection,
    token: &NewToken,
) -> Outcome<std::result::Result<TokenRecord, TokenConflict>> {
    if let Some(token) = find(conn, token.id)? {
        return Ok(Ok(token));
    }
    let (user, at) = (token.user.0.as_bytes(), token.at.as_millis());
    if !query::exists(conn, sessions::USER_IS_ACTIVE, [user])? {
        return Ok(Err(TokenConflict::NoSuchUser));
    }
    query::execute(conn, sql::FORGET_OLD, params![user, at.saturating_sub(REMEMBERED_MS)])?;
    let open: u32 = query::get(conn, sql::COUNT_OPEN, params![user, at], |row| row.get(0))?;
    if open >= token.max_tokens {
        return Ok(Err(TokenConflict::TooMany));
    }
    query::execute(
        conn,
        sql::INSERT,
        params![
            token.id.0.as_bytes(),
            user,
            token.name,
            words_of_scopes(token.scopes),
            token.prefix,
            token.hash,
            at,
            token.expires_at.as_millis(),
        ],
    )?;
    let made = find(conn, token.id)?;
    Ok(Ok(made.ok_or(Fault::Contradiction("personal_tokens lost a row"))?))
}

fn find(conn: &Connection, token: TokenId) -> Outcome<Option<TokenRecord>> {
    Ok(query::find(conn, sql::FIND, [token.0.as_bytes()], record)?)
}

fn record(row: &Row<'_>) -> rusqlite::Result<TokenRecord> {
    Ok(TokenRecord {
        id: id(row, 0)?,
        user: id(row, 1)?,
        name: row.get(2)?,
        scopes: scopes_from_words(row.get_ref(3)?.as_str()?),
        prefix: row.get(4)?,
        created_at: time(row, 5)?,
        expires_at: time(row, 6)?,
        last_used_at: time_opt(row, 7)?,
    })
}

//! Personal access tokens.

use std::collections::HashMap;

use async_trait::async_trait;
use parlor_protocol::id::{SessionId, TokenId, UserId};
use parlor_protocol::time::Timestamp;
use tokio_postgres::Row;

use super::codec::{id, time, time_opt, value};
use super::fault::{Fault, Outcome};
use super::pools::Server;
use super::query::Params;
use super::sql::{sessions, tokens as sql, users};
use super::transaction::{committing, reading, writing};
use super::{PostgresStore, commit_log, query};
use crate::contract::{Result, Tokens};
use crate::record::{NewToken, TokenConflict, TokenRecord};
use crate::word::{scopes_from_words, words_of_scopes};

/// How long a token that has ended is remembered: 30 days.
const REMEMBERED_MS: i64 = 30 * 24 * 60 * 60 * 1000;

#[async_trait]
impl Tokens for PostgresStore {
    async fn create_token(
        &self,
        token: NewToken,
    ) -> Result<std::result::Result<TokenRecord, TokenConflict>> {
        writing!(self, |tx| create(tx, &token).await)
    }

    async fn find_tokens(&self, hashes: &[[u8; 32]]) -> Result<Vec<Option<TokenRecord>>> {
        let asked: Vec<&[u8]> = hashes.iter().map(<[u8; 32]>::as_slice).collect();
        let found: Result<Vec<(Vec<u8>, TokenRecord)>> = reading!(self, |conn| {
            query::list(conn, sql::FIND_BY_HASHES, &[&asked], |row| {
                Ok((value(row, 8)?, record(row)?))
            })
            .await
        });
        let found: HashMap<Vec<u8>, TokenRecord> = found?.into_iter().collect();
        Ok(hashes.iter().map(|hash| found.get(hash.as_slice()).cloned()).collect())
    }

    async fn list_tokens(&self, user: UserId, at: Timestamp) -> Result<Vec<TokenRecord>> {
        let params: Params<'_> = &[&user.0, &at.as_millis()];
        reading!(self, |conn| query::list(conn, sql::LIST, params, record).await)
    }

    async fn revoke_token(&self, user: UserId, token: TokenId, at: Timestamp) -> Result<bool> {
        let params: Params<'_> = &[&token.0, &user.0, &at.as_millis()];
        writing!(self, |tx, repeated| async {
            let revoked = query::execute(tx, sql::REVOKE, params).await? > 0;
            if revoked {
                commit_log::tell_of_sessions(tx, vec![SessionId(token.0)]).await?;
            }
            Ok(revoked || (repeated && query::exists(tx, sql::WAS_REVOKED_AT, params).await?))
        }
        .await)
    }

    async fn touch_token(&self, token: TokenId, at: Timestamp) -> Result<()> {
        let params: Params<'_> = &[&token.0, &at.as_millis()];
        committing!(self, |conn| query::execute(conn, sql::TOUCH, params).await.map(drop))
    }
}

async fn create(
    tx: &Server,
    token: &NewToken,
) -> Outcome<std::result::Result<TokenRecord, TokenConflict>> {
    let (user, at) = (token.user.0, token.at.as_millis());
    // One at a time, so that the bound holds.
    query::execute(tx, users::LOCK, &[&user]).await?;
    if let Some(token) = find(tx, token.id).await? {
        return Ok(Ok(token));
    }
    if !query::exists(tx, sessions::USER_IS_ACTIVE, &[&user]).await? {
        return Ok(Err(TokenConflict::NoSuchUser));
    }
    let forgotten = at.saturating_sub(REMEMBERED_MS);
    query::execute(tx, sql::FORGET_OLD, &[&user, &forgotten]).await?;
    let open: i64 = query::get(tx, sql::COUNT_OPEN, &[&user, &at], |row| value(row, 0)).await?;
    if open >= i64::from(token.max_tokens) {
        return Ok(Err(TokenConflict::TooMany));
    }
    let params: Params<'_> = &[
        &token.id.0,
        &user,
        &token.name,
        &words_of_scopes(token.scopes),
        &token.prefix,
        &token.hash.as_slice(),
        &at,
        &token.expires_at.as_millis(),
    ];
    query::execute(tx, sql::INSERT, params).await?;
    let made = find(tx, token.id).await?;
    Ok(Ok(made.ok_or(Fault::Contradiction("personal_tokens lost a row"))?))
}

async fn find(conn: &Server, token: TokenId) -> Outcome<Option<TokenRecord>> {
    query::find(conn, sql::FIND, &[&token.0], record).await
}

fn record(row: &Row) -> Outcome<TokenRecord> {
    Ok(TokenRecord {
        id: id(row, 0)?,
        user: id(row, 1)?,
        name: value(row, 2)?,
        scopes: scopes_from_words(value(row, 3)?),
        prefix: value(row, 4)?,
        created_at: time(row, 5)?,
        expires_at: time(row, 6)?,
        last_used_at: time_opt(row, 7)?,
    })
}

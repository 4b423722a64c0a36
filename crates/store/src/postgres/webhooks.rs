//! Outgoing webhooks.

use std::time::Duration;

use async_trait::async_trait;
use parlor_protocol::id::{RoomId, WebhookId};
use tokio_postgres::Row;

use super::codec::{count, id, integer, small, time, time_opt, value};
use super::fault::{Fault, Outcome};
use super::pools::Server;
use super::query::Params;
use super::sql::{integrations, webhooks as sql};
use super::transaction::{committing, reading, writing};
use super::{PostgresStore, query, rows};
use crate::contract::{Result, Webhooks};
use crate::record::{
    ClaimedWebhook, DeadLetter, NewWebhook, ProgramConflict, WebhookChange, WebhookProgress,
    WebhookRecord,
};
use crate::word::{join_words, split_words};

#[async_trait]
impl Webhooks for PostgresStore {
    async fn create_webhook(
        &self,
        webhook: NewWebhook,
    ) -> Result<std::result::Result<WebhookRecord, ProgramConflict>> {
        writing!(self, |tx| create(tx, &webhook).await)
    }

    async fn find_webhook(
        &self,
        room: RoomId,
        webhook: WebhookId,
    ) -> Result<Option<WebhookRecord>> {
        let found: Result<Option<WebhookRecord>> = reading!(self, |conn| find(conn, webhook).await);
        Ok(found?.filter(|found| found.room == room))
    }

    async fn list_webhooks(&self, room: RoomId) -> Result<Vec<WebhookRecord>> {
        reading!(self, |conn| query::list(conn, sql::LIST, &[&room.0], record).await)
    }

    async fn update_webhook(
        &self,
        room: RoomId,
        webhook: WebhookId,
        change: WebhookChange,
    ) -> Result<Option<WebhookRecord>> {
        writing!(self, |tx| update(tx, room, webhook, &change).await)
    }

    async fn delete_webhook(&self, room: RoomId, webhook: WebhookId) -> Result<bool> {
        let params: Params<'_> = &[&room.0, &webhook.0];
        committing!(self, |conn, repeated| {
            let deleted = query::execute(conn, sql::DELETE, params).await;
            deleted.map(|deleted| deleted > 0 || repeated)
        })
    }

    async fn claim_webhook(&self, lease: Duration) -> Result<Option<ClaimedWebhook>> {
        writing!(self, |tx| async {
            let due = query::find(tx, sql::FIND_DUE, &[], |row| id(row, 0)).await?;
            let Some(webhook) = due else { return Ok(None) };
            let webhook: WebhookId = webhook;
            query::execute(tx, sql::CLAIM, &[&webhook.0, &length(lease)]).await?;
            query::find(tx, sql::FIND, &[&webhook.0], |row| {
                Ok(ClaimedWebhook { webhook: record(row)?, generation: count(row, 18)? })
            })
            .await
        }
        .await)
    }

    async fn settle_webhook(
        &self,
        webhook: WebhookId,
        generation: u64,
        progress: WebhookProgress,
        lease: Duration,
    ) -> Result<bool> {
        writing!(self, |tx| async {
            let key: Params<'_> = &[&webhook.0, &integer(generation)];
            if !query::exists(tx, sql::HOLDS, key).await? {
                return Ok(false);
            }
            settle(tx, webhook, &progress, lease).await?;
            Ok(true)
        }
        .await)
    }

    async fn release_webhooks(&self) -> Result<u64> {
        committing!(self, |conn| query::execute(conn, sql::RELEASE_ALL, &[]).await)
    }

    async fn list_dead_letters(&self, webhook: WebhookId) -> Result<Vec<DeadLetter>> {
        reading!(self, |conn| query::list(conn, sql::LIST_DEAD, &[&webhook.0], |row| {
            Ok(DeadLetter {
                seq: count(row, 0)?,
                at: time(row, 1)?,
                attempts: small(row, 2)?,
                outcome: value(row, 3)?,
            })
        })
        .await)
    }

    async fn delete_dead_letter(&self, webhook: WebhookId, seq: u64) -> Result<bool> {
        let params: Params<'_> = &[&webhook.0, &integer(seq)];
        committing!(self, |conn, repeated| {
            let deleted = query::execute(conn, sql::DELETE_DEAD, params).await;
            deleted.map(|deleted| deleted > 0 || repeated)
        })
    }
}

async fn create(
    tx: &Server,
    new: &NewWebhook,
) -> Outcome<std::result::Result<WebhookRecord, ProgramConflict>> {
    if let Some(found) = find(tx, new.id).await? {
        return Ok(Ok(found));
    }
    let room = new.room.0;
    if query::execute(tx, integrations::LOCK_ROOM, &[&room]).await? == 0 {
        return Ok(Err(ProgramConflict::NoSuchRoom));
    }
    if query::get(tx, sql::COUNT, &[&room], |row| small(row, 0)).await? >= new.max {
        return Ok(Err(ProgramConflict::TooMany));
    }
    let params: Params<'_> = &[
        &new.id.0,
        &room,
        &new.creator.0,
        &new.url,
        &join_words(&new.events),
        &new.salt.as_slice(),
        &new.at.as_millis(),
    ];
    query::execute(tx, sql::INSERT, params).await?;
    Ok(Ok(find(tx, new.id).await?.ok_or(Fault::Contradiction("webhooks lost a row"))?))
}

async fn update(
    tx: &Server,
    room: RoomId,
    webhook: WebhookId,
    change: &WebhookChange,
) -> Outcome<Option<WebhookRecord>> {
    let WebhookChange { url, events, salt, enabled } = change;
    let events = events.as_deref().map(join_words);
    let salt = salt.as_ref().map(<[u8; 16]>::as_slice);
    let params: Params<'_> = &[&room.0, &webhook.0, url, &events, &salt];
    if query::execute(tx, sql::UPDATE, params).await? == 0 {
        return Ok(None);
    }
    match enabled {
        Some(true) => drop(query::execute(tx, sql::ENABLE, &[&webhook.0]).await?),
        Some(false) => {
            let now: i64 = query::get(tx, sql::NOW, &[], |row| value(row, 0)).await?;
            let params: Params<'_> = &[&webhook.0, &now, &"switched off"];
            query::execute(tx, sql::DISABLE, params).await?;
        }
        None => {}
    }
    find(tx, webhook).await
}

async fn settle(
    tx: &Server,
    webhook: WebhookId,
    progress: &WebhookProgress,
    lease: Duration,
) -> Outcome<()> {
    let (key, lease) = (webhook.0, length(lease));
    match progress {
        WebhookProgress::Passed { seq } => {
            query::execute(tx, sql::PASS, &[&key, &integer(*seq), &lease]).await?;
        }
        WebhookProgress::Delivered { seq, at } => {
            let params: Params<'_> = &[&key, &integer(*seq), &lease, &at.as_millis()];
            query::execute(tx, sql::DELIVER, params).await?;
        }
        WebhookProgress::GivenUp { seq, at, outcome, keep } => {
            let (seq, at) = (integer(*seq), at.as_millis());
            query::execute(tx, sql::BURY, &[&key, &seq, &at, outcome]).await?;
            query::execute(tx, sql::FORGET_OLDEST, &[&key, &i64::from(*keep)]).await?;
            query::execute(tx, sql::GIVE_UP, &[&key, &seq, &lease, &at, outcome]).await?;
        }
        WebhookProgress::Failed { at, outcome, delay } => {
            let params: Params<'_> = &[&key, &length(*delay), &at.as_millis(), outcome];
            query::execute(tx, sql::FAIL, params).await?;
        }
        WebhookProgress::Disabled { at, reason } => {
            query::execute(tx, sql::DISABLE, &[&key, &at.as_millis(), reason]).await?;
        }
        WebhookProgress::Released => {
            query::execute(tx, sql::RELEASE, &[&key]).await?;
        }
    }
    Ok(())
}

async fn find(conn: &Server, webhook: WebhookId) -> Outcome<Option<WebhookRecord>> {
    query::find(conn, sql::FIND, &[&webhook.0], record).await
}

fn length(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 2)
}

/// Reads what a signing secret is derived from.
pub(super) fn salt(row: &Row, column: usize) -> Outcome<[u8; 16]> {
    let salt: &[u8] = value(row, column)?;
    salt.try_into().map_err(|_| Fault::Contradiction("a salt has another length"))
}

fn record(row: &Row) -> Outcome<WebhookRecord> {
    let reason: Option<String> = value(row, 12)?;
    Ok(WebhookRecord {
        creator: rows::user_ref(row, 0)?,
        id: id(row, 4)?,
        room: id(row, 5)?,
        url: value(row, 6)?,
        events: split_words(value(row, 7)?),
        salt: salt(row, 8)?,
        created_at: time(row, 9)?,
        cursor: count(row, 10)?,
        disabled: time_opt(row, 11)?.map(|at| (at, reason.unwrap_or_default())),
        attempts: small(row, 13)?,
        failing_since: time_opt(row, 14)?,
        last_outcome: value(row, 15)?,
        last_delivered_at: time_opt(row, 16)?,
        dead_letters: count(row, 17)?,
    })
}

//! Outgoing webhooks.

use std::time::Duration;

use async_trait::async_trait;
use parlor_protocol::id::{RoomId, WebhookId};
use rusqlite::{Connection, Row, params};

use super::SqliteStore;
use super::codec::{count, id, integer, time, time_opt};
use super::fault::{Fault, Outcome};
use super::sql::{integrations, webhooks as sql};
use super::{query, rows};
use crate::contract::{Result, Webhooks};
use crate::record::{
    ClaimedWebhook, DeadLetter, NewWebhook, ProgramConflict, WebhookChange, WebhookProgress,
    WebhookRecord,
};
use crate::word::{join_words, split_words};

#[async_trait]
impl Webhooks for SqliteStore {
    async fn create_webhook(
        &self,
        webhook: NewWebhook,
    ) -> Result<std::result::Result<WebhookRecord, ProgramConflict>> {
        self.write(move |conn| create(conn, &webhook)).await
    }

    async fn find_webhook(
        &self,
        room: RoomId,
        webhook: WebhookId,
    ) -> Result<Option<WebhookRecord>> {
        self.read(move |conn| Ok(find(conn, webhook)?.filter(|found| found.room == room))).await
    }

    async fn list_webhooks(&self, room: RoomId) -> Result<Vec<WebhookRecord>> {
        self.read(move |conn| Ok(query::list(conn, sql::LIST, [room.0.as_bytes()], record)?)).await
    }

    async fn update_webhook(
        &self,
        room: RoomId,
        webhook: WebhookId,
        change: WebhookChange,
    ) -> Result<Option<WebhookRecord>> {
        self.write(move |conn| update(conn, room, webhook, &change)).await
    }

    async fn delete_webhook(&self, room: RoomId, webhook: WebhookId) -> Result<bool> {
        self.write(move |conn| {
            let key = [room.0.as_bytes(), webhook.0.as_bytes()];
            Ok(query::execute(conn, sql::DELETE, key)? > 0)
        })
        .await
    }

    async fn claim_webhook(&self, lease: Duration) -> Result<Option<ClaimedWebhook>> {
        // Asked often and rarely answered: it does not disturb those who write.
        let due = self.read(find_due).await?;
        if due.is_none() {
            return Ok(None);
        }
        self.write(move |conn| {
            let Some(webhook) = find_due(conn)? else { return Ok(None) };
            let params = params![webhook.0.as_bytes(), length(lease)];
            query::execute(conn, sql::CLAIM, params)?;
            Ok(query::find(conn, sql::FIND, [webhook.0.as_bytes()], |row| {
                Ok(ClaimedWebhook { webhook: record(row)?, generation: count(row, 18)? })
            })?)
        })
        .await
    }

    async fn settle_webhook(
        &self,
        webhook: WebhookId,
        generation: u64,
        progress: WebhookProgress,
        lease: Duration,
    ) -> Result<bool> {
        self.write(move |conn| {
            let key = params![webhook.0.as_bytes(), integer(generation)];
            if !query::exists(conn, sql::HOLDS, key)? {
                return Ok(false);
            }
            settle(conn, webhook, progress, lease)?;
            Ok(true)
        })
        .await
    }

    async fn release_webhooks(&self) -> Result<u64> {
        self.write(|conn| Ok(query::execute(conn, sql::RELEASE_ALL, [])? as u64)).await
    }

    async fn list_dead_letters(&self, webhook: WebhookId) -> Result<Vec<DeadLetter>> {
        self.read(move |conn| {
            Ok(query::list(conn, sql::LIST_DEAD, [webhook.0.as_bytes()], |row| {
                Ok(DeadLetter {
                    seq: count(row, 0)?,
                    at: time(row, 1)?,
                    attempts: row.get(2)?,
                    outcome: row.get(3)?,
                })
            })?)
        })
        .await
    }

    async fn delete_dead_letter(&self, webhook: WebhookId, seq: u64) -> Result<bool> {
        self.write(move |conn| {
            let params = params![webhook.0.as_bytes(), integer(seq)];
            Ok(query::execute(conn, sql::DELETE_DEAD, params)? > 0)
        })
        .await
    }
}

fn create(
    conn: &Connection,
    new: &NewWebhook,
) -> Outcome<std::result::Result<WebhookRecord, ProgramConflict>> {
    if let Some(found) = find(conn, new.id)? {
        return Ok(Ok(found));
    }
    let room = new.room.0.as_bytes();
    if !query::exists(conn, integrations::ROOM_EXISTS, [room])? {
        return Ok(Err(ProgramConflict::NoSuchRoom));
    }
    let there: u32 = query::get(conn, sql::COUNT, [room], |row| row.get(0))?;
    if there >= new.max {
        return Ok(Err(ProgramConflict::TooMany));
    }
    query::execute(
        conn,
        sql::INSERT,
        params![
            new.id.0.as_bytes(),
            room,
            new.creator.0.as_bytes(),
            new.url,
            join_words(&new.events),
            new.salt,
            new.at.as_millis(),
        ],
    )?;
    Ok(Ok(find(conn, new.id)?.ok_or(Fault::Contradiction("webhooks lost a row"))?))
}

fn update(
    conn: &Connection,
    room: RoomId,
    webhook: WebhookId,
    change: &WebhookChange,
) -> Outcome<Option<WebhookRecord>> {
    let WebhookChange { url, events, salt, enabled } = change;
    let (room, key) = (room.0.as_bytes(), webhook.0.as_bytes());
    let events = events.as_deref().map(join_words);
    if query::execute(conn, sql::UPDATE, params![room, key, url, events, salt])? == 0 {
        return Ok(None);
    }
    match enabled {
        Some(true) => query::execute(conn, sql::ENABLE, [key])?,
        Some(false) => {
            let reason = "switched off";
            let now: i64 = query::get(conn, sql::NOW, [], |row| row.get(0))?;
            query::execute(conn, sql::DISABLE, params![key, now, reason])?
        }
        None => 0,
    };
    find(conn, webhook)
}

fn settle(
    conn: &Connection,
    webhook: WebhookId,
    progress: WebhookProgress,
    lease: Duration,
) -> Outcome<()> {
    let (key, lease) = (webhook.0.as_bytes(), length(lease));
    match progress {
        WebhookProgress::Passed { seq } => {
            query::execute(conn, sql::PASS, params![key, integer(seq), lease])?;
        }
        WebhookProgress::Delivered { seq, at } => {
            let params = params![key, integer(seq), lease, at.as_millis()];
            query::execute(conn, sql::DELIVER, params)?;
        }
        WebhookProgress::GivenUp { seq, at, outcome, keep } => {
            let (seq, at) = (integer(seq), at.as_millis());
            query::execute(conn, sql::BURY, params![key, seq, at, outcome])?;
            query::execute(conn, sql::FORGET_OLDEST, params![key, keep])?;
            query::execute(conn, sql::GIVE_UP, params![key, seq, lease, at, outcome])?;
        }
        WebhookProgress::Failed { at, outcome, delay } => {
            let params = params![key, length(delay), at.as_millis(), outcome];
            query::execute(conn, sql::FAIL, params)?;
        }
        WebhookProgress::Disabled { at, reason } => {
            query::execute(conn, sql::DISABLE, params![key, at.as_millis(), reason])?;
        }
        WebhookProgress::Released => {
            query::execute(conn, sql::RELEASE, [key])?;
        }
    }
    Ok(())
}

fn find(conn: &Connection, webhook: WebhookId) -> Outcome<Option<WebhookRecord>> {
    Ok(query::find(conn, sql::FIND, [webhook.0.as_bytes()], record)?)
}

fn find_due(conn: &Connection) -> Outcome<Option<WebhookId>> {
    Ok(query::find(conn, sql::FIND_DUE, [], |row| id(row, 0))?)
}

fn length(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 2)
}

fn record(row: &Row<'_>) -> rusqlite::Result<WebhookRecord> {
    let reason: Option<String> = row.get(12)?;
    Ok(WebhookRecord {
        creator: rows::user_ref(row, 0)?,
        id: id(row, 4)?,
        room: id(row, 5)?,
        url: row.get(6)?,
        events: split_words(row.get_ref(7)?.as_str()?),
        salt: row.get(8)?,
        created_at: time(row, 9)?,
        cursor: count(row, 10)?,
        disabled: time_opt(row, 11)?.map(|at| (at, reason.unwrap_or_default())),
        attempts: row.get(13)?,
        failing_since: time_opt(row, 14)?,
        last_outcome: row.get(15)?,
        last_delivered_at: time_opt(row, 16)?,
        dead_letters: count(row, 17)?,
    })
}

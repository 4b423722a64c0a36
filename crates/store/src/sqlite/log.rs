//! The log of each room, and its messages.

use std::sync::Arc;

use async_trait::async_trait;
use parlor_domain::log::Head;
use parlor_protocol::event::Event;
use parlor_protocol::id::{MessageId, RoomId};
use parlor_protocol::message::Message;
use rusqlite::{Connection, params};

use super::SqliteStore;
use super::codec::{count, id, integer};
use super::fault::Outcome;
use super::sql::{jobs, messages as sql, rooms};
use super::{append, query, rows};
use crate::append::{Append, AppendRefused, Appended};
use crate::contract::{Log, Result};
use crate::record::{Checkpoint, Window};

#[async_trait]
impl Log for SqliteStore {
    async fn append(
        &self,
        batch: Vec<Append>,
    ) -> Result<Vec<std::result::Result<Appended, AppendRefused>>> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let rules = Arc::clone(&self.rules);
        self.write_many(batch.len(), move |conn| append::append_all(conn, &rules, batch)).await
    }

    async fn find_head(&self, room: RoomId) -> Result<Option<Head>> {
        let rules = Arc::clone(&self.rules);
        self.read(move |conn| {
            Ok(query::find(conn, rooms::HEAD, [room.0.as_bytes()], |row| {
                Ok(Head {
                    epoch: rules.epoch.clone(),
                    reset_through: count(row, 0)?,
                    seq: count(row, 1)?,
                })
            })?)
        })
        .await
    }

    async fn read_events(&self, room: RoomId, after: u64, limit: u32) -> Result<Vec<Event>> {
        self.read(move |conn| rows::list_events(conn, room, after, limit)).await
    }

    async fn list_messages(
        &self,
        room: RoomId,
        window: Window,
        limit: u32,
    ) -> Result<Vec<Message>> {
        let (statement, at) = match window {
            Window::Before(before) => (sql::LIST_BEFORE, before.unwrap_or(u64::MAX)),
            Window::After(after) => (sql::LIST_AFTER, after),
            Window::Offset(offset) => (sql::LIST_OFFSET, offset),
        };
        self.read(move |conn| {
            let params = params![room.0.as_bytes(), integer(at), limit];
            Ok(rows::list_messages(conn, room, statement, params)?)
        })
        .await
    }

    async fn find_message(&self, room: RoomId, message: MessageId) -> Result<Option<Message>> {
        self.read(move |conn| Ok(rows::find_message(conn, room, message)?)).await
    }

    async fn list_replies(&self, room: RoomId, trigger: MessageId) -> Result<Vec<Message>> {
        self.read(move |conn| {
            let key = [trigger.0.as_bytes(), room.0.as_bytes()];
            Ok(rows::list_messages(conn, room, sql::LIST_REPLIES, key)?)
        })
        .await
    }

    async fn list_streaming(&self, room: RoomId) -> Result<Vec<Checkpoint>> {
        self.read(move |conn| list_streaming(conn, room)).await
    }
}

/// Lists the replies of a room that are being written.
pub(super) fn list_streaming(conn: &Connection, room: RoomId) -> Outcome<Vec<Checkpoint>> {
    Ok(query::list(conn, jobs::LIST_STREAMING, [room.0.as_bytes()], |row| {
        Ok(Checkpoint {
            message: id(row, 0)?,
            turn: row.get(1)?,
            chunk: row.get(2)?,
            text: row.get(3)?,
        })
    })?)
}

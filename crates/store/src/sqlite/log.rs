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
use super::sql::{jobs, messages as sql, reading, rooms};
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
        self.read(move |conn| list_messages(conn, room, window, limit)).await
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

fn list_messages(
    conn: &Connection,
    room: RoomId,
    window: Window,
    limit: u32,
) -> Outcome<Vec<Message>> {
    let list = |statement, at, limit: u32| -> Outcome<Vec<Message>> {
        let params = params![room.0.as_bytes(), integer(at), limit];
        Ok(rows::list_messages(conn, room, statement, params)?)
    };
    let in_thread = |statement, at, root: MessageId| -> Outcome<Vec<Message>> {
        let params = params![room.0.as_bytes(), integer(at), limit, root.0.as_bytes()];
        Ok(rows::list_messages(conn, room, statement, params)?)
    };
    let around = |seq: u64| -> Outcome<Vec<Message>> {
        let mut messages = list(sql::LIST_BEFORE, seq, limit / 2)?;
        messages.extend(list(sql::LIST_FROM, seq, limit - limit / 2)?);
        Ok(messages)
    };
    match window {
        Window::Before(before) => list(sql::LIST_BEFORE, before.unwrap_or(u64::MAX), limit),
        Window::After(after) => list(sql::LIST_AFTER, after, limit),
        Window::Offset(offset) => list(sql::LIST_OFFSET, offset, limit),
        Window::Around(seq) => around(seq),
        Window::At(at) => {
            let params = params![room.0.as_bytes(), at.as_millis()];
            let seq =
                query::find(conn, reading::FIND_POSITION_OF_TIME, params, |row| count(row, 0))?;
            around(seq.unwrap_or(0))
        }
        Window::ThreadBefore(root, before) => {
            in_thread(sql::LIST_THREAD_BEFORE, before.unwrap_or(u64::MAX), root)
        }
        Window::ThreadAfter(root, after) => in_thread(sql::LIST_THREAD_AFTER, after, root),
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

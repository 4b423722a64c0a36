//! The log of each room, and its messages.
//!
//! Everything is read from the server that takes writes, never from a standby: what was told is there.

use async_trait::async_trait;
use parlor_domain::log::Head;
use parlor_protocol::event::Event;
use parlor_protocol::id::{MessageId, RoomId};
use parlor_protocol::message::Message;

use super::codec::{count, id, integer, small, value};
use super::fault::Outcome;
use super::pools::Server;
use super::query::{self, Params};
use super::sql::{jobs, messages as sql, reading, rooms};
use super::transaction::reading;
use super::{PostgresStore, append, rows};
use crate::append::{Append, AppendRefused, Appended};
use crate::contract::{Log, Result};
use crate::record::{Checkpoint, Window};

#[async_trait]
impl Log for PostgresStore {
    async fn append(
        &self,
        batch: Vec<Append>,
    ) -> Result<Vec<std::result::Result<Appended, AppendRefused>>> {
        Box::pin(append::append_all(self, &batch)).await
    }

    async fn find_head(&self, room: RoomId) -> Result<Option<Head>> {
        reading!(self, |conn| {
            query::find(conn, rooms::HEAD, &[&room.0], |row| {
                Ok(Head {
                    epoch: conn.epoch().as_ref().to_owned(),
                    reset_through: count(row, 0)?,
                    seq: count(row, 1)?,
                })
            })
            .await
        })
    }

    async fn read_events(&self, room: RoomId, after: u64, limit: u32) -> Result<Vec<Event>> {
        reading!(self, |conn| rows::list_events(conn, room, after, limit).await)
    }

    async fn list_messages(
        &self,
        room: RoomId,
        window: Window,
        limit: u32,
    ) -> Result<Vec<Message>> {
        reading!(self, |conn| Box::pin(list_messages(conn, room, window, limit)).await)
    }

    async fn find_message(&self, room: RoomId, message: MessageId) -> Result<Option<Message>> {
        reading!(self, |conn| rows::find_message(conn, room, message).await)
    }

    async fn list_replies(&self, room: RoomId, trigger: MessageId) -> Result<Vec<Message>> {
        let params: Params<'_> = &[&trigger.0, &room.0];
        reading!(self, |conn| rows::list_messages(conn, room, sql::LIST_REPLIES, params).await)
    }

    async fn list_streaming(&self, room: RoomId) -> Result<Vec<Checkpoint>> {
        reading!(self, |conn| {
            query::list(conn, jobs::LIST_STREAMING, &[&room.0], |row| {
                Ok(Checkpoint {
                    message: id(row, 0)?,
                    turn: small(row, 1)?,
                    chunk: small(row, 2)?,
                    text: value(row, 3)?,
                })
            })
            .await
        })
    }
}

async fn list_messages(
    conn: &Server,
    room: RoomId,
    window: Window,
    limit: u32,
) -> Outcome<Vec<Message>> {
    let (statement, at, root) = match window {
        Window::Before(before) => (sql::LIST_BEFORE, before.unwrap_or(u64::MAX), None),
        Window::After(after) => (sql::LIST_AFTER, after, None),
        Window::Offset(offset) => (sql::LIST_OFFSET, offset, None),
        Window::ThreadBefore(root, before) => {
            (sql::LIST_THREAD_BEFORE, before.unwrap_or(u64::MAX), Some(root.0))
        }
        Window::ThreadAfter(root, after) => (sql::LIST_THREAD_AFTER, after, Some(root.0)),
        Window::Around(seq) => return Box::pin(list_around(conn, room, seq, limit)).await,
        Window::At(at) => {
            let at = at.as_millis();
            let sought: Params<'_> = &[&room.0, &at];
            let seq =
                query::find(conn, reading::FIND_POSITION_OF_TIME, sought, |row| count(row, 0));
            let seq = seq.await?.unwrap_or(0);
            return Box::pin(list_around(conn, room, seq, limit)).await;
        }
    };
    let (at, limit) = (integer(at), i64::from(limit));
    match &root {
        None => rows::list_messages(conn, room, statement, &[&room.0, &at, &limit]).await,
        Some(root) => {
            rows::list_messages(conn, room, statement, &[&room.0, &at, &limit, root]).await
        }
    }
}

/// Reads half of the messages before a position, and the others from it on.
async fn list_around(conn: &Server, room: RoomId, seq: u64, limit: u32) -> Outcome<Vec<Message>> {
    let (at, before, from) = (integer(seq), i64::from(limit / 2), i64::from(limit - limit / 2));
    let before: Params<'_> = &[&room.0, &at, &before];
    let from: Params<'_> = &[&room.0, &at, &from];
    let (mut messages, later) = tokio::try_join!(
        rows::list_messages(conn, room, sql::LIST_BEFORE, before),
        rows::list_messages(conn, room, sql::LIST_FROM, from),
    )?;
    messages.extend(later);
    Ok(messages)
}

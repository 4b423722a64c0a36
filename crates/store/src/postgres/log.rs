//! The log of each room, and its messages.
//!
//! Everything is read from the server that takes writes, never from a standby: what was told is there.

use async_trait::async_trait;
use parlor_domain::log::Head;
use parlor_protocol::event::Event;
use parlor_protocol::id::{MessageId, RoomId};
use parlor_protocol::message::Message;

use super::codec::{count, id, integer, small, value};
use super::query::{self, Params};
use super::sql::{jobs, messages as sql, rooms};
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
        let (statement, at) = match window {
            Window::Before(before) => (sql::LIST_BEFORE, before.unwrap_or(u64::MAX)),
            Window::After(after) => (sql::LIST_AFTER, after),
            Window::Offset(offset) => (sql::LIST_OFFSET, offset),
        };
        let params: Params<'_> = &[&room.0, &integer(at), &i64::from(limit)];
        reading!(self, |conn| rows::list_messages(conn, room, statement, params).await)
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

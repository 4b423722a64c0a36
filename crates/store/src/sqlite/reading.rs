//! What one reader sees of a room.

use std::collections::HashMap;

use async_trait::async_trait;
use parlor_protocol::http::{MessageVersion, ReadState};
use parlor_protocol::id::{MessageId, RoomId, UserId};
use parlor_protocol::limits::VERSIONS_MAX;
use parlor_protocol::message::{Message, Replies};
use parlor_protocol::room::NotificationLevel;
use parlor_protocol::user::UserRef;
use rusqlite::{Connection, params};

use super::codec::{Word as _, count, integer, time};
use super::fault::Outcome;
use super::sql::{messages, reading as sql};
use super::{SqliteStore, query, rows};
use crate::contract::{Reading, Result};
use crate::record::Marked;

#[async_trait]
impl Reading for SqliteStore {
    async fn mark_read(&self, room: RoomId, user: UserId, seq: u64) -> Result<Option<Marked>> {
        self.write(move |conn| mark_read(conn, room, user, seq)).await
    }

    async fn set_notifications(
        &self,
        room: RoomId,
        user: UserId,
        level: NotificationLevel,
    ) -> Result<bool> {
        self.write(move |conn| {
            let params = params![room.0.as_bytes(), user.0.as_bytes(), level.word()];
            Ok(query::execute(conn, sql::SET_NOTIFICATIONS, params)? > 0)
        })
        .await
    }

    async fn list_pins(&self, room: RoomId) -> Result<Vec<Message>> {
        self.read(move |conn| {
            let mut pinned =
                rows::list_messages(conn, room, messages::LIST_PINNED, [room.0.as_bytes()])?;
            pinned.sort_by_key(|message| (message.pinned.as_ref().map(|pin| pin.at), message.seq));
            Ok(pinned)
        })
        .await
    }

    async fn list_versions(
        &self,
        room: RoomId,
        message: MessageId,
    ) -> Result<Option<Vec<MessageVersion>>> {
        self.read(move |conn| list_versions(conn, room, message)).await
    }
}

fn mark_read(conn: &Connection, room: RoomId, user: UserId, seq: u64) -> Outcome<Option<Marked>> {
    let key = [room.0.as_bytes(), user.0.as_bytes()];
    let found =
        query::find(conn, sql::FIND_MARKER, key, |row| Ok((count(row, 0)?, count(row, 1)?)))?;
    let Some((before, newest)) = found else { return Ok(None) };
    let read_seq = seq.min(newest);
    if read_seq != before {
        let params = params![room.0.as_bytes(), user.0.as_bytes(), integer(read_seq)];
        query::execute(conn, sql::SET_MARKER, params)?;
    }
    let (unread, mentions) =
        query::get(conn, sql::COUNT_UNREAD, key, |row| Ok((count(row, 0)?, count(row, 1)?)))?;
    let state = ReadState { read_seq, unread, mentions };
    Ok(Some(Marked { state, forward: read_seq > before }))
}

fn list_versions(
    conn: &Connection,
    room: RoomId,
    message: MessageId,
) -> Outcome<Option<Vec<MessageVersion>>> {
    let Some(now) = rows::find_message(conn, room, message)? else { return Ok(None) };
    if now.redacted_at.is_some() {
        return Ok(Some(Vec::new()));
    }
    let newest = now.edits + 1;
    if newest == 1 {
        let version = MessageVersion { version: 1, body: now.body, at: now.created_at };
        return Ok(Some(vec![version]));
    }
    let params = params![message.0.as_bytes(), VERSIONS_MAX];
    let texts = query::list(conn, sql::LIST_VERSIONS, params, |row| {
        Ok((row.get::<_, String>(0)?, time(row, 1)?))
    })?;
    let versions = (1..=newest).rev().zip(texts);
    let mut versions: Vec<MessageVersion> =
        versions.map(|(version, (body, at))| MessageVersion { version, body, at }).collect();
    versions.reverse();
    Ok(Some(versions))
}

/// Reads what the replies of threads amount to, by their roots.
pub(super) fn replies_of(
    conn: &Connection,
    room: RoomId,
    messages: &[Message],
) -> rusqlite::Result<HashMap<MessageId, Replies>> {
    let mut replies = HashMap::new();
    // What is in a thread is not the root of one.
    for root in messages.iter().filter(|message| message.thread.is_none()) {
        let key = [room.0.as_bytes(), root.id.0.as_bytes()];
        let found = query::find(conn, sql::FIND_REPLIES, key, |row| {
            Ok(Replies { count: count(row, 0)?, last_seq: count(row, 1)?, last_at: time(row, 2)? })
        })?;
        replies.extend(found.map(|found| (root.id, found)));
    }
    Ok(replies)
}

/// Reads users by their ids. Those who are gone are left out.
pub(super) fn users_of<'a>(
    conn: &Connection,
    mentions: impl IntoIterator<Item = &'a Vec<UserRef>>,
) -> rusqlite::Result<HashMap<UserId, UserRef>> {
    let mut users = HashMap::new();
    for user in mentions.into_iter().flatten() {
        if !users.contains_key(&user.id)
            && let Some((user, _)) = rows::find_user_ref(conn, user.id)?
        {
            users.insert(user.id, user);
        }
    }
    Ok(users)
}

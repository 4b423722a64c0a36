//! What one reader sees of a room.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use parlor_protocol::http::{MessageVersion, ReadState};
use parlor_protocol::id::{MessageId, RoomId, UserId};
use parlor_protocol::limits::VERSIONS_MAX;
use parlor_protocol::message::{Message, Replies};
use parlor_protocol::room::NotificationLevel;
use parlor_protocol::user::UserRef;
use uuid::Uuid;

use super::codec::{Word as _, count, id, integer, time, value};
use super::fault::Outcome;
use super::pools::Server;
use super::query::{self, Params};
use super::sql::{messages, reading as sql};
use super::transaction::{committing, reading};
use super::{PostgresStore, rows};
use crate::contract::{Reading, Result};
use crate::record::Marked;

#[async_trait]
impl Reading for PostgresStore {
    async fn mark_read(&self, room: RoomId, user: UserId, seq: u64) -> Result<Option<Marked>> {
        let params: Params<'_> = &[&room.0, &user.0, &integer(seq)];
        let marked: Result<Option<(u64, bool)>> = committing!(self, |conn| {
            query::find(conn, sql::SET_MARKER, params, |row| Ok((count(row, 0)?, value(row, 1)?)))
                .await
        });
        let Some((read_seq, forward)) = marked? else { return Ok(None) };
        let key: Params<'_> = &[&room.0, &user.0];
        let counted: Result<Option<(u64, u64)>> = reading!(self, |conn| {
            query::find(conn, sql::COUNT_UNREAD, key, |row| Ok((count(row, 0)?, count(row, 1)?)))
                .await
        });
        // Whoever has left in between has read nothing.
        Ok(counted?.map(|(unread, mentions)| Marked {
            state: ReadState { read_seq, unread, mentions },
            forward,
        }))
    }

    async fn set_notifications(
        &self,
        room: RoomId,
        user: UserId,
        level: NotificationLevel,
    ) -> Result<bool> {
        let params: Params<'_> = &[&room.0, &user.0, &level.word()];
        committing!(self, |conn| {
            query::execute(conn, sql::SET_NOTIFICATIONS, params).await.map(|set| set > 0)
        })
    }

    async fn list_pins(&self, room: RoomId) -> Result<Vec<Message>> {
        let params: Params<'_> = &[&room.0];
        let pinned: Result<Vec<Message>> = reading!(self, |conn| {
            rows::list_messages(conn, room, messages::LIST_PINNED, params).await
        });
        let mut pinned = pinned?;
        pinned.sort_by_key(|message| (message.pinned.as_ref().map(|pin| pin.at), message.seq));
        Ok(pinned)
    }

    async fn list_versions(
        &self,
        room: RoomId,
        message: MessageId,
    ) -> Result<Option<Vec<MessageVersion>>> {
        reading!(self, |conn| list_versions(conn, room, message).await)
    }
}

async fn list_versions(
    conn: &Server,
    room: RoomId,
    message: MessageId,
) -> Outcome<Option<Vec<MessageVersion>>> {
    let Some(now) = rows::find_message(conn, room, message).await? else { return Ok(None) };
    if now.redacted_at.is_some() {
        return Ok(Some(Vec::new()));
    }
    let newest = now.edits + 1;
    if newest == 1 {
        let version = MessageVersion { version: 1, body: now.body, at: now.created_at };
        return Ok(Some(vec![version]));
    }
    let params: Params<'_> = &[&message.0, &i64::from(VERSIONS_MAX)];
    let texts: Vec<_> = query::list(conn, sql::LIST_VERSIONS, params, |row| {
        Ok((value::<String>(row, 0)?, time(row, 1)?))
    })
    .await?;
    let versions = (1..=newest).rev().zip(texts);
    let mut versions: Vec<MessageVersion> =
        versions.map(|(version, (body, at))| MessageVersion { version, body, at }).collect();
    versions.reverse();
    Ok(Some(versions))
}

/// Reads what the replies of threads amount to, by their roots.
pub(super) async fn replies_of(
    conn: &Server,
    messages: &[Message],
) -> Outcome<HashMap<MessageId, Replies>> {
    // What is in a thread is not the root of one.
    let roots = messages.iter().filter(|message| message.thread.is_none());
    let roots: Vec<Uuid> = roots.map(|message| message.id.0).collect();
    if roots.is_empty() {
        return Ok(HashMap::new());
    }
    let params: Params<'_> = &[&roots];
    let found = query::list(conn, sql::LIST_REPLIES, params, |row| {
        let (count, last_seq, last_at) = (count(row, 1)?, count(row, 2)?, time(row, 3)?);
        Ok((id(row, 0)?, Replies { count, last_seq, last_at }))
    });
    Ok(found.await?.into_iter().collect())
}

/// Reads users by their ids. Those who are gone are left out.
pub(super) async fn users_of<'a>(
    conn: &Server,
    mentions: impl IntoIterator<Item = &'a Vec<UserRef>>,
) -> Outcome<HashMap<UserId, UserRef>> {
    let ids: HashSet<Uuid> = mentions.into_iter().flatten().map(|user| user.id.0).collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let ids: Vec<Uuid> = ids.into_iter().collect();
    let users = query::list(conn, sql::LIST_USERS, &[&ids], |row| rows::user_ref(row, 0)).await?;
    Ok(users.into_iter().map(|user| (user.id, user)).collect())
}

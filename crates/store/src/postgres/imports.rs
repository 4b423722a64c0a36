//! Rooms that come from files.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use async_trait::async_trait;
use parlor_protocol::event::{Event, EventBody};
use parlor_protocol::id::{MessageId, RoomId, UserId};
use parlor_protocol::message::Message;
use serde_json::{Value, json};
use uuid::Uuid;

use super::codec::{Word as _, code_word, count, id, integer, millis, sought, time, value, word};
use super::fault::{Fault, Outcome};
use super::pools::Server;
use super::query::{self, Params};
use super::sql::{imports as sql, rooms as rooms_sql};
use super::transaction::{committing, reading, writing};
use super::{PostgresStore, commit_log, events, rooms, rows};
use crate::contract::{Imports, Result};
use crate::record::{
    ImportEnd, ImportPart, ImportRefused, ImportState, ImportedMember, ImportedReaction, NewImport,
    NewUser, ReactionRecord, RoomRecord,
};

/// Rows of a log that one step takes back.
const STEP: i64 = 5_000;
/// Accounts that one step takes back: for each, a dozen tables are asked.
const PEOPLE_STEP: i64 = 500;
/// How long the end of an import may take. What it does grows with the members of the room only, and
/// nobody waits for it but who erases somebody of the file: it writes to the room that nobody sees, and
/// takes what is of others last.
const FINISH_LIMIT: Duration = Duration::from_mins(1);
/// What is taken back of an import that was given up, in this order, before the accounts.
const GIVEN_UP: [&str; 5] = [
    rooms_sql::PURGE_REACTIONS,
    rooms_sql::PURGE_MENTIONS,
    rooms_sql::PURGE_MESSAGES,
    rooms_sql::PURGE_EVENTS,
    sql::FORGET_SOME_AUTHORS,
];

#[async_trait]
impl Imports for PostgresStore {
    async fn list_reactions(
        &self,
        room: RoomId,
        after: (u64, u64),
        through: u64,
        limit: u32,
    ) -> Result<Vec<ReactionRecord>> {
        let (message, seq) = (integer(after.0), integer(after.1));
        let params: Params<'_> = &[&room.0, &message, &seq, &integer(through), &i64::from(limit)];
        reading!(self, |conn| {
            query::list(conn, sql::LIST_REACTIONS, params, |row| {
                Ok(ReactionRecord {
                    message_seq: count(row, 0)?,
                    seq: count(row, 1)?,
                    emoji: value(row, 2)?,
                    user: rows::user_ref(row, 3)?,
                    at: time(row, 7)?,
                })
            })
            .await
        })
    }

    async fn begin_import(&self, import: NewImport) -> Result<()> {
        writing!(self, |tx| begin(tx, import).await)
    }

    async fn write_import(
        &self,
        room: RoomId,
        part: ImportPart,
    ) -> Result<std::result::Result<(), ImportRefused>> {
        writing!(self, |tx| write(tx, room, &part).await)
    }

    async fn finish_import(
        &self,
        end: ImportEnd,
    ) -> Result<std::result::Result<RoomRecord, ImportRefused>> {
        if end.members.len() > self.options.room_members as usize {
            return Ok(Err(ImportRefused::TooManyMembers));
        }
        let limit = self.options.append_deadline.max(FINISH_LIMIT);
        writing!(self, within limit, |tx, repeated| finish(tx, &end, repeated, limit).await)
    }

    async fn give_up_import(&self, room: RoomId) -> Result<bool> {
        writing!(self, |tx| give_up(tx, room).await)
    }

    async fn clear_import(&self, room: RoomId) -> Result<bool> {
        let state: Result<Option<ImportState>> =
            reading!(self, |conn| find_state(conn, room).await);
        match state? {
            None | Some(ImportState::Reading) => Ok(false),
            Some(ImportState::Finished) => self.clear_finished(room).await,
            Some(ImportState::GivenUp) => self.clear_given_up(room).await,
        }
    }

    async fn is_name_taken(&self, username: &str) -> Result<bool> {
        let username = sought(username);
        reading!(self, |conn| query::exists(conn, sql::NAME_TAKEN, &[&username]).await)
    }

    async fn list_idle_imports(&self, idle: Duration) -> Result<Vec<RoomId>> {
        let idle = i64::try_from(idle.as_millis()).unwrap_or(i64::MAX);
        reading!(self, |conn| query::list(conn, sql::LIST_IDLE, &[&idle], |row| id(row, 0)).await)
    }
}

async fn begin(tx: &Server, import: NewImport) -> Outcome<()> {
    let NewImport { room, importer, at } = import;
    // What reads as an id is nobody's short name.
    let slug = room.to_string();
    let params: Params<'_> = &[&room.0, &slug, &importer.0, &at.as_millis()];
    query::execute(tx, sql::INSERT_ROOM, params).await?;
    query::execute(tx, sql::BEGIN_IMPORT, &[&room.0]).await?;
    Ok(())
}

async fn find_parts(tx: &Server, room: RoomId) -> Outcome<Option<u64>> {
    query::find(tx, sql::LOCK, &[&room.0], |row| count(row, 0)).await
}

async fn write(
    tx: &Server,
    room: RoomId,
    part: &ImportPart,
) -> Outcome<std::result::Result<(), ImportRefused>> {
    match find_parts(tx, room).await? {
        None => return Ok(Err(ImportRefused::Gone)),
        // An earlier attempt has written it.
        Some(parts) if parts >= part.number => return Ok(Ok(())),
        Some(_) => {}
    }
    let names: Vec<&str> = part.people.iter().map(|person| person.username.as_str()).collect();
    if !names.is_empty() && query::exists(tx, sql::NAMES_TAKEN, &[&names]).await? {
        return Ok(Err(ImportRefused::Username));
    }
    insert_people(tx, room, &part.people).await?;
    // A message that is its own event has no second row.
    let own: HashSet<MessageId> =
        part.messages.iter().filter(|now| !is_logged(now)).map(|now| now.id).collect();
    let is_in_messages = |event: &&Event| matches!(&event.body, EventBody::MessageCreated(created) if own.contains(&created.id));
    let logged: Vec<Event> =
        part.events.iter().filter(|event| !is_in_messages(event)).cloned().collect();
    if !logged.is_empty() {
        events::insert(tx, &logged).await?;
    }
    insert_messages(tx, room, &part.messages).await?;
    let authors: BTreeSet<Uuid> = part.messages.iter().map(|said| said.sender.id.0).collect();
    let authors: Vec<Uuid> = authors.into_iter().collect();
    query::execute(tx, sql::NOTE_AUTHORS, &[&room.0, &authors]).await?;
    insert_reactions(tx, room, &part.reactions).await?;
    query::execute(tx, sql::RENEW, &[&room.0, &integer(part.number)]).await?;
    Ok(Ok(()))
}

async fn insert_people(tx: &Server, room: RoomId, people: &[NewUser]) -> Outcome<()> {
    if people.is_empty() {
        return Ok(());
    }
    let rows: Vec<Value> = people
        .iter()
        .map(|person| {
            json!({
                "id": person.id,
                "username": person.username,
                "display_name": person.display_name,
                "kind": person.kind.word(),
                "at": person.at.as_millis(),
            })
        })
        .collect();
    let ids: Vec<Uuid> = people.iter().map(|person| person.id.0).collect();
    query::execute(tx, sql::INSERT_PEOPLE, &[&serde_json::to_string(&rows)?]).await?;
    query::execute(tx, sql::NOTE_PEOPLE, &[&room.0, &ids]).await?;
    Ok(())
}

/// Tells whether the event that announces a message has a row of its own: the row of the message no
/// longer holds its first text, or it is a reply, which changes while it is written.
const fn is_logged(message: &Message) -> bool {
    message.bot.is_some() || message.edits > 0
}

async fn insert_messages(tx: &Server, room: RoomId, messages: &[Message]) -> Outcome<()> {
    if messages.is_empty() {
        return Ok(());
    }
    let rows: Vec<Value> = messages.iter().map(message_row).collect();
    let rows = serde_json::to_string(&rows)?;
    query::execute(tx, sql::INSERT_MESSAGES, &[&room.0, &rows]).await?;
    let (mut users, mut seqs, mut senders) = (Vec::new(), Vec::new(), Vec::new());
    for message in messages {
        let sender = message.sender.id;
        let mentioned = message.mentions.iter().map(|user| user.id).filter(|user| *user != sender);
        let everyone = message.mentions_room.then(Uuid::nil);
        for user in mentioned.map(|user| user.0).chain(everyone) {
            users.push(user);
            seqs.push(integer(message.seq));
            senders.push(sender.0);
        }
    }
    if !users.is_empty() {
        let params: Params<'_> = &[&room.0, &users, &seqs, &senders];
        query::execute(tx, sql::INSERT_MENTIONS, params).await?;
    }
    Ok(())
}

fn message_row(message: &Message) -> Value {
    let (bot, usage, error) = (message.bot.as_ref(), message.usage, message.error.as_ref());
    let mentions: Vec<Uuid> = message.mentions.iter().map(|user| user.id.0).collect();
    json!({
        "seq": integer(message.seq),
        "id": message.id,
        "sender": message.sender.id,
        "status": message.status.word(),
        "reply_to": message.reply_to,
        "thread": message.thread,
        "created_at": message.created_at.as_millis(),
        "edited_at": millis(message.edited_at),
        "redacted_at": millis(message.redacted_at),
        "bot_trigger": bot.map(|bot| bot.trigger),
        "bot_provider": bot.map(|bot| &bot.provider),
        "bot_model": bot.map(|bot| &bot.model),
        "prompt_tokens": usage.map(|usage| usage.prompt_tokens),
        "completion_tokens": usage.map(|usage| usage.completion_tokens),
        "usage_estimated": usage.map(|usage| usage.estimated),
        "error_code": error.map(|error| code_word(error.code)),
        "error_detail": error.map(|error| &error.detail),
        "body": message.body,
        "mentions": (!mentions.is_empty()).then_some(mentions),
        "mentions_room": message.mentions_room,
        "edits": message.edits,
        "emote": message.emote,
        "pinned_at": millis(message.pinned.as_ref().map(|pin| pin.at)),
        "pinned_by": message.pinned.as_ref().map(|pin| pin.by.id),
        "logged": is_logged(message),
    })
}

async fn insert_reactions(
    tx: &Server,
    room: RoomId,
    reactions: &[ImportedReaction],
) -> Outcome<()> {
    if reactions.is_empty() {
        return Ok(());
    }
    let messages: Vec<i64> = reactions.iter().map(|made| integer(made.message_seq)).collect();
    let emojis: Vec<&str> = reactions.iter().map(|made| made.emoji.as_str()).collect();
    let users: Vec<Uuid> = reactions.iter().map(|made| made.user.0).collect();
    let seqs: Vec<i64> = reactions.iter().map(|made| integer(made.seq)).collect();
    let params: Params<'_> = &[&room.0, &messages, &emojis, &users, &seqs];
    query::execute(tx, sql::INSERT_REACTIONS, params).await?;
    Ok(())
}

async fn finish(
    tx: &Server,
    end: &ImportEnd,
    repeated: bool,
    limit: Duration,
) -> Outcome<std::result::Result<RoomRecord, ImportRefused>> {
    let room = end.room;
    if find_parts(tx, room).await?.is_none() {
        // An earlier attempt may have finished it.
        let is_kept = repeated && find_state(tx, room).await? != Some(ImportState::GivenUp);
        let found = if is_kept { rows::find_room(tx, room).await? } else { None };
        return Ok(found.ok_or(ImportRefused::Gone));
    }
    // Nobody of the file is erased from here on: whoever erases them waits for the import.
    if query::exists(tx, sql::HAS_ERASED, &[&room.0]).await? {
        return Ok(Err(ImportRefused::Person));
    }
    let users: Vec<Uuid> = end.members.iter().map(|member| member.user.0).collect();
    let params: Params<'_> = &[&room.0, &users];
    let others: HashSet<UserId> =
        query::list(tx, sql::LIST_OTHERS, params, |row| id(row, 0)).await?.into_iter().collect();
    let (others, many): (Vec<ImportedMember>, Vec<ImportedMember>) =
        end.members.iter().cloned().partition(|member| others.contains(&member.user));
    if let Err(refused) = check(tx, end, sql::LIST_HERE).await? {
        return Ok(Err(refused));
    }
    query::execute(tx, sql::LET_STATEMENTS_TAKE, &[&limit.as_millis().to_string()]).await?;
    query::execute(tx, sql::BEFORE_MEMBERS, &[]).await?;
    insert_members(tx, room, end.last_seq, &many).await?;
    // What others wait for is taken last: the accounts that were here before, and the short name.
    if let Err(refused) = check(tx, end, sql::LOCK_HERE).await? {
        query::execute(tx, sql::WITHOUT_MEMBERS, &[]).await?;
        return Ok(Err(refused));
    }
    insert_members(tx, room, end.last_seq, &others).await?;
    let settings = serde_json::to_string(&end.settings)?;
    let (kind, created_at) = (end.kind.word(), end.created_at.as_millis());
    let params: Params<'_> = &[
        &room.0,
        &end.slug,
        &end.name,
        &kind,
        &end.topic,
        &end.archived,
        &settings,
        &created_at,
        &integer(end.last_seq),
        &integer(end.members.len() as u64),
    ];
    query::execute(tx, sql::FINISH, params).await?;
    query::execute(tx, sql::FINISH_IMPORT, &[&room.0]).await?;
    commit_log::tell_of_rooms(tx, vec![(room, end.last_seq)]).await?;
    Ok(Ok(rows::find_room(tx, room).await?.ok_or(Fault::Contradiction("rooms lost a row"))?))
}

/// Tells why an import cannot be finished now. `here` finds those of some people who are here.
async fn check(
    tx: &Server,
    end: &ImportEnd,
    here: &'static str,
) -> Outcome<std::result::Result<(), ImportRefused>> {
    let existing: Vec<Uuid> = end.existing.iter().map(|person| person.0).collect();
    let here: Vec<Uuid> = query::list(tx, here, &[&existing], |row| value(row, 0)).await?;
    if here.len() < existing.len() {
        return Ok(Err(ImportRefused::Person));
    }
    let is_taken = query::exists(tx, rooms_sql::SLUG_TAKEN, &[&end.slug]).await?;
    Ok(if is_taken { Err(ImportRefused::Slug) } else { Ok(()) })
}

async fn insert_members(
    tx: &Server,
    room: RoomId,
    last_seq: u64,
    members: &[ImportedMember],
) -> Outcome<()> {
    let rows: Vec<Value> = members
        .iter()
        .map(|member| {
            json!({
                "user_id": member.user,
                "role": member.role.word(),
                "bot": member.bot,
                "joined_at": member.joined_at.as_millis(),
                "muted_until": millis(member.muted_until),
                "mute_reason": member.mute_reason,
            })
        })
        .collect();
    let params: Params<'_> = &[&room.0, &serde_json::to_string(&rows)?, &integer(last_seq)];
    query::execute(tx, sql::INSERT_MEMBERS, params).await?;
    Ok(())
}

impl PostgresStore {
    async fn clear_finished(&self, room: RoomId) -> Result<bool> {
        let removed: Result<u64> = committing!(self, |conn| {
            query::execute(conn, sql::FORGET_SOME_PEOPLE, &[&room.0, &STEP]).await
        });
        if removed? > 0 {
            return Ok(true);
        }
        committing!(self, |conn| {
            query::execute(conn, sql::END_IMPORT, &[&room.0]).await.map(|_| false)
        })
    }

    async fn clear_given_up(&self, room: RoomId) -> Result<bool> {
        for step in GIVEN_UP {
            let removed: Result<u64> =
                committing!(self, |conn| query::execute(conn, step, &[&room.0, &STEP]).await);
            if removed? > 0 {
                return Ok(true);
            }
        }
        let removed: Result<bool> = writing!(self, |tx| delete_people(tx, room).await);
        if removed? {
            return Ok(true);
        }
        let removed: Result<bool> = writing!(self, |tx| remove(tx, room).await);
        if removed? {
            self.purge_rooms(&[room]).await;
        }
        Ok(false)
    }
}

async fn find_state(conn: &Server, room: RoomId) -> Outcome<Option<ImportState>> {
    query::find(conn, sql::FIND_STATE, &[&room.0], |row| word(row, 0)).await
}

async fn give_up(tx: &Server, room: RoomId) -> Outcome<bool> {
    query::execute(tx, sql::GIVE_UP, &[&room.0]).await?;
    Ok(match find_state(tx, room).await? {
        Some(state) => state != ImportState::Finished,
        None => rows::find_room(tx, room).await?.is_none(),
    })
}

/// Removes some of the accounts that an import has brought, but for those that somebody has brought
/// into another room in the meantime. `false` when there were none left.
async fn delete_people(tx: &Server, room: RoomId) -> Outcome<bool> {
    if !query::exists(tx, sql::LOCK_GIVEN_UP, &[&room.0]).await? {
        return Ok(false);
    }
    let params: Params<'_> = &[&room.0, &PEOPLE_STEP];
    let people: Vec<Uuid> =
        query::list(tx, sql::LIST_SOME_PEOPLE, params, |row| value(row, 0)).await?;
    query::execute(tx, sql::DELETE_PEOPLE, &[&people]).await?;
    query::execute(tx, sql::FORGET_PEOPLE, &[&people]).await?;
    Ok(!people.is_empty())
}

/// Removes the room, of which nothing else is left; `false` when another one has done it.
async fn remove(tx: &Server, room: RoomId) -> Outcome<bool> {
    if !query::exists(tx, sql::LOCK_GIVEN_UP, &[&room.0]).await? {
        return Ok(false);
    }
    rooms::remove(tx, &[room]).await?;
    Ok(true)
}

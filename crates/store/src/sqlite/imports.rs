//! Rooms that come from files.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parlor_protocol::id::{RoomId, UserId};
use parlor_protocol::message::{Message, MessageStatus};
use rusqlite::{Connection, params};
use uuid::Uuid;

use super::append::insert_event;
use super::codec::{Word as _, bytes, code_word, count, id, integer, millis, time, word};
use super::fault::{Fault, Outcome};
use super::search::keeper;
use super::sql::{imports as sql, messages, reading, rooms, users};
use super::{SqliteStore, query, rows};
use crate::contract::{Imports, Result};
use crate::record::{
    ImportEnd, ImportPart, ImportRefused, ImportState, ImportedMember, ImportedReaction, NewImport,
    NewUser, ReactionRecord, RoomRecord,
};

/// Rows that one step takes back, and members that one step adds.
const STEP: u32 = 1_000;
/// What is taken back of an import that was given up, in this order, before the accounts.
const GIVEN_UP: [&str; 6] = [
    sql::DELETE_SOME_MEMBERS,
    sql::DELETE_SOME_REACTIONS,
    sql::DELETE_SOME_MENTIONS,
    sql::DELETE_SOME_MESSAGES,
    sql::DELETE_SOME_EVENTS,
    sql::FORGET_SOME_AUTHORS,
];

#[async_trait]
impl Imports for SqliteStore {
    async fn list_reactions(
        &self,
        room: RoomId,
        after: (u64, u64),
        through: u64,
        limit: u32,
    ) -> Result<Vec<ReactionRecord>> {
        self.read(move |conn| {
            let (message, seq) = (integer(after.0), integer(after.1));
            let params = params![room.0.as_bytes(), message, seq, integer(through), limit];
            Ok(query::list(conn, sql::LIST_REACTIONS, params, |row| {
                Ok(ReactionRecord {
                    message_seq: count(row, 0)?,
                    seq: count(row, 1)?,
                    emoji: row.get(2)?,
                    user: rows::user_ref(row, 3)?,
                    at: time(row, 7)?,
                })
            })?)
        })
        .await
    }

    async fn begin_import(&self, import: NewImport) -> Result<()> {
        self.write(move |conn| {
            let NewImport { room, importer, at } = import;
            let key = room.0.as_bytes();
            // What reads as an id is nobody's short name.
            let slug = room.to_string();
            let row = params![key, slug, importer.0.as_bytes(), at.as_millis()];
            query::execute(conn, sql::INSERT_ROOM, row)?;
            query::execute(conn, sql::BEGIN_IMPORT, [key])?;
            Ok(())
        })
        .await
    }

    async fn write_import(
        &self,
        room: RoomId,
        part: ImportPart,
    ) -> Result<std::result::Result<(), ImportRefused>> {
        let weight = part.events.len().max(1);
        self.write_many(weight, move |conn| write(conn, room, &part)).await
    }

    async fn finish_import(
        &self,
        end: ImportEnd,
    ) -> Result<std::result::Result<RoomRecord, ImportRefused>> {
        let ImportEnd { room, last_seq, .. } = end;
        if end.members.len() > self.rules.room_members as usize {
            return Ok(Err(ImportRefused::TooManyMembers));
        }
        let rules = Arc::clone(&self.rules);
        let end = Arc::new(end);
        // What is refused anyway is not begun.
        let asked = Arc::clone(&end);
        if let Err(refused) = self.read(move |conn| check(conn, &asked)).await? {
            return Ok(Err(refused));
        }
        let mut others = Vec::new();
        for members in end.members.chunks(STEP as usize) {
            let members = members.to_vec();
            let step = move |conn: &Connection| add_members(conn, room, last_seq, members);
            match self.write_many(STEP as usize, step).await? {
                Ok(rest) => others.extend(rest),
                Err(refused) => return Ok(Err(refused)),
            }
        }
        self.write_many(others.len().max(1), move |conn| {
            if let Err(refused) = finish(conn, &end, &others)? {
                return Ok(Err(refused));
            }
            let room = rows::find_room(conn, room, &rules.epoch)?;
            Ok(Ok(room.ok_or(Fault::Contradiction("rooms lost a row"))?))
        })
        .await
    }

    async fn give_up_import(&self, room: RoomId) -> Result<bool> {
        let rules = Arc::clone(&self.rules);
        self.write(move |conn| {
            query::execute(conn, sql::GIVE_UP, [room.0.as_bytes()])?;
            Ok(match find_state(conn, room)? {
                Some(state) => state != ImportState::Finished,
                None => rows::find_room(conn, room, &rules.epoch)?.is_none(),
            })
        })
        .await
    }

    async fn clear_import(&self, room: RoomId) -> Result<bool> {
        let cleared = self.write_many(STEP as usize, move |conn| clear(conn, room)).await?;
        if cleared == Cleared::AllButPeople {
            self.check_open()?;
            self.writer.write_unchecked(move |conn| delete_people(conn, room)).await?;
        }
        Ok(cleared != Cleared::All)
    }

    async fn is_name_taken(&self, username: &str) -> Result<bool> {
        let username = username.to_owned();
        self.read(move |conn| Ok(query::exists(conn, sql::NAME_TAKEN, [username])?)).await
    }

    async fn list_idle_imports(&self, idle: Duration) -> Result<Vec<RoomId>> {
        let idle = i64::try_from(idle.as_millis()).unwrap_or(i64::MAX);
        self.read(move |conn| Ok(query::list(conn, sql::LIST_IDLE, [idle], |row| id(row, 0))?))
            .await
    }
}

fn find_parts(conn: &Connection, room: RoomId) -> rusqlite::Result<Option<u64>> {
    query::find(conn, sql::FIND_PARTS, [room.0.as_bytes()], |row| count(row, 0))
}

fn find_state(conn: &Connection, room: RoomId) -> rusqlite::Result<Option<ImportState>> {
    query::find(conn, sql::FIND_STATE, [room.0.as_bytes()], |row| word(row, 0))
}

fn write(
    conn: &Connection,
    room: RoomId,
    part: &ImportPart,
) -> Outcome<std::result::Result<(), ImportRefused>> {
    match find_parts(conn, room)? {
        None => return Ok(Err(ImportRefused::Gone)),
        Some(parts) if parts >= part.number => return Ok(Ok(())),
        Some(_) => {}
    }
    for person in &part.people {
        let taken = params![person.username, person.id.0.as_bytes()];
        if query::exists(conn, users::NAME_TAKEN, taken)? {
            return Ok(Err(ImportRefused::Username));
        }
    }
    for person in &part.people {
        insert_person(conn, room, person)?;
    }
    for event in &part.events {
        insert_event(conn, event)?;
    }
    let mut authors = HashSet::new();
    for message in &part.messages {
        insert_message(conn, room, message)?;
        authors.insert(message.sender.id);
    }
    for author in authors {
        query::execute(conn, sql::NOTE_AUTHOR, params![room.0.as_bytes(), author.0.as_bytes()])?;
    }
    for reaction in &part.reactions {
        let ImportedReaction { message_seq, seq, emoji, user } = reaction;
        let (message_seq, user) = (integer(*message_seq), user.0.as_bytes());
        let row = params![room.0.as_bytes(), message_seq, emoji, user, integer(*seq)];
        query::execute(conn, messages::INSERT_REACTION, row)?;
    }
    query::execute(conn, sql::RENEW, params![room.0.as_bytes(), integer(part.number)])?;
    Ok(Ok(()))
}

fn insert_person(conn: &Connection, room: RoomId, person: &NewUser) -> Outcome<()> {
    let NewUser { id, username, display_name, kind, at, .. } = person;
    let id = id.0.as_bytes();
    let row = params![id, username, display_name, kind.word(), at.as_millis()];
    query::execute(conn, sql::INSERT_PERSON, row)?;
    query::execute(conn, sql::NOTE_PERSON, params![room.0.as_bytes(), id])?;
    Ok(())
}

fn insert_message(conn: &Connection, room: RoomId, message: &Message) -> Outcome<()> {
    let (bot, usage, error) = (message.bot.as_ref(), message.usage, message.error.as_ref());
    let mentioned = message.mentions.iter().flat_map(|user| *user.id.0.as_bytes());
    let mentions: Option<Vec<u8>> = (!message.mentions.is_empty()).then(|| mentioned.collect());
    query::execute(
        conn,
        sql::INSERT_MESSAGE,
        params![
            room.0.as_bytes(),
            integer(message.seq),
            message.id.0.as_bytes(),
            message.sender.id.0.as_bytes(),
            message.status.word(),
            bytes(message.reply_to.map(|reply_to| reply_to.0)),
            bytes(message.thread.map(|thread| thread.0)),
            message.created_at.as_millis(),
            millis(message.edited_at),
            millis(message.redacted_at),
            bytes(bot.map(|bot| bot.trigger.0)),
            bot.map(|bot| &bot.provider),
            bot.map(|bot| &bot.model),
            usage.map(|usage| usage.prompt_tokens),
            usage.map(|usage| usage.completion_tokens),
            usage.map(|usage| usage.estimated),
            error.map(|error| code_word(error.code)),
            error.map(|error| &error.detail),
            message.body,
            mentions,
            message.mentions_room,
            message.edits,
            message.emote,
            millis(message.pinned.as_ref().map(|pin| pin.at)),
            bytes(message.pinned.as_ref().map(|pin| pin.by.id.0)),
        ],
    )?;
    note_mentions(conn, room, message)?;
    if message.status != MessageStatus::Streaming && message.redacted_at.is_none() {
        keeper::enter(conn, room, message.seq)?;
    }
    Ok(())
}

/// Keeps for whom a message is.
fn note_mentions(conn: &Connection, room: RoomId, message: &Message) -> Outcome<()> {
    let sender = message.sender.id;
    let users = message.mentions.iter().map(|user| user.id).filter(|user| *user != sender);
    for user in users.map(|user| user.0).chain(message.mentions_room.then(Uuid::nil)) {
        let (user, sender) = (user.as_bytes(), sender.0.as_bytes());
        let row = params![room.0.as_bytes(), user, integer(message.seq), sender];
        query::execute(conn, reading::INSERT_MENTION, row)?;
    }
    Ok(())
}

/// Tells why an import cannot be finished now.
fn check(conn: &Connection, end: &ImportEnd) -> Outcome<std::result::Result<(), ImportRefused>> {
    if find_parts(conn, end.room)?.is_none() {
        return Ok(Err(ImportRefused::Gone));
    }
    for person in &end.existing {
        if !query::exists(conn, sql::IS_HERE, [person.0.as_bytes()])? {
            return Ok(Err(ImportRefused::Person));
        }
    }
    if query::exists(conn, sql::HAS_ERASED, [end.room.0.as_bytes()])? {
        return Ok(Err(ImportRefused::Person));
    }
    if query::exists(conn, rooms::SLUG_TAKEN, [&end.slug])? {
        return Ok(Err(ImportRefused::Slug));
    }
    Ok(Ok(()))
}

/// Makes those members who have come with the file, and returns the others: they become members
/// together with the end, for they may look at their rooms in the meantime.
fn add_members(
    conn: &Connection,
    room: RoomId,
    last_seq: u64,
    members: Vec<ImportedMember>,
) -> Outcome<std::result::Result<Vec<ImportedMember>, ImportRefused>> {
    if find_parts(conn, room)?.is_none() {
        return Ok(Err(ImportRefused::Gone));
    }
    let mut others = Vec::new();
    for member in members {
        if query::exists(conn, sql::IS_OF_FILE, [room.0.as_bytes(), member.user.0.as_bytes()])? {
            insert_member(conn, room, last_seq, &member)?;
        } else {
            others.push(member);
        }
    }
    query::execute(conn, sql::NOTE_STEP, [room.0.as_bytes()])?;
    Ok(Ok(others))
}

fn insert_member(
    conn: &Connection,
    room: RoomId,
    last_seq: u64,
    member: &ImportedMember,
) -> Outcome<()> {
    let ImportedMember { user, role, bot, joined_at, muted_until, mute_reason } = member;
    let (key, user) = (room.0.as_bytes(), user.0.as_bytes());
    let (joined_at, muted_until) = (joined_at.as_millis(), millis(*muted_until));
    let (role, read_seq) = (role.word(), integer(last_seq));
    let row = params![key, user, role, bot, joined_at, muted_until, mute_reason, read_seq];
    query::execute(conn, sql::INSERT_MEMBER, row)?;
    Ok(())
}

/// Adds the other members, and makes the room visible to all of them at once.
fn finish(
    conn: &Connection,
    end: &ImportEnd,
    others: &[ImportedMember],
) -> Outcome<std::result::Result<(), ImportRefused>> {
    if let Err(refused) = check(conn, end)? {
        return Ok(Err(refused));
    }
    for member in others {
        insert_member(conn, end.room, end.last_seq, member)?;
    }
    let key = end.room.0.as_bytes();
    let settings = serde_json::to_string(&end.settings)?;
    let (kind, created_at) = (end.kind.word(), end.created_at.as_millis());
    query::execute(
        conn,
        sql::FINISH,
        params![
            key,
            end.slug,
            end.name,
            kind,
            end.topic,
            end.archived,
            settings,
            created_at,
            integer(end.last_seq),
        ],
    )?;
    query::execute(conn, sql::FINISH_IMPORT, [key])?;
    Ok(Ok(()))
}

/// What a step has left to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cleared {
    Some,
    AllButPeople,
    All,
}

/// Carries out one step, as large as may be.
fn clear(conn: &Connection, room: RoomId) -> Outcome<Cleared> {
    let key = room.0.as_bytes();
    let steps: &[&str] = match find_state(conn, room)? {
        None | Some(ImportState::Reading) => return Ok(Cleared::All),
        Some(ImportState::Finished) => &[sql::FORGET_SOME_PEOPLE],
        Some(ImportState::GivenUp) => &GIVEN_UP,
    };
    for step in steps {
        if query::execute(conn, step, params![key, STEP])? > 0 {
            return Ok(Cleared::Some);
        }
    }
    if query::exists(conn, sql::HAS_PEOPLE, [key])? {
        return Ok(Cleared::AllButPeople);
    }
    if find_state(conn, room)? == Some(ImportState::Finished) {
        query::execute(conn, sql::END_IMPORT, [key])?;
    } else {
        query::execute(conn, rooms::DELETE, [key])?;
    }
    Ok(Cleared::All)
}

/// Removes some of the accounts that an import has brought.
///
/// Runs without the checks of foreign keys: each would look for one account in the whole history,
/// which has no index for that. What an account can have that cannot log in is looked for instead;
/// somebody who was brought into another room in the meantime stays.
fn delete_people(conn: &Connection, room: RoomId) -> Outcome<()> {
    if find_state(conn, room)? != Some(ImportState::GivenUp) {
        return Ok(());
    }
    let some = params![room.0.as_bytes(), STEP];
    let people: Vec<UserId> = query::list(conn, sql::LIST_SOME_PEOPLE, some, |row| id(row, 0))?;
    for person in people {
        let person = [person.0.as_bytes()];
        if query::execute(conn, sql::DELETE_PERSON, person)? > 0 {
            query::execute(conn, sql::DELETE_BANS, person)?;
        }
        query::execute(conn, sql::FORGET_PERSON, person)?;
    }
    Ok(())
}

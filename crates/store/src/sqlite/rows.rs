//! Rows as values of the contract.

use parlor_domain::file::avatar_path;
use parlor_domain::log::Head;
use parlor_domain::permission::Membership;
use parlor_protocol::event::{Event, EventBody};
use parlor_protocol::id::{MessageId, RoomId, UserId};
use parlor_protocol::message::{BotReply, Message, Pin, ReplyError, Usage};
use parlor_protocol::room::RoomSettings;
use parlor_protocol::user::{User, UserRef};
use rusqlite::types::Type;
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::codec::{code_opt, count, id, id_opt, integer, time, time_opt, word, word_opt};
use super::fault::{Fault, Outcome};
use super::sql::{members, messages as sql, rooms, users};
use super::{files, query, reading};
use crate::document;
pub(super) use crate::document::{subject as event_subject, write as event_document};
use crate::record::{Account, BotRecord, RoomRecord, SessionRecord};

/// Reads four columns: id, user name, display name, kind.
pub(super) fn user_ref(row: &Row<'_>, first: usize) -> rusqlite::Result<UserRef> {
    Ok(UserRef {
        id: id(row, first)?,
        username: row.get(first + 1)?,
        display_name: row.get(first + 2)?,
        kind: word(row, first + 3)?,
    })
}

/// Reads the same columns where there may be nobody.
pub(super) fn user_ref_opt(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<UserRef>> {
    match id_opt::<UserId>(row, first)? {
        Some(_) => user_ref(row, first).map(Some),
        None => Ok(None),
    }
}

/// Finds a user and whether they are active.
pub(super) fn find_user_ref(
    conn: &Connection,
    user: UserId,
) -> rusqlite::Result<Option<(UserRef, bool)>> {
    query::find(conn, users::FIND_REF, [user.0.as_bytes()], |row| {
        Ok((user_ref(row, 0)?, row.get(4)?))
    })
}

/// Reads the columns of an account.
pub(super) fn account(row: &Row<'_>) -> rusqlite::Result<Account> {
    let username: String = row.get(1)?;
    let avatar = row.get::<_, Option<String>>(11)?;
    Ok(Account {
        user: User {
            id: id(row, 0)?,
            display_name: row.get(2)?,
            kind: word(row, 3)?,
            bio: row.get(4)?,
            visibility: word(row, 5)?,
            role: word(row, 6)?,
            email: row.get(7)?,
            created_at: time(row, 8)?,
            avatar: avatar.map(|version| avatar_path(&username, &version)),
            username,
        },
        active: row.get(9)?,
        last_seen: time_opt(row, 10)?,
    })
}

/// Reads the columns of a login.
pub(super) fn session(row: &Row<'_>) -> rusqlite::Result<SessionRecord> {
    Ok(SessionRecord {
        id: id(row, 0)?,
        user: id(row, 1)?,
        client: row.get(2)?,
        created_at: time(row, 3)?,
        expires_at: time(row, 4)?,
        revoked_at: time_opt(row, 5)?,
    })
}

/// Reads the columns of a room.
pub(super) fn room(row: &Row<'_>, epoch: &str) -> rusqlite::Result<RoomRecord> {
    Ok(RoomRecord {
        id: id(row, 0)?,
        slug: row.get(1)?,
        name: row.get(2)?,
        kind: word(row, 3)?,
        topic: row.get(4)?,
        archived: row.get(5)?,
        head: Head { epoch: epoch.to_owned(), reset_through: count(row, 6)?, seq: count(row, 7)? },
        created_at: time(row, 8)?,
        settings: settings(row, 9)?,
    })
}

fn settings(row: &Row<'_>, column: usize) -> rusqlite::Result<RoomSettings> {
    let document = row.get_ref(column)?.as_str()?;
    serde_json::from_str(document).map_err(|source| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(source))
    })
}

/// Finds a room by id.
pub(super) fn find_room(
    conn: &Connection,
    room_id: RoomId,
    epoch: &str,
) -> rusqlite::Result<Option<RoomRecord>> {
    query::find(conn, rooms::FIND, [room_id.0.as_bytes()], |row| room(row, epoch))
}

/// Finds a membership.
pub(super) fn find_membership(
    conn: &Connection,
    room: RoomId,
    user: UserId,
) -> rusqlite::Result<Option<Membership>> {
    query::find(conn, members::FIND, [room.0.as_bytes(), user.0.as_bytes()], |row| {
        Ok(Membership { role: word(row, 0)?, muted_until: time_opt(row, 1)? })
    })
}

/// Reads the columns of a bot.
pub(super) fn bot(row: &Row<'_>) -> rusqlite::Result<BotRecord> {
    Ok(BotRecord {
        user: user_ref(row, 0)?,
        provider: row.get(4)?,
        model: row.get(5)?,
        system_prompt: row.get(6)?,
        trigger: word(row, 7)?,
        temperature: row.get(8)?,
        max_tokens: row.get(9)?,
        context_messages: row.get(10)?,
        memory_ttl_seconds: count(row, 11)?,
        owner: id_opt(row, 12)?,
        created_at: time(row, 13)?,
    })
}

/// Reads the columns of a message; what else belongs to it is read by [`complete`].
fn message(row: &Row<'_>) -> rusqlite::Result<Message> {
    let usage = match row.get::<_, Option<u32>>(18)? {
        Some(prompt_tokens) => {
            Some(Usage { prompt_tokens, completion_tokens: row.get(19)?, estimated: row.get(20)? })
        }
        None => None,
    };
    let error = match code_opt(row, 21)? {
        Some(code) => Some(ReplyError { code, detail: row.get(22)? }),
        None => None,
    };
    let bot = match id_opt(row, 15)? {
        Some(trigger) => Some(BotReply { trigger, provider: row.get(16)?, model: row.get(17)? }),
        None => None,
    };
    let pinned = match (user_ref_opt(row, 27)?, time_opt(row, 26)?) {
        (Some(by), Some(at)) => Some(Pin { by, at }),
        _ => None,
    };
    Ok(Message {
        id: id(row, 0)?,
        room: id(row, 1)?,
        seq: count(row, 2)?,
        sender: user_ref(row, 3)?,
        client_id: row.get(7)?,
        body: row.get(8)?,
        status: word(row, 9)?,
        reply_to: id_opt(row, 10)?,
        thread: id_opt(row, 11)?,
        created_at: time(row, 12)?,
        edited_at: time_opt(row, 13)?,
        redacted_at: time_opt(row, 14)?,
        reactions: Vec::new(),
        attachments: Vec::new(),
        mentions: mentions(row.get(23)?),
        mentions_room: row.get(24)?,
        emote: row.get(31)?,
        edits: row.get(25)?,
        replies: None,
        pinned,
        bot,
        usage,
        error,
    })
}

/// Reads ids of mentioned users, which [`complete`] gives their names.
fn mentions(column: Option<Vec<u8>>) -> Vec<UserRef> {
    let ids = column.unwrap_or_default();
    let ids = ids.as_chunks::<16>().0.iter();
    ids.map(|id| document::unnamed(UserId(Uuid::from_bytes(*id)))).collect()
}

/// Finds a message of a room by id.
pub(super) fn find_message(
    conn: &Connection,
    room: RoomId,
    message_id: MessageId,
) -> rusqlite::Result<Option<Message>> {
    let sql = sql::FIND;
    let params = [message_id.0.as_bytes(), room.0.as_bytes()];
    let Some(found) = query::find(conn, sql, params, message)? else {
        return Ok(None);
    };
    Ok(complete(conn, room, vec![found])?.pop())
}

/// Finds a message of a room by the position of its event.
pub(super) fn find_message_at(
    conn: &Connection,
    room: RoomId,
    seq: u64,
) -> rusqlite::Result<Option<Message>> {
    let params = params![room.0.as_bytes(), integer(seq)];
    let Some(found) = query::find(conn, sql::FIND_BY_SEQ, params, message)? else {
        return Ok(None);
    };
    Ok(complete(conn, room, vec![found])?.pop())
}

/// Reads messages in ascending order of `seq`, whatever the order of the statement.
pub(super) fn list_messages(
    conn: &Connection,
    room: RoomId,
    statement: &str,
    params: impl rusqlite::Params,
) -> rusqlite::Result<Vec<Message>> {
    let mut found = query::list(conn, statement, params, message)?;
    found.sort_by_key(|message| message.seq);
    complete(conn, room, found)
}

/// Adds what is not in the rows of messages: reactions, replies, and the names of those mentioned.
fn complete(
    conn: &Connection,
    room: RoomId,
    mut found: Vec<Message>,
) -> rusqlite::Result<Vec<Message>> {
    // Each by its place: between two pins or two messages of a thread there may be a whole history.
    let mut reactions = Vec::new();
    for message in &found {
        let place = params![room.0.as_bytes(), integer(message.seq)];
        let of_message = query::list(conn, sql::LIST_REACTIONS_AT, place, |row| {
            Ok((count(row, 0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?))
        })?;
        reactions.extend(of_message);
    }
    document::add_reactions(&mut found, reactions);
    files::add_attachments(conn, room, &mut found)?;
    let replies = reading::replies_of(conn, room, &found)?;
    document::add_replies(&mut found, replies);
    let users = reading::users_of(conn, found.iter().map(|message| &message.mentions))?;
    document::name_mentions(found.iter_mut().map(|message| &mut message.mentions), &users);
    Ok(found)
}

/// An event before its document is read.
struct StoredEvent {
    room: RoomId,
    seq: u64,
    at: parlor_protocol::time::Timestamp,
    kind: String,
    data: String,
    actor: Option<UserRef>,
    subject: Option<UserRef>,
}

fn stored_event(row: &Row<'_>) -> rusqlite::Result<StoredEvent> {
    Ok(StoredEvent {
        room: id(row, 0)?,
        seq: count(row, 1)?,
        at: time(row, 2)?,
        kind: row.get(3)?,
        data: row.get(4)?,
        actor: user_ref_opt(row, 5)?,
        subject: user_ref_opt(row, 9)?,
    })
}

/// Reads events.
pub(super) fn list_events(
    conn: &Connection,
    room: RoomId,
    after: u64,
    limit: u32,
) -> Outcome<Vec<Event>> {
    let params = params![room.0.as_bytes(), integer(after), limit];
    let stored = query::list(conn, sql::LIST_EVENTS, params, stored_event)?;
    let mut events: Vec<Event> = stored.into_iter().map(event).collect::<Outcome<_>>()?;
    name_mentions(conn, &mut events)?;
    Ok(events)
}

fn name_mentions(conn: &Connection, events: &mut [Event]) -> rusqlite::Result<()> {
    let mut mentions: Vec<_> = events.iter_mut().filter_map(document::mentions_of).collect();
    if !mentions.is_empty() {
        let users = reading::users_of(conn, mentions.iter().map(|mentions| &**mentions))?;
        document::name_mentions(mentions.iter_mut().map(|mentions| &mut **mentions), &users);
    }
    Ok(())
}

/// Reads one event, with its message as it is now when it is about a new one.
pub(super) fn find_event_with_message(conn: &Connection, room: RoomId, seq: u64) -> Outcome<Event> {
    let params = params![room.0.as_bytes(), integer(seq)];
    let stored = query::find(conn, sql::FIND_EVENT, params, stored_event)?
        .ok_or(Fault::Contradiction("messages.seq names no row of events"))?;
    let mut event = event(stored)?;
    name_mentions(conn, std::slice::from_mut(&mut event))?;
    if let EventBody::MessageCreated(message) = &mut event.body
        && let Some(now) = find_message_at(conn, room, seq)?
    {
        **message = now;
    }
    Ok(event)
}

fn event(stored: StoredEvent) -> Outcome<Event> {
    let StoredEvent { room, seq, at, kind, data, actor, subject } = stored;
    let body = document::read(&kind, &data, actor.as_ref(), subject.as_ref())?
        .ok_or(Fault::Contradiction("events.type is not a known type"))?;
    Ok(Event { room, seq, at, actor, body })
}

/// Reads a role that is absent for those who are not members.
pub(super) fn role_opt(
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<Option<parlor_protocol::room::Role>> {
    word_opt(row, column)
}

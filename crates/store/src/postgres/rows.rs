//! Rows as values of the contract.

use parlor_domain::file::avatar_path;
use parlor_domain::log::Head;
use parlor_domain::permission::Membership;
use parlor_protocol::event::{Event, EventBody};
use parlor_protocol::id::{MessageId, RoomId, UserId};
use parlor_protocol::message::{BotReply, Message, MessageStatus, Pin, ReplyError, Usage};
use parlor_protocol::room::RoomSettings;
use parlor_protocol::user::{User, UserRef};
use tokio_postgres::Row;
use uuid::Uuid;

use super::codec::{
    code_opt, count, id, id_opt, integer, small, small_opt, time, time_opt, value, word, word_opt,
};
use super::fault::{Fault, Outcome};
use super::files;
use super::pools::Server;
use super::query::{self, Params};
use super::reading;
use super::sql::{members, messages as sql, rooms, users};
use crate::document;
use crate::record::{Account, BotRecord, RoomRecord, SessionRecord};

/// Reads four columns: id, user name, display name, kind.
pub(super) fn user_ref(row: &Row, first: usize) -> Outcome<UserRef> {
    Ok(UserRef {
        id: id(row, first)?,
        username: value(row, first + 1)?,
        display_name: value(row, first + 2)?,
        kind: word(row, first + 3)?,
    })
}

/// Reads the same columns where there may be nobody.
pub(super) fn user_ref_opt(row: &Row, first: usize) -> Outcome<Option<UserRef>> {
    match id_opt::<UserId>(row, first)? {
        Some(_) => user_ref(row, first).map(Some),
        None => Ok(None),
    }
}

/// Finds a user and whether they are active.
pub(super) async fn find_user_ref(conn: &Server, user: UserId) -> Outcome<Option<(UserRef, bool)>> {
    query::find(conn, users::FIND_REF, &[&user.0], |row| Ok((user_ref(row, 0)?, value(row, 4)?)))
        .await
}

/// Reads the columns of an account.
pub(super) fn account(row: &Row) -> Outcome<Account> {
    let username: String = value(row, 1)?;
    let avatar = value::<Option<String>>(row, 11)?;
    Ok(Account {
        user: User {
            id: id(row, 0)?,
            display_name: value(row, 2)?,
            kind: word(row, 3)?,
            bio: value(row, 4)?,
            visibility: word(row, 5)?,
            role: word(row, 6)?,
            email: value(row, 7)?,
            created_at: time(row, 8)?,
            avatar: avatar.map(|version| avatar_path(&username, &version)),
            username,
        },
        active: value(row, 9)?,
        last_seen: time_opt(row, 10)?,
    })
}

/// Reads the columns of a login.
pub(super) fn session(row: &Row) -> Outcome<SessionRecord> {
    Ok(SessionRecord {
        id: id(row, 0)?,
        user: id(row, 1)?,
        client: value(row, 2)?,
        created_at: time(row, 3)?,
        expires_at: time(row, 4)?,
        revoked_at: time_opt(row, 5)?,
    })
}

/// Reads the columns of a room.
pub(super) fn room(row: &Row, epoch: &str) -> Outcome<RoomRecord> {
    Ok(RoomRecord {
        id: id(row, 0)?,
        slug: value(row, 1)?,
        name: value(row, 2)?,
        kind: word(row, 3)?,
        topic: value(row, 4)?,
        archived: value(row, 5)?,
        head: Head { epoch: epoch.to_owned(), reset_through: count(row, 6)?, seq: count(row, 7)? },
        created_at: time(row, 8)?,
        settings: settings(row, 9)?,
    })
}

/// Reads who may do what in a room.
pub(super) fn settings(row: &Row, column: usize) -> Outcome<RoomSettings> {
    Ok(serde_json::from_str(value(row, column)?)?)
}

/// Finds a room by id.
pub(super) async fn find_room(conn: &Server, room_id: RoomId) -> Outcome<Option<RoomRecord>> {
    query::find(conn, rooms::FIND, &[&room_id.0], |row| room(row, conn.epoch())).await
}

/// Finds a membership.
pub(super) async fn find_membership(
    conn: &Server,
    room: RoomId,
    user: UserId,
) -> Outcome<Option<Membership>> {
    query::find(conn, members::FIND, &[&room.0, &user.0], |row| {
        Ok(Membership { role: word(row, 0)?, muted_until: time_opt(row, 1)? })
    })
    .await
}

/// Reads the columns of a bot.
pub(super) fn bot(row: &Row) -> Outcome<BotRecord> {
    Ok(BotRecord {
        user: user_ref(row, 0)?,
        provider: value(row, 4)?,
        model: value(row, 5)?,
        system_prompt: value(row, 6)?,
        trigger: word(row, 7)?,
        temperature: value(row, 8)?,
        max_tokens: small_opt(row, 9)?,
        context_messages: small(row, 10)?,
        memory_ttl_seconds: count(row, 11)?,
        owner: id_opt(row, 12)?,
        created_at: time(row, 13)?,
    })
}

/// Reads the columns of a message; what else belongs to it is read by [`complete`].
fn message(row: &Row) -> Outcome<Message> {
    let usage = match small_opt(row, 18)? {
        Some(prompt_tokens) => Some(Usage {
            prompt_tokens,
            completion_tokens: small(row, 19)?,
            estimated: value(row, 20)?,
        }),
        None => None,
    };
    let error = match code_opt(row, 21)? {
        Some(code) => Some(ReplyError { code, detail: value(row, 22)? }),
        None => None,
    };
    let bot = match id_opt(row, 15)? {
        Some(trigger) => {
            Some(BotReply { trigger, provider: value(row, 16)?, model: value(row, 17)? })
        }
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
        client_id: value(row, 7)?,
        body: value(row, 8)?,
        status: word(row, 9)?,
        reply_to: id_opt(row, 10)?,
        thread: id_opt(row, 11)?,
        created_at: time(row, 12)?,
        edited_at: time_opt(row, 13)?,
        redacted_at: time_opt(row, 14)?,
        reactions: Vec::new(),
        attachments: Vec::new(),
        mentions: mentions(row, 23)?,
        mentions_room: value(row, 24)?,
        emote: value(row, 31)?,
        edits: small(row, 25)?,
        replies: None,
        pinned,
        bot,
        usage,
        error,
    })
}

/// Reads ids of mentioned users, which [`complete`] gives their names.
fn mentions(row: &Row, column: usize) -> Outcome<Vec<UserRef>> {
    let ids = value::<Option<Vec<Uuid>>>(row, column)?.unwrap_or_default();
    Ok(ids.into_iter().map(|id| document::unnamed(UserId(id))).collect())
}

/// Finds a message of a room by id.
pub(super) async fn find_message(
    conn: &Server,
    room: RoomId,
    message_id: MessageId,
) -> Outcome<Option<Message>> {
    let params: Params<'_> = &[&message_id.0, &room.0];
    let Some(found) = query::find(conn, sql::FIND, params, message).await? else {
        return Ok(None);
    };
    Ok(complete(conn, room, vec![found]).await?.pop())
}

/// Finds a message of a room by the position of its event.
pub(super) async fn find_message_at(
    conn: &Server,
    room: RoomId,
    seq: u64,
) -> Outcome<Option<Message>> {
    let params: Params<'_> = &[&room.0, &integer(seq)];
    let Some(found) = query::find(conn, sql::FIND_BY_SEQ, params, message).await? else {
        return Ok(None);
    };
    Ok(complete(conn, room, vec![found]).await?.pop())
}

/// Reads messages in ascending order of `seq`, whatever the order of the statement.
pub(super) async fn list_messages(
    conn: &Server,
    room: RoomId,
    statement: &str,
    params: Params<'_>,
) -> Outcome<Vec<Message>> {
    let mut found = query::list(conn, statement, params, message).await?;
    found.sort_by_key(|message| message.seq);
    complete(conn, room, found).await
}

/// Adds what is not in the rows of messages: reactions, replies, and the names of those mentioned.
async fn complete(conn: &Server, room: RoomId, mut found: Vec<Message>) -> Outcome<Vec<Message>> {
    if found.is_empty() {
        return Ok(found);
    }
    // Each by its place: between two pins or two messages of a thread there may be a whole history.
    let seqs: Vec<i64> = found.iter().map(|message| integer(message.seq)).collect();
    let named: Params<'_> = &[&room.0, &seqs];
    let (reactions, attachments, replies, users) = tokio::try_join!(
        query::list(conn, sql::LIST_REACTIONS, named, |row| {
            Ok((count(row, 0)?, value(row, 1)?, value(row, 2)?))
        }),
        files::list_attachments(conn, named),
        reading::replies_of(conn, &found),
        reading::users_of(conn, found.iter().map(|message| &message.mentions)),
    )?;
    document::add_reactions(&mut found, reactions);
    document::add_attachments(&mut found, attachments);
    document::add_replies(&mut found, replies);
    document::name_mentions(found.iter_mut().map(|message| &mut message.mentions), &users);
    Ok(found)
}

/// Reads an event.
fn event(row: &Row) -> Outcome<Event> {
    let room = id(row, 0)?;
    let actor = user_ref_opt(row, 5)?;
    let body = match value::<Option<&str>>(row, 4)? {
        Some(data) => {
            let subject = user_ref_opt(row, 9)?;
            document::read(value(row, 3)?, data, actor.as_ref(), subject.as_ref())?
                .ok_or(Fault::Contradiction("events.type is not a known type"))?
        }
        None => EventBody::MessageCreated(Box::new(announced(row)?)),
    };
    Ok(Event { room, seq: count(row, 1)?, at: time(row, 2)?, actor, body })
}

/// Reads a message that is its own event, as it was when it was written.
fn announced(row: &Row) -> Outcome<Message> {
    Ok(Message {
        id: id(row, 13)?,
        room: id(row, 0)?,
        seq: count(row, 1)?,
        sender: user_ref(row, 5)?,
        client_id: value(row, 14)?,
        body: value(row, 15)?,
        status: MessageStatus::Complete,
        reply_to: id_opt(row, 16)?,
        thread: id_opt(row, 17)?,
        created_at: time(row, 2)?,
        edited_at: None,
        redacted_at: None,
        reactions: Vec::new(),
        attachments: Vec::new(),
        mentions: mentions(row, 18)?,
        mentions_room: value::<Option<bool>>(row, 19)?.unwrap_or_default(),
        emote: value::<Option<bool>>(row, 20)?.unwrap_or_default(),
        edits: 0,
        replies: None,
        pinned: None,
        bot: None,
        usage: None,
        error: None,
    })
}

/// Reads events.
pub(super) async fn list_events(
    conn: &Server,
    room: RoomId,
    after: u64,
    limit: u32,
) -> Outcome<Vec<Event>> {
    let params: Params<'_> = &[&room.0, &integer(after), &i64::from(limit)];
    let mut events = query::list(conn, sql::LIST_EVENTS, params, event).await?;
    name_mentions(conn, events.iter_mut()).await?;
    Ok(events)
}

async fn name_mentions(conn: &Server, events: impl Iterator<Item = &mut Event>) -> Outcome<()> {
    let mut mentions: Vec<_> = events.filter_map(document::mentions_of).collect();
    if !mentions.is_empty() {
        let users = reading::users_of(conn, mentions.iter().map(|mentions| &**mentions)).await?;
        document::name_mentions(mentions.iter_mut().map(|mentions| &mut **mentions), &users);
    }
    Ok(())
}

/// Reads events of several rooms, each with the place of the question that it answers.
pub(super) async fn list_events_of_rooms(
    conn: &Server,
    params: Params<'_>,
) -> Outcome<Vec<(usize, Event)>> {
    let mut events = query::list(conn, sql::LIST_EVENTS_OF_ROOMS, params, |row| {
        let place = count(row, 21)?.saturating_sub(1);
        Ok((usize::try_from(place).unwrap_or(usize::MAX), event(row)?))
    })
    .await?;
    name_mentions(conn, events.iter_mut().map(|(_, event)| event)).await?;
    Ok(events)
}

/// Reads one event, with its message as it is now when it is about a new one.
pub(super) async fn find_event_with_message(
    conn: &Server,
    room: RoomId,
    seq: u64,
) -> Outcome<Event> {
    let params: Params<'_> = &[&room.0, &integer(seq)];
    let mut event = query::find(conn, sql::FIND_EVENT, params, event)
        .await?
        .ok_or(Fault::Contradiction("messages.seq names no event"))?;
    name_mentions(conn, std::iter::once(&mut event)).await?;
    if let EventBody::MessageCreated(message) = &mut event.body
        && let Some(now) = find_message_at(conn, room, seq).await?
    {
        **message = now;
    }
    Ok(event)
}

/// Finds messages of several rooms by the positions of their events. Those that are not there are
/// left out.
pub(super) async fn list_messages_at(
    conn: &Server,
    places: &[(RoomId, u64)],
) -> Outcome<Vec<Message>> {
    let rooms: Vec<Uuid> = places.iter().map(|(room, _)| room.0).collect();
    let seqs: Vec<i64> = places.iter().map(|(_, seq)| integer(*seq)).collect();
    let params: Params<'_> = &[&rooms, &seqs];
    let (mut found, reactions, files) = tokio::try_join!(
        query::list(conn, sql::LIST_AT, params, message),
        query::list(conn, sql::LIST_REACTIONS_AT, params, |row| {
            Ok((id::<RoomId>(row, 0)?, (count(row, 1)?, value(row, 2)?, value(row, 3)?)))
        }),
        files::list_attachments_at(conn, params),
    )?;
    let (replies, users) = tokio::try_join!(
        reading::replies_of(conn, &found),
        reading::users_of(conn, found.iter().map(|message| &message.mentions)),
    )?;
    document::add_replies(&mut found, replies);
    document::name_mentions(found.iter_mut().map(|message| &mut message.mentions), &users);
    if reactions.is_empty() && files.is_empty() {
        return Ok(found);
    }
    found.sort_by_key(|message| (message.room, message.seq));
    for of_room in found.chunk_by_mut(|a, b| a.room == b.room) {
        let room = of_room.first().map(|message| message.room);
        let rows = reactions.iter().filter(|(of, _)| Some(*of) == room);
        document::add_reactions(of_room, rows.map(|(_, reaction)| reaction.clone()));
        let files = files.iter().filter(|(of, _)| Some(*of) == room);
        document::add_attachments(of_room, files.map(|(_, file)| file.clone()));
    }
    Ok(found)
}

/// Reads a role that is absent for those who are not members.
pub(super) fn role_opt(row: &Row, column: usize) -> Outcome<Option<parlor_protocol::room::Role>> {
    word_opt(row, column)
}

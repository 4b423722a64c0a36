//! Bots.

use async_trait::async_trait;
use parlor_protocol::event::{Event, EventBody, LeaveReason, MemberChange, MessageCompleted};
use parlor_protocol::id::{JobId, MessageId, RoomId, UserId};
use parlor_protocol::message::{MessageStatus, Usage};
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::{UserKind, UserRef};
use uuid::Uuid;

use super::codec::{Word as _, count, id, id_opt, integer, sought, value, word};
use super::fault::{Fault, Outcome};
use super::pools::Server;
use super::query::Params;
use super::sql::{bots as sql, members, messages, rooms as room_sql};
use super::transaction::{reading, writing};
use super::{PostgresStore, commit_log, events, query, rows, users};
use crate::contract::{Bots, Result};
use crate::record::{BotRecord, NewUser, UserConflict};

#[async_trait]
impl Bots for PostgresStore {
    async fn create_bot(
        &self,
        user: NewUser,
        bot: BotRecord,
    ) -> Result<std::result::Result<BotRecord, UserConflict>> {
        let user = NewUser { kind: UserKind::Bot, ..user };
        writing!(self, |tx| create(tx, &user, &bot).await)
    }

    async fn find_bot(&self, username: &str) -> Result<Option<BotRecord>> {
        let params: Params<'_> = &[&sought(username)];
        reading!(self, |conn| query::find(conn, sql::FIND_BY_NAME, params, rows::bot).await)
    }

    async fn list_bots(&self) -> Result<Vec<BotRecord>> {
        reading!(self, |conn| query::list(conn, sql::LIST, &[], rows::bot).await)
    }

    async fn list_room_bots(&self, room: RoomId) -> Result<Vec<BotRecord>> {
        reading!(self, |conn| query::list(conn, sql::LIST_OF_ROOM, &[&room.0], rows::bot).await)
    }

    async fn update_bot(&self, bot: BotRecord) -> Result<Option<BotRecord>> {
        writing!(self, |tx| update(tx, &bot).await)
    }

    async fn delete_bot(&self, bot: UserId, at: Timestamp) -> Result<Option<Vec<Event>>> {
        writing!(self, |tx, repeated| async {
            let events = delete(tx, bot, at).await?;
            // An earlier attempt has ended it; other nodes read its events from the tail, as this one.
            Ok(events.or(repeated.then(Vec::new)))
        }
        .await)
    }
}

async fn find(conn: &Server, user: UserId) -> Outcome<Option<BotRecord>> {
    query::find(conn, sql::FIND, &[&user.0], rows::bot).await
}

async fn create(
    tx: &Server,
    user: &NewUser,
    bot: &BotRecord,
) -> Outcome<std::result::Result<BotRecord, UserConflict>> {
    if let Err(conflict) = users::insert(tx, user).await? {
        return Ok(Err(conflict));
    }
    if let Some(bot) = find(tx, user.id).await? {
        return Ok(Ok(bot));
    }
    let params: Params<'_> = &[
        &user.id.0,
        &bot.provider,
        &bot.model,
        &bot.system_prompt,
        &bot.trigger.word(),
        &bot.temperature,
        &bot.max_tokens.map(i64::from),
        &i64::from(bot.context_messages),
        &integer(bot.memory_ttl_seconds),
        &bot.owner.map(|owner| owner.0),
        &bot.created_at.as_millis(),
    ];
    query::execute(tx, sql::INSERT, params).await?;
    Ok(Ok(find(tx, user.id).await?.ok_or(Fault::Contradiction("bots lost a row"))?))
}

async fn update(tx: &Server, bot: &BotRecord) -> Outcome<Option<BotRecord>> {
    let params: Params<'_> = &[
        &bot.user.id.0,
        &bot.provider,
        &bot.model,
        &bot.system_prompt,
        &bot.trigger.word(),
        &bot.temperature,
        &bot.max_tokens.map(i64::from),
        &i64::from(bot.context_messages),
        &integer(bot.memory_ttl_seconds),
    ];
    if query::execute(tx, sql::UPDATE, params).await? == 0 {
        return Ok(None);
    }
    let name: Params<'_> = &[&bot.user.id.0, &bot.user.display_name];
    query::execute(tx, sql::SET_DISPLAY_NAME, name).await?;
    find(tx, bot.user.id).await
}

/// A room that a bot has to do with, and where its log stands.
struct Place {
    room: RoomId,
    seq: u64,
}

/// Ends a bot while its rooms are locked, so that nobody calls it in between.
async fn delete(tx: &Server, bot: UserId, at: Timestamp) -> Outcome<Option<Vec<Event>>> {
    // Nobody brings the bot into another room from here on.
    query::execute(tx, sql::LOCK_USER, &[&bot.0]).await?;
    let Some(record) = find(tx, bot).await? else {
        return Ok(None);
    };
    let mut places = query::list(tx, sql::LOCK_ROOMS, &[&bot.0], |row| {
        Ok(Place { room: id(row, 0)?, seq: count(row, 1)? })
    })
    .await?;
    let mut told = Vec::new();
    let open: Vec<(JobId, RoomId, Option<MessageId>, String)> =
        query::list(tx, sql::LOCK_OPEN_JOBS, &[&bot.0], |row| {
            Ok((id(row, 0)?, id(row, 1)?, id_opt(row, 2)?, value(row, 3)?))
        })
        .await?;
    for (job, room, reply, text) in open {
        let Some(reply) = reply else {
            query::execute(tx, sql::DELETE_JOB, &[&job.0]).await?;
            continue;
        };
        let body = interrupt(tx, job, room, reply, text).await?;
        add(&mut places, &mut told, room, &record.user, at, body)?;
    }
    let left = query::list(tx, sql::LEAVE_ALL, &[&bot.0], |row| {
        Ok((id::<RoomId>(row, 0)?, word(row, 1)?))
    })
    .await?;
    for (room, role) in &left {
        let reason = Some(LeaveReason::Left);
        let change = MemberChange {
            user: record.user.clone(),
            role: *role,
            reason,
            muted_until: None,
            reason_text: None,
        };
        add(&mut places, &mut told, *room, &record.user, at, EventBody::MemberLeft(change))?;
    }
    settle_rooms(tx, &told, &left.iter().map(|(room, _)| room.0).collect::<Vec<_>>()).await?;
    query::execute(tx, sql::DELETE, &[&bot.0]).await?;
    query::execute(tx, sql::DEACTIVATE, &[&bot.0]).await?;
    Ok(Some(told))
}

/// Numbers an event.
fn add(
    places: &mut [Place],
    told: &mut Vec<Event>,
    room: RoomId,
    actor: &UserRef,
    at: Timestamp,
    body: EventBody,
) -> Outcome<()> {
    let place = places.iter_mut().find(|place| place.room == room);
    let place = place.ok_or(Fault::Contradiction("a bot is in a room that is not there"))?;
    place.seq += 1;
    told.push(Event { room, seq: place.seq, at, actor: Some(actor.clone()), body });
    Ok(())
}

/// Stores the events and moves the rooms on.
async fn settle_rooms(tx: &Server, told: &[Event], left: &[Uuid]) -> Outcome<()> {
    let heads = events::heads(told);
    events::insert(tx, told).await?;
    let rooms: Vec<Uuid> = heads.iter().map(|(room, _)| room.0).collect();
    let seqs: Vec<i64> = heads.iter().map(|(_, seq)| integer(*seq)).collect();
    query::execute(tx, room_sql::SET_LAST_SEQS, &[&rooms, &seqs]).await?;
    query::execute(tx, members::COUNT_DOWN_ALL, &[&left]).await?;
    commit_log::tell_of_rooms(tx, heads).await
}

/// Ends a reply that was begun, with the text of its last checkpoint.
async fn interrupt(
    tx: &Server,
    job: JobId,
    room: RoomId,
    reply: MessageId,
    text: String,
) -> Outcome<EventBody> {
    let status = MessageStatus::Interrupted;
    let params: Params<'_> = &[&room.0, &reply.0, &text, &status.word()];
    query::execute(tx, messages::INTERRUPT, params).await?;
    query::execute(tx, sql::END_JOB, &[&job.0, &reply.0]).await?;
    let usage = Usage { estimated: true, ..Usage::default() };
    Ok(EventBody::MessageCompleted(MessageCompleted {
        message: reply,
        body: text,
        status,
        usage,
        error: None,
        mentions: Vec::new(),
    }))
}

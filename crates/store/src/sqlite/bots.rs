//! Bots.

use std::sync::Arc;

use async_trait::async_trait;
use parlor_protocol::event::{Event, EventBody, LeaveReason, MessageCompleted};
use parlor_protocol::id::{JobId, MessageId, RoomId, UserId};
use parlor_protocol::message::{MessageStatus, Usage};
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::UserKind;
use rusqlite::{Connection, params};

use super::SqliteStore;
use super::append::{Desk, Step, remove_member};
use super::codec::{Word as _, bytes, id, id_opt, integer};
use super::fault::{Fault, Outcome, Stop};
use super::sql::{bots as sql, jobs, members, messages};
use super::{Rules, query, rows, users};
use crate::append::AppendRefused;
use crate::contract::{Bots, Result};
use crate::record::{BotRecord, NewUser, UserConflict};

#[async_trait]
impl Bots for SqliteStore {
    async fn create_bot(
        &self,
        user: NewUser,
        bot: BotRecord,
    ) -> Result<std::result::Result<BotRecord, UserConflict>> {
        self.write(move |conn| {
            let user = NewUser { kind: UserKind::Bot, ..user };
            if let Err(conflict) = users::insert(conn, &user)? {
                return Ok(Err(conflict));
            }
            if let Some(bot) = find(conn, user.id)? {
                return Ok(Ok(bot));
            }
            insert(conn, user.id, &bot)?;
            Ok(Ok(find(conn, user.id)?.ok_or(Fault::Contradiction("bots lost a row"))?))
        })
        .await
    }

    async fn find_bot(&self, username: &str) -> Result<Option<BotRecord>> {
        let username = username.to_owned();
        self.read(move |conn| Ok(query::find(conn, sql::FIND_BY_NAME, [username], rows::bot)?))
            .await
    }

    async fn list_bots(&self) -> Result<Vec<BotRecord>> {
        self.read(|conn| Ok(query::list(conn, sql::LIST, [], rows::bot)?)).await
    }

    async fn list_room_bots(&self, room: RoomId) -> Result<Vec<BotRecord>> {
        self.read(move |conn| {
            Ok(query::list(conn, sql::LIST_OF_ROOM, [room.0.as_bytes()], rows::bot)?)
        })
        .await
    }

    async fn update_bot(&self, bot: BotRecord) -> Result<Option<BotRecord>> {
        self.write(move |conn| {
            let changed = query::execute(
                conn,
                sql::UPDATE,
                params![
                    bot.user.id.0.as_bytes(),
                    bot.provider,
                    bot.model,
                    bot.system_prompt,
                    bot.trigger.word(),
                    bot.temperature,
                    bot.max_tokens,
                    bot.context_messages,
                    integer(bot.memory_ttl_seconds),
                ],
            )?;
            if changed == 0 {
                return Ok(None);
            }
            let name = params![bot.user.id.0.as_bytes(), bot.user.display_name];
            query::execute(conn, sql::SET_DISPLAY_NAME, name)?;
            find(conn, bot.user.id)
        })
        .await
    }

    async fn delete_bot(&self, bot: UserId, at: Timestamp) -> Result<Option<Vec<Event>>> {
        let rules = Arc::clone(&self.rules);
        self.write(move |conn| match delete(conn, &rules, bot, at) {
            Ok(events) => Ok(events),
            Err(Stop::Fault(fault)) => Err(fault),
            Err(Stop::Refused(_)) => Err(Fault::Contradiction("a bot is in a room without it")),
        })
        .await
    }
}

fn find(conn: &Connection, user: UserId) -> Outcome<Option<BotRecord>> {
    Ok(query::find(conn, sql::FIND, [user.0.as_bytes()], rows::bot)?)
}

fn insert(conn: &Connection, user: UserId, bot: &BotRecord) -> Outcome<()> {
    query::execute(
        conn,
        sql::INSERT,
        params![
            user.0.as_bytes(),
            bot.provider,
            bot.model,
            bot.system_prompt,
            bot.trigger.word(),
            bot.temperature,
            bot.max_tokens,
            bot.context_messages,
            integer(bot.memory_ttl_seconds),
            bytes(bot.owner.map(|owner| owner.0)),
            bot.created_at.as_millis(),
        ],
    )?;
    Ok(())
}

fn delete(
    conn: &Connection,
    rules: &Rules,
    bot: UserId,
    at: Timestamp,
) -> Step<Option<Vec<Event>>> {
    if find(conn, bot)?.is_none() {
        return Ok(None);
    }
    let mut events = Vec::new();
    let open: Vec<(JobId, RoomId, Option<MessageId>, String)> =
        query::list(conn, jobs::LIST_OPEN_OF_BOT, [bot.0.as_bytes()], |row| {
            Ok((id(row, 0)?, id(row, 1)?, id_opt(row, 2)?, row.get(3)?))
        })?;
    for (job, room, reply, text) in open {
        match reply {
            Some(reply) => {
                let mut desk = Desk::open(conn, rules, room, bot, at)?;
                interrupt(&mut desk, job, reply, text)?;
                events.append(&mut desk.events);
            }
            None => {
                query::execute(conn, jobs::DELETE, [job.0.as_bytes()])?;
            }
        }
    }
    let rooms: Vec<RoomId> =
        query::list(conn, members::LIST_ROOMS_OF, [bot.0.as_bytes()], |row| id(row, 0))?;
    for room in rooms {
        let mut desk = Desk::open(conn, rules, room, bot, at)?;
        let member = desk.member.ok_or(AppendRefused::NoSuchUser)?;
        let user = desk.actor.clone();
        remove_member(&mut desk, user, member, LeaveReason::Left, None)?;
        events.append(&mut desk.events);
    }
    query::execute(conn, sql::DELETE, [bot.0.as_bytes()])?;
    query::execute(conn, sql::DEACTIVATE, [bot.0.as_bytes()])?;
    Ok(Some(events))
}

/// Ends a reply that was begun, with the text of its last checkpoint.
fn interrupt(desk: &mut Desk<'_>, job: JobId, reply: MessageId, text: String) -> Step<()> {
    let facts = desk.message_facts(reply)?;
    let status = MessageStatus::Interrupted;
    query::execute(
        desk.conn,
        messages::INTERRUPT,
        params![desk.room_key(), integer(facts.seq), text, status.word()],
    )?;
    query::execute(desk.conn, jobs::END, [job.0.as_bytes(), reply.0.as_bytes()])?;
    let usage = Usage { estimated: true, ..Usage::default() };
    desk.add_event(EventBody::MessageCompleted(MessageCompleted {
        message: reply,
        body: text,
        status,
        usage,
        error: None,
        mentions: Vec::new(),
    }))
}

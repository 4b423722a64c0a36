//! Messages, and the jobs of the bots that they call.

use parlor_domain::permission::{Action, check_slow_mode, is_slowed, post_action};
use parlor_domain::turn::{Call, RoomBot, called_bots};
use parlor_protocol::event::EventBody;
use parlor_protocol::id::{JobId, MessageId, RoomId, UserId};
use parlor_protocol::message::{BotReply, Message, MessageStatus};
use parlor_protocol::user::{UserKind, UserRef};
use rusqlite::params;
use uuid::Uuid;

use super::mentions::Mentions;
use super::{Desk, Step};
use crate::append::{AppendRefused, Appended, NewMessage, QueuedJob};
use crate::sqlite::codec::{Word as _, bytes, count, id, integer, time, word};
use crate::sqlite::search::keeper;
use crate::sqlite::sql::{bots, jobs, messages as sql, moderation};
use crate::sqlite::{files, query, rows};

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// What its author says.
    Said,
    /// What its author does.
    Emote,
}

/// Writes a message once, whatever the number of attempts.
pub(super) fn publish(desk: &mut Desk<'_>, new: NewMessage, kind: Kind) -> Step<Appended> {
    desk.authorize(Action::Read)?;
    // The first answer stays the answer, also for someone who may not write any more.
    if let Some(seq) = find_first(desk, &new)? {
        return desk.repeat(seq);
    }
    let member = desk.authorize(post_action(desk.actor.kind))?;
    let slowed = is_slowed(&desk.room.settings, member, desk.actor.kind);
    if slowed {
        check_pause(desk)?;
    }
    let answered = new.reply_to.map(|message| desk.message_facts(message)).transpose()?;
    let thread = match new.thread {
        Some(named) => Some(desk.message_facts(named)?.thread.unwrap_or(named)),
        None => answered.as_ref().and_then(|answered| answered.thread),
    };
    let mentions = Mentions::resolve(desk, &new.body)?;
    let attachments = files::find_ready(desk, &new.attachments)?;
    let hops = match desk.actor.kind {
        UserKind::Bot => answered.as_ref().map_or(0, |answered| answered.hops) + 1,
        UserKind::User | UserKind::Integration => 0,
    };
    let message = Message {
        id: new.id,
        room: desk.room.id,
        seq: desk.next_seq(),
        sender: desk.actor.clone(),
        client_id: new.client_id,
        body: new.body,
        status: MessageStatus::Complete,
        reply_to: new.reply_to,
        thread,
        created_at: desk.at,
        edited_at: None,
        redacted_at: None,
        reactions: Vec::new(),
        attachments,
        mentions: Vec::new(),
        mentions_room: mentions.room,
        emote: kind == Kind::Emote,
        edits: 0,
        replies: None,
        pinned: None,
        bot: None,
        usage: None,
        error: None,
    };
    insert(desk, &message, &mentions, hops)?;
    mentions.note(desk, message.seq)?;
    if slowed {
        let row = params![desk.room_key(), desk.actor.id.0.as_bytes(), desk.at.as_millis()];
        query::execute(desk.conn, moderation::NOTE_LAST_POST, row)?;
    }
    files::attach(desk, message.id, message.seq, &message.attachments)?;
    let message = Message { mentions: mentions.users, ..message };
    call_bots(
        desk,
        message.id,
        &Call {
            author: desk.actor.id,
            author_kind: desk.actor.kind,
            body: &message.body,
            hops,
            reply_to_author: answered.map(|answered| answered.sender),
        },
    )?;
    desk.add_event(EventBody::MessageCreated(Box::new(message)))?;
    Ok(desk.added())
}

/// Finds the message that this one repeats: by the author's own id, or by its id.
pub(super) fn find_first(desk: &Desk<'_>, new: &NewMessage) -> Step<Option<u64>> {
    if let Some(client_id) = &new.client_id {
        let key = params![desk.room_key(), desk.actor.id.0.as_bytes(), client_id];
        let first = query::find(desk.conn, sql::FIND_FIRST_OF_CLIENT, key, |row| count(row, 0))?;
        if first.is_some() {
            return Ok(first);
        }
    }
    let owner = query::find(desk.conn, sql::FIND_OWNER, [new.id.0.as_bytes()], |row| {
        Ok((id::<RoomId>(row, 0)?, id::<UserId>(row, 1)?, count(row, 2)?))
    })?;
    match owner {
        None => Ok(None),
        Some((room, sender, seq)) if room == desk.room.id && sender == desk.actor.id => {
            Ok(Some(seq))
        }
        Some(_) => Err(AppendRefused::NotChangeable.into()),
    }
}

/// Adds a message to the projection.
pub(super) fn insert(
    desk: &Desk<'_>,
    message: &Message,
    mentions: &Mentions,
    hops: u32,
) -> Step<()> {
    let bot = message.bot.as_ref();
    query::execute(
        desk.conn,
        sql::INSERT,
        params![
            desk.room_key(),
            integer(message.seq),
            message.id.0.as_bytes(),
            message.sender.id.0.as_bytes(),
            message.client_id,
            message.status.word(),
            bytes(message.reply_to.map(|reply_to| reply_to.0)),
            bytes(message.thread.map(|thread| thread.0)),
            message.created_at.as_millis(),
            hops,
            bytes(bot.map(|bot: &BotReply| bot.trigger.0)),
            bot.map(|bot| &bot.provider),
            bot.map(|bot| &bot.model),
            message.body,
            mentions.column(),
            mentions.room,
            message.emote,
        ],
    )?;
    if message.status != MessageStatus::Streaming {
        keeper::enter(desk.conn, desk.room.id, message.seq)?;
    }
    Ok(())
}

/// Refuses a member whose last message was too short a time ago.
fn check_pause(desk: &Desk<'_>) -> Step<()> {
    let key = [desk.room_key(), *desk.actor.id.0.as_bytes()];
    let last = query::find(desk.conn, moderation::FIND_LAST_POST, key, |row| time(row, 0))?;
    Ok(check_slow_mode(&desk.room.settings, last, desk.at)?)
}

/// Queues a job for each bot that owes a reply to a message, if the author may call bots. What bots
/// say to each other was called by someone who may.
pub(super) fn call_bots(desk: &mut Desk<'_>, trigger: MessageId, call: &Call<'_>) -> Step<()> {
    if call.author_kind != UserKind::Bot && desk.authorize(Action::CallBots).is_err() {
        return Ok(());
    }
    let members: Vec<(RoomBot, UserRef)> =
        query::list(desk.conn, bots::LIST_CALLABLE, [desk.room_key()], |row| {
            let user = rows::user_ref(row, 0)?;
            let bot =
                RoomBot { user: user.id, username: user.username.clone(), trigger: word(row, 4)? };
            Ok((bot, user))
        })?;
    if members.is_empty() {
        return Ok(());
    }
    let (facts, users): (Vec<RoomBot>, Vec<UserRef>) = members.into_iter().unzip();
    for bot in called_bots(desk.room.kind, &facts, *call, desk.rules.max_hops) {
        let Some(user) = users.iter().find(|user| user.id == bot) else { continue };
        let open: u32 =
            query::get(desk.conn, jobs::COUNT_OPEN_IN_ROOM, [desk.room_key()], |row| row.get(0))?;
        let job = JobId(Uuid::new_v5(&trigger.0, bot.0.as_bytes()));
        query::execute(
            desk.conn,
            jobs::INSERT,
            params![
                job.0.as_bytes(),
                desk.room_key(),
                trigger.0.as_bytes(),
                bot.0.as_bytes(),
                call.hops + 1,
                desk.at.as_millis(),
            ],
        )?;
        desk.jobs.push(QueuedJob { job, bot: user.clone(), position: open + 1 });
    }
    Ok(())
}

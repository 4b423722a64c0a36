//! Replies of bots: begun once, ended once, by whoever holds the job.

use parlor_domain::turn::Call;
use parlor_protocol::event::{EventBody, MessageCompleted};
use parlor_protocol::id::{JobId, MessageId, RoomId, UserId};
use parlor_protocol::message::{BotReply, Message, MessageStatus};
use parlor_protocol::user::UserKind;
use rusqlite::params;

use super::mentions::Mentions;
use super::publish::{call_bots, insert};
use super::{Desk, Step};
use crate::append::{AppendRefused, Appended, ReplyEnd};
use crate::sqlite::codec::{Word as _, code_word, count, id, id_opt, integer};
use crate::sqlite::query;
use crate::sqlite::sql::{jobs, messages as sql, reading};

/// What a worker says it holds.
pub(super) struct Claim {
    pub(super) job: JobId,
    pub(super) generation: u32,
    pub(super) message: MessageId,
}

/// What the store knows of the job.
struct HeldJob {
    trigger: MessageId,
    bot: UserId,
    hops: u32,
    reply: Option<MessageId>,
}

pub(super) fn start(
    desk: &mut Desk<'_>,
    claim: &Claim,
    provider: String,
    model: String,
) -> Step<Appended> {
    let job = hold(desk, claim)?;
    let reply = job.reply.unwrap_or(claim.message);
    // The chunks of this turn begin anew, and so does the text so far.
    let begin = params![claim.job.0.as_bytes(), reply.0.as_bytes()];
    query::execute(desk.conn, jobs::BEGIN_REPLY, begin)?;
    if job.reply.is_some() {
        let begun = desk.message_facts(reply)?;
        return desk.repeat(begun.seq);
    }
    create(desk, &job, reply, provider, model)?;
    Ok(desk.added())
}

pub(super) fn complete(desk: &mut Desk<'_>, claim: &Claim, end: ReplyEnd) -> Step<Appended> {
    if let Some(seq) = find_own_end(desk, claim, &end)? {
        return desk.repeat(seq);
    }
    let job = hold(desk, claim)?;
    let reply = job.reply.unwrap_or(claim.message);
    let seq = match job.reply {
        Some(_) => desk.message_facts(reply)?.seq,
        None => create(desk, &job, reply, end.provider.clone(), end.model.clone())?,
    };
    let error = end.error.as_ref();
    query::execute(
        desk.conn,
        sql::COMPLETE,
        params![
            desk.room_key(),
            integer(seq),
            end.body,
            end.status.word(),
            end.usage.prompt_tokens,
            end.usage.completion_tokens,
            end.usage.estimated,
            error.map(|error| code_word(error.code)),
            error.map(|error| &error.detail),
            end.provider,
            end.model,
        ],
    )?;
    query::execute(desk.conn, jobs::END, params![claim.job.0.as_bytes(), reply.0.as_bytes()])?;
    let mentions = Mentions { room: false, ..Mentions::resolve(desk, &end.body)? };
    if !mentions.users.is_empty() {
        let row = params![desk.room_key(), integer(seq), mentions.column()];
        query::execute(desk.conn, reading::SET_MENTIONS, row)?;
        mentions.note(desk, seq)?;
    }
    // Only what a bot meant to say calls others, not what was cut short.
    if end.status == MessageStatus::Completed {
        let asker = Some(desk.message_facts(job.trigger)?.sender);
        let author = desk.actor.id;
        let call = Call {
            author,
            author_kind: UserKind::Bot,
            body: &end.body,
            hops: job.hops,
            reply_to_author: asker,
        };
        call_bots(desk, reply, &call)?;
    }
    let ReplyEnd { status, body, usage, error, .. } = end;
    desk.add_event(EventBody::MessageCompleted(MessageCompleted {
        message: reply,
        body,
        status,
        usage,
        error,
        mentions: mentions.users,
    }))?;
    Ok(desk.added())
}

/// Finds the end that the same claim has written before with the same words: its first answer may
/// have been lost.
fn find_own_end(desk: &Desk<'_>, claim: &Claim, end: &ReplyEnd) -> Step<Option<u64>> {
    let Some((job, false)) = find(desk, claim)? else { return Ok(None) };
    let Some(reply) = job.reply else { return Ok(None) };
    let written = desk.message_facts(reply)?;
    if written.body != end.body || written.status != end.status {
        return Ok(None);
    }
    let key = [reply.0.as_bytes()];
    Ok(query::find(desk.conn, sql::FIND_END, key, |row| count(row, 0))?)
}

/// Checks that the claim is the newest and that the job is open.
fn hold(desk: &Desk<'_>, claim: &Claim) -> Step<HeldJob> {
    match find(desk, claim)? {
        Some((job, true)) => Ok(job),
        _ => Err(AppendRefused::StaleGeneration.into()),
    }
}

/// Finds the job if the claim is its newest, and tells whether it is held rather than ended.
fn find(desk: &Desk<'_>, claim: &Claim) -> Step<Option<(HeldJob, bool)>> {
    let found = query::find(desk.conn, jobs::FIND, [claim.job.0.as_bytes()], |row| {
        let job = HeldJob {
            trigger: id(row, 2)?,
            bot: id(row, 3)?,
            hops: row.get(4)?,
            reply: id_opt(row, 8)?,
        };
        Ok((job, id::<RoomId>(row, 1)?, row.get::<_, String>(5)?, row.get::<_, u32>(6)?))
    })?;
    Ok(found.and_then(|(job, room, state, generation)| {
        let same = room == desk.room.id
            && job.bot == desk.actor.id
            && generation == claim.generation
            && state != "queued";
        same.then_some((job, state == "running"))
    }))
}

/// Adds the reply, empty, and returns its position.
fn create(
    desk: &mut Desk<'_>,
    job: &HeldJob,
    reply: MessageId,
    provider: String,
    model: String,
) -> Step<u64> {
    let seq = desk.next_seq();
    let message = Message {
        id: reply,
        room: desk.room.id,
        seq,
        sender: desk.actor.clone(),
        client_id: None,
        body: String::new(),
        status: MessageStatus::Streaming,
        reply_to: Some(job.trigger),
        thread: thread_of(desk, job.trigger)?,
        created_at: desk.at,
        edited_at: None,
        redacted_at: None,
        reactions: Vec::new(),
        attachments: Vec::new(),
        mentions: Vec::new(),
        mentions_room: false,
        emote: false,
        edits: 0,
        replies: None,
        pinned: None,
        bot: Some(BotReply { trigger: job.trigger, provider, model }),
        usage: None,
        error: None,
    };
    insert(desk, &message, &Mentions::default(), job.hops)?;
    desk.add_event(EventBody::MessageCreated(Box::new(message)))?;
    Ok(seq)
}

/// A reply belongs to the thread of the message that it answers.
fn thread_of(desk: &Desk<'_>, trigger: MessageId) -> Step<Option<MessageId>> {
    let key = [trigger.0.as_bytes(), desk.room.id.0.as_bytes()];
    Ok(query::find(desk.conn, sql::FIND_THREAD, key, |row| id_opt(row, 0))?.flatten())
}

//! Replies of bots: begun once, ended once, by whoever holds the job.

use parlor_domain::turn::Call;
use parlor_protocol::event::{EventBody, MessageCompleted};
use parlor_protocol::id::{JobId, MessageId, RoomId, UserId};
use parlor_protocol::message::{BotReply, Message, MessageStatus, ReplyError};
use parlor_protocol::user::UserKind;

use super::mentions::Mentions;
use super::publish::{call_bots, insert};
use super::{Desk, Step};
use crate::append::{AppendRefused, Appended, ReplyEnd};
use crate::postgres::codec::{Word as _, code_word, count, id, id_opt, integer, small, value};
use crate::postgres::fault::Outcome;
use crate::postgres::query::{self, Params};
use crate::postgres::sql::{jobs, messages as sql, reading};

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

pub(super) async fn start(
    desk: &mut Desk<'_>,
    claim: &Claim,
    provider: String,
    model: String,
) -> Step<Appended> {
    let job = hold(desk, claim).await?;
    let reply = job.reply.unwrap_or(claim.message);
    let begun = desk.message_facts_opt(job.reply).await?;
    // The chunks of this turn begin anew, and so does the text so far.
    desk.write(jobs::BEGIN_REPLY, &[&claim.job.0, &reply.0]).await?;
    if let Some(begun) = begun {
        return desk.repeat(begun.seq).await;
    }
    create(desk, &job, reply, provider, model).await?;
    Ok(desk.added())
}

pub(super) async fn complete(desk: &mut Desk<'_>, claim: &Claim, end: ReplyEnd) -> Step<Appended> {
    let end = storable_end(end);
    if let Some(seq) = find_own_end(desk, claim, &end).await? {
        return desk.repeat(seq).await;
    }
    let job = hold(desk, claim).await?;
    let reply = job.reply.unwrap_or(claim.message);
    // Everything that can refuse comes before the first write.
    let begun = desk.message_facts_opt(job.reply).await?;
    let asker = desk.message_facts(job.trigger).await?.sender;
    let seq = match begun {
        Some(begun) => begun.seq,
        None => create(desk, &job, reply, end.provider.clone(), end.model.clone()).await?,
    };
    write_end(desk, seq, &end).await?;
    desk.write(jobs::END, &[&claim.job.0, &reply.0]).await?;
    let mentions = Mentions { room: false, ..Mentions::resolve(desk, &end.body).await? };
    if !mentions.users.is_empty() {
        let (room, mentioned) = (desk.room_key(), mentions.column());
        desk.write(reading::SET_MENTIONS, &[&room, &integer(seq), &mentioned]).await?;
        mentions.note(desk, seq).await?;
    }
    // Only what a bot meant to say calls others, not what was cut short.
    if end.status == MessageStatus::Completed {
        let call = Call {
            author: desk.actor.id,
            author_kind: UserKind::Bot,
            body: &end.body,
            hops: job.hops,
            reply_to_author: Some(asker),
        };
        call_bots(desk, reply, &call).await?;
    }
    let ReplyEnd { status, body, usage, error, .. } = end;
    let mentions = mentions.users;
    let completed = MessageCompleted { message: reply, body, status, usage, error, mentions };
    desk.add_event(EventBody::MessageCompleted(completed));
    Ok(desk.added())
}

async fn write_end(desk: &mut Desk<'_>, seq: u64, end: &ReplyEnd) -> Outcome<()> {
    let (room, error) = (desk.room_key(), end.error.as_ref());
    let params: Params<'_> = &[
        &room,
        &integer(seq),
        &end.body,
        &end.status.word(),
        &i64::from(end.usage.prompt_tokens),
        &i64::from(end.usage.completion_tokens),
        &end.usage.estimated,
        &error.map(|error| code_word(error.code)),
        &error.map(|error| &error.detail),
        &end.provider,
        &end.model,
    ];
    desk.write(sql::COMPLETE, params).await?;
    Ok(())
}

/// Finds the end that the same claim has written before with the same words: its first answer may
/// have been lost.
async fn find_own_end(desk: &mut Desk<'_>, claim: &Claim, end: &ReplyEnd) -> Step<Option<u64>> {
    let Some((job, false)) = find(desk, claim).await? else { return Ok(None) };
    let Some(reply) = job.reply else { return Ok(None) };
    let written = desk.message_facts(reply).await?;
    if written.body != end.body || written.status != end.status {
        return Ok(None);
    }
    desk.flush().await?;
    Ok(query::find(desk.conn, sql::FIND_END, &[&reply.0], |row| count(row, 0)).await?)
}

/// Checks that the claim is the newest and that the job is open.
async fn hold(desk: &Desk<'_>, claim: &Claim) -> Step<HeldJob> {
    match find(desk, claim).await? {
        Some((job, true)) => Ok(job),
        _ => Err(AppendRefused::StaleGeneration.into()),
    }
}

/// Finds the job if the claim is its newest, and tells whether it is held rather than ended. Nobody
/// else can claim it before the commit.
async fn find(desk: &Desk<'_>, claim: &Claim) -> Step<Option<(HeldJob, bool)>> {
    let found = query::find(desk.conn, jobs::LOCK, &[&claim.job.0], |row| {
        let job = HeldJob {
            trigger: id(row, 2)?,
            bot: id(row, 3)?,
            hops: small(row, 4)?,
            reply: id_opt(row, 8)?,
        };
        Ok((job, id::<RoomId>(row, 1)?, value::<String>(row, 5)?, small(row, 6)?))
    })
    .await?;
    #[cfg(feature = "planted-bugs")]
    if parlor_domain::planted::is("fence-ignored") {
        return Ok(found.map(|(job, ..)| (job, true)));
    }
    Ok(found.and_then(|(job, room, state, generation)| {
        let same = room == desk.room.id
            && job.bot == desk.actor.id
            && generation == claim.generation
            && state != "queued";
        same.then_some((job, state == "running"))
    }))
}

fn storable_end(end: ReplyEnd) -> ReplyEnd {
    let error = end.error.map(|error| ReplyError { detail: storable(error.detail), ..error });
    ReplyEnd { body: storable(end.body), error, ..end }
}

/// Replaces what the database cannot hold. A model may write anything, and its reply has to end.
pub(in crate::postgres) fn storable(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

/// Adds the reply, empty, and returns its position.
async fn create(
    desk: &mut Desk<'_>,
    job: &HeldJob,
    reply: MessageId,
    provider: String,
    model: String,
) -> Step<u64> {
    let seq = desk.next_seq();
    // A reply belongs to the thread of the message that it answers.
    let named: Params<'_> = &[&job.trigger.0, &desk.room.id.0];
    let thread = query::find(desk.conn, sql::FIND_FACTS, named, |row| id_opt(row, 6)).await?;
    let message = Message {
        id: reply,
        room: desk.room.id,
        seq,
        sender: desk.actor.clone(),
        client_id: None,
        body: String::new(),
        status: MessageStatus::Streaming,
        reply_to: Some(job.trigger),
        thread: thread.flatten(),
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
    insert(desk, &message, &Mentions::default(), job.hops).await?;
    desk.add_event(EventBody::MessageCreated(Box::new(message)));
    Ok(seq)
}

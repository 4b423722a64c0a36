//! Messages one by one, and the jobs of the bots that they call.

use parlor_domain::permission::{Action, check_slow_mode, is_slowed, post_action};
use parlor_domain::turn::{Call, RoomBot, called_bots};
use parlor_protocol::event::EventBody;
use parlor_protocol::id::{JobId, MessageId, RoomId, UserId};
use parlor_protocol::message::{BotReply, Message, MessageStatus};
use parlor_protocol::user::{UserKind, UserRef};
use uuid::Uuid;

use super::mentions::Mentions;
use super::{Desk, Step};
use crate::append::{AppendRefused, Appended, NewMessage, QueuedJob};
use crate::postgres::codec::{Word as _, count, id, integer, time, word};
use crate::postgres::fault::Outcome;
use crate::postgres::query::{self, Params};
use crate::postgres::sql::{bots, jobs, messages as sql, moderation};
use crate::postgres::{files, rows};

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// What its author says.
    Said,
    /// What its author does.
    Emote,
}

/// Writes a message once, whatever the number of attempts.
pub(super) async fn publish(desk: &mut Desk<'_>, new: NewMessage, kind: Kind) -> Step<Appended> {
    desk.authorize(Action::Read)?;
    // The first answer stays the answer, also for someone who may not write any more.
    if let Some(seq) = find_first(desk, &new).await? {
        return desk.repeat(seq).await;
    }
    let member = desk.authorize(post_action(desk.actor.kind))?;
    let slowed = is_slowed(&desk.room.settings, member, desk.actor.kind);
    if slowed {
        check_pause(desk).await?;
    }
    let (answered, named) =
        tokio::try_join!(desk.message_facts_opt(new.reply_to), desk.message_facts_opt(new.thread))?;
    let thread = match (&named, &answered) {
        (Some(named), _) => named.thread.or(new.thread),
        (None, answered) => answered.as_ref().and_then(|answered| answered.thread),
    };
    let mentions = Mentions::resolve(desk, &new.body).await?;
    let attachments = files::find_ready(desk.conn, desk.actor.id, &new.attachments).await?;
    let attachments = attachments.ok_or(AppendRefused::NoSuchUpload)?;
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
    insert(desk, &message, &mentions, hops).await?;
    mentions.note(desk, message.seq).await?;
    if slowed {
        let (room, at) = (desk.room_key(), desk.at.as_millis());
        let actor = desk.actor.id.0;
        desk.write(moderation::NOTE_LAST_POST, &[&room, &actor, &at]).await?;
    }
    if !message.attachments.is_empty() {
        files::attach(desk.conn, &message).await?;
    }
    let message = Message { mentions: mentions.users, ..message };
    let call = Call {
        author: desk.actor.id,
        author_kind: desk.actor.kind,
        body: &message.body,
        hops,
        reply_to_author: answered.map(|answered| answered.sender),
    };
    call_bots(desk, message.id, &call).await?;
    desk.add_event(EventBody::MessageCreated(Box::new(message)));
    Ok(desk.added())
}

/// Finds the message that this one repeats: by the author's own id, or by its id.
pub(super) async fn find_first(desk: &Desk<'_>, new: &NewMessage) -> Step<Option<u64>> {
    let (room, actor) = (desk.room.id, desk.actor.id);
    let of_client: Params<'_> = &[&room.0, &actor.0, &new.client_id];
    let of_id: Params<'_> = &[&new.id.0];
    let (first, owner) = tokio::try_join!(
        query::find(desk.conn, sql::FIND_FIRST_OF_CLIENT, of_client, |row| count(row, 0)),
        query::find(desk.conn, sql::FIND_OWNER, of_id, |row| {
            Ok((id::<RoomId>(row, 0)?, id::<UserId>(row, 1)?, count(row, 2)?))
        }),
    )?;
    if first.is_some() {
        return Ok(first);
    }
    match owner {
        None => Ok(None),
        Some((of, sender, seq)) if of == room && sender == actor => Ok(Some(seq)),
        Some(_) => Err(AppendRefused::NotChangeable.into()),
    }
}

/// Adds a message to the projection.
pub(super) async fn insert(
    desk: &mut Desk<'_>,
    message: &Message,
    mentions: &Mentions,
    hops: u32,
) -> Outcome<()> {
    let bot: Option<&BotReply> = message.bot.as_ref();
    let room = desk.room_key();
    let params: Params<'_> = &[
        &room,
        &integer(message.seq),
        &message.id.0,
        &message.sender.id.0,
        &message.client_id,
        &message.status.word(),
        &message.reply_to.map(|reply_to| reply_to.0),
        &message.thread.map(|thread| thread.0),
        &message.created_at.as_millis(),
        &i64::from(hops),
        &bot.map(|bot| bot.trigger.0),
        &bot.map(|bot| &bot.provider),
        &bot.map(|bot| &bot.model),
        &message.body,
        // A reply changes while it is written, and files are not in this row; any other message is
        // its own event.
        &(bot.is_some() || !message.attachments.is_empty()),
        &mentions.column(),
        &mentions.room,
        &message.emote,
    ];
    desk.write(sql::INSERT, params).await?;
    Ok(())
}

/// Refuses a member whose last message was too short a time ago.
async fn check_pause(desk: &Desk<'_>) -> Step<()> {
    let key: Params<'_> = &[&desk.room.id.0, &desk.actor.id.0];
    let last = query::find(desk.conn, moderation::FIND_LAST_POST, key, |row| time(row, 0)).await?;
    Ok(check_slow_mode(&desk.room.settings, last, desk.at)?)
}

/// Queues a job for each bot that owes a reply to a message, if the author may call bots. What bots
/// say to each other was called by someone who may.
pub(super) async fn call_bots(
    desk: &mut Desk<'_>,
    trigger: MessageId,
    call: &Call<'_>,
) -> Outcome<()> {
    if call.author_kind != UserKind::Bot && desk.authorize(Action::CallBots).is_err() {
        return Ok(());
    }
    let room = desk.room_key();
    let members: Vec<(RoomBot, UserRef)> =
        query::list(desk.conn, bots::LIST_CALLABLE, &[&room], |row| {
            let user = rows::user_ref(row, 0)?;
            let bot =
                RoomBot { user: user.id, username: user.username.clone(), trigger: word(row, 4)? };
            Ok((bot, user))
        })
        .await?;
    let (facts, users): (Vec<RoomBot>, Vec<UserRef>) = members.into_iter().unzip();
    let called = called_bots(desk.room.kind, &facts, *call, desk.rules.max_hops);
    if called.is_empty() {
        return Ok(());
    }
    let open =
        query::get(desk.conn, jobs::COUNT_OPEN_IN_ROOM, &[&room], |row| count(row, 0)).await?;
    let open = u32::try_from(open).unwrap_or(u32::MAX);
    let ids: Vec<Uuid> = called.iter().map(|bot| job_id(trigger, *bot).0).collect();
    let keys: Vec<Uuid> = called.iter().map(|bot| bot.0).collect();
    let (hops, at) = (i64::from(call.hops) + 1, desk.at.as_millis());
    desk.write(jobs::INSERT_MANY, &[&room, &trigger.0, &hops, &at, &ids, &keys]).await?;
    for (bot, position) in called.into_iter().zip(open.saturating_add(1)..) {
        if let Some(user) = users.iter().find(|user| user.id == bot) {
            let job = job_id(trigger, bot);
            desk.jobs.push(QueuedJob { job, bot: user.clone(), position });
        }
    }
    Ok(())
}

/// Returns the id of a bot's duty to answer a message, which is the same for every attempt.
pub(super) fn job_id(trigger: MessageId, bot: UserId) -> JobId {
    JobId(Uuid::new_v5(&trigger.0, bot.0.as_bytes()))
}

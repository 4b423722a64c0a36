//! Changes of messages: edits, redactions, reactions.

use parlor_domain::permission::Action;
use parlor_protocol::event::{EventBody, MessageEdited, MessageRedacted, ReactionChange};
use parlor_protocol::id::MessageId;
use parlor_protocol::message::MessageStatus;
use rusqlite::params;

use super::erase::erase_body;
use super::mentions::Mentions;
use super::{Desk, Step};
use crate::append::{AppendRefused, Appended};
use crate::sqlite::codec::integer;
use crate::sqlite::query;
use crate::sqlite::sql::{jobs, messages as sql, reading};

/// Most different emojis on one message.
const EMOJIS_MAX: u32 = 20;

pub(super) fn edit(desk: &mut Desk<'_>, message: MessageId, body: String) -> Step<Appended> {
    desk.authorize(Action::EditOwn)?;
    let facts = desk.message_facts(message)?;
    let own = facts.sender == desk.actor.id;
    if !own || facts.redacted || facts.status != MessageStatus::Complete {
        return Err(AppendRefused::NotChangeable.into());
    }
    if facts.body == body {
        return Ok(Appended::Unchanged);
    }
    let mentions = Mentions::resolve(desk, &body)?;
    let (room, seq, edited_at) = (desk.room_key(), integer(facts.seq), desk.at);
    query::execute(
        desk.conn,
        sql::EDIT,
        params![room, seq, body, edited_at.as_millis(), mentions.column(), mentions.room],
    )?;
    if facts.mentions {
        query::execute(desk.conn, reading::DELETE_MENTIONS_OF_MESSAGE, params![room, seq])?;
    }
    mentions.note(desk, facts.seq)?;
    desk.add_event(EventBody::MessageEdited(MessageEdited {
        message,
        body,
        edited_at,
        mentions: mentions.users,
        mentions_room: mentions.room,
    }))?;
    Ok(desk.added())
}

pub(super) fn redact(desk: &mut Desk<'_>, message: MessageId) -> Step<Appended> {
    desk.authorize(Action::Read)?;
    let facts = desk.message_facts(message)?;
    let own = facts.sender == desk.actor.id;
    desk.authorize(if own { Action::RedactOwn } else { Action::RedactOthers })?;
    if facts.redacted {
        return Ok(Appended::Unchanged);
    }
    // It would go on growing: it has to be stopped first.
    if facts.status == MessageStatus::Streaming {
        return Err(AppendRefused::NotChangeable.into());
    }
    take_away(desk, message, facts.seq)
}

/// Removes the text of a message of an erased user, who may not be a member any more.
pub(super) fn erase_message(desk: &mut Desk<'_>, message: MessageId) -> Step<Appended> {
    let facts = desk.message_facts(message)?;
    if facts.redacted {
        return Ok(Appended::Unchanged);
    }
    if facts.sender != desk.actor.id || facts.status == MessageStatus::Streaming {
        return Err(AppendRefused::NotChangeable.into());
    }
    take_away(desk, message, facts.seq)
}

fn take_away(desk: &mut Desk<'_>, message: MessageId, seq: u64) -> Step<Appended> {
    erase_body(desk, message, seq)?;
    // Nobody needs an answer to what is gone. The workers end these replies as cancelled.
    query::execute(desk.conn, jobs::REQUEST_CANCEL_OF_TRIGGER, [message.0.as_bytes()])?;
    desk.add_event(EventBody::MessageRedacted(MessageRedacted { message }))?;
    Ok(desk.added())
}

pub(super) fn react(
    desk: &mut Desk<'_>,
    message: MessageId,
    emoji: String,
    add: bool,
) -> Step<Appended> {
    desk.authorize(Action::Write)?;
    let facts = desk.message_facts(message)?;
    if facts.redacted {
        return Err(AppendRefused::NotChangeable.into());
    }
    let (room, seq) = (desk.room_key(), integer(facts.seq));
    let user = *desk.actor.id.0.as_bytes();
    if query::exists(desk.conn, sql::HAS_REACTION, params![room, seq, emoji, user])? == add {
        return Ok(Appended::Unchanged);
    }
    let change = ReactionChange { message, emoji, user: desk.actor.clone() };
    if !add {
        query::execute(desk.conn, sql::DELETE_REACTION, params![room, seq, change.emoji, user])?;
        desk.add_event(EventBody::ReactionRemoved(change))?;
        return Ok(desk.added());
    }
    if !query::exists(desk.conn, sql::HAS_EMOJI, params![room, seq, change.emoji])? {
        let different: u32 =
            query::get(desk.conn, sql::COUNT_EMOJI, params![room, seq], |row| row.get(0))?;
        if different >= EMOJIS_MAX {
            return Err(AppendRefused::TooManyReactions.into());
        }
    }
    query::execute(
        desk.conn,
        sql::INSERT_REACTION,
        params![room, seq, change.emoji, user, integer(desk.next_seq())],
    )?;
    desk.add_event(EventBody::ReactionAdded(change))?;
    Ok(desk.added())
}

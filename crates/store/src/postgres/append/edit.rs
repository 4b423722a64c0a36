//! Changes of messages: edits, redactions, reactions.

use parlor_domain::permission::Action;
use parlor_protocol::event::{Event, EventBody, MessageEdited, MessageRedacted, ReactionChange};
use parlor_protocol::id::MessageId;
use parlor_protocol::message::{Message, MessageStatus};

use super::erase::erase_body;
use super::mentions::Mentions;
use super::{Desk, Step};
use crate::append::{AppendRefused, Appended};
use crate::postgres::codec::{integer, value};
use crate::postgres::fault::Fault;
use crate::postgres::sql::{jobs, messages as sql, reading};
use crate::postgres::{events, query, rows};

/// Most different emojis on one message.
const EMOJIS_MAX: i64 = 20;

pub(super) async fn edit(desk: &mut Desk<'_>, message: MessageId, body: String) -> Step<Appended> {
    desk.authorize(Action::EditOwn)?;
    let facts = desk.message_facts(message).await?;
    let own = facts.sender == desk.actor.id;
    if !own || facts.redacted || facts.status != MessageStatus::Complete {
        return Err(AppendRefused::NotChangeable.into());
    }
    if facts.body == body {
        return Ok(Appended::Unchanged);
    }
    if !facts.logged {
        log_first_words(desk, message).await?;
    }
    let mentions = Mentions::resolve(desk, &body).await?;
    let (room, seq, edited_at) = (desk.room_key(), integer(facts.seq), desk.at);
    let (at, mentioned) = (edited_at.as_millis(), mentions.column());
    desk.write(sql::EDIT, &[&room, &seq, &body, &at, &mentioned, &mentions.room]).await?;
    if facts.mentions {
        desk.write(reading::DELETE_MENTIONS_OF_MESSAGE, &[&room, &seq]).await?;
    }
    mentions.note(desk, facts.seq).await?;
    desk.add_event(EventBody::MessageEdited(MessageEdited {
        message,
        body,
        edited_at,
        mentions: mentions.users,
        mentions_room: mentions.room,
    }));
    Ok(desk.added())
}

/// Gives the event that announced a message a row of its own, before the message changes.
async fn log_first_words(desk: &Desk<'_>, message: MessageId) -> Step<()> {
    let message = rows::find_message(desk.conn, desk.room.id, message)
        .await?
        .ok_or(Fault::Contradiction("messages lost a row"))?;
    // What came later is not part of it.
    let message =
        Message { reactions: Vec::new(), replies: None, pinned: None, edits: 0, ..message };
    let event = Event {
        room: message.room,
        seq: message.seq,
        at: message.created_at,
        actor: Some(message.sender.clone()),
        body: EventBody::MessageCreated(Box::new(message)),
    };
    Ok(events::insert(desk.conn, &[event]).await?)
}

pub(super) async fn redact(desk: &mut Desk<'_>, message: MessageId) -> Step<Appended> {
    desk.authorize(Action::Read)?;
    let facts = desk.message_facts(message).await?;
    let own = facts.sender == desk.actor.id;
    desk.authorize(if own { Action::RedactOwn } else { Action::RedactOthers })?;
    if facts.redacted {
        return Ok(Appended::Unchanged);
    }
    // It would go on growing: it has to be stopped first.
    if facts.status == MessageStatus::Streaming {
        return Err(AppendRefused::NotChangeable.into());
    }
    take_away(desk, message, facts.seq).await
}

/// Removes the text of a message of an erased user, who may not be a member any more.
pub(super) async fn erase_message(desk: &mut Desk<'_>, message: MessageId) -> Step<Appended> {
    let facts = desk.message_facts(message).await?;
    if facts.redacted {
        return Ok(Appended::Unchanged);
    }
    if facts.sender != desk.actor.id || facts.status == MessageStatus::Streaming {
        return Err(AppendRefused::NotChangeable.into());
    }
    take_away(desk, message, facts.seq).await
}

async fn take_away(desk: &mut Desk<'_>, message: MessageId, seq: u64) -> Step<Appended> {
    erase_body(desk, message, seq).await?;
    // Nobody needs an answer to what is gone. The workers end these replies as cancelled.
    desk.write(jobs::REQUEST_CANCEL_OF_TRIGGER, &[&message.0]).await?;
    desk.add_event(EventBody::MessageRedacted(MessageRedacted { message }));
    Ok(desk.added())
}

pub(super) async fn react(
    desk: &mut Desk<'_>,
    message: MessageId,
    emoji: String,
    add: bool,
) -> Step<Appended> {
    desk.authorize(Action::Write)?;
    let facts = desk.message_facts(message).await?;
    if facts.redacted {
        return Err(AppendRefused::NotChangeable.into());
    }
    let (room, seq, user) = (desk.room_key(), integer(facts.seq), desk.actor.id.0);
    let conn = desk.conn;
    let key: query::Params<'_> = &[&room, &seq];
    let named: query::Params<'_> = &[&room, &seq, &emoji];
    let given: query::Params<'_> = &[&room, &seq, &emoji, &user];
    let (has, known, different) = tokio::try_join!(
        query::exists(conn, sql::HAS_REACTION, given),
        query::exists(conn, sql::HAS_EMOJI, named),
        query::get(conn, sql::COUNT_EMOJI, key, |row| value::<i64>(row, 0)),
    )?;
    if has == add {
        return Ok(Appended::Unchanged);
    }
    if add && !known && different >= EMOJIS_MAX {
        return Err(AppendRefused::TooManyReactions.into());
    }
    let change = ReactionChange { message, emoji: emoji.clone(), user: desk.actor.clone() };
    if add {
        let next = integer(desk.next_seq());
        desk.write(sql::INSERT_REACTION, &[&room, &seq, &emoji, &user, &next]).await?;
        desk.add_event(EventBody::ReactionAdded(change));
    } else {
        desk.write(sql::DELETE_REACTION, given).await?;
        desk.add_event(EventBody::ReactionRemoved(change));
    }
    Ok(desk.added())
}

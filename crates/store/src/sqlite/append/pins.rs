//! Pinned messages.

use parlor_domain::permission::Action;
use parlor_protocol::event::{EventBody, PinChange};
use parlor_protocol::id::MessageId;
use parlor_protocol::limits::PINS_MAX;
use rusqlite::params;

use super::{Desk, Step};
use crate::append::{AppendRefused, Appended};
use crate::sqlite::codec::integer;
use crate::sqlite::query;
use crate::sqlite::sql::reading as sql;

pub(super) fn pin(desk: &mut Desk<'_>, message: MessageId, pin: bool) -> Step<Appended> {
    desk.authorize(Action::Pin)?;
    let facts = desk.message_facts(message)?;
    if facts.pinned == pin {
        return Ok(Appended::Unchanged);
    }
    let (room, seq, user) = (desk.room_key(), integer(facts.seq), desk.actor.clone());
    if pin {
        if facts.redacted {
            return Err(AppendRefused::NotChangeable.into());
        }
        let pins: u32 = query::get(desk.conn, sql::COUNT_PINS, [room], |row| row.get(0))?;
        if pins >= PINS_MAX {
            return Err(AppendRefused::TooManyPins.into());
        }
        let row = params![room, seq, desk.at.as_millis(), user.id.0.as_bytes()];
        query::execute(desk.conn, sql::PIN, row)?;
        desk.add_event(EventBody::MessagePinned(PinChange { message, user }))?;
    } else {
        query::execute(desk.conn, sql::UNPIN, params![room, seq])?;
        desk.add_event(EventBody::MessageUnpinned(PinChange { message, user }))?;
    }
    Ok(desk.added())
}

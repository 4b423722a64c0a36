//! Pinned messages.

use parlor_domain::permission::Action;
use parlor_protocol::event::{EventBody, PinChange};
use parlor_protocol::id::MessageId;
use parlor_protocol::limits::PINS_MAX;

use super::{Desk, Step};
use crate::append::{AppendRefused, Appended};
use crate::postgres::codec::{integer, value};
use crate::postgres::query;
use crate::postgres::sql::reading as sql;

pub(super) async fn pin(desk: &mut Desk<'_>, message: MessageId, pin: bool) -> Step<Appended> {
    desk.authorize(Action::Pin)?;
    let facts = desk.message_facts(message).await?;
    if facts.pinned == pin {
        return Ok(Appended::Unchanged);
    }
    let (room, seq, user) = (desk.room_key(), integer(facts.seq), desk.actor.clone());
    if pin {
        if facts.redacted {
            return Err(AppendRefused::NotChangeable.into());
        }
        let pins =
            query::get(desk.conn, sql::COUNT_PINS, &[&room], |row| value::<i64>(row, 0)).await?;
        if pins >= i64::from(PINS_MAX) {
            return Err(AppendRefused::TooManyPins.into());
        }
        let at = desk.at.as_millis();
        desk.write(sql::PIN, &[&room, &seq, &at, &user.id.0]).await?;
        desk.add_event(EventBody::MessagePinned(PinChange { message, user }));
    } else {
        desk.write(sql::UNPIN, &[&room, &seq]).await?;
        desk.add_event(EventBody::MessageUnpinned(PinChange { message, user }));
    }
    Ok(desk.added())
}

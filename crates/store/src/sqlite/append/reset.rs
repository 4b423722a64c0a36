//! The end of a room's history. The log goes on.

use parlor_domain::permission::Action;
use parlor_protocol::event::{EventBody, HistoryReset};
use rusqlite::params;

use super::{Desk, Step};
use crate::append::Appended;
use crate::sqlite::codec::integer;
use crate::sqlite::query;
use crate::sqlite::sql::{files, jobs, messages as sql, reading, rooms};

pub(super) fn reset_history(desk: &mut Desk<'_>) -> Step<Appended> {
    desk.authorize(Action::Own)?;
    let through = desk.room.head.seq;
    let room = desk.room_key();
    // Jobs too: what they were to answer is gone. Whoever holds one finds that it is lost.
    for statement in [
        files::DELETE_OF_ROOM,
        sql::DELETE_REACTIONS,
        reading::DELETE_MENTIONS,
        sql::DELETE_ALL,
        sql::DELETE_EVENTS,
        jobs::DELETE_OF_ROOM,
    ] {
        query::execute(desk.conn, statement, [room])?;
    }
    query::execute(desk.conn, rooms::SET_RESET, params![room, integer(through)])?;
    desk.room.head.reset_through = through;
    desk.add_event(EventBody::HistoryReset(HistoryReset { through }))?;
    Ok(desk.added())
}

//! The end of a room's history. The log goes on.

use parlor_domain::permission::Action;
use parlor_protocol::event::{EventBody, HistoryReset};

use super::{Desk, Step};
use crate::append::Appended;
use crate::postgres::codec::integer;
use crate::postgres::sql::{files, jobs, messages as sql, reading, rooms};

pub(super) async fn reset_history(desk: &mut Desk<'_>) -> Step<Appended> {
    desk.authorize(Action::Own)?;
    desk.flush().await?;
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
        desk.write(statement, &[&room]).await?;
    }
    desk.write(rooms::SET_RESET, &[&room, &integer(through)]).await?;
    desk.room.head.reset_through = through;
    desk.add_event(EventBody::HistoryReset(HistoryReset { through }));
    Ok(desk.added())
}

//! The end of a text.

use parlor_protocol::id::MessageId;
use rusqlite::params;

use super::{Desk, Step};
use crate::sqlite::codec::integer;
use crate::sqlite::query;
use crate::sqlite::sql::{files, jobs, messages as sql, reading};

/// Removes the text of a message from everything that is stored, and with it what was made of it:
/// whom it mentions, and its place among the pinned messages.
///
/// This is the only place where a text ends. Whatever keeps a text, or a part of it, anywhere else
/// removes it here.
pub(super) fn erase_body(desk: &Desk<'_>, message: MessageId, seq: u64) -> Step<()> {
    let place = params![desk.room_key(), integer(seq)];
    let named = [message.0.as_bytes()];
    query::execute(
        desk.conn,
        sql::REDACT,
        params![desk.room_key(), integer(seq), desk.at.as_millis()],
    )?;
    query::execute(desk.conn, sql::REDACT_EVENTS, named)?;
    query::execute(desk.conn, reading::DELETE_MENTIONS_OF_MESSAGE, place)?;
    query::execute(desk.conn, files::DELETE_OF_MESSAGE, place)?;
    query::execute(desk.conn, jobs::ERASE_CHECKPOINT, named)?;
    Ok(())
}

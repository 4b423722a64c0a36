//! The index of words, brought up to date by the writer at the end of each transaction.

use parlor_domain::search::index_words;
use parlor_protocol::id::{RoomId, UserId};
use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, params};

use crate::search::{PLACES_PER_MS, first_place};
use crate::sqlite::codec::{count, id, integer};
use crate::sqlite::fault::Outcome;
use crate::sqlite::query;
use crate::sqlite::sql::search as sql;

/// Messages of one transaction that are overwritten in the index at once.
const OVERWRITTEN_MAX: i64 = 64;
/// Pages that a transaction rewrites after many messages have gone.
const REWRITTEN_PAGES: i64 = 64;
/// A message that is not older than this before the newest one comes after it.
const JITTER_MS: i64 = 10_000;

/// Makes `index_words` known to a connection, for the triggers that note what changes.
pub(in crate::sqlite) fn add_function(conn: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS;
    conn.create_scalar_function("index_words", 1, flags, |call| {
        Ok(index_words(call.get_raw(0).as_str()?))
    })
}

/// Notes a new message.
pub(in crate::sqlite) fn enter(conn: &Connection, room: RoomId, seq: u64) -> Outcome<()> {
    query::execute(conn, sql::ENTER, params![room.0.as_bytes(), integer(seq)])?;
    Ok(())
}

/// Keeps the index, for the writer.
#[derive(Debug, Default)]
pub(in crate::sqlite) struct Keeper {
    /// Whether parts of the index hold words of messages that are gone.
    stale: bool,
}

/// A message that is put into the index.
struct Entering {
    room: RoomId,
    seq: u64,
    sender: UserId,
    at: i64,
    body: String,
    number: Option<i64>,
}

impl Keeper {
    /// Brings the index up to date.
    pub(in crate::sqlite) fn settle(&mut self, conn: &Connection) -> Outcome<()> {
        self.take_out(conn)?;
        put_in(conn)
    }

    /// Takes out what was removed or changed.
    ///
    /// A few messages are overwritten in the index at once. When a whole history goes, that would
    /// hold up the writer for long: their words are marked as gone, and the index is rewritten in
    /// parts by the transactions that follow.
    fn take_out(&mut self, conn: &Connection) -> Outcome<()> {
        let leaving: i64 = query::get(conn, sql::COUNT_LEAVING, [], |row| row.get(0))?;
        if leaving > 0 {
            let many = leaving > OVERWRITTEN_MAX;
            if many {
                query::execute(conn, sql::OVERWRITE, [0])?;
            }
            query::execute(conn, sql::TAKE_OUT, [])?;
            query::execute(conn, sql::CLEAR_LEAVING, [])?;
            if many {
                query::execute(conn, sql::OVERWRITE, [1])?;
                // Negative: also parts that would not be due.
                query::execute(conn, sql::REWRITE, [-REWRITTEN_PAGES])?;
                self.stale = true;
            }
        } else if self.stale {
            let before = conn.total_changes();
            query::execute(conn, sql::REWRITE, [REWRITTEN_PAGES])?;
            // The statement itself counts as one.
            self.stale = conn.total_changes() - before >= 2;
        }
        Ok(())
    }
}

/// Puts in what is new or changed.
fn put_in(conn: &Connection) -> Outcome<()> {
    let entering = query::list(conn, sql::LIST_ENTERING, [], |row| {
        Ok(Entering {
            room: id(row, 0)?,
            seq: count(row, 1)?,
            sender: id(row, 2)?,
            at: row.get(3)?,
            body: row.get(4)?,
            number: row.get(5)?,
        })
    })?;
    if entering.is_empty() {
        return Ok(());
    }
    let mut newest: i64 = query::get(conn, sql::NEWEST, [], |row| row.get(0))?;
    let mut numbers = Vec::with_capacity(entering.len());
    for message in &entering {
        let number = if let Some(number) = message.number {
            number
        } else {
            let number = next_number(conn, message.at, newest)?;
            let row = params![number, message.room.0.as_bytes(), integer(message.seq)];
            query::execute(conn, sql::NUMBER, row)?;
            number
        };
        newest = newest.max(number);
        numbers.push(number);
    }
    // The index is written in one go: other writes in between would make it write small pieces.
    for (message, number) in entering.iter().zip(numbers) {
        let (room, sender) = (message.room.0.simple(), message.sender.0.simple());
        let words = format!("#{room} @{sender} {}", index_words(&message.body));
        query::execute(conn, sql::PUT_IN, params![number, words])?;
    }
    query::execute(conn, sql::CLEAR_ENTERING, [])?;
    Ok(())
}

/// Returns the number of a message by its time. Numbers of messages written now always grow, also
/// where clocks differ a little; messages from elsewhere take the place of their time.
fn next_number(conn: &Connection, at: i64, newest: i64) -> Outcome<i64> {
    let first = first_place(at);
    if first > newest {
        return Ok(first);
    }
    if first > newest - JITTER_MS * PLACES_PER_MS {
        return Ok(newest + 1);
    }
    let end = first + PLACES_PER_MS;
    let last: Option<i64> = query::get(conn, sql::NEWEST_BETWEEN, [first, end], |row| row.get(0))?;
    Ok(match last {
        None => first,
        Some(last) if last + 1 < end => last + 1,
        // Nobody can mean so many messages in one moment.
        Some(_) => newest + 1,
    })
}

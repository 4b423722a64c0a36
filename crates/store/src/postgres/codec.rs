//! How ids, times, counts and words of the contract are written into columns, and read back.

use std::borrow::Cow;

use parlor_protocol::code::Code;
use parlor_protocol::time::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;
use uuid::Uuid;

use super::fault::{Fault, Outcome};
pub(super) use crate::word::Word;

/// Reads a column of a type that the driver knows.
pub(super) fn value<'a, T: FromSql<'a>>(row: &'a Row, column: usize) -> Outcome<T> {
    Ok(row.try_get(column)?)
}

/// Reads a word.
pub(super) fn word<T: Word>(row: &Row, column: usize) -> Outcome<T> {
    T::from_word(value(row, column)?).ok_or(Fault::Contradiction("a column holds an unknown word"))
}

/// Reads a word that may be absent.
pub(super) fn word_opt<T: Word>(row: &Row, column: usize) -> Outcome<Option<T>> {
    match value::<Option<&str>>(row, column)? {
        None => Ok(None),
        Some(_) => word(row, column).map(Some),
    }
}

/// Reads an id.
pub(super) fn id<T: From<Uuid>>(row: &Row, column: usize) -> Outcome<T> {
    Ok(value::<Uuid>(row, column)?.into())
}

/// Reads an id that may be absent.
pub(super) fn id_opt<T: From<Uuid>>(row: &Row, column: usize) -> Outcome<Option<T>> {
    Ok(value::<Option<Uuid>>(row, column)?.map(T::from))
}

/// Reads a time.
pub(super) fn time(row: &Row, column: usize) -> Outcome<Timestamp> {
    value(row, column).map(Timestamp::from_millis)
}

/// Reads a time that may be absent.
pub(super) fn time_opt(row: &Row, column: usize) -> Outcome<Option<Timestamp>> {
    Ok(value::<Option<i64>>(row, column)?.map(Timestamp::from_millis))
}

/// Reads a position or a count.
pub(super) fn count(row: &Row, column: usize) -> Outcome<u64> {
    value(row, column).map(i64::cast_unsigned)
}

/// Reads a number that the contract keeps in 32 bits.
pub(super) fn small(row: &Row, column: usize) -> Outcome<u32> {
    u32::try_from(value::<i64>(row, column)?)
        .map_err(|_| Fault::Contradiction("a column holds a number out of range"))
}

/// Reads a number that the contract keeps in 32 bits and that may be absent.
pub(super) fn small_opt(row: &Row, column: usize) -> Outcome<Option<u32>> {
    match value::<Option<i64>>(row, column)? {
        None => Ok(None),
        Some(_) => small(row, column).map(Some),
    }
}

/// Writes a position or a count. The database has no unsigned integers; what is beyond compares as
/// the greatest.
pub(super) fn integer(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Writes a time that may be absent.
pub(super) fn millis(at: Option<Timestamp>) -> Option<i64> {
    at.map(Timestamp::as_millis)
}

/// Writes a text to look for. The database holds no NUL and refuses to look for one; nothing has what
/// stands in its place.
pub(super) fn sought(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{fffd}").into() } else { text.into() }
}

/// Writes a code.
pub(super) fn code_word(code: Code) -> String {
    match serde_json::to_value(code) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

/// Reads a code that may be absent.
pub(super) fn code_opt(row: &Row, column: usize) -> Outcome<Option<Code>> {
    let Some(word) = value::<Option<String>>(row, column)? else {
        return Ok(None);
    };
    Ok(serde_json::from_value(serde_json::Value::String(word)).map(Some)?)
}

//! How ids, times, counts and words of the contract are written into columns, and read back.

use parlor_protocol::code::Code;
use parlor_protocol::time::Timestamp;
use rusqlite::Row;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, Type, ValueRef};
use uuid::Uuid;

pub(super) use crate::word::Word;

/// A word in a column.
struct Stored<T>(T);

impl<T: Word> FromSql for Stored<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        T::from_word(value.as_str()?).map(Self).ok_or(FromSqlError::InvalidType)
    }
}

/// Reads a word.
pub(super) fn word<T: Word>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    row.get::<_, Stored<T>>(column).map(|stored| stored.0)
}

/// Reads a word that may be absent.
pub(super) fn word_opt<T: Word>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>> {
    Ok(row.get::<_, Option<Stored<T>>>(column)?.map(|stored| stored.0))
}

/// Reads an id.
pub(super) fn id<T: From<Uuid>>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    Ok(Uuid::from_bytes(row.get(column)?).into())
}

/// Reads an id that may be absent.
pub(super) fn id_opt<T: From<Uuid>>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>> {
    Ok(row.get::<_, Option<[u8; 16]>>(column)?.map(|bytes| Uuid::from_bytes(bytes).into()))
}

/// Reads a time.
pub(super) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    row.get(column).map(Timestamp::from_millis)
}

/// Reads a time that may be absent.
pub(super) fn time_opt(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_millis))
}

/// Reads a position or a count.
pub(super) fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(i64::cast_unsigned)
}

/// Writes a position or a count. `SQLite` has no unsigned integers; what is beyond compares as the
/// greatest.
pub(super) fn integer(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Writes a time that may be absent.
pub(super) fn millis(at: Option<Timestamp>) -> Option<i64> {
    at.map(Timestamp::as_millis)
}

/// Writes an id that may be absent.
pub(super) fn bytes(id: Option<Uuid>) -> Option<[u8; 16]> {
    id.map(|id| *id.as_bytes())
}

/// Writes a code.
pub(super) fn code_word(code: Code) -> String {
    match serde_json::to_value(code) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

/// Reads a code that may be absent.
pub(super) fn code_opt(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Code>> {
    let Some(word) = row.get::<_, Option<String>>(column)? else {
        return Ok(None);
    };
    serde_json::from_value(serde_json::Value::String(word)).map(Some).map_err(|source| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(source))
    })
}

//! Prepared statements, kept by the connection that runs them.

use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Params, Row};

/// Carries out a statement and returns how many rows it changed.
pub(super) fn execute(
    conn: &Connection,
    sql: &str,
    params: impl Params,
) -> rusqlite::Result<usize> {
    conn.prepare_cached(sql)?.execute(params)
}

/// Reads the first row, if there is one.
pub(super) fn find<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Option<T>> {
    let mut statement: CachedStatement<'_> = conn.prepare_cached(sql)?;
    statement.query_row(params, read).optional()
}

/// Reads the only row of a statement that always has one.
pub(super) fn get<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    conn.prepare_cached(sql)?.query_row(params, read)
}

/// Reads all rows.
pub(super) fn list<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    let mut statement = conn.prepare_cached(sql)?;
    statement.query_map(params, read)?.collect()
}

/// Tells whether there is a row.
pub(super) fn exists(conn: &Connection, sql: &str, params: impl Params) -> rusqlite::Result<bool> {
    conn.prepare_cached(sql)?.exists(params)
}

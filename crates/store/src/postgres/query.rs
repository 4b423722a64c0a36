//! Prepared statements, kept by the connection that runs them.

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::fault::{Fault, Outcome};
use super::pools::Server;

/// The values of a statement.
pub(super) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// Carries out a statement and returns how many rows it changed.
pub(super) async fn execute(conn: &Server, sql: &str, params: Params<'_>) -> Outcome<u64> {
    let statement = conn.prepare_cached(sql).await?;
    Ok(conn.execute(&statement, params).await?)
}

/// Reads the first row, if there is one.
pub(super) async fn find<T>(
    conn: &Server,
    sql: &str,
    params: Params<'_>,
    read: impl FnOnce(&Row) -> Outcome<T>,
) -> Outcome<Option<T>> {
    let statement = conn.prepare_cached(sql).await?;
    let rows = conn.query(&statement, params).await?;
    rows.first().map(read).transpose()
}

/// Reads the only row of a statement that always has one.
pub(super) async fn get<T>(
    conn: &Server,
    sql: &str,
    params: Params<'_>,
    read: impl FnOnce(&Row) -> Outcome<T>,
) -> Outcome<T> {
    find(conn, sql, params, read).await?.ok_or(Fault::Contradiction("a statement has no row"))
}

/// Reads all rows.
pub(super) async fn list<T>(
    conn: &Server,
    sql: &str,
    params: Params<'_>,
    read: impl FnMut(&Row) -> Outcome<T>,
) -> Outcome<Vec<T>> {
    rows(conn, sql, params).await?.iter().map(read).collect()
}

/// Reads all rows as the server sends them.
pub(super) async fn rows(conn: &Server, sql: &str, params: Params<'_>) -> Outcome<Vec<Row>> {
    let statement = conn.prepare_cached(sql).await?;
    Ok(conn.query(&statement, params).await?)
}

/// Tells whether there is a row.
pub(super) async fn exists(conn: &Server, sql: &str, params: Params<'_>) -> Outcome<bool> {
    let statement = conn.prepare_cached(sql).await?;
    Ok(!conn.query(&statement, params).await?.is_empty())
}

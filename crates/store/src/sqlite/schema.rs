//! The schema and the steps to it.

use std::path::Path;

use refinery::error::Kind;
use rusqlite::Connection;

use super::open::{DataFolder, OpenError};
use super::query;
use super::sql::meta as sql;

mod embedded {
    refinery::embed_migrations!("../../migrations/sqlite");
}

/// What `migrate` has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationReport {
    /// The schema before; `None`: there was no database.
    pub from: Option<i64>,
    /// The schema now.
    pub to: i64,
    /// The steps in between, by number and name.
    pub applied: Vec<(i64, String)>,
}

/// Brings the database of a folder to the newest schema, and makes it where it is missing.
pub fn migrate(data_dir: &Path) -> Result<MigrationReport, OpenError> {
    let folder = DataFolder::lock(data_dir, None)?;
    let mut conn = folder.connect_first()?;
    check(&folder, &conn)?;
    folder.set_up_writer(&conn)?;
    apply(&folder, &mut conn)
}

/// Returns the schema of the database of a folder; `None` when there is no database.
pub fn schema_version(data_dir: &Path) -> Result<Option<i64>, OpenError> {
    if !data_dir.join("parlor.db").exists() {
        return Ok(None);
    }
    let folder = DataFolder::lock(data_dir, None)?;
    let conn = folder.connect_first()?;
    found(&folder, &conn)
}

/// Returns the newest schema that this version knows.
pub fn known_schema_version() -> i64 {
    embedded::migrations::runner()
        .get_migrations()
        .iter()
        .map(|migration| i64::from(migration.version()))
        .max()
        .unwrap_or(0)
}

/// Refuses a database of a newer version, before anything is written to it.
pub(super) fn check(folder: &DataFolder, conn: &Connection) -> Result<(), OpenError> {
    let known = known_schema_version();
    match found(folder, conn)? {
        Some(found) if found > known => Err(OpenError::NewerSchema { found, known }),
        _ => Ok(()),
    }
}

/// Applies the steps that are missing.
pub(super) fn apply(
    folder: &DataFolder,
    conn: &mut Connection,
) -> Result<MigrationReport, OpenError> {
    let from = found(folder, conn)?;
    let report = embedded::migrations::runner()
        .set_abort_divergent(true)
        .set_abort_missing(true)
        .run(conn)
        .map_err(|error| match error.kind() {
            Kind::DivergentVersion(migration, _) | Kind::MissingVersion(migration) => {
                OpenError::ChangedMigration { version: i64::from(migration.version()) }
            }
            _ => failed(folder, error),
        })?;
    let applied = report
        .applied_migrations()
        .iter()
        .map(|migration| (i64::from(migration.version()), migration.name().to_owned()))
        .collect();
    Ok(MigrationReport { from, to: known_schema_version(), applied })
}

fn found(folder: &DataFolder, conn: &Connection) -> Result<Option<i64>, OpenError> {
    let read = || {
        if query::exists(conn, sql::HAS_HISTORY, [])? {
            query::get(conn, sql::NEWEST_STEP, [], |row| row.get::<_, Option<i64>>(0))
        } else {
            Ok(None)
        }
    };
    read().map_err(|error| folder.sorted(error))
}

/// Finds the library's error behind that of the migrations, which may say that the disk is full.
fn failed(folder: &DataFolder, error: refinery::Error) -> OpenError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(error) = cause {
        if let Some(rusqlite::Error::SqliteFailure(code, text)) = error.downcast_ref() {
            return folder.sorted(rusqlite::Error::SqliteFailure(*code, text.clone()));
        }
        cause = error.source();
    }
    OpenError::Database(Box::new(error))
}

//! The schema and the steps to it.

use std::path::Path;

use refinery::error::Kind;
use rusqlite::{Connection, OpenFlags};

use super::open::{DATABASE, DataFolder, OpenError, sorted};
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

/// Returns the schema of the database of a folder; `None` when there is no database. Works while
/// another process has it open.
pub fn schema_version(data_dir: &Path) -> Result<Option<i64>, OpenError> {
    let path = data_dir.join(DATABASE);
    if !path.exists() {
        return Ok(None);
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(&path, flags)
        .and_then(|conn| found(&conn))
        .map_err(|error| sorted(&path, error))
}

/// Returns the newest schema that this version knows.
pub fn known_schema_version() -> i64 {
    embedded::migrations::runner()
        .get_migrations()
        .iter()
        .map(refinery::Migration::version)
        .max()
        .unwrap_or(0)
}

/// Refuses a database of a newer version, before anything is written to it.
pub(super) fn check(folder: &DataFolder, conn: &Connection) -> Result<(), OpenError> {
    let known = known_schema_version();
    match found(conn).map_err(|error| folder.sorted(error))? {
        Some(found) if found > known => Err(OpenError::NewerSchema { found, known }),
        _ => Ok(()),
    }
}

/// Applies the steps that are missing.
pub(super) fn apply(
    folder: &DataFolder,
    conn: &mut Connection,
) -> Result<MigrationReport, OpenError> {
    let from = found(conn).map_err(|error| folder.sorted(error))?;
    let report = embedded::migrations::runner()
        .set_abort_divergent(true)
        .set_abort_missing(true)
        .run(conn)
        .map_err(|error| match error.kind() {
            Kind::DivergentVersion(migration, _) | Kind::MissingVersion(migration) => {
                OpenError::ChangedMigration { version: migration.version() }
            }
            _ => failed(folder, error),
        })?;
    let applied = report
        .applied_migrations()
        .iter()
        .map(|migration| (migration.version(), migration.name().to_owned()))
        .collect();
    Ok(MigrationReport { from, to: known_schema_version(), applied })
}

fn found(conn: &Connection) -> rusqlite::Result<Option<i64>> {
    if query::exists(conn, sql::HAS_HISTORY, [])? {
        query::get(conn, sql::NEWEST_STEP, [], |row| row.get(0))
    } else {
        Ok(None)
    }
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

//! Detects that the database is not the one that was here: a backup was restored, so the log has
//! lost its tail and clients may know more of it than the store.
//!
//! A random id, renewed at each start, at the end and now and then in between, stands in the database
//! and in the file `incarnation` beside it. A database with an id that the file does not know was put
//! there by someone, and its log gets a new `epoch`. While an id is renewed the file knows the old
//! one and the new one, so a crash in between changes nothing.
//!
//! A copy that is restored before the next renewal is not noticed. Whoever restores one can delete
//! the file: without it the epoch is new as well.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rusqlite::{Connection, params};
use uuid::Uuid;

use super::fault::{Fault, Outcome};
use super::query;
use super::sql::meta as sql;

const FILE: &str = "incarnation";
const NEXT_FILE: &str = "incarnation.next";

/// Returns the epoch after deciding whether the log goes on, and renews the id.
pub(super) fn settle_epoch(folder: &Path, conn: &Connection) -> Outcome<String> {
    let epoch = read_meta(conn, "epoch")?;
    let current = read_meta(conn, "incarnation")?;
    let known = match fs::read_to_string(folder.join(FILE)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(io_fault(&error)),
    };
    let goes_on = current.is_some_and(|current| known.lines().any(|line| line == current));
    match epoch {
        Some(epoch) if goes_on => {
            renew(folder, conn, None)?;
            Ok(epoch)
        }
        before => {
            let epoch: String = Uuid::new_v4().simple().to_string().chars().take(8).collect();
            if before.is_some() {
                tracing::warn!(
                    epoch,
                    "the database is not the one that was here: clients will load anew"
                );
            }
            renew(folder, conn, Some(&epoch))?;
            Ok(epoch)
        }
    }
}

/// Writes a new id to both places, and the epoch with it when there is a new one.
pub(super) fn renew(folder: &Path, conn: &Connection, epoch: Option<&str>) -> Outcome<()> {
    let current = read_meta(conn, "incarnation")?.unwrap_or_default();
    let next = Uuid::new_v4().simple().to_string();
    // With a new epoch the old id must not count as known before the epoch is stored.
    let both = if epoch.is_some() { next.clone() } else { format!("{current}\n{next}") };
    write_file(folder, &both).map_err(|error| io_fault(&error))?;
    query::execute(conn, sql::BEGIN, [])?;
    let stored = store(conn, &next, epoch);
    if stored.is_err() && !conn.is_autocommit() {
        query::execute(conn, sql::ROLLBACK, [])?;
    }
    stored?;
    write_file(folder, &next).map_err(|error| io_fault(&error))
}

fn store(conn: &Connection, incarnation: &str, epoch: Option<&str>) -> rusqlite::Result<()> {
    query::execute(conn, sql::SET, params!["incarnation", incarnation])?;
    if let Some(epoch) = epoch {
        query::execute(conn, sql::SET, params!["epoch", epoch])?;
    }
    query::execute(conn, sql::COMMIT, [])?;
    Ok(())
}

fn read_meta(conn: &Connection, key: &str) -> rusqlite::Result<Option<String>> {
    query::find(conn, sql::GET, [key], |row| row.get(0))
}

/// Replaces the file as one step that survives a loss of power.
fn write_file(folder: &Path, text: &str) -> io::Result<()> {
    let next = folder.join(NEXT_FILE);
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&next)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&next, folder.join(FILE))?;
    File::open(folder)?.sync_all()
}

fn io_fault(error: &io::Error) -> Fault {
    let code = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => rusqlite::ffi::SQLITE_FULL,
        _ => rusqlite::ffi::SQLITE_IOERR,
    };
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), Some(error.to_string())).into()
}

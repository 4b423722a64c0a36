//! A copy of the database, also while another process works with it.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::open::{DATABASE, OpenError, sorted};
use super::query;
use super::sql::meta as sql;

/// Writes the database of a folder, as it is at one moment, into another folder, under the name that
/// it has. What was committed before is in it, and nothing half.
///
/// Removed texts are not in the copy, not even in places that nothing uses. Writing goes on meanwhile;
/// the write-ahead log grows until the copy is done.
///
/// # Errors
///
/// Fails when there is no database, and when one is there already.
pub fn back_up(data_dir: &Path, to: &Path) -> Result<(), OpenError> {
    let (from, whole) = (data_dir.join(DATABASE), to.join(DATABASE));
    let cannot_write = |path: &Path, source: io::Error| OpenError::NotWritable {
        path: path.to_owned(),
        source: Some(source),
    };
    if whole.exists() {
        return Err(cannot_write(&whole, io::ErrorKind::AlreadyExists.into()));
    }
    let part = to.join("parlor.db.part");
    // Of an attempt that did not come to its end.
    match std::fs::remove_file(&part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(cannot_write(&part, error));
        }
        _ => {}
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let copied = Connection::open_with_flags(&from, flags)
        .and_then(|conn| query::execute(&conn, sql::BACK_UP, [&*part.to_string_lossy()]));
    copied.map_err(|error| sorted(&from, error))?;
    let finish = || {
        std::fs::set_permissions(&part, Permissions::from_mode(0o600))?;
        File::open(&part)?.sync_all()?;
        std::fs::rename(&part, &whole)?;
        File::open(to)?.sync_all()
    };
    finish().map_err(|error| cannot_write(&whole, error))
}

//! What the store in a file promises about its files, and what it refuses to open.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use parlor_store::sqlite::{known_schema_version, migrate, schema_version};
use parlor_store::{OpenError, Operations as _, SqliteOptions, SqliteStore};
use rusqlite::Connection;

use super::{open, settle};

fn refused(folder: &Path) -> OpenError {
    SqliteStore::open(SqliteOptions::new(folder)).expect_err("it must not open")
}

/// Makes a store, ends it, and changes its database from outside.
async fn tampered(folder: &Path, sql: &str) -> Vec<u8> {
    let store = open(folder);
    settle(&store).await;
    store.close().await;
    let database = folder.join("parlor.db");
    Connection::open(&database).unwrap().execute_batch(sql).unwrap();
    fs::read(database).unwrap()
}

#[tokio::test]
async fn folder_is_for_one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path());

    let second = refused(folder.path());
    let migration = migrate(folder.path()).expect_err("it must not migrate");

    assert!(matches!(second, OpenError::InUse { .. }), "{second:?}");
    assert!(matches!(migration, OpenError::InUse { .. }), "{migration:?}");
    first.check_health().await.unwrap();
    first.close().await;
    open(folder.path()).close().await;
}

#[tokio::test]
async fn files_are_for_their_owner_only() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("deep/data");
    let store = open(&folder);
    settle(&store).await;

    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        names.push(path.file_name().unwrap().to_str().unwrap().to_owned());
    }
    names.sort_unstable();
    assert_eq!(names, ["incarnation", "lock", "parlor.db", "parlor.db-shm", "parlor.db-wal"]);
    store.close().await;
}

#[tokio::test]
async fn database_of_a_newer_version_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let sql = "INSERT INTO refinery_schema_history (version, name, applied_on, checksum)
               VALUES (9999, 'of_the_future', '', '1')";
    let before = tampered(folder.path(), sql).await;

    let error = refused(folder.path());

    let known = known_schema_version();
    assert!(matches!(error, OpenError::NewerSchema { found: 9999, known: k } if k == known));
    assert_eq!(fs::read(folder.path().join("parlor.db")).unwrap(), before);
    assert_eq!(schema_version(folder.path()).unwrap(), Some(9999));
}

#[tokio::test]
async fn changed_migration_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    tampered(folder.path(), "UPDATE refinery_schema_history SET checksum = '1'").await;

    let error = refused(folder.path());

    assert!(matches!(error, OpenError::ChangedMigration { version: 1 }), "{error:?}");
}

#[tokio::test]
async fn step_that_was_left_out_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    tampered(folder.path(), "DELETE FROM refinery_schema_history WHERE version = 3").await;

    let error = refused(folder.path());

    assert!(matches!(error, OpenError::ChangedMigration { version: 3 }), "{error:?}");
}

#[test]
fn file_that_is_no_database_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("parlor.db");
    let other = b"a letter to someone, longer than the header of a database would be".repeat(20);
    fs::write(&path, &other).unwrap();

    let error = refused(folder.path());

    assert!(matches!(error, OpenError::Corrupt { .. }), "{error:?}");
    assert_eq!(fs::read(&path).unwrap(), other);
}

#[test]
fn place_that_cannot_be_written_is_named() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("file");
    fs::write(&file, "").unwrap();

    let error = refused(&file.join("data"));

    let OpenError::NotWritable { path, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*path, file.join("data"));
    assert_eq!(error.to_string(), format!("cannot write to {}", path.display()));
}

#[test]
fn read_only_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o500)).unwrap();
    // The superuser may write everywhere.
    if fs::write(folder.path().join("probe"), "").is_ok() {
        return;
    }

    let error = refused(folder.path());

    assert!(matches!(error, OpenError::NotWritable { .. }), "{error:?}");
}

#[tokio::test]
async fn migration_reports_what_it_did_and_does_it_once() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("data");
    assert_eq!(schema_version(&folder).unwrap(), None);

    let first = migrate(&folder).unwrap();
    let second = migrate(&folder).unwrap();

    let known = known_schema_version();
    assert_eq!((first.from, first.to), (None, known));
    assert_eq!(first.applied[0], (1, "initial".to_owned()));
    assert_eq!((second.from, second.to, second.applied.len()), (Some(known), known, 0));
    let store = open(&folder);
    assert_eq!(schema_version(&folder).unwrap(), Some(known), "also while it is in use");
    store.close().await;
}

//! When the epoch of the logs changes, and when it stays.

use std::fs;
use std::path::Path;

use parlor_store::{Log as _, Operations as _};
use rusqlite::Connection;

use super::{open, publish, settle};

/// Opens the store, writes a message, closes it, and returns the epoch.
async fn run(folder: &Path, client_id: &str) -> String {
    let store = open(folder);
    settle(&store).await;
    store.append(vec![publish(client_id, "hi")]).await.unwrap().remove(0).unwrap();
    let epoch = store.epoch().to_owned();
    assert_eq!(store.find_head(super::ROOM).await.unwrap().unwrap().epoch, epoch);
    store.close().await;
    epoch
}

#[tokio::test]
async fn epoch_stays_from_start_to_start() {
    let folder = tempfile::tempdir().unwrap();

    let first = run(folder.path(), "1").await;
    let second = run(folder.path(), "2").await;

    assert_eq!(first, second);
    assert!(first.len() == 8 && first.chars().all(|c| c.is_ascii_hexdigit()), "{first:?}");
}

#[tokio::test]
async fn restored_backup_begins_a_new_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let (database, backup) = (folder.path().join("parlor.db"), folder.path().join("backup"));
    let first = run(folder.path(), "1").await;
    fs::copy(&database, &backup).unwrap();
    assert_eq!(run(folder.path(), "2").await, first);

    fs::copy(&backup, &database).unwrap();
    let restored = run(folder.path(), "3").await;
    let goes_on = run(folder.path(), "4").await;

    assert_ne!(restored, first);
    assert_eq!(goes_on, restored);
}

#[tokio::test]
async fn backup_of_a_running_store_begins_a_new_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let (database, backup) = (folder.path().join("parlor.db"), folder.path().join("backup"));
    let store = open(folder.path());
    settle(&store).await;
    let first = store.epoch().to_owned();
    Connection::open(&database)
        .unwrap()
        .execute("VACUUM INTO ?1", [backup.to_str().unwrap()])
        .unwrap();
    store.append(vec![publish("later", "hi")]).await.unwrap().remove(0).unwrap();
    store.close().await;

    fs::copy(&backup, &database).unwrap();

    assert_ne!(run(folder.path(), "1").await, first);
}

#[tokio::test]
async fn database_without_its_companion_begins_a_new_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let first = run(folder.path(), "1").await;

    fs::remove_file(folder.path().join("incarnation")).unwrap();

    assert_ne!(run(folder.path(), "2").await, first);
}

#[tokio::test]
async fn crash_while_the_id_is_renewed_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let first = run(folder.path(), "1").await;
    let companion = folder.path().join("incarnation");
    let stored = || -> String {
        let database = Connection::open(folder.path().join("parlor.db")).unwrap();
        let sql = "SELECT value FROM meta WHERE key = 'incarnation'";
        database.query_row(sql, [], |row| row.get(0)).unwrap()
    };

    // The companion knows the next id, the database does not have it yet.
    fs::write(&companion, format!("{}\nnext", stored())).unwrap();
    assert_eq!(run(folder.path(), "2").await, first);
    // The database has the next id, the companion still knows the one before, too.
    fs::write(&companion, format!("before\n{}", stored())).unwrap();
    assert_eq!(run(folder.path(), "3").await, first);
}

//! What was changed, in memory: one process has the database, and all writes pass its writer.
//!
//! Triggers on the writer's connection note what a transaction changes. When it was committed, and
//! before anyone is told so, the notes are put where readers find them.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use rusqlite::Connection;
use uuid::Uuid;

use super::SqliteStore;
use super::codec::{id, id_opt};
use super::fault::{Fault, Outcome};
use super::query;
use super::sql::changes as sql;
use crate::changes::{CHANGES_MAX, Change, ChangePage, ChangePosition, change};
use crate::contract::{Changes, Result};

#[async_trait]
impl Changes for SqliteStore {
    async fn read_changes(&self, since: Option<&ChangePosition>) -> Result<ChangePage> {
        self.check_open()?;
        Ok(self.notices.read(since))
    }

    fn changes_are_in_memory(&self) -> bool {
        true
    }
}

/// Has a connection note what its transactions change.
pub(super) fn watch(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch(sql::WATCH)
}

/// Takes what the open transaction has noted.
pub(super) fn take(conn: &Connection) -> Outcome<Noted> {
    if query::find(conn, sql::ANY, [], |_| Ok(()))?.is_none() {
        return Ok(Noted::Changes(Vec::new()));
    }
    let one_more = i64::try_from(CHANGES_MAX).unwrap_or(i64::MAX - 1) + 1;
    let told = query::list(conn, sql::LIST, [one_more], |row| {
        Ok((row.get(0)?, id(row, 1)?, id_opt(row, 2)?))
    })?;
    query::execute(conn, sql::CLEAR, [])?;
    if told.len() > CHANGES_MAX {
        return Ok(Noted::Everything);
    }
    let named = |(what, id, user): (String, Uuid, Option<Uuid>)| change(&what, id, user);
    let changes: Option<Vec<Change>> = told.into_iter().map(named).collect();
    changes.map(Noted::Changes).ok_or(Fault::Contradiction("the changes hold an unknown kind"))
}

/// What a transaction has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Noted {
    /// These.
    Changes(Vec<Change>),
    /// Too much to be named, or it is not known.
    Everything,
}

/// The newest changes, for whoever asks.
#[derive(Debug, Default)]
pub(super) struct Notices(Mutex<Newest>);

#[derive(Debug, Default)]
struct Newest {
    /// How many there were before those that are kept.
    before: u64,
    kept: VecDeque<Change>,
}

impl Notices {
    /// Tells what was committed. Call it before anyone is answered.
    pub(super) fn tell(&self, noted: Noted) {
        let changes = match noted {
            Noted::Changes(changes) if changes.is_empty() => return,
            Noted::Changes(changes) => changes,
            Noted::Everything => {
                let mut newest = self.lock();
                // Nobody has read as far as this.
                newest.before += newest.kept.len() as u64 + 1;
                newest.kept.clear();
                return;
            }
        };
        let mut newest = self.lock();
        newest.kept.extend(changes);
        let too_many = newest.kept.len().saturating_sub(CHANGES_MAX);
        newest.kept.drain(..too_many);
        newest.before += too_many as u64;
    }

    fn read(&self, since: Option<&ChangePosition>) -> ChangePage {
        let newest = self.lock();
        let end = newest.before + newest.kept.len() as u64;
        let position = ChangePosition(end.to_string());
        let read = since.and_then(|since| since.0.parse::<u64>().ok());
        let known = read.filter(|read| (newest.before..=end).contains(read));
        let passed = known.and_then(|read| usize::try_from(read - newest.before).ok());
        let changes = passed.map(|passed| newest.kept.range(passed..).copied().collect());
        ChangePage { position, everything: passed.is_none(), changes: changes.unwrap_or_default() }
    }

    fn lock(&self) -> MutexGuard<'_, Newest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use parlor_protocol::id::UserId;

    use super::*;
    use crate::sqlite::open::DATABASE;

    /// Columns that are not told, because nobody remembers them.
    const SILENT: &[(&str, &[&str])] = &[
        ("users", &["id", "password_hash", "last_seen", "erased_at"]),
        (
            "rooms",
            &[
                "id",
                "last_seq",
                "reset_through",
                "member_count",
                "creator",
                "client_id",
                "participants",
            ],
        ),
        (
            "members",
            &[
                "room",
                "user",
                "bot",
                "joined_at",
                "read_seq",
                "name",
                "notifications",
                "mute_reason",
                "muted_by",
            ],
        ),
    ];

    /// Whoever adds a column decides here whether it is told.
    #[test]
    fn every_column_is_told_or_silent() {
        let folder = tempfile::tempdir().unwrap();
        crate::sqlite::schema::migrate(folder.path()).unwrap();
        let conn = Connection::open(folder.path().join(DATABASE)).unwrap();
        for (table, silent) in SILENT {
            let trigger = format!("CREATE TEMP TRIGGER {table}_told AFTER UPDATE OF");
            let (_, told) = sql::WATCH.split_once(&trigger).unwrap();
            let (told, _) = told.split_once("ON main.").unwrap();
            let told: Vec<&str> = told.split(',').map(str::trim).collect();
            let mut listed = conn.prepare("SELECT name FROM pragma_table_info(?1)").unwrap();
            let columns = listed.query_map([table], |row| row.get::<_, String>(0)).unwrap();
            for column in columns.map(std::result::Result::unwrap) {
                let found = [told.contains(&&*column), silent.contains(&&*column)];
                assert_eq!(found.iter().filter(|found| **found).count(), 1, "{table}.{column}");
            }
        }
    }

    fn user(n: u128) -> Change {
        Change::User(UserId(Uuid::from_u128(n)))
    }

    #[test]
    fn whoever_is_too_far_behind_is_told_that_everything_changed() {
        let notices = Notices::default();
        let start = notices.read(None);
        assert!(start.everything);
        notices.tell(Noted::Changes(vec![user(1), user(2)]));
        let first = notices.read(Some(&start.position));
        assert_eq!((first.everything, first.changes), (false, vec![user(1), user(2)]));
        notices.tell(Noted::Changes((0..CHANGES_MAX as u128).map(user).collect()));
        let near = notices.read(Some(&first.position));
        assert_eq!((near.everything, near.changes.len()), (false, CHANGES_MAX));
        assert!(notices.read(Some(&start.position)).everything, "two are no longer kept");
        let end = notices.read(Some(&near.position));
        assert_eq!((end.everything, end.changes), (false, vec![]));
    }

    #[test]
    fn what_nobody_can_name_is_everything_for_all() {
        let notices = Notices::default();
        let start = notices.read(None).position;
        notices.tell(Noted::Everything);
        let page = notices.read(Some(&start));
        assert!(page.everything);
        assert!(!notices.read(Some(&page.position)).everything);
    }
}

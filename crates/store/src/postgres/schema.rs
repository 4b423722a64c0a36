//! The schema and the steps to it.
//!
//! However many processes start together, one takes the steps and the others wait. A database may be
//! ahead of the program: steps only add (expand), and what they leave behind is removed by a later
//! step (contract), which notes in `meta.compatible_from` the schema that a program must know from
//! then on.

use std::collections::BTreeMap;
use std::time::Duration;

use refinery::Migration;
use tokio::time::{Instant, sleep};

use super::PostgresOptions;
use super::open::{First, OpenError};
use super::sql::meta as sql;

mod embedded {
    refinery::embed_migrations!("../../migrations/postgres");
}

/// Names the lock of whoever changes the schema.
const LOCK: i64 = 0x7061_726c_6f72_0001;
/// How often a process that waits for the lock looks again.
const LOCK_POLL: Duration = Duration::from_millis(100);

/// What a migration has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationReport {
    /// The schema before; `None`: the database was empty.
    pub from: Option<i64>,
    /// The schema now.
    pub to: i64,
    /// The steps in between, by number and name.
    pub applied: Vec<(i64, String)>,
}

/// Returns the newest schema that this version knows.
pub fn known_schema_version() -> i64 {
    known_steps().keys().max().copied().unwrap_or(0)
}

fn known_steps() -> BTreeMap<i64, Migration> {
    let runner = embedded::migrations::runner();
    runner.get_migrations().iter().map(|step| (step.version(), step.clone())).collect()
}

/// Makes the schema one that this program can work with, or says why it is not.
pub(super) async fn settle(first: &mut First, options: &PostgresOptions) -> Result<(), OpenError> {
    if check(first).await? {
        return Ok(());
    }
    if !options.migrate {
        let found = found(first).await?.unwrap_or(0);
        return Err(OpenError::OlderSchema { found, known: known_schema_version() });
    }
    migrate(first, options).await.map(drop)
}

/// Takes the steps that are missing.
pub(super) async fn migrate(
    first: &mut First,
    options: &PostgresOptions,
) -> Result<MigrationReport, OpenError> {
    let from = found(first).await?;
    lock(first, options.migration_wait).await?;
    let applied = apply(first).await;
    // Should this fail, the lock ends with the connection.
    let unlocked = first.client.execute(sql::UNLOCK, &[&LOCK]).await;
    let applied = applied?;
    unlocked.map_err(|error| first.sorted(error))?;
    let to = found(first).await?.unwrap_or(0);
    Ok(MigrationReport { from, to, applied })
}

/// Returns the newest step of the database; `None` when it has none.
pub(super) async fn found(first: &First) -> Result<Option<i64>, OpenError> {
    Ok(steps(first).await?.keys().max().copied())
}

/// Tells whether nothing is missing, and refuses a schema that this program cannot work with. As far
/// as the program and the database both go, they must have taken the same steps.
async fn check(first: &First) -> Result<bool, OpenError> {
    let (found, steps) = (steps(first).await?, known_steps());
    let newest = found.keys().max().copied().unwrap_or(0);
    let known = steps.keys().max().copied().unwrap_or(0);
    for version in 1..=newest.min(known) {
        let same = match (found.get(&version), steps.get(&version)) {
            (Some((name, checksum)), Some(step)) => {
                step.name() == name && step.checksum().to_string() == *checksum
            }
            (None, None) => true,
            (None, Some(_)) | (Some(_), None) => false,
        };
        if !same {
            return Err(OpenError::ChangedMigration { version });
        }
    }
    if newest > known {
        let needed = compatible_from(first).await?;
        if needed > known {
            return Err(OpenError::NewerSchema { found: newest, needed, known });
        }
    }
    Ok(newest >= known)
}

async fn apply(first: &mut First) -> Result<Vec<(i64, String)>, OpenError> {
    // Whoever had the lock before may have done it, or more than this program knows.
    if check(first).await? {
        return Ok(Vec::new());
    }
    let client: &mut tokio_postgres::Client = &mut first.client;
    let report = match embedded::migrations::runner().run_async(client).await {
        Ok(report) => report,
        Err(error) if is_not_permitted(&error) => {
            return Err(first.not_permitted(Box::new(error)));
        }
        Err(error) => return Err(OpenError::Database(Box::new(error))),
    };
    let applied = report.applied_migrations().iter();
    Ok(applied.map(|step| (step.version(), step.name().to_owned())).collect())
}

fn is_not_permitted(error: &refinery::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<tokio_postgres::Error>() {
            return error.code() == Some(&tokio_postgres::error::SqlState::INSUFFICIENT_PRIVILEGE);
        }
        cause = error.source();
    }
    false
}

async fn lock(first: &First, wait: Duration) -> Result<(), OpenError> {
    let deadline = Instant::now() + wait;
    loop {
        let row = first.client.query_one(sql::TRY_LOCK, &[&LOCK]).await;
        if row.map_err(|error| first.sorted(error))?.get(0) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(OpenError::MigrationBusy { after: wait });
        }
        sleep(LOCK_POLL).await;
    }
}

/// Reads the steps that the database has, each with its name and checksum.
async fn steps(first: &First) -> Result<BTreeMap<i64, (String, String)>, OpenError> {
    let sorted = |error| first.sorted(error);
    let history = first.client.query_one(sql::HAS_HISTORY, &[]).await.map_err(sorted)?;
    if !history.get::<_, bool>(0) {
        return Ok(BTreeMap::new());
    }
    let rows = first.client.query(sql::STEPS, &[]).await.map_err(sorted)?;
    Ok(rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect())
}

async fn compatible_from(first: &First) -> Result<i64, OpenError> {
    let row = first.client.query_opt(sql::COMPATIBLE_FROM, &[]).await;
    let row = row.map_err(|error| first.sorted(error))?;
    let text = row.map(|row| row.get::<_, String>(0));
    Ok(text.and_then(|text| text.parse().ok()).unwrap_or(i64::MAX))
}

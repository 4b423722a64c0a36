//! What was changed, read by snapshots as the tail is: triggers note it in the transaction.
//!
//! A position is good for as long as what came after it can be told: on the same server, over
//! connections that were there when it was given (a server that crashes ends all connections, and
//! gives numbers of transactions out again), and not longer than changes are kept.

use async_trait::async_trait;
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresStore;
use super::codec::value;
use super::fault::{Fault, Outcome};
use super::pools::Server;
use super::query::{self, Params};
use super::sql::changes as sql;
use super::transaction::{committing, reading};
use crate::changes::{CHANGES_MAX, Change, ChangePage, ChangePosition, change};
use crate::contract::{Changes, Result};

/// How long a position is good for, by the clock of the server.
const GOOD_FOR_MS: i64 = 10 * 60 * 1_000;
/// How long changes are kept: longer, since they are noted before they are committed.
const KEPT_MS: i64 = 3 * GOOD_FOR_MS;
/// Rows that one step of pruning removes.
const PRUNE_STEP: i64 = 5_000;

#[async_trait]
impl Changes for PostgresStore {
    async fn read_changes(&self, since: Option<&ChangePosition>) -> Result<ChangePage> {
        let since = since.and_then(Place::parse);
        reading!(self, Tail, |conn| read(conn, since.as_ref()).await)
    }
}

impl PostgresStore {
    /// Forgets old changes.
    pub(super) async fn prune_changes(&self) -> Result<()> {
        let params: Params<'_> = &[&KEPT_MS, &PRUNE_STEP];
        loop {
            let step: Result<u64> =
                committing!(self, |conn| query::execute(conn, sql::PRUNE, params).await);
            if step? < PRUNE_STEP.cast_unsigned() {
                return Ok(());
            }
        }
    }
}

/// A position, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    epoch: String,
    /// What was seen.
    seen: String,
    /// The time of the server.
    at: i64,
    /// The newest connection then.
    connection: u64,
}

impl Place {
    fn parse(position: &ChangePosition) -> Option<Self> {
        let mut parts = position.0.split(' ');
        Some(Self {
            epoch: parts.next()?.to_owned(),
            seen: parts.next()?.to_owned(),
            at: parts.next()?.parse().ok()?,
            connection: parts.next()?.parse().ok()?,
        })
    }

    fn position(&self) -> ChangePosition {
        let Self { epoch, seen, at, connection } = self;
        ChangePosition(format!("{epoch} {seen} {at} {connection}"))
    }
}

async fn read(conn: &Server, since: Option<&Place>) -> Outcome<ChangePage> {
    let epoch = conn.epoch().as_ref().to_owned();
    // Before the reading: a connection that is made meanwhile may be to a server that has crashed.
    let connection = conn.newest();
    let place = |seen, at| Place { epoch: epoch.clone(), seen, at, connection };
    let since = since.filter(|since| since.epoch == epoch && conn.number() <= since.connection);
    let Some(since) = since else { return start(conn, place).await };
    let one_more = i64::try_from(CHANGES_MAX).unwrap_or(i64::MAX - 1) + 1;
    let told = query::list(conn, sql::READ, &[&since.seen, &one_more], told).await?;
    let (seen, at) = told
        .first()
        .map(|told| (told.seen.clone(), told.at))
        .ok_or(Fault::Contradiction("the changes have no snapshot"))?;
    let changes: Vec<Change> = told.into_iter().filter_map(|told| told.change).collect();
    let everything = changes.len() > CHANGES_MAX || at - since.at > GOOD_FOR_MS;
    let changes = if everything { Vec::new() } else { changes };
    Ok(ChangePage { position: place(seen, at).position(), everything, changes })
}

async fn start(conn: &Server, place: impl Fn(String, i64) -> Place) -> Outcome<ChangePage> {
    let (seen, at) =
        query::get(conn, sql::START, &[], |row| Ok((value(row, 0)?, value(row, 1)?))).await?;
    let position = place(seen, at).position();
    Ok(ChangePage { position, everything: true, changes: Vec::new() })
}

/// A row of the changes.
struct Told {
    seen: String,
    at: i64,
    change: Option<Change>,
}

fn told(row: &Row) -> Outcome<Told> {
    let (seen, at) = (value(row, 0)?, value(row, 1)?);
    let Some(what) = value::<Option<String>>(row, 2)? else {
        return Ok(Told { seen, at, change: None });
    };
    let (of, user): (Uuid, Option<Uuid>) = (value(row, 3)?, value(row, 4)?);
    let change = change(&what, of, user);
    let change = change.ok_or(Fault::Contradiction("the changes hold an unknown kind"))?;
    Ok(Told { seen, at, change: Some(change) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn position_is_read_as_it_was_written() {
        let place = Place {
            epoch: "a.1".to_owned(),
            seen: "3:5:4,6".to_owned(),
            at: 1_800_000_000_000,
            connection: 7,
        };
        assert_eq!(Place::parse(&place.position()), Some(place));
        assert_eq!(Place::parse(&ChangePosition(String::new())), None);
    }
}

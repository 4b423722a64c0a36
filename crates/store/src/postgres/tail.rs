//! The tail, read by snapshots.
//!
//! Ids of transactions are given when they begin and become visible when they commit, so no number
//! in `commit_log` tells what a reader has seen. A snapshot does: it names the transactions that were
//! open. A position is the snapshot of the last reading, and the next one returns what its own
//! snapshot sees and that one did not. Nothing is told twice, and nothing is left out however long a
//! transaction was open.

use std::time::Duration;

use async_trait::async_trait;
use parlor_domain::log::Head;
use parlor_protocol::id::{RoomId, SessionId, UserId};
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresStore;
use super::codec::{count, id, value};
use super::fault::{Fault, Outcome};
use super::pools::Server;
use super::query::{self, Params};
use super::sql::{rooms, tail as sql};
use super::transaction::{committing, reading};
use crate::contract::{Result, Tail};
use crate::tail::{Commit, TailPage, TailPosition};

/// Rows that one step of pruning removes.
const PRUNE_STEP: i64 = 5_000;

#[async_trait]
impl Tail for PostgresStore {
    async fn tail_start(&self) -> Result<TailPosition> {
        reading!(self, Tail, |conn| start(conn).await)
    }

    async fn read_tail(&self, position: &TailPosition, limit: u32) -> Result<TailPage> {
        let place = Place::parse(position);
        reading!(self, Tail, |conn| read(conn, place.as_ref(), limit).await)
    }

    async fn list_heads(&self, rooms: &[RoomId]) -> Result<Vec<(RoomId, Head)>> {
        let ids: Vec<Uuid> = rooms.iter().map(|room| room.0).collect();
        reading!(self, |conn| {
            query::list(conn, rooms::LIST_HEADS, &[&ids], |row| {
                let epoch = conn.epoch().as_ref().to_owned();
                let head = Head { epoch, reset_through: count(row, 1)?, seq: count(row, 2)? };
                Ok((id(row, 0)?, head))
            })
            .await
        })
    }

    async fn prune_tail(&self, keep: Duration) -> Result<u64> {
        self.purge_left_over().await?;
        self.prune_changes().await?;
        let keep = i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
        let params: Params<'_> = &[&keep, &PRUNE_STEP];
        let mut pruned = 0;
        loop {
            let step: Result<u64> =
                committing!(self, |conn| query::execute(conn, sql::PRUNE, params).await);
            let step = step?;
            pruned += step;
            if step < PRUNE_STEP.cast_unsigned() {
                return Ok(pruned);
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
    /// In the middle of a long difference: the snapshot that it ends with, and how far it was told.
    rest: Option<(String, String)>,
}

impl Place {
    fn parse(position: &TailPosition) -> Option<Self> {
        let mut parts = position.0.split(' ').map(str::to_owned);
        let (epoch, seen) = (parts.next()?, parts.next()?);
        let rest = parts.next().zip(parts.next());
        Some(Self { epoch, seen, rest })
    }

    fn position(&self) -> TailPosition {
        let Self { epoch, seen, rest } = self;
        TailPosition(match rest {
            None => format!("{epoch} {seen}"),
            Some((until, told)) => format!("{epoch} {seen} {until} {told}"),
        })
    }
}

async fn start(conn: &Server) -> Outcome<TailPosition> {
    let seen = query::get(conn, sql::SNAPSHOT, &[], |row| value(row, 0)).await?;
    Ok(Place { epoch: conn.epoch().as_ref().to_owned(), seen, rest: None }.position())
}

async fn read(conn: &Server, place: Option<&Place>, limit: u32) -> Outcome<TailPage> {
    let epoch = conn.epoch().as_ref().to_owned();
    // Numbers of another server mean nothing here.
    let Some(place) = place.filter(|place| place.epoch == epoch) else {
        let position = start(conn).await?;
        return Ok(TailPage { position, epoch, commits: Vec::new(), more: false });
    };
    let limit = limit.max(1) as usize;
    let one_more = i64::try_from(limit).unwrap_or(i64::MAX - 1) + 1;
    let told = match &place.rest {
        None => query::list(conn, sql::READ, &[&place.seen, &one_more], told).await?,
        Some((until, told_until)) => {
            let params: Params<'_> = &[&place.seen, until, told_until, &one_more];
            query::list(conn, sql::READ_ON, params, told).await?
        }
    };
    let until = match &place.rest {
        Some((until, _)) => until.clone(),
        None => told
            .first()
            .map(|told| told.until.clone())
            .ok_or(Fault::Contradiction("the tail has no snapshot"))?,
    };
    let mut commits: Vec<(String, Commit)> =
        told.into_iter().filter_map(|told| told.commit).collect();
    let more = commits.len() > limit;
    commits.truncate(limit);
    let place = match commits.last().filter(|_| more) {
        Some((last, _)) => {
            Place { epoch, seen: place.seen.clone(), rest: Some((until, last.clone())) }
        }
        None => Place { epoch, seen: until, rest: None },
    };
    let commits = commits.into_iter().map(|(_, commit)| commit).collect();
    Ok(TailPage { position: place.position(), epoch: place.epoch, commits, more })
}

/// A row of the tail.
struct Told {
    until: String,
    commit: Option<(String, Commit)>,
}

fn told(row: &Row) -> Outcome<Told> {
    let until = value(row, 0)?;
    let Some(xid) = value(row, 1)? else { return Ok(Told { until, commit: None }) };
    let rooms: Vec<Uuid> = value(row, 2)?;
    let seqs: Vec<i64> = value(row, 3)?;
    let commit = Commit {
        rooms: rooms
            .into_iter()
            .map(RoomId)
            .zip(seqs.into_iter().map(i64::cast_unsigned))
            .collect(),
        deleted_rooms: ids(row, 4)?.into_iter().map(RoomId).collect(),
        sessions: ids(row, 5)?.into_iter().map(SessionId).collect(),
        users: ids(row, 6)?.into_iter().map(UserId).collect(),
    };
    Ok(Told { until, commit: Some((xid, commit)) })
}

fn ids(row: &Row, column: usize) -> Outcome<Vec<Uuid>> {
    value(row, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn position_is_read_as_it_was_written() {
        let rest = Some(("5:9:6,7".to_owned(), "8".to_owned()));
        let whole = Place { epoch: "a.1".to_owned(), seen: "3:5:4".to_owned(), rest: None };
        let part = Place { rest, ..whole.clone() };

        assert_eq!(Place::parse(&whole.position()), Some(whole));
        assert_eq!(Place::parse(&part.position()), Some(part));
        assert_eq!(Place::parse(&TailPosition(String::new())), None);
    }
}

//! Removes rooms.
//!
//! A room goes at once, with its members, in a short transaction; from then on nobody finds it. Its
//! log follows in small steps, so that a large room holds up nobody. `purges` remembers what is left
//! to do, also when this process ends in between: whoever looks after the tail goes on.

use parlor_domain::permission::Action;
use parlor_protocol::id::{RoomId, UserId};
use parlor_protocol::room::RoomKind;
use parlor_protocol::time::Timestamp;
use uuid::Uuid;

use crate::append::AppendRefused;
use crate::contract::Result;
use crate::postgres::access::Access;
use crate::postgres::codec::{Word as _, id};
use crate::postgres::fault::{Outcome, Stop};
use crate::postgres::pools::Server;
use crate::postgres::sql::rooms as sql;
use crate::postgres::transaction::{committing, reading};
use crate::postgres::{PostgresStore, commit_log, query};

/// Rows that one step removes.
const STEP: i64 = 5_000;

/// Removes a room; the actor must be an owner.
pub(super) async fn delete(
    tx: &Server,
    room: RoomId,
    actor: UserId,
    at: Timestamp,
    repeated: bool,
) -> std::result::Result<(), Stop> {
    let access = match Access::open(tx, room, actor).await {
        // An earlier attempt has removed it.
        Err(Stop::Refused(AppendRefused::NoSuchRoom)) if repeated => return Ok(()),
        access => access?,
    };
    access.authorize(Action::Own, at)?;
    remove(tx, &[room]).await?;
    Ok(())
}

/// Removes all rooms of one kind that a user is the only owner of, and adds them to `deleted`.
pub(super) async fn delete_owned(
    tx: &Server,
    user: UserId,
    kind: Option<RoomKind>,
    repeated: bool,
    deleted: &mut Vec<RoomId>,
) -> Outcome<()> {
    let kind = kind.map(RoomKind::word);
    let listed: Vec<RoomId> =
        query::list(tx, sql::LIST_SOLELY_OWNED, &[&user.0, &kind], |row| id(row, 0)).await?;
    let ids: Vec<Uuid> = listed.iter().map(|room| room.0).collect();
    query::execute(tx, sql::LOCK_ALL, &[&ids]).await?;
    // Now that nobody changes them: those that are still so.
    let mut rooms: Vec<RoomId> =
        query::list(tx, sql::LIST_SOLELY_OWNED, &[&user.0, &kind], |row| id(row, 0)).await?;
    rooms.retain(|room| listed.contains(room));
    remove(tx, &rooms).await?;
    if repeated {
        rooms.retain(|room| !deleted.contains(room));
    } else {
        deleted.clear();
    }
    deleted.extend(rooms);
    Ok(())
}

/// Removes locked rooms.
pub(in crate::postgres) async fn remove(tx: &Server, rooms: &[RoomId]) -> Outcome<()> {
    let ids: Vec<Uuid> = rooms.iter().map(|room| room.0).collect();
    query::execute(tx, sql::NOTE_PURGES, &[&ids]).await?;
    query::execute(tx, sql::DELETE_OPEN_JOBS, &[&ids]).await?;
    query::execute(tx, sql::DELETE_ALL, &[&ids]).await?;
    commit_log::tell_of_deleted(tx, rooms.to_vec()).await
}

impl PostgresStore {
    /// Removes the logs of rooms that are gone. What fails is left to [`Self::purge_left_over`].
    pub(in crate::postgres) async fn purge_rooms(&self, rooms: &[RoomId]) {
        for room in rooms {
            if let Err(error) = self.purge_room(*room).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the log of a deleted room is removed later"
                );
            }
        }
    }

    /// Goes on with what an earlier call, here or elsewhere, has left to do.
    pub(in crate::postgres) async fn purge_left_over(&self) -> Result<()> {
        let left: Result<Vec<RoomId>> =
            reading!(self, |conn| query::list(conn, sql::LIST_PURGES, &[], |row| id(row, 0)).await);
        for room in left? {
            self.purge_room(room).await?;
        }
        Ok(())
    }

    async fn purge_room(&self, room: RoomId) -> Result<()> {
        for step in [
            sql::PURGE_REACTIONS,
            sql::PURGE_MENTIONS,
            sql::PURGE_MESSAGES,
            sql::PURGE_EVENTS,
            sql::PURGE_JOBS,
        ] {
            loop {
                let removed: Result<u64> = committing!(self, |conn| {
                    query::execute(conn, step, &[&room.0, &STEP]).await
                });
                if removed? == 0 {
                    break;
                }
            }
        }
        committing!(self, |conn| query::execute(conn, sql::END_PURGE, &[&room.0]).await.map(drop))
    }
}

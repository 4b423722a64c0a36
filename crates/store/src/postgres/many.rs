//! Many questions in one call: statements with arrays.

use std::collections::HashMap;

use async_trait::async_trait;
use parlor_domain::permission::Membership;
use parlor_protocol::event::Event;
use parlor_protocol::id::{RoomId, RoomRef, UserId};
use parlor_protocol::time::Timestamp;
use uuid::Uuid;

use super::codec::{count, id, integer, small, sought, time_opt, value, word};
use super::fault::Outcome;
use super::pools::Server;
use super::query::Params;
use super::sql::{jobs, members, rooms, users};
use super::transaction::{committing, reading};
use super::{PostgresStore, query, rows};
use crate::contract::{Many, Result};
use crate::record::{Account, Checkpoint, RoomAccess, RoomRecord, RoomSize};

#[async_trait]
impl Many for PostgresStore {
    async fn find_users(&self, users: &[UserId]) -> Result<Vec<Option<Account>>> {
        let ids: Vec<Uuid> = users.iter().map(|user| user.0).collect();
        let found: Result<Vec<Account>> =
            reading!(self, |conn| query::list(conn, users::FIND_ALL, &[&ids], rows::account).await);
        let found = found?.into_iter().map(|account| (account.user.id, account));
        let found: HashMap<UserId, Account> = found.collect();
        Ok(users.iter().map(|user| found.get(user).cloned()).collect())
    }

    async fn find_accesses(&self, asked: &[(RoomRef, UserId)]) -> Result<Vec<Option<RoomAccess>>> {
        reading!(self, |conn| find_accesses(conn, asked).await)
    }

    async fn list_rooms_of_users(&self, users: &[UserId]) -> Result<Vec<Vec<RoomSize>>> {
        let ids: Vec<Uuid> = users.iter().map(|user| user.0).collect();
        let listed: Result<Vec<(UserId, RoomSize)>> = reading!(self, |conn| {
            query::list(conn, members::LIST_ROOM_SIZES_OF_ALL, &[&ids], |row| {
                Ok((id(row, 0)?, RoomSize { room: id(row, 1)?, members: count(row, 2)? }))
            })
            .await
        });
        Ok(sorted(users, listed?))
    }

    async fn read_events_of_rooms(&self, asked: &[(RoomId, u64, u32)]) -> Result<Vec<Vec<Event>>> {
        let rooms: Vec<Uuid> = asked.iter().map(|(room, ..)| room.0).collect();
        let after: Vec<i64> = asked.iter().map(|(_, after, _)| integer(*after)).collect();
        let limits: Vec<i64> = asked.iter().map(|(.., limit)| i64::from(*limit)).collect();
        let params: Params<'_> = &[&rooms, &after, &limits];
        let read: Result<Vec<(usize, Event)>> =
            reading!(self, |conn| rows::list_events_of_rooms(conn, params).await);
        let places: Vec<usize> = (0..asked.len()).collect();
        Ok(sorted(&places, read?))
    }

    async fn list_streaming_of_rooms(&self, rooms: &[RoomId]) -> Result<Vec<Vec<Checkpoint>>> {
        let ids: Vec<Uuid> = rooms.iter().map(|room| room.0).collect();
        let listed: Result<Vec<(RoomId, Checkpoint)>> = reading!(self, |conn| {
            query::list(conn, jobs::LIST_STREAMING_OF_ALL, &[&ids], |row| {
                let checkpoint = Checkpoint {
                    message: id(row, 1)?,
                    turn: small(row, 2)?,
                    chunk: small(row, 3)?,
                    text: value(row, 4)?,
                };
                Ok((id(row, 0)?, checkpoint))
            })
            .await
        });
        Ok(sorted(rooms, listed?))
    }

    async fn touch_last_seen_of_users(&self, seen: &[(UserId, Timestamp)]) -> Result<()> {
        let mut newest: HashMap<UserId, Timestamp> = HashMap::with_capacity(seen.len());
        for (user, at) in seen {
            let entry = newest.entry(*user).or_insert(*at);
            *entry = (*entry).max(*at);
        }
        let (users, times): (Vec<Uuid>, Vec<i64>) =
            newest.into_iter().map(|(user, at)| (user.0, at.as_millis())).unzip();
        let params: Params<'_> = &[&users, &times];
        committing!(self, |conn| { query::execute(conn, users::TOUCH_ALL, params).await.map(drop) })
    }
}

/// First the rooms, then the memberships, which are therefore not older.
async fn find_accesses(
    conn: &Server,
    asked: &[(RoomRef, UserId)],
) -> Outcome<Vec<Option<RoomAccess>>> {
    let mut by_id: HashMap<RoomId, RoomRecord> = HashMap::new();
    let mut by_slug: HashMap<String, RoomId> = HashMap::new();
    let (mut ids, mut slugs) = (Vec::new(), Vec::new());
    for (room, _) in asked {
        match room.id() {
            Some(id) => ids.push(id.0),
            None => slugs.push(sought(&room.0)),
        }
    }
    ids.sort_unstable();
    ids.dedup();
    slugs.sort_unstable();
    slugs.dedup();
    let read = |row: &tokio_postgres::Row| rows::room(row, conn.epoch());
    for room in query::list(conn, rooms::FIND_ALL, &[&ids, &slugs], read).await? {
        by_slug.insert(room.slug.clone(), room.id);
        by_id.insert(room.id, room);
    }
    let found = |room: &RoomRef| {
        let id = room.id().or_else(|| by_slug.get(sought(&room.0).as_ref()).copied());
        id.and_then(|id| by_id.get(&id))
    };
    let (rooms, users): (Vec<Uuid>, Vec<Uuid>) =
        asked.iter().filter_map(|(room, user)| Some((found(room)?.id.0, user.0))).unzip();
    let places: Params<'_> = &[&rooms, &users];
    let memberships = query::list(conn, members::FIND_ALL, places, |row| {
        let membership = Membership { role: word(row, 2)?, muted_until: time_opt(row, 3)? };
        Ok(((id(row, 0)?, id(row, 1)?), membership))
    });
    let memberships: HashMap<(RoomId, UserId), Membership> =
        memberships.await?.into_iter().collect();
    let access = |(room, user): &(RoomRef, UserId)| {
        let room = found(room)?.clone();
        let membership = memberships.get(&(room.id, *user)).copied();
        Some(RoomAccess { room, membership })
    };
    Ok(asked.iter().map(access).collect())
}

/// Sorts rows to the keys that they belong to, in the order of the keys.
fn sorted<K: Copy + Eq + std::hash::Hash, T: Clone>(keys: &[K], rows: Vec<(K, T)>) -> Vec<Vec<T>> {
    let mut of_key: HashMap<K, Vec<T>> = HashMap::new();
    for (key, row) in rows {
        of_key.entry(key).or_default().push(row);
    }
    keys.iter().map(|key| of_key.get(key).cloned().unwrap_or_default()).collect()
}

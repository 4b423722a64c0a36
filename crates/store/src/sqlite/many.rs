//! Many questions in one read: one transaction, one thread, prepared statements.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use async_trait::async_trait;
use parlor_protocol::event::Event;
use parlor_protocol::id::{RoomId, RoomRef, UserId};
use parlor_protocol::time::Timestamp;
use rusqlite::{Connection, params};

use super::codec::{count, id};
use super::fault::Outcome;
use super::sql::{members, users};
use super::{SqliteStore, log, query, rooms, rows};
use crate::contract::{Many, Result};
use crate::record::{Account, Checkpoint, RoomAccess, RoomSize};

#[async_trait]
impl Many for SqliteStore {
    async fn find_users(&self, users: &[UserId]) -> Result<Vec<Option<Account>>> {
        let asked = users.to_vec();
        self.read(move |conn| {
            let find = |user: UserId| {
                Ok(query::find(conn, users::FIND, [user.0.as_bytes()], rows::account)?)
            };
            asked.into_iter().map(find).collect()
        })
        .await
    }

    async fn find_accesses(&self, asked: &[(RoomRef, UserId)]) -> Result<Vec<Option<RoomAccess>>> {
        let (asked, rules) = (asked.to_vec(), Arc::clone(&self.rules));
        self.read(move |conn| {
            // Many ask for the same room.
            let mut found = HashMap::new();
            let mut accesses = Vec::with_capacity(asked.len());
            for (room, user) in asked {
                let room = match found.entry(room) {
                    Entry::Occupied(entry) => entry.into_mut(),
                    Entry::Vacant(entry) => {
                        let room = rooms::find(conn, &rules, entry.key())?;
                        entry.insert(room)
                    }
                };
                let access = match room {
                    Some(room) => {
                        let membership = rows::find_membership(conn, room.id, user)?;
                        Some(RoomAccess { room: room.clone(), membership })
                    }
                    None => None,
                };
                accesses.push(access);
            }
            Ok(accesses)
        })
        .await
    }

    async fn list_rooms_of_users(&self, users: &[UserId]) -> Result<Vec<Vec<RoomSize>>> {
        let asked = users.to_vec();
        self.read(move |conn| asked.into_iter().map(|user| list_rooms_of(conn, user)).collect())
            .await
    }

    async fn read_events_of_rooms(&self, asked: &[(RoomId, u64, u32)]) -> Result<Vec<Vec<Event>>> {
        let asked = asked.to_vec();
        self.read(move |conn| {
            let read = |(room, after, limit)| rows::list_events(conn, room, after, limit);
            asked.into_iter().map(read).collect()
        })
        .await
    }

    async fn list_streaming_of_rooms(&self, rooms: &[RoomId]) -> Result<Vec<Vec<Checkpoint>>> {
        let asked = rooms.to_vec();
        self.read(move |conn| {
            asked.into_iter().map(|room| log::list_streaming(conn, room)).collect()
        })
        .await
    }

    async fn touch_last_seen_of_users(&self, seen: &[(UserId, Timestamp)]) -> Result<()> {
        let seen = seen.to_vec();
        self.write(move |conn| {
            for (user, at) in seen {
                query::execute(conn, users::TOUCH, params![user.0.as_bytes(), at.as_millis()])?;
            }
            Ok(())
        })
        .await
    }
}

fn list_rooms_of(conn: &Connection, user: UserId) -> Outcome<Vec<RoomSize>> {
    Ok(query::list(conn, members::LIST_ROOM_SIZES_OF, [user.0.as_bytes()], |row| {
        Ok(RoomSize { room: id(row, 0)?, members: count(row, 1)? })
    })?)
}

//! The tail of a store with one user: that user was told of everything when it was committed.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parlor_domain::log::Head;
use parlor_protocol::id::RoomId;

use super::SqliteStore;
use super::codec::count;
use super::query;
use super::sql::rooms as sql;
use crate::contract::{Result, Tail};
use crate::tail::{TailPage, TailPosition};

#[async_trait]
impl Tail for SqliteStore {
    async fn tail_start(&self) -> Result<TailPosition> {
        self.check_open()?;
        Ok(TailPosition(String::new()))
    }

    async fn read_tail(&self, position: &TailPosition, _limit: u32) -> Result<TailPage> {
        self.check_open()?;
        let epoch = self.rules.epoch.clone();
        Ok(TailPage { position: position.clone(), epoch, commits: Vec::new(), more: false })
    }

    async fn list_heads(&self, rooms: &[RoomId]) -> Result<Vec<(RoomId, Head)>> {
        let rules = Arc::clone(&self.rules);
        let rooms = rooms.to_vec();
        self.read(move |conn| {
            let mut heads = Vec::with_capacity(rooms.len());
            for room in rooms {
                let head = query::find(conn, sql::HEAD, [room.0.as_bytes()], |row| {
                    Ok(Head {
                        epoch: rules.epoch.clone(),
                        reset_through: count(row, 0)?,
                        seq: count(row, 1)?,
                    })
                })?;
                heads.extend(head.map(|head| (room, head)));
            }
            Ok(heads)
        })
        .await
    }

    async fn prune_tail(&self, _keep: Duration) -> Result<u64> {
        self.check_open()?;
        Ok(0)
    }
}

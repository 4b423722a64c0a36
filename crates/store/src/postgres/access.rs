//! Whether someone may do something in a room, decided while nobody else can change the room.

use parlor_domain::permission::{Action, Membership, authorize};
use parlor_protocol::id::{RoomId, UserId};
use parlor_protocol::time::Timestamp;

use super::fault::{Outcome, Stop};
use super::pools::Server;
use super::sql::rooms as sql;
use super::{query, rows};
use crate::append::AppendRefused;
use crate::record::RoomRecord;

/// A locked room as one active user finds it.
#[derive(Debug)]
pub(super) struct Access {
    pub(super) room: RoomRecord,
    pub(super) member: Option<Membership>,
}

impl Access {
    /// Locks the room and finds the actor. An actor that is unknown or not active finds no room.
    pub(super) async fn open(tx: &Server, room: RoomId, actor: UserId) -> Result<Self, Stop> {
        let room = lock_room(tx, room).await?.ok_or(AppendRefused::NoSuchRoom)?;
        let Some((actor, true)) = rows::find_user_ref(tx, actor).await? else {
            return Err(AppendRefused::NoSuchRoom.into());
        };
        let member = rows::find_membership(tx, room.id, actor.id).await?;
        Ok(Self { room, member })
    }

    /// Checks that the actor may do this.
    pub(super) fn authorize(&self, action: Action, at: Timestamp) -> Result<(), Stop> {
        authorize(self.room.facts(), self.member, action, at)?;
        Ok(())
    }
}

async fn lock_room(tx: &Server, room: RoomId) -> Outcome<Option<RoomRecord>> {
    query::find(tx, sql::LOCK, &[&room.0], |row| rows::room(row, tx.epoch())).await
}

//! Rooms that come from files, and what files of rooms need to be written.

use std::time::Duration;

use async_trait::async_trait;
use parlor_protocol::id::RoomId;

use super::Result;
use crate::record::{ImportEnd, ImportPart, ImportRefused, NewImport, ReactionRecord, RoomRecord};

/// Rooms that come from files.
///
/// A file is written in parts, into a room that nobody sees until [`finish_import`](Self::finish_import).
/// What is never finished is taken back as a whole, with the accounts that it brought.
#[async_trait]
pub trait Imports {
    /// Lists reactions to the messages from one position to another, in the order of the messages
    /// and for each in the order in which they were made, after `after`: the positions of a message
    /// and of the event that added a reaction to it.
    async fn list_reactions(
        &self,
        room: RoomId,
        after: (u64, u64),
        through: u64,
        limit: u32,
    ) -> Result<Vec<ReactionRecord>>;

    /// Begins: makes the room that nobody sees.
    async fn begin_import(&self, import: NewImport) -> Result<()>;

    /// Writes a part, as one unit.
    async fn write_import(
        &self,
        room: RoomId,
        part: ImportPart,
    ) -> Result<std::result::Result<(), ImportRefused>>;

    /// Makes the room visible to its members, or to everyone if it is public.
    async fn finish_import(
        &self,
        end: ImportEnd,
    ) -> Result<std::result::Result<RoomRecord, ImportRefused>>;

    /// Takes an import back that was not finished; does nothing to others.
    async fn abandon_import(&self, room: RoomId) -> Result<()>;

    /// Lists imports that were begun and to which nothing was written for so long.
    async fn list_idle_imports(&self, idle: Duration) -> Result<Vec<RoomId>>;
}

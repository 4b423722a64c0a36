//! Rooms that come from files, and what files of rooms need to be written.

use std::time::Duration;

use async_trait::async_trait;
use parlor_protocol::id::RoomId;

use super::Result;
use crate::record::{ImportEnd, ImportPart, ImportRefused, NewImport, ReactionRecord, RoomRecord};

/// Rooms that come from files.
///
/// A file is written in parts, into a room that nobody sees until [`finish_import`](Self::finish_import).
/// What is never finished is given up and taken back step by step, with the accounts that it brought;
/// whoever does so can stop at any moment, and another one goes on.
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

    /// Makes the room visible to its members, or to everyone if it is public; for all of them at
    /// once, however many steps it takes. What is only needed for taking an import back is left to
    /// [`clear_import`](Self::clear_import). Whoever calls it again does so with the same members.
    async fn finish_import(
        &self,
        end: ImportEnd,
    ) -> Result<std::result::Result<RoomRecord, ImportRefused>>;

    /// Gives an import up, for good: nothing is written to it any more. `false` when it was finished
    /// before; nothing is done to it then.
    async fn give_up_import(&self, room: RoomId) -> Result<bool>;

    /// Takes back a part of an import that was given up, or of what is remembered of one that was
    /// finished, so small that others wait for it no longer than for a write of their own. `true`
    /// while something may be left. Accounts of the file that are members of other rooms by now stay.
    async fn clear_import(&self, room: RoomId) -> Result<bool>;

    /// Tells whether somebody has a user name, or had it a short time ago.
    async fn is_name_taken(&self, username: &str) -> Result<bool>;

    /// Lists imports that were begun and to which nothing was written for so long, and those of which
    /// something is left to clear.
    async fn list_idle_imports(&self, idle: Duration) -> Result<Vec<RoomId>>;
}

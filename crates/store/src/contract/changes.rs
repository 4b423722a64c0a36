//! What was changed, for those who remember what they have read.

use async_trait::async_trait;

use super::Result;
use crate::changes::{ChangePage, ChangePosition};

/// What was changed of accounts, rooms and memberships, by whichever node.
///
/// Whoever remembers one of them asks here before using it. The database notes the changes itself,
/// in the transaction that makes them, so no way of writing can leave one out.
#[async_trait]
pub trait Changes {
    /// Tells what was changed since a position.
    ///
    /// All that was acknowledged before the call is told by it or was by an earlier one. Without a
    /// position, or with one that is no longer good for anything, everything may have changed.
    async fn read_changes(&self, since: Option<&ChangePosition>) -> Result<ChangePage>;

    /// Tells whether [`Changes::read_changes`] looks into the memory of this process only, so that
    /// it costs nobody else anything.
    fn changes_are_in_memory(&self) -> bool {
        false
    }
}

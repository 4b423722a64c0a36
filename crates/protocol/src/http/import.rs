//! What comes of the file of a room.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::room::Room;
use crate::room_file::Counts;

/// What came of the file of a room, or would come of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImportReport {
    /// Whether the file was only checked.
    pub dry_run: bool,
    /// The room that was made, as the caller sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<Room>,
    /// What the file holds.
    pub counts: Counts,
    /// Files that messages of the room had, and have no more.
    pub attachments_left_out: u64,
    /// Who the people of the file are here; the first 1,000.
    pub people: Vec<ImportedPerson>,
}

/// Who someone of the file is here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImportedPerson {
    /// The user name in the file.
    pub username: String,
    /// The user name here.
    pub here: String,
    /// Whether it is an account that was there; else one was made that cannot log in.
    pub existing: bool,
}

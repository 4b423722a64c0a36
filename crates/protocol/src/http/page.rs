//! Lists.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::room::Member;

/// One page of the members of a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MemberPage {
    /// The members.
    pub items: Vec<Member>,
    /// Where the next page starts; absent at the end.
    pub next: Option<String>,
    /// How many members the room has.
    #[serde(default)]
    pub total: u64,
    /// How many of them are there, idle ones and bots too. Of a large room, as of a moment ago.
    #[serde(default)]
    pub online: u64,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "{T}Page")]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page starts; absent at the end.
    pub next: Option<String>,
}

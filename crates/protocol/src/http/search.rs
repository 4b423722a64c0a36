//! Searching messages.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::RoomId;
use crate::message::Message;
use crate::room::RoomKind;

/// A message that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SearchResult {
    /// The message as it is now.
    pub message: Message,
    /// The room that it is in.
    pub room: FoundRoom,
    /// Where in `message.body` it was found, in order.
    pub highlights: Vec<Highlight>,
    /// A part of the text around what was found.
    pub snippet: Snippet,
}

/// A room in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FoundRoom {
    /// The id.
    pub id: RoomId,
    /// The unique short name.
    pub slug: String,
    /// The name to show.
    pub name: String,
    /// Who may find and enter it.
    pub kind: RoomKind,
}

/// A part of a text. Positions count characters (Unicode code points), from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Highlight {
    /// The first character.
    pub start: u32,
    /// The character after the last one.
    pub end: u32,
}

/// A part of a text around what was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Snippet {
    /// The part, with `…` where something was left out.
    pub text: String,
    /// Where in this part it was found.
    pub highlights: Vec<Highlight>,
}

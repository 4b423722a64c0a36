//! What one reader sees and sets: read markers, notifications, versions of a text.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::room::NotificationLevel;
use crate::time::Timestamp;

/// A new place of the read marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadRequest {
    /// Everything up to here is read, nothing after it; at most the newest event.
    pub seq: u64,
}

/// Where the read marker stands, and what is after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReadState {
    /// The read marker.
    pub read_seq: u64,
    /// Messages by others after it, without redacted ones; 1,000 stands for that many or more.
    pub unread: u64,
    /// Those of them that mention the caller, or everyone; counted up to 1,000 too.
    pub mentions: u64,
}

/// Which messages of a room the caller wants to be told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NotificationsRequest {
    /// The level.
    pub level: NotificationLevel,
}

/// A text that a message has, or had before an edit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MessageVersion {
    /// Its number: 1 is the text that the message was written with.
    pub version: u32,
    /// The text.
    pub body: String,
    /// Since when.
    pub at: Timestamp,
}

//! The limits a client is told, in `welcome` and at `/info`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Largest number of items in one page.
pub const PAGE_MAX: u32 = 200;
/// Items in a page when the client does not say.
pub const PAGE_DEFAULT: u32 = 50;
/// Longest `client_id` or `Idempotency-Key`, in bytes.
pub const CLIENT_ID_MAX: usize = 128;
/// Longest reaction, in bytes: enough for any emoji sequence.
pub const EMOJI_MAX: usize = 64;
/// Unread messages and mentions are counted up to here; the number stands for itself or more.
pub const UNREAD_MAX: u32 = 1_000;
/// Most pinned messages of a room.
pub const PINS_MAX: u32 = 50;
/// Texts of a message that can be read again, the newest ones.
pub const VERSIONS_MAX: u32 = 50;

/// Limits and defaults of one connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Limits {
    /// Largest frame, in bytes.
    pub frame_bytes: usize,
    /// Largest message body, in bytes.
    pub body_bytes: usize,
    /// Largest `data` of a `signal`, in bytes.
    pub signal_bytes: usize,
    /// Rooms that one connection may subscribe to.
    pub subscriptions: usize,
    /// Bytes that may wait for one connection before it is degraded and then closed.
    pub outbox_bytes: usize,
    /// Largest file, in bytes.
    #[serde(default)]
    pub file_bytes: usize,
    /// Largest part of an upload, in bytes.
    #[serde(default)]
    pub part_bytes: usize,
    /// Files of one message.
    #[serde(default)]
    pub attachments: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes: 64 * 1024,
            body_bytes: 16 * 1024,
            signal_bytes: 4 * 1024,
            subscriptions: 200,
            outbox_bytes: 256 * 1024,
            file_bytes: 25 * 1024 * 1024,
            part_bytes: 4 * 1024 * 1024,
            attachments: 10,
        }
    }
}

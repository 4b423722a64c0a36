//! What one reader sees of a room, and what of it is theirs alone.

use async_trait::async_trait;
use parlor_protocol::http::MessageVersion;
use parlor_protocol::id::{MessageId, RoomId, UserId};
use parlor_protocol::message::Message;
use parlor_protocol::room::NotificationLevel;

use super::Result;
use crate::record::Marked;

/// Read markers, notification levels, pins, and older texts.
///
/// Unread are messages by others after the read marker that are not redacted. Mentions are those of
/// them whose text, as it is now, mentions the reader or everyone. Both are counted from the log's
/// messages whenever they are asked for, up to [`UNREAD_MAX`](parlor_protocol::limits::UNREAD_MAX),
/// so nothing that happens to messages or marker makes them wrong.
#[async_trait]
pub trait Reading {
    /// Sets a member's read marker, also back, at most to the newest event. `None` for those who are
    /// not members.
    async fn mark_read(&self, room: RoomId, user: UserId, seq: u64) -> Result<Option<Marked>>;

    /// Sets which messages of a room a member wants to be told of; `false` for those who are not
    /// members.
    async fn set_notifications(
        &self,
        room: RoomId,
        user: UserId,
        level: NotificationLevel,
    ) -> Result<bool>;

    /// Lists the pinned messages of a room, in the order in which they were pinned.
    async fn list_pins(&self, room: RoomId) -> Result<Vec<Message>>;

    /// Lists the texts of a message, oldest first, the present one last: the newest
    /// [`VERSIONS_MAX`](parlor_protocol::limits::VERSIONS_MAX) of them. None of a redacted message.
    /// `None` when there is no such message.
    async fn list_versions(
        &self,
        room: RoomId,
        message: MessageId,
    ) -> Result<Option<Vec<MessageVersion>>>;
}

//! What people read and mark.

use async_trait::async_trait;
use parlor_protocol::http::MessageVersion;
use parlor_protocol::id::{MessageId, RoomId, UserId};
use parlor_protocol::message::Message;
use parlor_protocol::room::NotificationLevel;
use parlor_store::Reading;
use parlor_store::contract::Result;
use parlor_store::record::Marked;

use super::FlakyStore;

unused! { Reading:
    fn mark_read(RoomId, UserId, u64) -> Result<Option<Marked>>;
    fn set_notifications(RoomId, UserId, NotificationLevel) -> Result<bool>;
    fn list_pins(RoomId) -> Result<Vec<Message>>;
    fn list_versions(RoomId, MessageId) -> Result<Option<Vec<MessageVersion>>>;
}

//! Single messages and their older texts, pins, read markers and notifications.

use parlor_protocol::http::{MessageVersion, NotificationsRequest, Page, ReadRequest, ReadState};
use parlor_protocol::id::MessageId;
use parlor_protocol::message::Message;
use parlor_protocol::room::NotificationLevel;
use reqwest::Method;

use super::{Call, Http};
use crate::error::ClientError;

impl Http {
    /// Returns a message as it is now.
    pub async fn message(&self, room: &str, message: MessageId) -> Result<Message, ClientError> {
        let id = message.to_string();
        self.json(Call::v1(Method::GET, &["rooms", room, "messages", &id])).await
    }

    /// Returns the texts of a message, oldest first, the present one last.
    pub async fn versions(
        &self,
        room: &str,
        message: MessageId,
    ) -> Result<Vec<MessageVersion>, ClientError> {
        let id = message.to_string();
        let call = Call::v1(Method::GET, &["rooms", room, "messages", &id, "versions"]);
        let page: Page<MessageVersion> = self.page(call).await?;
        Ok(page.items)
    }

    /// Pins a message.
    pub async fn pin_message(&self, room: &str, message: MessageId) -> Result<(), ClientError> {
        let id = message.to_string();
        self.empty(Call::v1(Method::PUT, &["rooms", room, "messages", &id, "pin"])).await
    }

    /// Unpins a message.
    pub async fn unpin_message(&self, room: &str, message: MessageId) -> Result<(), ClientError> {
        let id = message.to_string();
        self.empty(Call::v1(Method::DELETE, &["rooms", room, "messages", &id, "pin"])).await
    }

    /// Returns the pinned messages of a room, in the order of pinning.
    pub async fn pins(&self, room: &str) -> Result<Vec<Message>, ClientError> {
        let page: Page<Message> =
            self.page(Call::v1(Method::GET, &["rooms", room, "pins"])).await?;
        Ok(page.items)
    }

    /// Sets the read marker, also back, and returns what is after it.
    pub async fn mark_read(&self, room: &str, seq: u64) -> Result<ReadState, ClientError> {
        let call = Call::v1(Method::PUT, &["rooms", room, "read"]);
        self.json(call.body(&ReadRequest { seq })?).await
    }

    /// Sets which messages of a room the caller wants to be told of.
    pub async fn set_notifications(
        &self,
        room: &str,
        level: NotificationLevel,
    ) -> Result<(), ClientError> {
        let call = Call::v1(Method::PUT, &["rooms", room, "notifications"]);
        self.empty(call.body(&NotificationsRequest { level })?).await
    }
}

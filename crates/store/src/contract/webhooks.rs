//! Outgoing webhooks.

use std::time::Duration;

use async_trait::async_trait;
use parlor_protocol::id::{RoomId, WebhookId};

use super::Result;
use crate::record::{
    ClaimedWebhook, DeadLetter, NewWebhook, ProgramConflict, WebhookChange, WebhookProgress,
    WebhookRecord,
};

/// Addresses that are told what happens in a room.
///
/// The log of the room is the queue of each: a webhook has work while its cursor is behind. Leases
/// and waits are measured by the clock of the store.
#[async_trait]
pub trait Webhooks {
    /// Makes a webhook that begins after the newest event; the same id again is a repeat.
    async fn create_webhook(
        &self,
        webhook: NewWebhook,
    ) -> Result<std::result::Result<WebhookRecord, ProgramConflict>>;

    /// Finds a webhook of a room.
    async fn find_webhook(&self, room: RoomId, webhook: WebhookId)
    -> Result<Option<WebhookRecord>>;

    /// Lists the webhooks of a room, oldest first.
    async fn list_webhooks(&self, room: RoomId) -> Result<Vec<WebhookRecord>>;

    /// Changes a webhook; `None` when there is none.
    async fn update_webhook(
        &self,
        room: RoomId,
        webhook: WebhookId,
        change: WebhookChange,
    ) -> Result<Option<WebhookRecord>>;

    /// Removes a webhook; `false` when there is none.
    async fn delete_webhook(&self, room: RoomId, webhook: WebhookId) -> Result<bool>;

    /// Takes the right to tell one webhook that has work, is due and that nobody tells, for `lease`:
    /// one of those whose makers have the fewest that are told now, the longest due first. So
    /// nobody's keep those of others waiting, however many they are.
    async fn claim_webhook(&self, lease: Duration) -> Result<Option<ClaimedWebhook>>;

    /// Notes what was done with a claimed webhook and, while the right to it is kept, prolongs it:
    /// it ends `lease` from now. `false` when someone else holds it now, and nothing was noted.
    async fn settle_webhook(
        &self,
        webhook: WebhookId,
        generation: u64,
        progress: WebhookProgress,
        lease: Duration,
    ) -> Result<bool>;

    /// Makes every webhook that is held due. Only for a process that is the store's only user:
    /// whoever held them is gone.
    async fn release_webhooks(&self) -> Result<u64>;

    /// Lists the events that were given up for a webhook, newest first.
    async fn list_dead_letters(&self, webhook: WebhookId) -> Result<Vec<DeadLetter>>;

    /// Forgets an event that was given up; `false` when it is not there.
    async fn delete_dead_letter(&self, webhook: WebhookId, seq: u64) -> Result<bool>;
}

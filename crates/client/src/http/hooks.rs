//! Incoming and outgoing webhooks.

use parlor_protocol::http::{
    CreateIntegrationRequest, CreateWebhookRequest, DeadLetter, HookPosted, HookRequest,
    Integration, NewIntegrationAddress, NewWebhookSecret, Page, PatchWebhookRequest, Redelivered,
    Webhook,
};
use parlor_protocol::id::{UserId, WebhookId};
use reqwest::Method;

use super::{Call, Http};
use crate::error::ClientError;

impl Http {
    /// Returns the programs that may post into a room.
    pub async fn integrations(&self, room: &str) -> Result<Page<Integration>, ClientError> {
        self.page(Call::v1(Method::GET, &["rooms", room, "integrations"])).await
    }

    /// Lets a program post into a room; its address is in the answer and nowhere else.
    pub async fn create_integration(
        &self,
        room: &str,
        name: &str,
    ) -> Result<NewIntegrationAddress, ClientError> {
        let request = CreateIntegrationRequest { name: name.to_owned() };
        self.json(Call::v1(Method::POST, &["rooms", room, "integrations"]).body(&request)?).await
    }

    /// Gives an integration a new address.
    pub async fn rotate_integration(
        &self,
        room: &str,
        integration: UserId,
    ) -> Result<NewIntegrationAddress, ClientError> {
        let id = integration.to_string();
        self.json(Call::v1(Method::POST, &["rooms", room, "integrations", &id, "rotate"])).await
    }

    /// Ends an integration.
    pub async fn delete_integration(
        &self,
        room: &str,
        integration: UserId,
    ) -> Result<(), ClientError> {
        let id = integration.to_string();
        self.empty(Call::v1(Method::DELETE, &["rooms", room, "integrations", &id])).await
    }

    /// Posts as an integration, by the secret of its address.
    pub async fn post_by_hook(
        &self,
        secret: &str,
        request: &HookRequest,
    ) -> Result<HookPosted, ClientError> {
        self.json(Call::v1(Method::POST, &["hooks", secret]).anonymous().body(request)?).await
    }

    /// Returns the addresses that are told what happens in a room.
    pub async fn webhooks(&self, room: &str) -> Result<Page<Webhook>, ClientError> {
        self.page(Call::v1(Method::GET, &["rooms", room, "webhooks"])).await
    }

    /// Has an address told what happens in a room; its secret is in the answer and nowhere else.
    pub async fn create_webhook(
        &self,
        room: &str,
        request: &CreateWebhookRequest,
    ) -> Result<NewWebhookSecret, ClientError> {
        self.json(Call::v1(Method::POST, &["rooms", room, "webhooks"]).body(request)?).await
    }

    /// Returns a webhook, and how it goes.
    pub async fn webhook(&self, room: &str, webhook: WebhookId) -> Result<Webhook, ClientError> {
        let id = webhook.to_string();
        self.json(Call::v1(Method::GET, &["rooms", room, "webhooks", &id])).await
    }

    /// Changes a webhook.
    pub async fn patch_webhook(
        &self,
        room: &str,
        webhook: WebhookId,
        request: &PatchWebhookRequest,
    ) -> Result<Webhook, ClientError> {
        let id = webhook.to_string();
        self.json(Call::v1(Method::PATCH, &["rooms", room, "webhooks", &id]).body(request)?).await
    }

    /// Ends a webhook.
    pub async fn delete_webhook(&self, room: &str, webhook: WebhookId) -> Result<(), ClientError> {
        let id = webhook.to_string();
        self.empty(Call::v1(Method::DELETE, &["rooms", room, "webhooks", &id])).await
    }

    /// Gives a webhook a new secret.
    pub async fn rotate_webhook(
        &self,
        room: &str,
        webhook: WebhookId,
    ) -> Result<NewWebhookSecret, ClientError> {
        let id = webhook.to_string();
        self.json(Call::v1(Method::POST, &["rooms", room, "webhooks", &id, "rotate"])).await
    }

    /// Returns the events that were given up for a webhook.
    pub async fn dead_letters(
        &self,
        room: &str,
        webhook: WebhookId,
    ) -> Result<Page<DeadLetter>, ClientError> {
        let id = webhook.to_string();
        self.page(Call::v1(Method::GET, &["rooms", room, "webhooks", &id, "dead-letters"])).await
    }

    /// Delivers an event once more that was given up.
    pub async fn redeliver(
        &self,
        room: &str,
        webhook: WebhookId,
        seq: u64,
    ) -> Result<Redelivered, ClientError> {
        let (id, seq) = (webhook.to_string(), seq.to_string());
        let path = ["rooms", room, "webhooks", &id, "dead-letters", &seq, "redeliver"];
        self.json(Call::v1(Method::POST, &path)).await
    }
}

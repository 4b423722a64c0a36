//! Calls about tokens and webhooks, which a worker does not make.

use std::time::Duration;

use async_trait::async_trait;
use parlor_protocol::id::{CommandId, RoomId, TokenId, UserId, WebhookId};
use parlor_protocol::time::Timestamp;
use parlor_store::contract::Result;
use parlor_store::record::{
    ClaimedWebhook, CommandRecord, DeadLetter, IntegrationRecord, IntegrationSecret, NewCommand,
    NewIntegration, NewToken, NewWebhook, ProgramConflict, TokenConflict, TokenRecord,
    WebhookChange, WebhookProgress, WebhookRecord,
};
use parlor_store::{Integrations, Tokens, Webhooks};

use super::FlakyStore;

unused! { Tokens:
    fn create_token(NewToken) -> Result<std::result::Result<TokenRecord, TokenConflict>>;
    fn find_tokens(&[[u8; 32]]) -> Result<Vec<Option<TokenRecord>>>;
    fn list_tokens(UserId, Timestamp) -> Result<Vec<TokenRecord>>;
    fn revoke_token(UserId, TokenId, Timestamp) -> Result<bool>;
    fn touch_token(TokenId, Timestamp) -> Result<()>;
}

type Made<T> = std::result::Result<T, ProgramConflict>;

unused! { Integrations:
    fn create_integration(NewIntegration) -> Result<Made<IntegrationRecord>>;
    fn find_integration([u8; 32]) -> Result<Option<IntegrationRecord>>;
    fn list_integrations(RoomId) -> Result<Vec<IntegrationRecord>>;
    fn rotate_integration(RoomId, UserId, IntegrationSecret) -> Result<Option<IntegrationRecord>>;
    fn delete_integration(RoomId, UserId) -> Result<bool>;
    fn touch_integration(UserId, Timestamp) -> Result<()>;
    fn create_command(NewIntegration, NewCommand) -> Result<Made<CommandRecord>>;
    fn find_command(RoomId, &str) -> Result<Option<CommandRecord>>;
    fn find_command_by_id(CommandId) -> Result<Option<CommandRecord>>;
    fn list_commands(RoomId) -> Result<Vec<CommandRecord>>;
}

unused! { Webhooks:
    fn create_webhook(NewWebhook) -> Result<Made<WebhookRecord>>;
    fn find_webhook(RoomId, WebhookId) -> Result<Option<WebhookRecord>>;
    fn list_webhooks(RoomId) -> Result<Vec<WebhookRecord>>;
    fn update_webhook(RoomId, WebhookId, WebhookChange) -> Result<Option<WebhookRecord>>;
    fn delete_webhook(RoomId, WebhookId) -> Result<bool>;
    fn claim_webhook(Duration) -> Result<Option<ClaimedWebhook>>;
    fn settle_webhook(WebhookId, u64, WebhookProgress, Duration) -> Result<bool>;
    fn release_webhooks() -> Result<u64>;
    fn list_dead_letters(WebhookId) -> Result<Vec<DeadLetter>>;
    fn delete_dead_letter(WebhookId, u64) -> Result<bool>;
}

//! Connections to other programs: incoming and outgoing webhooks.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{MessageId, UserId, WebhookId};
use crate::time::Timestamp;
use crate::user::UserRef;

/// A new integration: another program that posts into a room.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateIntegrationRequest {
    /// The name under which it posts.
    pub name: String,
}

/// Another program that posts into a room, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Integration {
    /// The id, which is that of its user.
    pub id: UserId,
    /// Who its messages are by.
    pub user: UserRef,
    /// Who made it.
    pub creator: UserRef,
    /// The beginning of the secret in its address.
    pub prefix: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its address was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
}

/// An integration whose address was just made. It is told this one time.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct NewIntegrationAddress {
    /// The integration.
    #[serde(flatten)]
    pub integration: Integration,
    /// The path of its address: `/v1/hooks/` and the secret.
    pub path: String,
}

impl fmt::Debug for NewIntegrationAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewIntegrationAddress")
            .field("id", &self.integration.id)
            .finish_non_exhaustive()
    }
}

/// What a program posts. Fields that it does not know are passed over: many programs send those of
/// another chat as well.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct HookRequest {
    /// The text.
    pub text: String,
    /// On whose behalf; shown before the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The program's own id: the same one is one message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
}

/// A message that an integration has posted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HookPosted {
    /// The message.
    pub message: MessageId,
    /// Its position.
    pub seq: u64,
}

/// A new outgoing webhook.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateWebhookRequest {
    /// Where events are posted to.
    pub url: String,
    /// Types of events, such as `message.created`; all when absent or empty.
    #[serde(default)]
    pub events: Vec<String>,
}

/// Changes of a webhook; what is absent stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PatchWebhookRequest {
    /// Where events are posted to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Types of events; empty: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<String>>,
    /// Whether it is told anything. Switched on again, it goes on where it stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// An address that is told what happens in a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Webhook {
    /// The id.
    pub id: WebhookId,
    /// Where events are posted to.
    pub url: String,
    /// Types of events; empty: all.
    pub events: Vec<String>,
    /// Who made it.
    pub creator: UserRef,
    /// When it was made.
    pub created_at: Timestamp,
    /// Whether it is told anything.
    pub enabled: bool,
    /// Why it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled_reason: Option<String>,
    /// Since when it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled_at: Option<Timestamp>,
    /// Events up to here were delivered, are nothing for it, or were given up.
    pub seq: u64,
    /// Failed attempts at the next event.
    pub attempts: u32,
    /// Since when nothing could be delivered.
    pub failing_since: Option<Timestamp>,
    /// How the last attempt ended.
    pub last_outcome: Option<String>,
    /// When something was last delivered.
    pub last_delivered_at: Option<Timestamp>,
    /// Events that were given up and can be delivered again.
    pub dead_letters: u64,
}

/// A webhook whose secret was just made. It is told this one time.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct NewWebhookSecret {
    /// The webhook.
    #[serde(flatten)]
    pub webhook: Webhook,
    /// What deliveries are signed with: `whsec_` and the key in base64.
    pub secret: String,
}

impl fmt::Debug for NewWebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewWebhookSecret").field("id", &self.webhook.id).finish_non_exhaustive()
    }
}

/// An event that was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeadLetter {
    /// The event.
    pub seq: u64,
    /// When it was given up.
    pub at: Timestamp,
    /// How often it was attempted.
    pub attempts: u32,
    /// How the last attempt ended.
    pub outcome: String,
}

/// What came of delivering an event again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Redelivered {
    /// Whether it was delivered; then it is a dead letter no longer.
    pub delivered: bool,
    /// How the attempt ended.
    pub outcome: String,
}

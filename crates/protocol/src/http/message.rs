//! Messages and replies.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{FileId, JobId, MessageId};
use crate::message::Message;

/// A new message.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishRequest {
    /// The text; may be empty where there are attachments.
    pub body: String,
    /// The author's own id: the same one is one message; also as `Idempotency-Key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The message it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<MessageId>,
    /// The message whose thread it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<MessageId>,
    /// The author's finished uploads that belong to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<FileId>,
}

/// A changed message.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EditMessageRequest {
    /// The new text.
    pub body: String,
}

/// A message and the bot's reply to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PublishAndReply {
    /// The message.
    pub message: Message,
    /// The finished reply; absent when the message called no bot.
    pub reply: Option<Message>,
}

/// A bot's duty to answer a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cancelled {
    /// The duty.
    pub job: JobId,
}

//! Bots and what they remember.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::UserId;
use crate::time::Timestamp;
use crate::user::UserRef;

/// When a bot answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// When it is mentioned; in a direct room always.
    Mention,
    /// To every message of a person.
    Always,
    /// Only in direct rooms.
    Direct,
    /// Never.
    Never,
}

/// A bot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Bot {
    /// The bot's user.
    pub user: UserRef,
    /// The provider; absent: the server's default.
    pub provider: Option<String>,
    /// The model; absent: the provider's default.
    pub model: Option<String>,
    /// What the bot is told about itself; only for administrators and its maker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<String>,
    /// When it answers.
    pub trigger: Trigger,
    /// Sampling temperature.
    pub temperature: Option<f32>,
    /// Longest reply in tokens.
    pub max_tokens: Option<u32>,
    /// Messages of the room that it is shown at most.
    pub context_messages: u32,
    /// How far back it remembers, in seconds; 0: without end.
    pub memory_ttl_seconds: u64,
    /// Who made it.
    pub owner: Option<UserId>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A new bot.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateBotRequest {
    /// Its user name.
    pub name: String,
    /// The name to show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The provider; absent: the server's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The model; absent: the provider's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What the bot is told about itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<String>,
    /// When it answers; `mention` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<Trigger>,
    /// Sampling temperature, 0–2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f32>,
    /// Longest reply in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// Messages of the room that it is shown at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_messages: Option<u32>,
    /// How far back it remembers, in seconds; 0: without end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_ttl_seconds: Option<u64>,
}

/// Changes of a bot. What is absent stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PatchBotRequest {
    /// The name to show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What the bot is told about itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<String>,
    /// When it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger: Option<Trigger>,
    /// Sampling temperature, 0–2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f32>,
    /// Longest reply in tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// Messages of the room that it is shown at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_messages: Option<u32>,
    /// How far back it remembers, in seconds; 0: without end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_ttl_seconds: Option<u64>,
}

/// What a room's bots can remember.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MemoryStats {
    /// The bot.
    pub bot: UserRef,
    /// Messages of the room that the bot would be shown now.
    pub messages: u64,
    /// Their size in tokens, estimated.
    pub tokens: u64,
    /// The oldest of them.
    pub since: Option<Timestamp>,
    /// How far back it remembers, in seconds; 0: without end.
    pub memory_ttl_seconds: u64,
}

//! Model providers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A configured model provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProviderSummary {
    /// The name to use in a bot.
    pub name: String,
    /// `ollama`, `openai_compatible` or `demo`.
    pub kind: String,
    /// Whether bots without a provider use it.
    pub default: bool,
    /// The model used when a bot names none.
    pub default_model: String,
    /// The models that it offers; empty when it could not be asked.
    pub models: Vec<String>,
}

/// Whether a provider can be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProviderHealth {
    /// The provider.
    pub name: String,
    /// Whether it answered.
    pub reachable: bool,
    /// How long it took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// What is wrong, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// One prompt to try a provider with.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestPromptRequest {
    /// The provider; absent: the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The model; absent: the provider's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The prompt.
    pub prompt: String,
}

/// What a provider answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TestPromptResponse {
    /// The provider.
    pub provider: String,
    /// The model.
    pub model: String,
    /// The answer.
    pub reply: String,
    /// What it cost.
    pub usage: crate::message::Usage,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}

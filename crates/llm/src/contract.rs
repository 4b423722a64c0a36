//! The contract every provider keeps.

use std::{fmt::Debug, pin::Pin, time::Duration};

use async_trait::async_trait;
use futures_util::Stream;
use serde::{Deserialize, Serialize};

use crate::ProviderError;

/// Which protocol a provider speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ProviderKind {
    /// Ollama's native API.
    #[serde(rename = "ollama")]
    Ollama,
    /// The chat completions API of OpenAI, which many servers copy.
    #[serde(rename = "openai_compatible")]
    OpenAi,
    /// The built-in provider without a model.
    #[serde(rename = "demo")]
    Demo,
}

impl ProviderKind {
    /// Returns the name used in settings and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ollama => "ollama",
            Self::OpenAi => "openai_compatible",
            Self::Demo => "demo",
        }
    }
}

/// Who wrote a chat message, as the provider sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Instructions of the operator. Members' text never goes here.
    System,
    /// A member of the room.
    User,
    /// The model itself.
    Assistant,
}

/// One message of the conversation given to the model.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatMessage {
    /// Who wrote it.
    pub role: Role,
    /// What was written.
    pub content: String,
}

impl ChatMessage {
    /// Returns a message of the given role.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self { role, content: content.into() }
    }
}

/// Shows the length only: prompts are not for logs.
impl Debug for ChatMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChatMessage")
            .field("role", &self.role)
            .field("content_bytes", &self.content.len())
            .finish()
    }
}

/// What a provider is asked to continue.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatRequest {
    /// The model's name at the provider.
    pub model: String,
    /// The conversation, oldest first.
    pub messages: Vec<ChatMessage>,
    /// Sampling temperature; the provider's default when absent.
    pub temperature: Option<f32>,
    /// Upper bound for the reply in tokens; the provider's default when absent.
    pub max_tokens: Option<u32>,
}

/// Why a complete reply ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// The model had nothing to add.
    Stop,
    /// The reply reached a limit in tokens or bytes.
    Length,
    /// The provider withheld the rest.
    ContentFilter,
}

/// Tokens spent on one reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the request.
    pub prompt_tokens: u32,
    /// Tokens of the reply.
    pub completion_tokens: u32,
    /// True when the provider reported nothing and the numbers are this crate's estimate.
    pub estimated: bool,
}

/// One step of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChatChunk {
    /// The next piece of the reply; never empty.
    Text(String),
    /// Work before or between text: a model being downloaded or thinking.
    Progress {
        /// A short phrase of this crate, such as `downloading the model`.
        detail: String,
        /// How much of a download is done; absent when the work has no measure.
        percent: Option<u8>,
    },
    /// The last chunk of a complete reply.
    Finished {
        /// What the reply cost.
        usage: Usage,
        /// Why it ended.
        reason: FinishReason,
    },
}

/// A reply as it arrives.
///
/// It yields any number of `Text` and `Progress` chunks and then either one `Finished` or one
/// error, and nothing after that. Dropping it closes the connection to the provider.
pub type ChatStream = Pin<Box<dyn Stream<Item = Result<ChatChunk, ProviderError>> + Send>>;

/// A model that a provider offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// The name to put into [`ChatRequest::model`].
    pub name: String,
    /// Size on disk, where the provider tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
}

/// A source of chat replies.
///
/// `chat` sets no time limit of its own: call it through [`chat_with_retry`](crate::chat_with_retry)
/// or wrap it in [`limited`](crate::limited). `list_models` and `check_health` end by themselves.
#[async_trait]
pub trait Provider: Send + Sync + Debug {
    /// Returns the name bots refer to, such as `ollama`, `groq`, `openai` or `demo`.
    fn name(&self) -> &str;

    /// Returns the protocol spoken.
    fn kind(&self) -> ProviderKind;

    /// Returns the model for bots that name none.
    fn default_model(&self) -> &str;

    /// Starts a reply.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future or the stream closes the connection to the provider.
    async fn chat(&self, request: ChatRequest) -> Result<ChatStream, ProviderError>;

    /// Lists the models on offer.
    async fn list_models(&self) -> Result<Vec<Model>, ProviderError>;

    /// Asks the provider for something cheap and returns the round trip.
    async fn check_health(&self) -> Result<Duration, ProviderError>;
}

//! Model providers: one contract, three backends.
//!
//! A [`Provider`] turns a list of chat messages into a stream of text chunks. The backends are
//! any OpenAI-compatible endpoint ([`OpenAiProvider`]), Ollama's native API ([`OllamaProvider`])
//! and a built-in demo that needs nothing ([`DemoProvider`]).
//!
//! The crate guarantees that
//! - dropping a reply stream closes the connection to the provider;
//! - a reply ends with exactly one [`ChatChunk::Finished`] or exactly one error;
//! - nothing a provider sends in an error reaches a log, a `Debug` output or a person in a room.
//!
//! It does not read the environment, keep conversations or decide what a bot may say.

mod contract;
mod demo;
mod detect;
mod error;
mod http;
mod limits;
mod lines;
mod ollama;
mod openai;
mod registry;
mod retry;
mod sse;
mod tokens;

pub use contract::{
    ChatChunk, ChatMessage, ChatRequest, ChatStream, FinishReason, Model, Provider, ProviderKind,
    Role, Usage,
};
pub use demo::DemoProvider;
pub use detect::{DetectSettings, HttpProbe, ModelProbe, Selection, detect};
pub use error::{ProviderError, TimeoutStage};
pub use http::http_client;
pub use limits::{MAX_LINE_BYTES, MAX_TEXT_BYTES, TimeLimits, limited};
pub use ollama::OllamaProvider;
pub use openai::OpenAiProvider;
pub use registry::{ApiKey, ConfigError, ProviderConfig, Providers};
pub use retry::{RetryPolicy, chat_with_retry};
pub use tokens::{TokenMeter, estimate_request_tokens, estimate_tokens};

//! Ollama's native API, which unlike its OpenAI-compatible one can download models.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use futures_util::StreamExt;
use reqwest::{Client, Url};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::Instant;

use crate::{
    ChatMessage, ChatRequest, ChatStream, ConfigError, Model, Provider, ProviderConfig,
    ProviderError, ProviderKind, estimate_request_tokens,
    http::{self, Body, endpoint},
};

mod pull;
mod reply;

/// A provider behind an Ollama server.
#[derive(Clone)]
pub struct OllamaProvider {
    name: String,
    base_url: Url,
    model: String,
    allow_pull: bool,
    client: Client,
}

impl OllamaProvider {
    /// Returns the provider of the settings. Nothing is connected yet.
    pub fn new(config: &ProviderConfig, client: Client) -> Result<Self, ConfigError> {
        Ok(Self {
            name: config.name.clone(),
            base_url: config.parse_base_url()?,
            model: config.model.clone().unwrap_or_default(),
            allow_pull: config.allow_pull,
            client,
        })
    }

    async fn post_chat(&self, request: &ChatRequest) -> Result<Body, ProviderError> {
        let body = ChatBody {
            model: &request.model,
            messages: &request.messages,
            stream: true,
            options: Options { temperature: request.temperature, num_predict: request.max_tokens },
        };
        let request = self.client.post(endpoint(&self.base_url, "api/chat")).json(&body);
        Ok(http::send(request).await?.bytes_stream().boxed())
    }

    async fn post_pull(&self, model: &str) -> Result<Body, ProviderError> {
        let body = json!({ "model": model, "stream": true });
        let request = self.client.post(endpoint(&self.base_url, "api/pull")).json(&body);
        Ok(http::send(request).await?.bytes_stream().boxed())
    }

    async fn start(&self, request: &ChatRequest) -> Result<ChatStream, ProviderError> {
        let body = self.post_chat(request).await?;
        Ok(reply::stream(body, estimate_request_tokens(request)))
    }
}

/// Leaves the address out.
impl fmt::Debug for OllamaProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OllamaProvider")
            .field("name", &self.name)
            .field("model", &self.model)
            .field("allow_pull", &self.allow_pull)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Provider for OllamaProvider {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> ProviderKind {
        ProviderKind::Ollama
    }

    fn default_model(&self) -> &str {
        &self.model
    }

    async fn chat(&self, request: ChatRequest) -> Result<ChatStream, ProviderError> {
        match self.start(&request).await {
            Err(ProviderError::ModelNotFound) if self.allow_pull => {
                Ok(pull::then_chat(self.clone(), request))
            }
            outcome => outcome,
        }
    }

    async fn list_models(&self) -> Result<Vec<Model>, ProviderError> {
        let tags: Tags = http::fetch(self.client.get(endpoint(&self.base_url, "api/tags"))).await?;
        Ok(tags
            .models
            .into_iter()
            .map(|tag| Model { name: tag.name, size_bytes: tag.size })
            .collect())
    }

    async fn check_health(&self) -> Result<Duration, ProviderError> {
        let began = Instant::now();
        self.list_models().await?;
        Ok(began.elapsed())
    }
}

#[derive(Serialize)]
struct ChatBody<'a> {
    model: &'a str,
    messages: &'a [ChatMessage],
    stream: bool,
    options: Options,
}

#[derive(Serialize)]
struct Options {
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    num_predict: Option<u32>,
}

#[derive(Deserialize)]
struct Tags {
    models: Vec<Tag>,
}

#[derive(Deserialize)]
struct Tag {
    name: String,
    #[serde(default)]
    size: Option<u64>,
}

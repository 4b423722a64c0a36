//! Any endpoint that speaks OpenAI's chat completions API: OpenAI, Groq, vLLM, llama.cpp and
//! many more. They differ in details, so reading is lenient and sending is conservative.

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::StreamExt;
use reqwest::{Client, RequestBuilder, Url, header::HeaderValue};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::{
    ChatRequest, ChatStream, ConfigError, Model, Provider, ProviderConfig, ProviderError,
    ProviderKind, estimate_request_tokens,
    http::{self, endpoint},
};

mod reply;

/// The host that wants `max_completion_tokens`; copies of the API know `max_tokens`.
const OPENAI_HOST: &str = "api.openai.com";

/// The model asked for when the settings name none. Servers with a single model ignore the name.
const UNNAMED_MODEL: &str = "default";

/// A provider behind an OpenAI-compatible endpoint.
pub struct OpenAiProvider {
    name: String,
    base_url: Url,
    authorization: Option<HeaderValue>,
    model: String,
    client: Client,
    /// Cleared for good when the server turns out to reject `stream_options`.
    asks_for_usage: AtomicBool,
}

impl OpenAiProvider {
    /// Returns the provider of the settings. Nothing is connected yet.
    pub fn new(config: &ProviderConfig, client: Client) -> Result<Self, ConfigError> {
        let authorization = match &config.api_key {
            Some(key) => {
                let mut value = HeaderValue::from_str(&format!("Bearer {}", key.expose()))
                    .map_err(|_| ConfigError::ApiKey { name: config.name.clone() })?;
                value.set_sensitive(true);
                Some(value)
            }
            None => None,
        };
        Ok(Self {
            name: config.name.clone(),
            base_url: config.parse_base_url()?,
            authorization,
            model: config.model.clone().unwrap_or_else(|| UNNAMED_MODEL.to_owned()),
            client,
            asks_for_usage: AtomicBool::new(true),
        })
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.authorization {
            Some(value) => request.header(reqwest::header::AUTHORIZATION, value.clone()),
            None => request,
        }
    }

    async fn post_chat(
        &self,
        request: &ChatRequest,
        ask_for_usage: bool,
    ) -> Result<http::Body, ProviderError> {
        let body = self.chat_body(request, ask_for_usage);
        let request = self.client.post(endpoint(&self.base_url, "chat/completions")).json(&body);
        let response = http::send(self.authorized(request)).await?;
        Ok(response.bytes_stream().boxed())
    }

    fn chat_body(&self, request: &ChatRequest, ask_for_usage: bool) -> Value {
        let mut body = Map::new();
        body.insert("model".to_owned(), json!(request.model));
        body.insert("messages".to_owned(), json!(request.messages));
        body.insert("stream".to_owned(), json!(true));
        if let Some(temperature) = request.temperature {
            body.insert("temperature".to_owned(), json!(temperature));
        }
        if let Some(max_tokens) = request.max_tokens {
            let of_openai = self.base_url.host_str() == Some(OPENAI_HOST);
            let field = if of_openai { "max_completion_tokens" } else { "max_tokens" };
            body.insert(field.to_owned(), json!(max_tokens));
        }
        if ask_for_usage {
            body.insert("stream_options".to_owned(), json!({ "include_usage": true }));
        }
        Value::Object(body)
    }

    async fn fetch_models(&self) -> Result<ModelList, ProviderError> {
        let request = self.client.get(endpoint(&self.base_url, "models"));
        http::fetch(self.authorized(request)).await
    }
}

/// Leaves the address and the key out.
impl fmt::Debug for OpenAiProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAiProvider")
            .field("name", &self.name)
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Provider for OpenAiProvider {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> ProviderKind {
        ProviderKind::OpenAi
    }

    fn default_model(&self) -> &str {
        &self.model
    }

    async fn chat(&self, request: ChatRequest) -> Result<ChatStream, ProviderError> {
        let ask_for_usage = self.asks_for_usage.load(Ordering::Relaxed);
        let body = match self.post_chat(&request, ask_for_usage).await {
            Err(ProviderError::Rejected { status: 400 | 422 }) if ask_for_usage => {
                let body = self.post_chat(&request, false).await?;
                self.asks_for_usage.store(false, Ordering::Relaxed);
                body
            }
            outcome => outcome?,
        };
        Ok(reply::stream(body, estimate_request_tokens(&request)))
    }

    async fn list_models(&self) -> Result<Vec<Model>, ProviderError> {
        let list = self.fetch_models().await?;
        Ok(list.data.into_iter().map(|model| Model { name: model.id, size_bytes: None }).collect())
    }

    async fn check_health(&self) -> Result<Duration, ProviderError> {
        let began = Instant::now();
        self.fetch_models().await?;
        Ok(began.elapsed())
    }
}

#[derive(Deserialize)]
struct ModelList {
    data: Vec<ModelEntry>,
}

#[derive(Deserialize)]
struct ModelEntry {
    id: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ApiKey, http_client};

    fn provider(base_url: &str) -> OpenAiProvider {
        let config = ProviderConfig {
            name: "p".to_owned(),
            kind: ProviderKind::OpenAi,
            base_url: Some(base_url.to_owned()),
            api_key: Some(ApiKey::new("key")),
            model: None,
            allow_pull: false,
        };
        OpenAiProvider::new(&config, http_client(Duration::from_secs(1)).unwrap()).unwrap()
    }

    #[test]
    fn the_token_limit_has_the_name_that_the_server_knows() {
        let request = ChatRequest {
            model: "m".to_owned(),
            messages: Vec::new(),
            temperature: None,
            max_tokens: Some(9),
        };

        let copy = provider("http://localhost/v1").chat_body(&request, false);
        let original = provider("https://api.openai.com/v1").chat_body(&request, false);

        assert_eq!(copy, json!({ "model": "m", "messages": [], "stream": true, "max_tokens": 9 }));
        assert_eq!(original["max_completion_tokens"], 9);
        assert_eq!(original["max_tokens"], Value::Null);
    }
}

//! Model providers: which there are, whether they answer, and one prompt to try them.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use parlor_llm::{
    ChatChunk, ChatMessage, ChatRequest, Provider, ProviderError, RetryPolicy, Role, TimeLimits,
    chat_with_retry,
};
use parlor_protocol::code::Code;
use parlor_protocol::http::{
    Page, ProviderHealth, ProviderSummary, Scope, TestPromptRequest, TestPromptResponse,
};
use parlor_protocol::message::Usage;
use tokio::time::{Instant, timeout};

use super::endpoint::{Access, Endpoint};
use super::extract::JsonBody;
use crate::node::Node;
use crate::refusal::{Outcome, Refusal};

/// How long a provider is asked for its models or its health.
const ASK_MAX: Duration = Duration::from_secs(5);
/// Longest prompt to try a provider with, in bytes.
const PROMPT_MAX: usize = 4 * 1024;
/// Longest answer to such a prompt, in tokens.
const ANSWER_TOKENS: u32 = 512;
/// Models of one provider that are listed.
const MODELS_MAX: usize = 500;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/v1/llm/providers", "list_providers", list_providers)
            .scope(Scope::Read)
            .about("Models", "List the configured providers and their models")
            .answers::<Page<ProviderSummary>>(200, "The providers."),
        Endpoint::get("/v1/llm/health", "get_provider_health", get_provider_health)
            .scope(Scope::Read)
            .about("Models", "Tell whether the providers can be reached")
            .answers::<Page<ProviderHealth>>(200, "One entry for each provider."),
        Endpoint::post("/v1/llm/test", "test_prompt", test_prompt)
            .scope(Scope::Admin)
            .about("Models", "Send one prompt through a provider")
            .access(Access::Admin)
            .body::<TestPromptRequest>()
            .answers::<TestPromptResponse>(200, "What the provider answered.")
            .refuses(&[Code::ProviderError, Code::ProviderUnavailable])
            .own_time_limit(),
    ]
}

async fn list_providers(State(node): State<Arc<Node>>) -> Json<Page<ProviderSummary>> {
    let default = node.providers.default_provider();
    let summaries = node.providers.iter().map(async |provider: &Arc<dyn Provider>| {
        let models = timeout(ASK_MAX, provider.list_models()).await;
        let models = models.ok().and_then(Result::ok).unwrap_or_default();
        ProviderSummary {
            name: provider.name().to_owned(),
            kind: provider.kind().as_str().to_owned(),
            default: provider.name() == default.name(),
            default_model: provider.default_model().to_owned(),
            models: models.into_iter().take(MODELS_MAX).map(|model| model.name).collect(),
        }
    });
    Json(Page { items: join_all(summaries).await, next: None })
}

async fn get_provider_health(State(node): State<Arc<Node>>) -> Json<Page<ProviderHealth>> {
    let checks = node.providers.iter().map(async |provider: &Arc<dyn Provider>| {
        let (latency, detail) = match timeout(ASK_MAX, provider.check_health()).await {
            Ok(Ok(latency)) => (Some(latency), None),
            Ok(Err(error)) => (None, Some(error.public_message())),
            Err(_) => (None, Some("The model provider did not answer in time.".to_owned())),
        };
        ProviderHealth {
            name: provider.name().to_owned(),
            reachable: latency.is_some(),
            latency_ms: latency.map(millis),
            detail,
        }
    });
    Json(Page { items: join_all(checks).await, next: None })
}

async fn test_prompt(
    State(node): State<Arc<Node>>,
    JsonBody(request): JsonBody<TestPromptRequest>,
) -> Outcome<Json<TestPromptResponse>> {
    let prompt = request.prompt.trim();
    if prompt.is_empty() || prompt.len() > PROMPT_MAX {
        let detail = format!("must have 1 to {PROMPT_MAX} bytes");
        return Err(Refusal::field("prompt", "length", detail));
    }
    let provider = match &request.provider {
        None => node.providers.default_provider(),
        Some(name) => node
            .providers
            .find(name)
            .ok_or_else(|| Refusal::field("provider", "unknown", "is not configured"))?,
    };
    let model = request.model.unwrap_or_else(|| provider.default_model().to_owned());
    let chat = ChatRequest {
        model: model.clone(),
        messages: vec![ChatMessage::new(Role::User, prompt)],
        temperature: None,
        max_tokens: Some(ANSWER_TOKENS),
    };
    let started = Instant::now();
    let name = provider.name().to_owned();
    let (reply, usage) = ask(&node, provider, chat).await.map_err(|error| refuse(&error))?;
    let duration_ms = millis(started.elapsed());
    Ok(Json(TestPromptResponse { provider: name, model, reply, usage, duration_ms }))
}

async fn ask(
    node: &Node,
    provider: Arc<dyn Provider>,
    chat: ChatRequest,
) -> Result<(String, Usage), ProviderError> {
    let config = &node.config.llm;
    let limits = TimeLimits {
        connect: config.connect_timeout,
        first_token: config.first_token_timeout,
        between_tokens: config.between_tokens_timeout,
        total: config.total_timeout,
    };
    // Who tries a provider wants to see its failures.
    let policy = RetryPolicy { attempts: 1, ..RetryPolicy::default() };
    let mut stream = chat_with_retry(provider, chat, policy, limits);
    let mut reply = String::new();
    let mut spent = Usage::default();
    while let Some(chunk) = stream.next().await {
        match chunk? {
            ChatChunk::Text(text) => reply.push_str(&text),
            ChatChunk::Progress { .. } => {}
            ChatChunk::Finished { usage, .. } => {
                spent = Usage {
                    prompt_tokens: usage.prompt_tokens,
                    completion_tokens: usage.completion_tokens,
                    estimated: usage.estimated,
                };
            }
        }
    }
    Ok((reply, spent))
}

fn refuse(error: &ProviderError) -> Refusal {
    let away = matches!(error, ProviderError::Unreachable { .. } | ProviderError::TimedOut { .. });
    let code = if away { Code::ProviderUnavailable } else { Code::ProviderError };
    let mut refusal = Refusal::new(code, error.public_message());
    refusal.retry_after = error.retry_after().or(refusal.retry_after);
    refusal
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

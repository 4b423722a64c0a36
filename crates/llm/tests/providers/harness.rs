//! What the tests share.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use parlor_llm::{
    ApiKey, ChatChunk, ChatMessage, ChatRequest, ChatStream, FinishReason, Provider,
    ProviderConfig, ProviderError, ProviderKind, RetryPolicy, Role, TimeLimits, Usage,
    chat_with_retry, http_client,
};
use parlor_testkit::fake_llm::{FakeLlm, PLANTED_SECRET};
use tokio::time::timeout;

pub(crate) const KEY: &str = "sk-of-the-test";
pub(crate) const PROMPT: &str = "what is a room";

/// Longer than anything here takes when it works.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const BOTH: [ProviderKind; 2] = [ProviderKind::OpenAi, ProviderKind::Ollama];

pub(crate) const ONE_ATTEMPT: RetryPolicy =
    RetryPolicy { attempts: 1, base: Duration::ZERO, cap: Duration::ZERO };

/// Retries at once.
pub(crate) const THREE_ATTEMPTS: RetryPolicy = RetryPolicy { attempts: 3, ..ONE_ATTEMPT };

pub(crate) fn config(kind: ProviderKind, base_url: String) -> ProviderConfig {
    ProviderConfig {
        name: kind.as_str().to_owned(),
        kind,
        base_url: Some(base_url),
        api_key: Some(ApiKey::new(KEY)),
        model: Some("fake-model".to_owned()),
        allow_pull: false,
    }
}

pub(crate) fn url(kind: ProviderKind, fake: &FakeLlm) -> String {
    match kind {
        ProviderKind::Ollama => fake.ollama_url(),
        _ => fake.openai_url(),
    }
}

pub(crate) fn build(config: &ProviderConfig) -> Arc<dyn Provider> {
    config.build(&http_client(Duration::from_secs(3)).expect("a client")).expect("good settings")
}

pub(crate) fn provider(kind: ProviderKind, fake: &FakeLlm) -> Arc<dyn Provider> {
    build(&config(kind, url(kind, fake)))
}

pub(crate) fn request() -> ChatRequest {
    ChatRequest {
        model: "fake-model".to_owned(),
        messages: vec![
            ChatMessage::new(Role::System, "be kind"),
            ChatMessage::new(Role::User, PROMPT),
        ],
        temperature: Some(0.5),
        max_tokens: Some(64),
    }
}

pub(crate) fn call(
    provider: &Arc<dyn Provider>,
    policy: RetryPolicy,
    limits: TimeLimits,
) -> ChatStream {
    chat_with_retry(Arc::clone(provider), request(), policy, limits)
}

/// Gives up soon if the first token does not come.
pub(crate) fn impatient_at_first() -> TimeLimits {
    TimeLimits { first_token: Duration::from_millis(500), ..TimeLimits::default() }
}

/// Gives up soon if a further token does not come.
pub(crate) fn impatient_between() -> TimeLimits {
    TimeLimits { between_tokens: Duration::from_secs(3), ..TimeLimits::default() }
}

/// How a reply went.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) text: String,
    pub(crate) progress: Vec<Option<u8>>,
    pub(crate) end: Result<(Usage, FinishReason), ProviderError>,
}

/// Reads a reply to its end and checks that there is one end and nothing after it.
pub(crate) async fn read(mut reply: ChatStream) -> Outcome {
    let (mut text, mut progress, mut end) = (String::new(), Vec::new(), None);
    while let Some(item) = timeout(PATIENCE, reply.next()).await.expect("the reply ends") {
        assert!(end.is_none(), "something follows the end: {item:?}");
        match item {
            Ok(ChatChunk::Text(piece)) => text.push_str(&piece),
            Ok(ChatChunk::Progress { percent, .. }) => progress.push(percent),
            Ok(ChatChunk::Finished { usage, reason }) => end = Some(Ok((usage, reason))),
            Err(error) => {
                assert_shows_nothing_inner(&error);
                end = Some(Err(error));
            }
        }
    }
    Outcome { text, progress, end: end.expect("a reply has an end") }
}

/// Fails if any form of the error holds something from the provider or the settings.
pub(crate) fn assert_shows_nothing_inner(error: &ProviderError) {
    for shown in [error.public_message(), error.to_string(), format!("{error:?}")] {
        for inner in [PLANTED_SECRET, KEY, PROMPT, "127.0.0.1", "http", "internal.example"] {
            assert!(!shown.contains(inner), "{shown}");
        }
    }
}

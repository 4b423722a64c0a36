//! Downloads a model that Ollama lacks and then asks it.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use super::{OllamaProvider, reply::JsonLines};
use crate::{ChatChunk, ChatRequest, ChatStream, ProviderError, TimeoutStage, http::Body};

/// How long a download may take in all.
const PULL_LIMIT: Duration = Duration::from_hours(1);

/// Layers of a model whose progress is added up.
const MAX_LAYERS: usize = 64;

/// Returns the progress of the download followed by the reply.
pub(super) fn then_chat(provider: OllamaProvider, request: ChatRequest) -> ChatStream {
    let call = Call { provider, request, phase: Phase::Asking };
    Box::pin(stream::unfold(call, |mut call| async move {
        let item = call.next().await?;
        Some((item, call))
    }))
}

struct Call {
    provider: OllamaProvider,
    request: ChatRequest,
    phase: Phase,
}

enum Phase {
    Asking,
    Pulling(Pull),
    Chatting(ChatStream),
    Ended,
}

impl Call {
    async fn next(&mut self) -> Option<Result<ChatChunk, ProviderError>> {
        let item = self.advance().await.transpose();
        if !matches!(item, Some(Ok(_))) {
            self.phase = Phase::Ended;
        }
        item
    }

    async fn advance(&mut self) -> Result<Option<ChatChunk>, ProviderError> {
        loop {
            self.phase = match &mut self.phase {
                Phase::Asking => {
                    let body = self.provider.post_pull(&self.request.model).await?;
                    Phase::Pulling(Pull::new(body))
                }
                Phase::Pulling(pull) => match pull.next().await? {
                    Some(step) => return Ok(Some(step)),
                    None => Phase::Chatting(self.provider.start(&self.request).await?),
                },
                Phase::Chatting(reply) => return reply.next().await.transpose(),
                Phase::Ended => return Ok(None),
            };
        }
    }
}

struct Pull {
    lines: JsonLines<Line>,
    layers: Vec<Layer>,
    deadline: Instant,
}

struct Layer {
    digest: String,
    completed: u64,
    total: u64,
}

impl Pull {
    fn new(body: Body) -> Self {
        let deadline = Instant::now() + PULL_LIMIT;
        Self { lines: JsonLines::new(body), layers: Vec::new(), deadline }
    }

    /// Returns the next step, or `None` when the model is there.
    async fn next(&mut self) -> Result<Option<ChatChunk>, ProviderError> {
        let line = timeout_at(self.deadline, self.lines.next())
            .await
            .map_err(|_| ProviderError::TimedOut { stage: TimeoutStage::Total })??
            .ok_or(ProviderError::Truncated)?;
        if line.error.is_some() {
            return Err(ProviderError::ModelNotFound);
        }
        if line.status.as_deref() == Some("success") {
            self.lines.close();
            return Ok(None);
        }
        self.note(line);
        let detail = "downloading the model".to_owned();
        Ok(Some(ChatChunk::Progress { detail, percent: Some(self.percent()) }))
    }

    fn note(&mut self, line: Line) {
        let (Some(digest), Some(total)) = (line.digest, line.total) else { return };
        let completed = line.completed.unwrap_or(0).min(total);
        if let Some(layer) = self.layers.iter_mut().find(|layer| layer.digest == digest) {
            (layer.completed, layer.total) = (completed, total);
        } else if self.layers.len() < MAX_LAYERS {
            self.layers.push(Layer { digest, completed, total });
        }
    }

    fn percent(&self) -> u8 {
        let sum = |of: fn(&Layer) -> u64| {
            self.layers.iter().map(|layer| u128::from(of(layer))).sum::<u128>()
        };
        let total = sum(|layer| layer.total).max(1);
        u8::try_from(sum(|layer| layer.completed) * 100 / total).unwrap_or(100)
    }
}

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    digest: Option<String>,
    #[serde(default)]
    total: Option<u64>,
    #[serde(default)]
    completed: Option<u64>,
    #[serde(default)]
    error: Option<serde::de::IgnoredAny>,
}

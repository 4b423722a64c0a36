//! Turns the events of a chat completion into chunks.

use std::{collections::VecDeque, time::Duration};

use futures_util::{StreamExt, stream};
use serde::Deserialize;
use tokio::time::timeout;

use crate::{
    ChatChunk, ChatStream, FinishReason, ProviderError, TokenMeter, Usage,
    http::{self, Body, ReportedError},
    sse::{SseDecoder, SseEvent},
};

/// How long to wait for the usage once the text is complete.
const USAGE_WAIT: Duration = Duration::from_secs(2);

/// Returns the reply in the body of an answer.
pub(super) fn stream(body: Body, prompt_tokens: u32) -> ChatStream {
    let reply = Reply {
        body: Some(body),
        sse: SseDecoder::default(),
        ready: VecDeque::new(),
        prompt_tokens,
        meter: TokenMeter::default(),
        usage: None,
        finish: None,
    };
    Box::pin(stream::unfold(reply, |mut reply| async move {
        let item = reply.next().await?;
        Some((item, reply))
    }))
}

struct Reply {
    /// Gone once the reply has ended, which closes the connection.
    body: Option<Body>,
    sse: SseDecoder,
    ready: VecDeque<ChatChunk>,
    prompt_tokens: u32,
    meter: TokenMeter,
    usage: Option<Usage>,
    finish: Option<FinishReason>,
}

enum Step {
    Continue,
    Done,
}

impl Reply {
    async fn next(&mut self) -> Option<Result<ChatChunk, ProviderError>> {
        loop {
            if let Some(chunk) = self.ready.pop_front() {
                return Some(Ok(chunk));
            }
            self.body.as_ref()?;
            match self.advance().await {
                Ok(Step::Continue) => {}
                Ok(Step::Done) => {
                    self.body = None;
                    let end = self.finished();
                    self.ready.push_back(end);
                }
                Err(error) => {
                    self.body = None;
                    return Some(Err(error));
                }
            }
        }
    }

    /// Handles one event, or else reads more bytes.
    async fn advance(&mut self) -> Result<Step, ProviderError> {
        if let Some(event) = self.sse.next_event() {
            return self.apply(&event);
        }
        let Some(body) = &mut self.body else { return Ok(Step::Done) };
        let read = if self.finish.is_some() {
            // The text is complete; only the usage and the end of the stream may follow.
            match timeout(USAGE_WAIT, body.next()).await {
                Ok(Some(Ok(bytes))) => Some(Ok(bytes)),
                _ => return Ok(Step::Done),
            }
        } else {
            body.next().await
        };
        match read {
            Some(Ok(bytes)) => {
                self.sse.push(&bytes)?;
                Ok(Step::Continue)
            }
            Some(Err(error)) => Err(http::from_body(&error)),
            None => self.end_of_body(),
        }
    }

    /// Looks at what came after the last complete event.
    fn end_of_body(&mut self) -> Result<Step, ProviderError> {
        self.sse.finish()?;
        while let Some(event) = self.sse.next_event() {
            // A half event means that the stream was cut, not that it is garbage.
            match self.apply(&event) {
                Ok(Step::Done) => return Ok(Step::Done),
                Ok(Step::Continue) => {}
                Err(ProviderError::Malformed) => return Err(ProviderError::Truncated),
                Err(error) => return Err(error),
            }
        }
        if self.finish.is_some() { Ok(Step::Done) } else { Err(ProviderError::Truncated) }
    }

    fn apply(&mut self, event: &SseEvent) -> Result<Step, ProviderError> {
        let data = event.data.trim();
        if data == "[DONE]" {
            return Ok(Step::Done);
        }
        if data.is_empty() {
            return Ok(Step::Continue);
        }
        let Ok(completion) = serde_json::from_str::<Completion>(data) else {
            let failed = event.name == "error";
            return Err(if failed {
                ProviderError::ErrorInStream
            } else {
                ProviderError::Malformed
            });
        };
        if event.name == "error" || completion.error.is_some() {
            let reported = completion.error.as_ref().and_then(http::from_reported);
            return Err(reported.unwrap_or(ProviderError::ErrorInStream));
        }
        let groq = completion.x_groq.and_then(|groq| groq.usage);
        if let Some(usage) = completion.usage.or(groq) {
            self.usage = Some(usage.into());
        }
        if let Some(choice) = completion.choices.unwrap_or_default().into_iter().next() {
            self.apply_choice(choice);
        }
        Ok(Step::Continue)
    }

    fn apply_choice(&mut self, choice: Choice) {
        let delta = choice.delta.unwrap_or_default();
        if let Some(text) = delta.content.filter(|text| !text.is_empty()) {
            self.meter.add(&text);
            self.ready.push_back(ChatChunk::Text(text));
        } else if delta.reasoning_content.is_some() || delta.reasoning.is_some() {
            let detail = "thinking".to_owned();
            self.ready.push_back(ChatChunk::Progress { detail, percent: None });
        }
        if let Some(reason) = choice.finish_reason {
            self.finish = Some(match reason.as_str() {
                "length" => FinishReason::Length,
                "content_filter" => FinishReason::ContentFilter,
                _ => FinishReason::Stop,
            });
        }
    }

    fn finished(&self) -> ChatChunk {
        ChatChunk::Finished {
            usage: self.usage.unwrap_or_else(|| self.meter.usage(self.prompt_tokens)),
            reason: self.finish.unwrap_or(FinishReason::Stop),
        }
    }
}

#[derive(Deserialize)]
struct Completion {
    #[serde(default)]
    choices: Option<Vec<Choice>>,
    #[serde(default)]
    usage: Option<ReportedUsage>,
    #[serde(default)]
    x_groq: Option<Groq>,
    #[serde(default)]
    error: Option<ReportedError>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    delta: Option<Delta>,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
struct Delta {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    reasoning_content: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    reasoning: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Groq {
    #[serde(default)]
    usage: Option<ReportedUsage>,
}

#[derive(Deserialize)]
struct ReportedUsage {
    prompt_tokens: u32,
    completion_tokens: u32,
}

impl From<ReportedUsage> for Usage {
    fn from(usage: ReportedUsage) -> Self {
        let ReportedUsage { prompt_tokens, completion_tokens } = usage;
        Self { prompt_tokens, completion_tokens, estimated: false }
    }
}

#[cfg(test)]
mod tests;

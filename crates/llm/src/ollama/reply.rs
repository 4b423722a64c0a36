//! Turns the JSON lines of `/api/chat` into chunks.

use std::collections::VecDeque;

use futures_util::{StreamExt, stream};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    ChatChunk, ChatStream, FinishReason, ProviderError, TokenMeter, Usage,
    http::{self, Body},
    lines::LineDecoder,
};

/// Returns the reply in the body of an answer.
pub(super) fn stream(body: Body, prompt_tokens: u32) -> ChatStream {
    let reply = Reply {
        lines: JsonLines::new(body),
        prompt_tokens,
        meter: TokenMeter::default(),
        ended: false,
    };
    Box::pin(stream::unfold(reply, |mut reply| async move {
        let item = reply.next().await?;
        Some((item, reply))
    }))
}

struct Reply {
    lines: JsonLines<Line>,
    prompt_tokens: u32,
    meter: TokenMeter,
    ended: bool,
}

impl Reply {
    async fn next(&mut self) -> Option<Result<ChatChunk, ProviderError>> {
        while !self.ended {
            let chunk = match self.lines.next().await {
                Ok(Some(line)) => self.apply(line),
                Ok(None) => Err(ProviderError::Truncated),
                Err(error) => Err(error),
            };
            match chunk {
                Ok(None) => {}
                Ok(Some(chunk)) => {
                    if matches!(chunk, ChatChunk::Finished { .. }) {
                        self.end();
                    }
                    return Some(Ok(chunk));
                }
                Err(error) => {
                    self.end();
                    return Some(Err(error));
                }
            }
        }
        None
    }

    fn end(&mut self) {
        self.ended = true;
        self.lines.close();
    }

    fn apply(&mut self, mut line: Line) -> Result<Option<ChatChunk>, ProviderError> {
        if line.error.is_some() {
            return Err(ProviderError::ErrorInStream);
        }
        let message = line.message.take().unwrap_or_default();
        if !message.content.is_empty() {
            self.meter.add(&message.content);
            if line.done {
                // The last line may hold text: give it out first and end with the next call.
                self.lines.put_back(line);
            }
            return Ok(Some(ChatChunk::Text(message.content)));
        }
        if line.done {
            return Ok(Some(self.finished(&line)));
        }
        let thinking = message.thinking.is_some();
        let detail = "thinking".to_owned();
        Ok(thinking.then_some(ChatChunk::Progress { detail, percent: None }))
    }

    fn finished(&self, line: &Line) -> ChatChunk {
        let usage = match line.eval_count {
            Some(completion_tokens) => Usage {
                // Ollama leaves the count out when the whole prompt was cached.
                prompt_tokens: line.prompt_eval_count.unwrap_or(self.prompt_tokens),
                completion_tokens,
                estimated: line.prompt_eval_count.is_none(),
            },
            None => self.meter.usage(self.prompt_tokens),
        };
        let reason = match line.done_reason.as_deref() {
            Some("length") => FinishReason::Length,
            _ => FinishReason::Stop,
        };
        ChatChunk::Finished { usage, reason }
    }
}

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    message: Option<Message>,
    #[serde(default)]
    done: bool,
    #[serde(default)]
    done_reason: Option<String>,
    #[serde(default)]
    prompt_eval_count: Option<u32>,
    #[serde(default)]
    eval_count: Option<u32>,
    #[serde(default)]
    error: Option<serde::de::IgnoredAny>,
}

#[derive(Default, Deserialize)]
struct Message {
    #[serde(default)]
    content: String,
    #[serde(default)]
    thinking: Option<serde::de::IgnoredAny>,
}

/// One JSON value per line, as Ollama streams them.
pub(super) struct JsonLines<T> {
    body: Option<Body>,
    lines: LineDecoder,
    ready: VecDeque<T>,
    /// What went wrong behind the values that are ready.
    failure: Option<ProviderError>,
}

impl<T: DeserializeOwned> JsonLines<T> {
    pub(super) fn new(body: Body) -> Self {
        let (lines, ready) = (LineDecoder::default(), VecDeque::new());
        Self { body: Some(body), lines, ready, failure: None }
    }

    /// Returns the next value, or `None` at the end of the body.
    ///
    /// Values before a malformed line come out first.
    pub(super) async fn next(&mut self) -> Result<Option<T>, ProviderError> {
        loop {
            if let Some(value) = self.ready.pop_front() {
                return Ok(Some(value));
            }
            if let Some(error) = self.failure.take() {
                self.body = None;
                return Err(error);
            }
            let Some(body) = &mut self.body else { return Ok(None) };
            let Some(bytes) = body.next().await else {
                self.body = None;
                // A last line without its end counts when it is whole.
                let rest = self.lines.take_rest();
                return if rest.trim_ascii().is_empty() {
                    Ok(None)
                } else {
                    serde_json::from_slice(&rest).map(Some).map_err(|_| ProviderError::Truncated)
                };
            };
            let bytes = bytes.map_err(|error| http::from_body(&error))?;
            let ready = &mut self.ready;
            let pushed = self.lines.push(&bytes, |line| {
                if !line.trim_ascii().is_empty() {
                    ready.push_back(
                        serde_json::from_slice(line).map_err(|_| ProviderError::Malformed)?,
                    );
                }
                Ok(())
            });
            self.failure = pushed.err();
        }
    }

    /// Makes a value the next one.
    pub(super) fn put_back(&mut self, value: T) {
        self.ready.push_front(value);
    }

    /// Closes the connection.
    pub(super) fn close(&mut self) {
        self.body = None;
        self.ready.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn decode(pieces: &[&str]) -> Vec<Result<ChatChunk, ProviderError>> {
        let pieces: Vec<_> = pieces.iter().map(|piece| Ok((*piece).to_owned().into())).collect();
        stream(stream::iter(pieces).boxed(), 7).collect().await
    }

    #[expect(clippy::unnecessary_wraps, reason = "compared with the items of a reply")]
    fn text(text: &str) -> Result<ChatChunk, ProviderError> {
        Ok(ChatChunk::Text(text.to_owned()))
    }

    #[expect(clippy::unnecessary_wraps, reason = "compared with the items of a reply")]
    fn finished(usage: Usage, reason: FinishReason) -> Result<ChatChunk, ProviderError> {
        Ok(ChatChunk::Finished { usage, reason })
    }

    const REPORTED: Usage = Usage { prompt_tokens: 3, completion_tokens: 5, estimated: false };
    const HI: &str = "{\"message\":{\"role\":\"assistant\",\"content\":\"hi\"},\"done\":false}\n";
    const DONE: &str = "{\"message\":{\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\",\
                        \"prompt_eval_count\":3,\"eval_count\":5}\n";

    #[tokio::test]
    async fn text_usage_and_end_come_in_order() {
        let items = decode(&[HI, DONE]).await;

        assert_eq!(items, [text("hi"), finished(REPORTED, FinishReason::Stop)]);
    }

    #[tokio::test]
    async fn text_in_the_last_line_is_not_lost() {
        let last = DONE.replace("\"content\":\"\"", "\"content\":\"!\"").replace("stop", "length");

        let items = decode(&[HI, &last]).await;

        assert_eq!(items, [text("hi"), text("!"), finished(REPORTED, FinishReason::Length)]);
    }

    #[tokio::test]
    async fn absent_counts_are_estimated_and_marked() {
        let items = decode(&[HI, "{\"done\":true}"]).await;

        let usage = Usage { prompt_tokens: 7, completion_tokens: 1, estimated: true };
        assert_eq!(items, [text("hi"), finished(usage, FinishReason::Stop)]);
    }

    #[tokio::test]
    async fn an_end_without_done_is_truncated() {
        assert_eq!(decode(&[]).await, [Err(ProviderError::Truncated)]);
        assert_eq!(decode(&[HI]).await, [text("hi"), Err(ProviderError::Truncated)]);
        assert_eq!(
            decode(&[HI, "{\"message\":{\"con"]).await,
            [text("hi"), Err(ProviderError::Truncated)]
        );
    }

    #[tokio::test]
    async fn garbage_and_reported_errors_end_the_reply() {
        assert_eq!(decode(&["<html>\n"]).await, [Err(ProviderError::Malformed)]);
        assert_eq!(
            decode(&[HI, "{\"error\":\"out of memory at 10.0.0.1\"}\n"]).await,
            [text("hi"), Err(ProviderError::ErrorInStream)]
        );
    }

    #[tokio::test]
    async fn thinking_shows_as_progress_and_not_as_text() {
        let thinking = "{\"message\":{\"content\":\"\",\"thinking\":\"hm\"},\"done\":false}\n";

        let items = decode(&[thinking, DONE]).await;

        let progress = ChatChunk::Progress { detail: "thinking".to_owned(), percent: None };
        assert_eq!(items, [Ok(progress), finished(REPORTED, FinishReason::Stop)]);
    }
}

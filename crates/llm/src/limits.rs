//! Bounds on every reply, whichever provider sends it.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::time::{Instant, timeout_at};

use crate::{ChatChunk, ChatStream, FinishReason, ProviderError, TokenMeter, error::TimeoutStage};

/// Bytes of text in one reply; a longer one ends there with [`FinishReason::Length`].
pub const MAX_TEXT_BYTES: usize = 256 * 1024;

/// Bytes of one line of a provider's stream; a longer one is malformed.
pub const MAX_LINE_BYTES: usize = 1024 * 1024;

/// How long each part of a reply may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeLimits {
    /// Opening the connection. Used when the HTTP client is built, see [`crate::http_client`].
    pub connect: Duration,
    /// From the request, or the latest sign of progress before any text, to the first text.
    pub first_token: Duration,
    /// From one piece of text to the next.
    pub between_tokens: Duration,
    /// The whole reply, not counting the download of a model.
    pub total: Duration,
}

impl Default for TimeLimits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            first_token: Duration::from_mins(1),
            between_tokens: Duration::from_secs(30),
            total: Duration::from_mins(5),
        }
    }
}

/// Holds a reply to its bounds.
///
/// The clocks start at the first poll and stand still while the caller does not poll for the next
/// chunk, except the one for the whole reply. The result keeps the [`ChatStream`] contract even if
/// `inner` does not: a stream that ends without `Finished` becomes [`ProviderError::Truncated`].
/// `prompt_tokens` is the estimate to report if the text has to be cut.
pub fn limited(inner: ChatStream, limits: TimeLimits, prompt_tokens: u32) -> ChatStream {
    let reply = Limited {
        inner: Some(inner),
        limits,
        prompt_tokens,
        meter: TokenMeter::default(),
        text_bytes: 0,
        clocks: None,
        talking: false,
        last_progress: None,
        cut: false,
    };
    Box::pin(stream::unfold(reply, |mut reply| async move {
        let item = reply.next().await?;
        Some((item, reply))
    }))
}

struct Clocks {
    began: Instant,
    last_sign: Instant,
}

struct Limited {
    /// Gone once the reply has ended, which closes the connection.
    inner: Option<ChatStream>,
    limits: TimeLimits,
    prompt_tokens: u32,
    meter: TokenMeter,
    text_bytes: usize,
    clocks: Option<Clocks>,
    talking: bool,
    last_progress: Option<(String, Option<u8>)>,
    cut: bool,
}

impl Limited {
    async fn next(&mut self) -> Option<Result<ChatChunk, ProviderError>> {
        if self.cut {
            self.cut = false;
            let usage = self.meter.usage(self.prompt_tokens);
            return Some(Ok(ChatChunk::Finished { usage, reason: FinishReason::Length }));
        }
        loop {
            let (deadline, stage) = self.deadline();
            let inner = self.inner.as_mut()?;
            let item = match timeout_at(deadline, inner.next()).await {
                Err(_) => Err(ProviderError::TimedOut { stage }),
                Ok(None) => Err(ProviderError::Truncated),
                Ok(Some(item)) => item,
            };
            if let Some(item) = self.admit(item) {
                return Some(item);
            }
        }
    }

    fn deadline(&mut self) -> (Instant, TimeoutStage) {
        let now = Instant::now();
        let clocks = self.clocks.get_or_insert(Clocks { began: now, last_sign: now });
        let total = clocks.began + self.limits.total;
        let (next, stage) = if self.talking {
            (now + self.limits.between_tokens, TimeoutStage::BetweenTokens)
        } else {
            (clocks.last_sign + self.limits.first_token, TimeoutStage::FirstToken)
        };
        if total < next { (total, TimeoutStage::Total) } else { (next, stage) }
    }

    /// Takes one item into account; `None` when the caller need not see it.
    fn admit(
        &mut self,
        item: Result<ChatChunk, ProviderError>,
    ) -> Option<Result<ChatChunk, ProviderError>> {
        match item {
            Ok(ChatChunk::Text(text)) => self.admit_text(text).map(Ok),
            Ok(ChatChunk::Progress { detail, percent }) => {
                if let Some(clocks) = &mut self.clocks {
                    clocks.last_sign = Instant::now();
                    if percent.is_some() {
                        // A download has its own bound in the provider.
                        clocks.began = clocks.last_sign;
                    }
                }
                let progress = (detail, percent);
                if self.last_progress.as_ref() == Some(&progress) {
                    return None;
                }
                self.last_progress = Some(progress.clone());
                let (detail, percent) = progress;
                Some(Ok(ChatChunk::Progress { detail, percent }))
            }
            end @ (Ok(ChatChunk::Finished { .. }) | Err(_)) => {
                self.inner = None;
                Some(end)
            }
        }
    }

    fn admit_text(&mut self, mut text: String) -> Option<ChatChunk> {
        let room = MAX_TEXT_BYTES - self.text_bytes;
        if text.len() > room {
            text.truncate(text.floor_char_boundary(room));
            self.inner = None;
            self.cut = true;
        }
        if text.is_empty() && !self.cut {
            return None;
        }
        self.talking = true;
        self.text_bytes += text.len();
        self.meter.add(&text);
        if text.is_empty() {
            self.cut = false;
            let usage = self.meter.usage(self.prompt_tokens);
            return Some(ChatChunk::Finished { usage, reason: FinishReason::Length });
        }
        Some(ChatChunk::Text(text))
    }
}

#[cfg(test)]
mod tests;

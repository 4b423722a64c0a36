//! Tries a failed call again, as long as nobody has seen a word of the reply.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::sleep;

use crate::{
    ChatChunk, ChatRequest, ChatStream, Provider, ProviderError, TimeLimits,
    estimate_request_tokens, limited,
};

/// How often and how patiently a call is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Calls in all, the first one included; 0 counts as 1.
    pub attempts: u32,
    /// The longest wait after the first failure; it doubles with each further one.
    pub base: Duration,
    /// The longest wait of all, also where the provider asks for more.
    pub cap: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { attempts: 3, base: Duration::from_millis(500), cap: Duration::from_secs(8) }
    }
}

impl RetryPolicy {
    /// Returns the wait after the given number of failures (1 for the first).
    ///
    /// `jitter` is in `0.0..=1.0` and scales the wait, so that many callers do not come back
    /// together. The wait is not shorter than what the provider asked for, up to the cap.
    pub fn delay(&self, failures: u32, retry_after: Option<Duration>, jitter: f64) -> Duration {
        let doubled = self.base.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
        let waited = doubled.min(self.cap).mul_f64(jitter.clamp(0.0, 1.0));
        waited.max(retry_after.unwrap_or_default().min(self.cap))
    }
}

/// Returns a reply that is within `limits` and that hides failures worth another try.
///
/// The call is made when the stream is first polled. A failure is tried again only before the
/// first text, because text that others have seen cannot be taken back. The limits hold for each
/// attempt. Dropping the stream ends whatever is under way.
pub fn chat_with_retry(
    provider: Arc<dyn Provider>,
    request: ChatRequest,
    policy: RetryPolicy,
    limits: TimeLimits,
) -> ChatStream {
    let call = Call { provider, request, policy, limits, failures: 0, phase: Phase::Idle };
    Box::pin(stream::unfold(call, |mut call| async move {
        let item = call.next().await?;
        Some((item, call))
    }))
}

enum Phase {
    Idle,
    Waiting(ChatStream),
    Talking(ChatStream),
    Ended,
}

struct Call {
    provider: Arc<dyn Provider>,
    request: ChatRequest,
    policy: RetryPolicy,
    limits: TimeLimits,
    failures: u32,
    phase: Phase,
}

impl Call {
    async fn next(&mut self) -> Option<Result<ChatChunk, ProviderError>> {
        loop {
            let (item, talking) = match &mut self.phase {
                Phase::Ended => return None,
                Phase::Idle => {
                    self.phase = Phase::Waiting(self.attempt());
                    continue;
                }
                Phase::Waiting(reply) => (reply.next().await, false),
                Phase::Talking(reply) => (reply.next().await, true),
            };
            let error = match item.unwrap_or(Err(ProviderError::Truncated)) {
                Ok(chunk) => {
                    self.advance(&chunk);
                    return Some(Ok(chunk));
                }
                Err(error) => error,
            };
            self.failures += 1;
            // Also closes the connection before the wait.
            self.phase = Phase::Ended;
            if talking || !error.is_retryable() || self.failures >= self.policy.attempts {
                return Some(Err(error));
            }
            let wait = self.policy.delay(self.failures, error.retry_after(), rand::random());
            tracing::debug!(
                provider = self.provider.name(),
                error = %error,
                attempt = self.failures,
                wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                "call to provider failed, trying again"
            );
            sleep(wait).await;
            self.phase = Phase::Idle;
        }
    }

    /// Starts one attempt; its time limits cover the call as well as the reply.
    fn attempt(&self) -> ChatStream {
        let provider = Arc::clone(&self.provider);
        let request = self.request.clone();
        let prompt_tokens = estimate_request_tokens(&request);
        let reply = stream::once(async move { provider.chat(request).await }).try_flatten();
        limited(Box::pin(reply), self.limits, prompt_tokens)
    }

    fn advance(&mut self, chunk: &ChatChunk) {
        self.phase = match (std::mem::replace(&mut self.phase, Phase::Ended), chunk) {
            (_, ChatChunk::Finished { .. }) => Phase::Ended,
            (Phase::Waiting(reply), ChatChunk::Text(_)) => Phase::Talking(reply),
            (phase, _) => phase,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_and_scale_with_the_jitter() {
        let policy = RetryPolicy::default();
        let full = |failures| policy.delay(failures, None, 1.0).as_millis();

        assert_eq!([full(1), full(2), full(3), full(9), full(99)], [500, 1000, 2000, 8000, 8000]);
        assert_eq!(policy.delay(2, None, 0.5).as_millis(), 500);
        assert_eq!(policy.delay(2, None, 0.0).as_millis(), 0);
    }

    #[test]
    fn the_wait_asked_for_by_the_provider_is_kept_up_to_the_cap() {
        let policy = RetryPolicy::default();
        let asked = |secs| policy.delay(1, Some(Duration::from_secs(secs)), 0.0).as_secs();

        assert_eq!([asked(2), asked(8), asked(3600)], [2, 8, 8]);
    }
}

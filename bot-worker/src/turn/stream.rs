//! The part of a turn in which the provider speaks.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Fuse, FusedFuture as _, FutureExt as _};
use futures_util::{Future, StreamExt as _};
use parlor_llm::{
    ChatChunk, ChatRequest, Provider, ProviderError, chat_with_retry, estimate_request_tokens,
};
use parlor_protocol::message::Usage;
use parlor_protocol::signal::BotState;
use parlor_store::StoreError;
use parlor_store::record::Lease;
use tokio::task::coop::consume_budget;
use tokio::time::{Instant, sleep_until, timeout};

use super::{Halt, Turn};
use crate::draft::DELTA_BYTES_MAX;
use crate::ending::Stop;

/// Least time between two reports of progress.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);

/// What came of a renewal; `None`: the store did not answer in time.
type Renewed = Option<Result<Lease, StoreError>>;
/// A renewal of the lease, with the time at which it was asked for.
type Renewal = Pin<Box<dyn Future<Output = (Instant, Renewed)> + Send>>;

/// What happens next.
enum Step {
    Chunk(Option<Result<ChatChunk, ProviderError>>),
    Tell,
    Renew,
    Renewed(Instant, Renewed),
}

/// The times of a stream.
struct Times {
    called_at: Instant,
    /// The earliest time for the next delta.
    next_delta: Instant,
    next_renewal: Instant,
    /// The earliest time for the next checkpoint.
    next_checkpoint: Instant,
    next_progress: Instant,
    /// The last chunk that a checkpoint holds.
    checkpoint: u32,
}

impl Turn {
    /// Calls the provider and tells the room its text as it arrives.
    ///
    /// Returning drops the stream, which closes the connection to the provider.
    pub(super) async fn stream(
        &mut self,
        provider: Arc<dyn Provider>,
        request: ChatRequest,
    ) -> Result<Stop, Halt> {
        let config = &self.shared.config;
        let (retry, limits) = (config.retry, config.time_limits);
        let now = Instant::now();
        let mut times = Times {
            called_at: now,
            next_delta: now,
            next_renewal: now + config.renew_every,
            next_checkpoint: now + config.checkpoint_every,
            next_progress: now,
            checkpoint: 0,
        };
        let prompt_tokens = estimate_request_tokens(&request);
        let mut chunks = chat_with_retry(provider, request, retry, limits);
        let mut renewal: Fuse<Renewal> = Fuse::terminated();
        let stop = loop {
            // A provider that is always ready must not keep the timers from running.
            consume_budget().await;
            let step = tokio::select! {
                biased;
                () = self.tokens.abort.cancelled() => return Err(Halt::Aborted),
                () = self.tokens.cancel.cancelled() => break Stop::Cancelled,
                () = sleep_until(self.held_until) => return Err(Halt::Lost),
                (asked_at, lease) = &mut renewal => Step::Renewed(asked_at, lease),
                () = sleep_until(times.next_delta), if self.draft.untold_bytes() > 0 => Step::Tell,
                () = sleep_until(self.next_call(&times)), if renewal.is_terminated() => Step::Renew,
                chunk = chunks.next() => Step::Chunk(chunk),
            };
            match step {
                Step::Chunk(chunk) => {
                    let chunk = chunk.unwrap_or(Err(ProviderError::Truncated));
                    if let Some(stop) = self.take_chunk(chunk, &mut times)? {
                        break stop;
                    }
                }
                Step::Tell => {
                    self.tell_delta()?;
                    times.next_delta = Instant::now() + self.shared.config.cork;
                }
                Step::Renew => renewal = self.renew(&mut times).fuse(),
                Step::Renewed(asked_at, lease) => {
                    if let Some(stop) = self.take_lease(asked_at, lease, &mut times)? {
                        break stop;
                    }
                }
            }
        };
        if self.usage.is_none() {
            self.usage = Some(self.estimate_usage(prompt_tokens));
        }
        Ok(stop)
    }

    /// Takes what the provider sent; `Some` when it was the last.
    fn take_chunk(
        &mut self,
        chunk: Result<ChatChunk, ProviderError>,
        times: &mut Times,
    ) -> Result<Option<Stop>, Halt> {
        let stop = match chunk {
            Ok(ChatChunk::Text(text)) => {
                if self.draft.text().is_empty() {
                    self.note_first_text(times);
                }
                if !self.draft.push(&text) {
                    return Ok(Some(Stop::Full));
                }
                while self.draft.untold_bytes() >= DELTA_BYTES_MAX && self.tell_delta()? {
                    times.next_delta = Instant::now() + self.shared.config.cork;
                }
                None
            }
            Ok(ChatChunk::Progress { detail, percent }) => {
                let now = Instant::now();
                if now >= times.next_progress {
                    times.next_progress = now + PROGRESS_EVERY;
                    let detail = match percent {
                        Some(percent) => format!("{detail}, {percent} %"),
                        None => detail,
                    };
                    self.tell_status(BotState::Thinking, Some(detail));
                }
                None
            }
            Ok(ChatChunk::Finished { usage, reason }) => {
                self.usage = Some(Usage {
                    prompt_tokens: usage.prompt_tokens,
                    completion_tokens: usage.completion_tokens,
                    estimated: usage.estimated,
                });
                Some(Stop::Finished(reason))
            }
            Err(error) => {
                let provider = self.provider_name();
                self.shared.metrics.count_error(&provider, &error);
                tracing::warn!(%provider, %error, "provider failed");
                Some(Stop::Provider(error))
            }
        };
        Ok(stop)
    }

    fn note_first_text(&self, times: &Times) {
        let waited = times.called_at.elapsed().as_secs_f64();
        let first_chunk = &self.shared.metrics.first_chunk;
        first_chunk.with_label_values(&[self.provider_name().as_str()]).observe(waited);
        self.tell_status(BotState::Streaming, None);
    }

    /// Returns when the store is to be called next: to store text that is new, or to renew the lease.
    fn next_call(&self, times: &Times) -> Instant {
        if self.draft.chunk() == times.checkpoint {
            times.next_renewal
        } else {
            times.next_renewal.min(times.next_checkpoint)
        }
    }

    /// Prolongs the lease, with the text so far if there is more of it than last time.
    fn renew(&self, times: &mut Times) -> Renewal {
        let config = &self.shared.config;
        let store = Arc::clone(&self.shared.store);
        let (job, generation, lease) = (self.job.id, self.job.generation, config.lease);
        // One that hangs must leave time for another.
        let patience = lease / 3;
        let asked_at = Instant::now();
        let chunk = self.draft.chunk();
        times.next_renewal = asked_at + config.renew_every;
        if chunk == times.checkpoint || asked_at < times.next_checkpoint {
            return Box::pin(async move {
                let renewed = timeout(patience, store.renew_lease(job, generation, lease)).await;
                (asked_at, renewed.ok())
            });
        }
        times.next_checkpoint = asked_at + config.checkpoint_every;
        times.checkpoint = chunk;
        let text = self.draft.told().to_owned();
        Box::pin(async move {
            let stored = store.checkpoint_reply(job, generation, chunk, text, lease);
            (asked_at, timeout(patience, stored).await.ok())
        })
    }

    /// Takes the answer to a renewal; `Some` when the reply is to be stopped.
    fn take_lease(
        &mut self,
        asked_at: Instant,
        renewed: Renewed,
        times: &mut Times,
    ) -> Result<Option<Stop>, Halt> {
        match renewed {
            Some(Ok(Lease::Held { cancel_requested })) => {
                self.held_until = self.shared.held_until(asked_at);
                return Ok(cancel_requested.then_some(Stop::Cancelled));
            }
            Some(Ok(Lease::Lost)) => return Err(Halt::Lost),
            Some(Err(error)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "lease was not renewed");
            }
            None => tracing::warn!("lease was not renewed in time"),
        }
        // The next one stores the text again; `held_until` bounds how often this may fail.
        times.checkpoint = 0;
        Ok(None)
    }
}

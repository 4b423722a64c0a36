//! One turn: one attempt of one worker at one reply.
//!
//! A turn either gives the reply its ending, or leaves the job to a later turn: because the lease is
//! lost, or because the worker has to stop now. What it writes carries the generation of its claim,
//! so a turn that was overtaken changes nothing. Dropping a turn at any point is safe; the job is
//! due again when its lease ends.

use std::sync::Arc;
use std::time::Duration;

use parlor_bus::Control;
use parlor_llm::Provider;
use parlor_protocol::id::MessageId;
use parlor_protocol::message::{MessageStatus, Usage};
use parlor_protocol::signal::BotState;
use parlor_store::record::ClaimedJob;
use parlor_store::{AppendRefused, Appended, Intent, ReplyEnd};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::draft::Draft;
use crate::ending::Stop;
use crate::metrics::Outcome;
use crate::shared::Shared;

mod calls;
mod prepare;
mod stream;
mod tell;

/// How long storing the text may take when the process has to stop now.
const CHECKPOINT_PATIENCE: Duration = Duration::from_secs(1);
/// Longest wait before a job that no turn can end is tried again.
const PARK_MAX: Duration = Duration::from_hours(1);

/// The tokens that end a turn early.
#[derive(Debug, Clone)]
pub(crate) struct Tokens {
    /// Someone stopped the reply.
    pub(crate) cancel: CancellationToken,
    /// The worker has to stop now.
    pub(crate) abort: CancellationToken,
}

/// Why a turn does not go on.
#[derive(Debug)]
enum Halt {
    /// The reply is to be ended.
    Stop(Stop),
    /// The job belongs to another turn.
    Lost,
    /// The job is to be given back.
    Aborted,
}

/// One attempt at one reply.
#[derive(Debug)]
pub(crate) struct Turn {
    shared: Arc<Shared>,
    job: ClaimedJob,
    tokens: Tokens,
    /// Until when the lease holds for certain unless it is renewed, by the monotonic clock of this
    /// machine. After it nothing is told or written.
    held_until: Instant,
    message: MessageId,
    provider: Option<Arc<dyn Provider>>,
    draft: Draft,
    /// The cost, once the provider was called.
    usage: Option<Usage>,
}

impl Turn {
    /// Creates a turn for a job whose claim was asked for at `claimed_at`.
    pub(crate) fn new(
        shared: Arc<Shared>,
        job: ClaimedJob,
        tokens: Tokens,
        claimed_at: Instant,
    ) -> Self {
        let message = match &job.begun {
            Some(begun) => begun.message,
            None => MessageId(shared.clock.new_id()),
        };
        let provider = match &job.bot.provider {
            Some(name) => shared.providers.find(name),
            None => Some(shared.providers.default_provider()),
        };
        let held_until = shared.held_until(claimed_at);
        let draft = Draft::new(shared.config.reply_bytes);
        Self { shared, job, tokens, held_until, message, provider, draft, usage: None }
    }

    /// Runs the turn to its end.
    pub(crate) async fn run(mut self) -> Outcome {
        let stop = match self.answer().await {
            Ok(stop) | Err(Halt::Stop(stop)) => Ok(stop),
            Err(halt) => Err(halt),
        };
        let end = match stop {
            Ok(stop) => self.close(&stop).await,
            Err(halt) => Err(halt),
        };
        match end {
            Ok(status) => Outcome::Ended(status),
            Err(Halt::Aborted) => {
                self.hand_over().await;
                Outcome::Released
            }
            Err(Halt::Lost | Halt::Stop(_)) => {
                tracing::info!("turn has lost its job");
                Outcome::Lost
            }
        }
    }

    /// Decides whether the provider is called, calls it, and returns what stopped the reply.
    async fn answer(&mut self) -> Result<Stop, Halt> {
        let provider = self.admit().await?;
        self.tell_status(BotState::Thinking, None);
        let request = self.read_context(&provider).await?;
        self.begin(&request).await?;
        self.stream(provider, request).await
    }

    /// Gives the reply its ending.
    async fn close(&mut self, stop: &Stop) -> Result<MessageStatus, Halt> {
        let kept = self.job.begun.as_ref().map(|begun| begun.text.clone()).unwrap_or_default();
        if self.draft.text().is_empty() && !matches!(stop, Stop::Finished(_)) {
            self.draft.push(&kept);
        }
        self.tell_rest()?;
        let ending = stop.ending(self.draft.text());
        let usage = self.usage.unwrap_or_default();
        let end = ReplyEnd {
            status: ending.status,
            body: self.draft.text().to_owned(),
            usage,
            error: ending.error,
            provider: self.provider_name(),
            model: self.model(self.provider.as_ref()),
        };
        let intent = Intent::CompleteReply {
            job: self.job.id,
            generation: self.job.generation,
            message: self.message,
            end,
        };
        let appended = match self.append(intent).await? {
            Ok(appended) => appended,
            Err(AppendRefused::StaleGeneration) => return Err(Halt::Lost),
            Err(refused) => {
                tracing::warn!(reason = %refused, "reply cannot be ended, trying again later");
                self.park().await;
                return Err(Halt::Lost);
            }
        };
        if self.usage.is_some() {
            self.shared.metrics.count_tokens(&self.provider_name(), &usage);
        }
        self.tell_appended(appended);
        Ok(ending.status)
    }

    /// Tells the room what was committed, and the bots that were called by it.
    fn tell_appended(&self, appended: Appended) {
        match appended {
            Appended::New { events, jobs } => {
                self.shared.bus.publish_events(events);
                for job in &jobs {
                    self.tell_queued(job);
                }
                if !jobs.is_empty() {
                    self.shared.bus.publish_control(Control::JobQueued);
                }
            }
            Appended::Repeat { event } => self.shared.bus.publish_events(vec![event]),
            Appended::Unchanged => {}
        }
    }

    /// Stores what the room was told and makes the job due for the next worker.
    async fn hand_over(&self) {
        let (job, generation) = (self.job.id, self.job.generation);
        if self.draft.chunk() > 0 {
            let (store, chunk) = (&self.shared.store, self.draft.chunk());
            let (text, lease) = (self.draft.told().to_owned(), self.shared.config.lease);
            let stored = store.checkpoint_reply(job, generation, chunk, text, lease);
            match timeout(CHECKPOINT_PATIENCE, stored).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::debug!(%error, "text so far was not stored"),
                Err(_) => tracing::debug!("text so far was not stored in time"),
            }
        }
        self.shared.hand_over(job, generation).await;
    }

    /// Leaves a job that cannot be ended for later, each time for longer.
    async fn park(&self) {
        let wait = Duration::from_secs(1 << self.job.attempt.min(12)).min(PARK_MAX);
        self.shared.release(self.job.id, self.job.generation, wait).await;
    }

    /// Tells whether nobody else can hold the job yet.
    fn holds(&self) -> bool {
        Instant::now() < self.held_until
    }

    fn provider_name(&self) -> String {
        match &self.provider {
            Some(provider) => provider.name().to_owned(),
            None => self.job.bot.provider.clone().unwrap_or_default(),
        }
    }

    fn model(&self, provider: Option<&Arc<dyn Provider>>) -> String {
        let own = self.job.bot.model.clone();
        own.or_else(|| provider.map(|provider| provider.default_model().to_owned()))
            .unwrap_or_default()
    }

    /// Returns the cost of a reply that the provider did not count.
    fn estimate_usage(&self, prompt_tokens: u32) -> Usage {
        Usage { prompt_tokens, completion_tokens: self.draft.tokens(), estimated: true }
    }
}

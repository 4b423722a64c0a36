//! What a worker counts. Label values come from closed sets.

use parlor_llm::{ProviderError, TimeoutStage};
use parlor_protocol::message::{MessageStatus, Usage};
use prometheus::{
    Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts,
    Registry,
};

/// How a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The reply has its ending.
    Ended(MessageStatus),
    /// Another worker holds the job, or the room is gone.
    Lost,
    /// The job was given back for another worker or the next start.
    Released,
    /// The turn panicked.
    Panicked,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ended(status) => status.as_str(),
            Self::Lost => "lost",
            Self::Released => "released",
            Self::Panicked => "panicked",
        }
    }
}

/// The metrics of a worker.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) turns: IntCounterVec,
    pub(crate) running: IntGauge,
    pub(crate) attempts: Histogram,
    pub(crate) take_overs: IntCounter,
    pub(crate) claim_failures: IntCounter,
    pub(crate) jobs_waiting: IntGauge,
    pub(crate) jobs_held: IntGauge,
    pub(crate) oldest_waiting: Gauge,
    pub(crate) first_chunk: HistogramVec,
    pub(crate) tokens: IntCounterVec,
    pub(crate) errors: IntCounterVec,
}

impl Metrics {
    /// Creates the metrics in a registry.
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            turns: counter("parlor_bot_turns_total", "Turns of bots by outcome.", &["outcome"])?,
            running: IntGauge::new("parlor_bot_turns_running", "Turns of bots that run now.")?,
            attempts: Histogram::with_opts(
                HistogramOpts::new(
                    "parlor_bot_attempts",
                    "Attempts that a reply had taken when it ended.",
                )
                .buckets(vec![1.0, 2.0, 3.0, 5.0, 10.0, 20.0]),
            )?,
            take_overs: IntCounter::new(
                "parlor_bot_take_overs_total",
                "Turns with a job that another turn had held.",
            )?,
            claim_failures: IntCounter::new(
                "parlor_bot_claim_failures_total",
                "Claims that the store did not answer.",
            )?,
            jobs_waiting: IntGauge::new(
                "parlor_bot_jobs_waiting",
                "Calls of bots that wait, in the whole store.",
            )?,
            jobs_held: IntGauge::new(
                "parlor_bot_jobs_held",
                "Calls of bots that some worker holds, in the whole store.",
            )?,
            oldest_waiting: Gauge::new(
                "parlor_bot_jobs_oldest_waiting_seconds",
                "For how long the longest waiting call has been due.",
            )?,
            first_chunk: HistogramVec::new(
                HistogramOpts::new(
                    "parlor_llm_time_to_first_chunk_seconds",
                    "Time from the call to the first text of a reply.",
                )
                .buckets(vec![0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0]),
                &["provider"],
            )?,
            tokens: counter(
                "parlor_llm_tokens_total",
                "Tokens sent to and received from providers.",
                &["provider", "direction"],
            )?,
            errors: counter(
                "parlor_llm_errors_total",
                "Failed calls to providers by kind.",
                &["provider", "kind"],
            )?,
        };
        registry.register(Box::new(metrics.turns.clone()))?;
        registry.register(Box::new(metrics.running.clone()))?;
        registry.register(Box::new(metrics.attempts.clone()))?;
        registry.register(Box::new(metrics.take_overs.clone()))?;
        registry.register(Box::new(metrics.claim_failures.clone()))?;
        registry.register(Box::new(metrics.jobs_waiting.clone()))?;
        registry.register(Box::new(metrics.jobs_held.clone()))?;
        registry.register(Box::new(metrics.oldest_waiting.clone()))?;
        registry.register(Box::new(metrics.first_chunk.clone()))?;
        registry.register(Box::new(metrics.tokens.clone()))?;
        registry.register(Box::new(metrics.errors.clone()))?;
        Ok(metrics)
    }

    /// Counts the end of a turn, which was the given attempt at its reply.
    pub(crate) fn count_turn(&self, outcome: Outcome, attempt: u32) {
        if matches!(outcome, Outcome::Ended(_)) {
            self.attempts.observe(attempt.into());
        }
        self.turns.with_label_values(&[outcome.as_str()]).inc();
    }

    pub(crate) fn count_tokens(&self, provider: &str, usage: &Usage) {
        let directions = [("prompt", usage.prompt_tokens), ("completion", usage.completion_tokens)];
        for (direction, tokens) in directions {
            self.tokens.with_label_values(&[provider, direction]).inc_by(tokens.into());
        }
    }

    pub(crate) fn count_error(&self, provider: &str, error: &ProviderError) {
        self.errors.with_label_values(&[provider, kind(error)]).inc();
    }
}

fn counter(name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
    IntCounterVec::new(Opts::new(name, help), labels)
}

fn kind(error: &ProviderError) -> &'static str {
    match error {
        ProviderError::Unauthorized => "unauthorized",
        ProviderError::RateLimited { .. } => "rate_limited",
        ProviderError::QuotaExhausted => "quota_exhausted",
        ProviderError::Overloaded { .. } => "overloaded",
        ProviderError::ServerError { .. } => "server_error",
        ProviderError::ErrorInStream => "error_in_stream",
        ProviderError::Rejected { .. } => "rejected",
        ProviderError::ModelNotFound => "model_not_found",
        ProviderError::Unreachable { .. } => "unreachable",
        ProviderError::TimedOut { stage: TimeoutStage::Connect } => "timeout_connect",
        ProviderError::TimedOut { stage: TimeoutStage::FirstToken } => "timeout_first_token",
        ProviderError::TimedOut { stage: TimeoutStage::BetweenTokens } => "timeout_between_tokens",
        ProviderError::TimedOut { stage: TimeoutStage::Total } => "timeout_total",
        ProviderError::Truncated => "truncated",
        ProviderError::Malformed => "malformed",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use prometheus::TextEncoder;

    use super::*;

    #[test]
    fn names_and_labels_are_as_published() {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry).unwrap();
        metrics.count_turn(Outcome::Ended(MessageStatus::Completed), 2);
        metrics.count_turn(Outcome::Lost, 1);
        metrics.count_error("demo", &ProviderError::Truncated);
        let usage = Usage { prompt_tokens: 7, completion_tokens: 3, estimated: true };
        metrics.count_tokens("demo", &usage);
        metrics.first_chunk.with_label_values(&["demo"]).observe(0.2);

        let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();

        insta::assert_snapshot!(text);
    }

    #[test]
    fn same_registry_takes_the_metrics_once() {
        let registry = Registry::new();
        Metrics::register(&registry).unwrap();
        assert!(Metrics::register(&registry).is_err());
    }
}

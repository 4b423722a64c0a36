//! The bot worker within a program.

use std::sync::Arc;
use std::time::Duration;

use parlor_bot_worker::{BotWorker, BotWorkerConfig};
use parlor_broker::start::Backends;
use parlor_llm::{RetryPolicy, TimeLimits};
use parlor_runtime::{Config, Lifecycle};

/// Starts the worker. When the program drains, replies may finish for `patience`; what is left then
/// is handed over, to another worker or the next start.
pub(crate) fn start(
    config: &Config,
    backends: &Backends,
    lifecycle: &Lifecycle,
    patience: Duration,
) -> anyhow::Result<()> {
    let worker = BotWorker::new(
        settings(config, patience),
        Arc::clone(&backends.store),
        Arc::clone(&backends.bus),
        Arc::clone(&backends.providers),
        Arc::clone(&backends.clock),
        &backends.registry,
    )?;
    let run = worker.run(lifecycle.draining(), lifecycle.aborting());
    lifecycle.spawn_critical("bots", run);
    Ok(())
}

fn settings(config: &Config, patience: Duration) -> BotWorkerConfig {
    let (bots, llm) = (&config.bots, &config.llm);
    BotWorkerConfig {
        concurrency: bots.concurrency,
        provider_concurrency: bots.provider_concurrency,
        drain: patience,
        lease: bots.lease,
        checkpoint_every: bots.checkpoint,
        cork: bots.cork,
        context_tokens: u32::try_from(bots.context_tokens).unwrap_or(u32::MAX),
        temperature: llm.temperature,
        max_tokens: Some(llm.max_tokens),
        max_attempts: bots.max_attempts,
        pair_limit_per_minute: bots.pair_limit_per_minute,
        reply_bytes: bots.reply.get(),
        retry: RetryPolicy { attempts: llm.retries + 1, ..RetryPolicy::default() },
        time_limits: TimeLimits {
            connect: llm.connect_timeout,
            first_token: llm.first_token_timeout,
            between_tokens: llm.between_tokens_timeout,
            total: llm.total_timeout,
        },
        ..BotWorkerConfig::default()
    }
}

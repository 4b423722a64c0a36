//! A node that clients connect to, with or without bots in the same process.

use anyhow::Context as _;
use parlor_bot_worker::GUIDE_SYSTEM_PROMPT;
use parlor_broker::start::Broker;
use parlor_runtime::Sources;
use parlor_runtime::config::Program;

use super::{announce, backends, begin, bots, files, outcome, secret};

/// Runs a node until it is told to stop.
///
/// # Errors
///
/// Fails with a sentence for the operator when it cannot start; nothing is left half made.
pub(crate) async fn run(sources: &Sources, program: Program) -> anyhow::Result<()> {
    let (config, lifecycle) = begin(sources, program)?;
    files::raise_limit();
    let opened = backends::open(&config, program, &lifecycle).await?;
    let Some(backends) = opened else { return Ok(()) };
    let secret = secret::read(&config)?;
    if backends::are_shared(&config) {
        secret::compare(&*backends.store, &secret).await?;
    }
    let starting = Broker::start(
        config.clone(),
        secret.expose().as_bytes(),
        backends.clone(),
        &lifecycle,
        GUIDE_SYSTEM_PROMPT,
    );
    let broker = Box::pin(starting).await?;
    if config.bots.enabled && program == Program::Serve {
        // Connections are closed in this time; replies to nobody need not last longer.
        let patience = config.lifecycle.drain.min(config.bots.drain);
        bots::start(&config, &backends, &lifecycle, patience).context("start the bots")?;
    }
    drop(backends);
    announce::node(&config, &broker)?;
    let stopped = lifecycle.wait().await;
    let committed = broker.close().await;
    outcome(&stopped, committed)
}

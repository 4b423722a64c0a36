//! `health`: whether one process takes work, in one word and an exit code, for health checks of
//! containers and for scripts. `doctor` is for people.

use anyhow::Context as _;
use parlor_runtime::exit;

use crate::context::Context;
use crate::failure::Said;

/// Asks `/readyz` of the server that commands talk to. A bot-worker has the same page.
///
/// # Errors
///
/// Fails with a code of its own when the process is there but takes no work.
pub(crate) async fn run(context: &Context) -> anyhow::Result<()> {
    let readiness = context.http()?.readyz().await.context("ask whether it is ready")?;
    if context.out.json {
        context.out.json(&readiness)?;
    }
    if readiness.ready {
        if !context.out.json {
            context.out.text("ready\n")?;
        }
        return Ok(());
    }
    let reason = readiness.reason.unwrap_or_else(|| "it does not say why".to_owned());
    context.out.note(&format!("not ready: {reason}"));
    Err(Said(exit::TRY_LATER).into())
}

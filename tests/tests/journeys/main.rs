//! The promises of one server, each with tests that try to break it.
//!
//! Every test runs the real binary: `cargo build -p parlor` first, or name one in `PARLOR_BIN`.
//! `PARLOR_SOAK=1` makes the long ones longer.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail")]

mod backup;
mod clients;
mod commands;
mod crash;
mod cuts;
mod drain;
mod durability;
mod files;
mod first_reply;
mod follow;
mod hopping;
mod idempotence;
mod large_room;
mod logs;
mod midstream;
mod openapi;
mod people;
mod permissions;
mod presence;
mod provider_faults;
mod python;
mod reading;
mod redaction;
mod refusals;
mod rest;
mod restart;
mod resume;
mod revocation;
mod room_files;
mod rules;
mod search;
mod sse;
mod stage;
mod stalled;
mod stop;
mod tokens;
mod typescript;
mod webhooks;

use std::{future::Future, time::Duration};

use tokio::{
    sync::RwLock,
    time::{Instant, sleep},
};

/// Held by every test, alone by those that load the machine or measure time.
static MACHINE: RwLock<()> = RwLock::const_new(());

/// How soon every node is to know that a right has ended. The product promises a second; this is a
/// debug build on a machine that does other things.
const PROMISED: Duration = Duration::from_secs(5);

/// How often a condition is looked at for which there is no event.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Returns how much more than usual a long test does.
fn soak_factor() -> usize {
    if std::env::var_os("PARLOR_SOAK").is_some() { 10 } else { 1 }
}

/// Waits until a condition outside of this process holds.
async fn until<F: Future<Output = bool>>(
    what: &str,
    patience: Duration,
    mut holds: impl FnMut() -> F,
) {
    let deadline = Instant::now() + patience;
    while !holds().await {
        assert!(Instant::now() < deadline, "not within {patience:?}: {what}");
        sleep(LOOK_EVERY).await;
    }
}

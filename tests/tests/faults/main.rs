//! A cluster keeps its promises while its parts are killed, stalled and cut off.
//!
//! Every test starts its own brokers, workers and services, and needs the real binary: `cargo build
//! -p parlor` first, or name one in `PARLOR_BIN`. `PARLOR_SOAK=1` makes the long ones longer, with
//! seeds nobody has seen; `PARLOR_SOAK=30` does so for about 30 minutes. `PARLOR_SEED` repeats one.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail")]

mod actor;
mod chaos;
mod journal;
mod nats_away;
#[cfg(feature = "soak")]
mod planted;
mod postgres_away;
#[cfg(feature = "soak")]
mod promotion;
mod redis_away;
mod report;
mod revocation;
mod rolling;
mod room;
mod scene;
mod settle;
mod slow_services;
mod stage;
mod workers;

use std::{future::Future, time::Duration};

use tokio::{
    sync::Mutex,
    time::{Instant, sleep},
};

/// Held by every test: clusters load the machine, and times are measured.
static MACHINE: Mutex<()> = Mutex::const_new(());

/// How often a condition is looked at for which there is no event.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Returns how long a soak takes, when it is one.
fn soak() -> Option<Duration> {
    let minutes = std::env::var_os("PARLOR_SOAK")?;
    let minutes = minutes.to_string_lossy().parse::<u64>().unwrap_or(1).max(1);
    // `PARLOR_SOAK=1` only says that it is one.
    Some(Duration::from_mins(if minutes == 1 { 10 } else { minutes }))
}

/// How long deliveries may take while something is away, when they took so long before. A soak has
/// the machine for itself.
fn delay_bound(before: Duration) -> Duration {
    let least = Duration::from_millis(if soak().is_some() { 300 } else { 2_000 });
    (before * 5).max(least)
}

/// Tells whoever looks at the output of a test.
#[expect(clippy::print_stdout, reason = "reports are for people")]
fn tell(what: &str) {
    println!("{what}");
}

/// Waits until a condition outside of this process holds, and returns how long that took.
async fn until<F: Future<Output = bool>>(
    what: &str,
    patience: Duration,
    mut holds: impl FnMut() -> F,
) -> Duration {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < patience, "not within {patience:?}: {what}");
        sleep(LOOK_EVERY).await;
    }
    begun.elapsed()
}

//! Looks after files: ends uploads that nobody wants, removes what is to be removed.
//!
//! Every node does it. *Invariant: whoever removes has claimed it, and stops well before the claim
//! ends.* What was removed for good may be written anew below the same key, by an upload that begins
//! again, and one who comes late must not take that away.

use std::sync::Arc;
use std::time::Duration;

use parlor_protocol::time::Timestamp;
use parlor_runtime::Clock;
use parlor_store::{Store, StoreError};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::{Files, PlaceState, after, note_failure};
use crate::node::Node;

/// Uploads that are ended, and objects that are removed, in one step.
const STEP: u32 = 100;
/// What could not be removed is tried again after so long.
const POSTPONED: Duration = Duration::from_mins(1);
/// What is below the key of a file is removed once more after so long: longer than a part may be on
/// its way.
const AGAIN: Duration = Duration::from_mins(10);
/// How long a claim holds. What a node had claimed when it was killed waits so long.
const CLAIMED: Duration = Duration::from_mins(2);
/// Of that time, how long a node goes on. The rest is for clocks that differ, and for what is on its
/// way to the storage.
const WORK: Duration = Duration::from_mins(1);

/// Looks after files until the node drains.
pub(crate) async fn keep(node: Arc<Node>) {
    let draining = node.lifecycle.draining();
    let mut tick = interval(node.config.files.sweep);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = draining.cancelled() => return,
            _ = tick.tick() => {}
        }
        if node.files.place() != PlaceState::Shared {
            node.compare_files().await;
            continue;
        }
        let stepped = async {
            expire(&node).await?;
            remove(&node).await
        };
        if let Err(error) = stepped.await {
            note_failure(&error);
        }
    }
}

async fn expire(node: &Node) -> Result<(), StoreError> {
    let expired = node.store.expire_uploads(node.now(), STEP).await?;
    node.files.metrics.uploads.with_label_values(&["expired"]).inc_by(expired);
    Ok(())
}

/// Removes what is due, until nothing is left, something fails or the node drains.
async fn remove(node: &Node) -> Result<(), StoreError> {
    let (files, now) = (&node.files, node.now());
    let postponed = after(now, POSTPONED);
    let metrics = &files.metrics;
    // With those that could not be removed.
    metrics.purges.set(as_gauge(node.store.count_due_purges(postponed).await?));
    loop {
        let claim = Claim::take(&*node.store, node.now()).await?;
        let goes_on = claim.carry_out(files, &*node.store, &*node.clock).await?;
        if !goes_on || node.lifecycle.draining().is_cancelled() {
            break;
        }
    }
    metrics.purges.set(as_gauge(node.store.count_due_purges(postponed).await?));
    Ok(())
}

/// Removals that are this node's alone for a while.
struct Claim {
    keys: Vec<String>,
    at: Timestamp,
    until: Timestamp,
    /// As `at`, by a clock that does not jump.
    since: Instant,
}

impl Claim {
    /// Claims what is due, as much as one step takes.
    async fn take(store: &dyn Store, at: Timestamp) -> Result<Self, StoreError> {
        let (until, since) = (after(at, CLAIMED), Instant::now());
        Ok(Self { keys: store.claim_due_purges(at, until, STEP).await?, at, until, since })
    }

    /// Removes what was claimed while there is time, and puts the rest off. Tells whether there may
    /// be more to remove.
    async fn carry_out(
        self,
        files: &Files,
        store: &dyn Store,
        clock: &dyn Clock,
    ) -> Result<bool, StoreError> {
        let (mut done, mut left) = (Vec::with_capacity(self.keys.len()), Vec::new());
        for key in &self.keys {
            let removed = remove_within(self.time_left(clock), files, key).await;
            if removed { &mut done } else { &mut left }.push(key.clone());
        }
        files.metrics.removed.inc_by(done.len() as u64);
        if !done.is_empty() {
            store.settle_purges(done, self.until, after(self.at, AGAIN)).await?;
        }
        let goes_on = left.is_empty() && self.keys.len() == STEP as usize;
        if !left.is_empty() {
            store.postpone_purges(left, self.until, after(self.at, POSTPONED)).await?;
        }
        Ok(goes_on)
    }

    fn time_left(&self, clock: &dyn Clock) -> Duration {
        let passed = Timestamp::new(clock.now()).as_millis().saturating_sub(self.at.as_millis());
        let passed = Duration::from_millis(u64::try_from(passed).unwrap_or(0));
        WORK.saturating_sub(passed.max(self.since.elapsed()))
    }
}

/// Removes what is at or below a key, and tells whether it is gone. What is not done in time is given
/// up, and nothing is begun when there is none.
async fn remove_within(time: Duration, files: &Files, key: &str) -> bool {
    if time.is_zero() {
        return false;
    }
    match timeout(time, files.objects.remove(key)).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            drop(files.refuse("remove", &error));
            false
        }
        Err(_) => false,
    }
}

fn as_gauge(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;

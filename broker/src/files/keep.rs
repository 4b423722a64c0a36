//! Looks after files: ends uploads that nobody wants, removes what is to be removed.
//!
//! Every node does it. Removing is the same however often it is done, so nodes need not agree who.

use std::sync::Arc;
use std::time::Duration;

use parlor_store::StoreError;
use tokio::time::{MissedTickBehavior, interval};

use super::{PlaceState, after, note_failure};
use crate::node::Node;

/// Uploads that are ended, and objects that are removed, in one step.
const STEP: u32 = 100;
/// What could not be removed is tried again after so long.
const POSTPONED: Duration = Duration::from_mins(1);
/// What is below the key of a file is removed once more after so long: longer than a part may be on
/// its way.
const AGAIN: Duration = Duration::from_mins(10);

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
    let (again_at, postponed) = (after(now, AGAIN), after(now, POSTPONED));
    let metrics = &files.metrics;
    // With those that could not be removed.
    metrics.purges.set(as_gauge(node.store.count_due_purges(postponed).await?));
    loop {
        let due = node.store.list_due_purges(now, STEP).await?;
        let (mut done, mut failed) = (Vec::with_capacity(due.len()), Vec::new());
        for key in &due {
            match files.objects.remove(key).await {
                Ok(()) => done.push(key.clone()),
                Err(error) => {
                    drop(files.refuse("remove", &error));
                    failed.push(key.clone());
                }
            }
        }
        metrics.removed.inc_by(done.len() as u64);
        if !done.is_empty() {
            node.store.settle_purges(done, again_at).await?;
        }
        let goes_on = failed.is_empty() && due.len() == STEP as usize;
        if !failed.is_empty() {
            node.store.postpone_purges(failed, postponed).await?;
        }
        if !goes_on || node.lifecycle.draining().is_cancelled() {
            break;
        }
    }
    metrics.purges.set(as_gauge(node.store.count_due_purges(postponed).await?));
    Ok(())
}

fn as_gauge(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

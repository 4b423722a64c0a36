//! Looks after files: ends uploads that nobody wants, removes what is to be removed.
//!
//! Every node does it. Removing is the same however often it is done, so nodes need not agree who.

use std::sync::Arc;
use std::time::Duration;

use parlor_protocol::time::Timestamp;
use parlor_store::StoreError;
use tokio::time::{MissedTickBehavior, interval};

use super::{PlaceState, note_failure};
use crate::node::Node;

/// Uploads that are ended, and objects that are removed, in one step.
const STEP: u32 = 100;
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

/// Removes what is due, until nothing is left or something fails.
async fn remove(node: &Node) -> Result<(), StoreError> {
    let (files, now) = (&node.files, node.now());
    let again_at = Timestamp::from_millis(
        now.as_millis() + i64::try_from(AGAIN.as_millis()).unwrap_or(i64::MAX),
    );
    let metrics = &files.metrics;
    metrics.purges.set(as_gauge(node.store.count_due_purges(now).await?));
    loop {
        let due = node.store.list_due_purges(now, STEP).await?;
        let mut done = Vec::with_capacity(due.len());
        for key in &due {
            match files.objects.remove(key).await {
                Ok(()) => done.push(key.clone()),
                Err(error) => drop(files.refuse("remove", &error)),
            }
        }
        let failed = done.len() < due.len();
        metrics.removed.inc_by(done.len() as u64);
        if !done.is_empty() {
            node.store.settle_purges(done, again_at).await?;
        }
        if failed || due.len() < STEP as usize {
            break;
        }
    }
    metrics.purges.set(as_gauge(node.store.count_due_purges(now).await?));
    Ok(())
}

fn as_gauge(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

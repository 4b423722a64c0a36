//! Reads of a room's events: the same read is made once at a time, and only so many at once.
//!
//! After a bus was away, or when many clients come back together, many shards and sessions ask for
//! the same events. They share one read, so that the store sees rooms, not clients.

pub(crate) mod batch;
pub mod lookups;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use parlor_protocol::event::Event;
use parlor_protocol::id::RoomId;
use parlor_store::Log;
use prometheus::IntCounter;
use tokio::sync::Semaphore;

use crate::refusal::{Outcome, Refusal};

/// Reads at once on one node. More wait, so that history never takes all connections to the store.
const AT_ONCE: usize = 32;

type Read = BoxFuture<'static, Outcome<Arc<[Event]>>>;

/// Reads by what they ask for, each with a number of its own.
type UnderWay = HashMap<Key, (u64, WeakShared<Read>)>;

/// Names a read: the room, the position after which, and how many.
type Key = (RoomId, u64, u32);

/// Reads events for all shards of a node.
pub struct EventReads {
    log: Arc<dyn Log + Send + Sync>,
    permits: Arc<Semaphore>,
    under_way: Arc<Mutex<UnderWay>>,
    next: AtomicU64,
    shared: IntCounter,
}

impl std::fmt::Debug for EventReads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventReads").finish_non_exhaustive()
    }
}

impl EventReads {
    /// Creates the reads of one node; `shared` counts those that were not made because the same one
    /// was under way.
    pub fn new(log: Arc<dyn Log + Send + Sync>, shared: IntCounter) -> Self {
        Self {
            log,
            permits: Arc::new(Semaphore::new(AT_ONCE)),
            under_way: Arc::default(),
            next: AtomicU64::new(0),
            shared,
        }
    }

    /// Reads the events after `after` in order, at most `limit`.
    ///
    /// What was committed up to `through` is in the answer, as far as `limit` allows: a shared read
    /// that began too early to have it is made again.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: others who share the read go on.
    pub async fn read(
        &self,
        room: RoomId,
        after: u64,
        through: u64,
        limit: u32,
    ) -> Outcome<Arc<[Event]>> {
        let key = (room, after, limit);
        let (read, joined) = self.join(key);
        let events = read.await?;
        let last = events.last().map_or(after, |event| event.seq);
        if !joined || last >= through || events.len() >= limit as usize {
            return Ok(events);
        }
        // A read that began after the call, by this caller or another.
        self.join(key).0.await
    }

    /// Joins the read if it is under way, or begins it.
    fn join(&self, key: Key) -> (Shared<Read>, bool) {
        let mut under_way = lock(&self.under_way);
        if let Some(read) = under_way.get(&key).and_then(|(_, read)| read.upgrade()) {
            self.shared.inc();
            return (read, true);
        }
        let (log, permits) = (Arc::clone(&self.log), Arc::clone(&self.permits));
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let leave = Leave { key, number, under_way: Arc::clone(&self.under_way) };
        let read: Read = Box::pin(async move {
            let _leave = leave;
            let _permit = permits.acquire().await;
            let (room, after, limit) = key;
            let events = log.read_events(room, after, limit).await.map_err(Refusal::from)?;
            Ok(events.into())
        });
        let read = read.shared();
        if let Some(weak) = read.downgrade() {
            under_way.insert(key, (number, weak));
        }
        (read, false)
    }
}

/// Takes a read out of the map when it has ended, or when nobody waits for it any more.
struct Leave {
    key: Key,
    number: u64,
    under_way: Arc<Mutex<UnderWay>>,
}

impl Drop for Leave {
    fn drop(&mut self) {
        let mut under_way = lock(&self.under_way);
        // Another of the same name may have begun since.
        if under_way.get(&self.key).is_some_and(|(number, _)| *number == self.number) {
            under_way.remove(&self.key);
        }
    }
}

fn lock(under_way: &Mutex<UnderWay>) -> MutexGuard<'_, UnderWay> {
    under_way.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;

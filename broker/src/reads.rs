//! Reads of a room's events: the same read is made once at a time, different ones are made together,
//! and only so many at once.
//!
//! After a bus was away, or when many clients come back together, many shards and sessions ask for
//! the same events. They share one read, so that the store sees rooms, not clients.

pub(crate) mod batch;
mod checks;
pub mod known;
pub mod lookups;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use parlor_protocol::event::Event;
use parlor_protocol::id::RoomId;
use parlor_store::Store;
use prometheus::{HistogramVec, IntCounter};

use self::batch::{BatchWorker, Batched, Call};
use crate::refusal::Outcome;

/// Reads of events by one call to the store. More wait, so that history never takes much memory at
/// once.
const AT_ONCE: usize = 16;

type Read = BoxFuture<'static, Outcome<Arc<[Event]>>>;

/// Reads by what they ask for, each with a number of its own.
type UnderWay = HashMap<Key, (u64, WeakShared<Read>)>;

/// Names a read: the room, the position after which, and how many.
type Key = (RoomId, u64, u32);

/// Reads events for all shards of a node.
pub struct EventReads {
    events: Arc<Batched<Key, Arc<[Event]>>>,
    under_way: Arc<Mutex<UnderWay>>,
    next: AtomicU64,
    shared: IntCounter,
}

/// The task behind [`EventReads`].
pub(crate) type EventWorker = BatchWorker<Key, Arc<[Event]>>;

impl std::fmt::Debug for EventReads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventReads").finish_non_exhaustive()
    }
}

impl EventReads {
    /// Creates the reads of one node, with so many calls in a second over time. `sizes` is told how
    /// many reads a call makes; `shared` counts those that were not made because the same one was
    /// under way.
    pub(crate) fn new(
        store: &Arc<dyn Store>,
        per_second: u32,
        sizes: &HistogramVec,
        shared: IntCounter,
    ) -> (Self, EventWorker) {
        let size = sizes.with_label_values(&["events"]);
        let (events, worker) = Batched::new(events(store), AT_ONCE, per_second, size);
        Self::over(events, worker, shared)
    }

    fn over(
        events: Batched<Key, Arc<[Event]>>,
        worker: EventWorker,
        shared: IntCounter,
    ) -> (Self, EventWorker) {
        let (under_way, next) = (Arc::default(), AtomicU64::new(0));
        (Self { events: Arc::new(events), under_way, next, shared }, worker)
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
        let events = Arc::clone(&self.events);
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let leave = Leave { key, number, under_way: Arc::clone(&self.under_way) };
        let read: Read = Box::pin(async move {
            let _leave = leave;
            events.ask(key).await
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

fn events(store: &Arc<dyn Store>) -> Call<Key, Arc<[Event]>> {
    let store = Arc::clone(store);
    Arc::new(move |asked| {
        let store = Arc::clone(&store);
        Box::pin(async move {
            let read = store.read_events_of_rooms(&asked).await?;
            Ok(read.into_iter().map(Into::into).collect())
        })
    })
}

fn lock(under_way: &Mutex<UnderWay>) -> MutexGuard<'_, UnderWay> {
    under_way.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;

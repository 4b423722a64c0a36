//! Tells rooms where the calls that wait stand, after a job of theirs was claimed or has ended.

use std::collections::{HashMap, HashSet, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Future;
use futures_util::future::{Fuse, FusedFuture as _, FutureExt as _};
use parlor_protocol::id::{JobId, RoomId};
use parlor_protocol::signal::{BotState, BotStatus, Signal, SignalBody};
use parlor_store::{QueuedJob, StoreError};
use tokio::time::Instant;

use crate::shared::Shared;

/// Calls of a room whose places are told; those behind them see theirs when they come closer.
const TOLD_MAX: u32 = 20;
/// Rooms that may wait to be told, and rooms of which is known what they were told. Beyond it they
/// are told less, or twice.
const ROOMS_MAX: usize = 1_024;
/// For how long a room is not told the same again. Another worker may have told something else.
const FRESH: Duration = Duration::from_secs(10);

type Read =
    Pin<Box<dyn Future<Output = (RoomId, Result<Vec<QueuedJob>, StoreError>)> + Send + 'static>>;
type Places = Vec<(JobId, u32)>;

/// The rooms to tell, one read of the store at a time.
pub(super) struct Positions {
    shared: Arc<Shared>,
    waiting: VecDeque<RoomId>,
    known: HashSet<RoomId>,
    told: HashMap<RoomId, (Instant, Places)>,
    pub(super) read: Fuse<Read>,
}

impl Positions {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            waiting: VecDeque::new(),
            known: HashSet::new(),
            told: HashMap::new(),
            read: Fuse::terminated(),
        }
    }

    /// Notes that the queue of a room has moved.
    pub(super) fn note(&mut self, room: RoomId) {
        if self.known.len() < ROOMS_MAX && self.known.insert(room) {
            self.waiting.push_back(room);
        }
    }

    /// Reads the queue of the next room, unless one is being read.
    pub(super) fn read_next(&mut self) {
        if !self.read.is_terminated() {
            return;
        }
        let Some(room) = self.waiting.pop_front() else { return };
        self.known.remove(&room);
        let store = Arc::clone(&self.shared.store);
        let read: Read = Box::pin(async move { (room, store.list_waiting(room, TOLD_MAX).await) });
        self.read = read.fuse();
    }

    /// Tells the room what has changed in its queue.
    pub(super) fn tell(&mut self, room: RoomId, queue: Result<Vec<QueuedJob>, StoreError>) {
        let queue = match queue {
            Ok(queue) => queue,
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "queue was not read");
                return;
            }
        };
        let places: Places = queue.iter().map(|job| (job.job, job.position)).collect();
        let before = self.told.remove(&room).filter(|(at, _)| at.elapsed() < FRESH);
        let before = before.map(|(_, places)| places).unwrap_or_default();
        for (job, place) in queue.into_iter().zip(&places) {
            if before.contains(place) {
                continue;
            }
            let status = BotStatus {
                bot: job.bot,
                message: None,
                state: BotState::Queued,
                position: Some(job.position),
                detail: None,
            };
            self.shared.bus.publish_signal(Signal { room, body: SignalBody::BotStatus(status) });
        }
        if places.is_empty() {
            return;
        }
        if self.told.len() >= ROOMS_MAX {
            self.told.retain(|_, (at, _)| at.elapsed() < FRESH);
        }
        if self.told.len() < ROOMS_MAX {
            self.told.insert(room, (Instant::now(), places));
        }
    }
}

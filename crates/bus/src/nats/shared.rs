//! What the parts of the bus have in common.

use std::sync::{Mutex, MutexGuard, PoisonError};

use parlor_protocol::id::RoomId;
use tokio::sync::{Notify, watch};

use super::interest::Interest;
use super::metrics::{Dropped, Kind, Metrics};
use super::options::NatsOptions;
use super::outgoing::{Item, Outgoing};
use super::questions::Questions;
use super::wire::Subjects;
use crate::contract::BusStatus;
use crate::local::LocalBus;

/// The state of a bus over NATS, whichever connection it has.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: NatsOptions,
    pub(super) subjects: Subjects,
    pub(super) metrics: Metrics,
    /// The followers of this process, and the texts so far.
    pub(super) local: LocalBus,
    pub(super) questions: Questions,
    pub(super) status: watch::Sender<BusStatus>,
    /// Other subjects are wanted.
    pub(super) interest_changed: Notify,
    /// Messages may have been lost while there was no connection.
    pub(super) missed: Notify,
    /// Messages were lost because too many waited.
    pub(super) slow: Notify,
    outgoing: Outgoing,
    interest: Mutex<Interest>,
}

impl Shared {
    pub(super) fn new(
        options: NatsOptions,
        subjects: Subjects,
        metrics: Metrics,
        outgoing: Outgoing,
        questions: Questions,
    ) -> Self {
        Self {
            interest: Mutex::new(Interest::new(options.release_after)),
            options,
            subjects,
            metrics,
            local: LocalBus::new(),
            questions,
            status: watch::Sender::new(BusStatus::Away),
            interest_changed: Notify::new(),
            missed: Notify::new(),
            slow: Notify::new(),
            outgoing,
        }
    }

    pub(super) fn interest(&self) -> MutexGuard<'_, Interest> {
        self.interest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_away(&self) -> bool {
        *self.status.borrow() == BusStatus::Away
    }

    pub(super) fn set_status(&self, status: BusStatus) {
        self.metrics.connected.set(i64::from(status == BusStatus::Connected));
        self.status.send_replace(status);
    }

    /// Compares what is wanted of a room with who follows and writes in it now.
    pub(super) fn refresh(&self, room: RoomId) {
        let mut interest = self.interest();
        // Read under the lock, so that of two changes at once the last one sees both.
        let followed = self.local.is_followed(room);
        if followed {
            self.local.memory.keep(room, true);
        }
        let changed = interest.set(room, followed, self.local.memory.has_own(room));
        drop(interest);
        if changed {
            self.interest_changed.notify_one();
        }
    }

    /// Gives up rooms whose followers have been gone for long enough.
    pub(super) fn release(&self) {
        let mut interest = self.interest();
        let released = interest.release();
        for room in &released {
            self.local.memory.keep(*room, false);
        }
        drop(interest);
        if !released.is_empty() {
            self.interest_changed.notify_one();
        }
    }

    /// Queues something for other processes, unless it would come too late.
    pub(super) fn send(&self, item: Item) {
        let kind = item.kind();
        // Others read from the store what they miss meanwhile; only controls are not there.
        if !matches!(kind, Kind::Control) && self.is_away() {
            self.metrics.count_dropped(kind, Dropped::Away);
        } else if !self.outgoing.push(item) {
            self.metrics.count_dropped(kind, Dropped::Full);
        }
    }

    pub(super) fn outgoing(&self) -> &Outgoing {
        &self.outgoing
    }

    /// Notes that the driver has dropped something.
    pub(super) fn note_slow(&self) {
        self.metrics.slow_consumer.inc();
        self.slow.notify_one();
    }
}

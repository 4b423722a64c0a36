//! The bus between processes, over NATS.
//!
//! What is published goes to the followers of this process at once, and to those of others through
//! NATS; what comes from NATS goes to the followers of this process. Each room has a subject for its
//! events and one for its signals, subscribed to while somebody follows the room here and for a
//! while after.
//!
//! It loses messages whenever something waits too long or is not there, and says so: by
//! [`BusStatus::Away`] while there is no connection, and by [`Control::StoreMayBeAhead`] when there
//! is one again, or when the driver had to drop what it received. Publishing never waits, and what
//! is published while the bus is away is dropped, except for controls: others read it from the
//! store. A connection that is lost is tried again for ever, at random times.
//!
//! The text so far of a reply is known to the process that writes it; [`Bus::list_streaming`] asks.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parlor_protocol::event::Event;
use parlor_protocol::frame::StreamingReply;
use parlor_protocol::id::RoomId;
use parlor_protocol::signal::{Signal, SignalBody};
use prometheus::Registry;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::contract::{Bus, BusStatus, Control, Mailbox, SubscriberId};
use crate::encode;
use crate::memory::Origin;

mod error;
mod incoming;
mod interest;
mod metrics;
mod options;
mod outgoing;
mod questions;
mod server;
mod session;
mod shared;
mod subscriptions;
mod survey;
mod wire;

pub use error::NatsError;
pub use options::NatsOptions;
pub use survey::NatsSurvey;

use metrics::Metrics;
use outgoing::Item;
use questions::Questions;
use session::Inlets;
use shared::Shared;
use wire::Subjects;

/// How long ending may take.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);
/// Between two controls that have everything compared with the store: after a lost connection, and
/// when the driver drops what it received, which goes on for as long as there is too much of it.
const MISSED_EVERY: Duration = Duration::from_millis(100);
const SLOW_EVERY: Duration = Duration::from_secs(1);
/// Longest time between two looks at what has to be released.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Own replies without a new piece are forgotten after so long. Whoever asks for them then does
/// without; the room is told their next piece all the same.
const OWN_IDLE: Duration = Duration::from_mins(5);

/// A bus that reaches other processes through NATS.
#[derive(Debug)]
pub struct NatsBus {
    shared: Arc<Shared>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl NatsBus {
    /// Connects, and keeps a connection until the bus is closed or dropped.
    ///
    /// Needs a runtime that lives as long as the bus.
    ///
    /// # Errors
    ///
    /// When no server can be used now. Once connected, it never gives up.
    pub async fn connect(options: NatsOptions, registry: &Registry) -> Result<Self, NatsError> {
        let servers = server::servers(&options)?;
        let metrics = Metrics::new(registry)?;
        let inbox = Uuid::new_v4().simple().to_string();
        let subjects = Subjects::new(&options.subject_prefix, &inbox);
        let (outgoing, queues) = outgoing::queues(options.publish_queue);
        let (questions, orders) = Questions::new();
        let inlets = Arc::new(Inlets::new(queues, orders));
        let shared = Arc::new(Shared::new(options, subjects, metrics, outgoing, questions));
        let first = match session::connect(&shared, &inlets, &servers).await {
            Ok(session) => Some(session),
            Err(error) if shared.options.start_away && !error.is_setting() => {
                tracing::warn!(error = &error as &dyn std::error::Error, "NATS is away");
                None
            }
            Err(error) => return Err(error),
        };
        let bus = Self { shared, tasks: TaskTracker::new(), stop: CancellationToken::new() };
        let shared = || Arc::clone(&bus.shared);
        bus.spawn(session::run(shared(), inlets, servers, first));
        bus.spawn(keep_house(shared()));
        bus.spawn(tell(shared(), |shared| &shared.missed, MISSED_EVERY));
        bus.spawn(tell(shared(), |shared| &shared.slow, SLOW_EVERY));
        bus.tasks.close();
        Ok(bus)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move { stop.run_until_cancelled(task).await });
    }
}

/// Has everything compared with the store when something may have been missed.
async fn tell(shared: Arc<Shared>, which: fn(&Shared) -> &Notify, every: Duration) {
    loop {
        which(&shared).notified().await;
        shared.local.deliver_control(Control::StoreMayBeAhead);
        // What is missed meanwhile is told after it.
        tokio::time::sleep(every).await;
    }
}

/// Gives up what nobody wants any more, and looks at the queues.
async fn keep_house(shared: Arc<Shared>) {
    let every = LOOK_EVERY.min(shared.options.release_after / 4).max(Duration::from_millis(20));
    let mut counted = 0;
    loop {
        tokio::time::sleep(every).await;
        shared.release();
        for room in shared.local.memory.expire_own(OWN_IDLE) {
            shared.refresh(room);
        }
        let (events, signals) = shared.outgoing().lengths();
        for (queue, length) in [("events", events), ("signals", signals)] {
            let length = i64::try_from(length).unwrap_or(i64::MAX);
            shared.metrics.queue.with_label_values(&[queue]).set(length);
        }
        let dropped = shared.local.dropped();
        shared.metrics.mailbox_dropped.inc_by(dropped - counted);
        counted = dropped;
    }
}

#[async_trait]
impl Bus for NatsBus {
    fn publish_events(&self, events: Vec<Event>) {
        let shared = &self.shared;
        for event in events {
            let room = event.room;
            if shared.local.memory.apply_event(&event, Origin::Here) {
                shared.refresh(room);
            }
            if let Some(encoded) = encode::event(event) {
                shared.local.fan_out(room, &encoded.delivery);
                shared.send(Item::Event { room, wire: encoded.wire });
            }
        }
    }

    fn publish_signal(&self, signal: Signal) {
        let shared = &self.shared;
        let room = signal.room;
        if let SignalBody::MessageDelta(delta) = &signal.body
            && shared.local.memory.apply_delta(room, delta, Origin::Here)
        {
            shared.refresh(room);
        }
        if let Some(encoded) = encode::signal(signal) {
            shared.local.fan_out(room, &encoded.delivery);
            shared.send(Item::Signal { room, wire: encoded.wire });
        }
    }

    fn publish_control(&self, control: Control) {
        self.deliver_control(control);
        self.shared.send(Item::Control(control));
    }

    fn deliver_control(&self, control: Control) {
        self.shared.local.deliver_control(control);
        if let Control::RoomDeleted(room) = control {
            self.shared.refresh(room);
        }
    }

    fn deliver_ahead(&self, room: RoomId, seq: u64) {
        self.shared.local.deliver_ahead(room, seq);
    }

    fn subscribe(&self, capacity: usize) -> Option<Mailbox> {
        self.shared.local.subscribe(capacity)
    }

    fn follow(&self, subscriber: SubscriberId, room: RoomId) {
        self.shared.local.follow(subscriber, room);
        self.shared.refresh(room);
    }

    async fn wait_followed(&self, room: RoomId) {
        if self.shared.is_away() || self.shared.interest().is_confirmed(room) {
            return;
        }
        if self.shared.questions.probe(questions::PATIENCE).await {
            self.shared.interest().confirm([room]);
        }
    }

    fn unfollow(&self, subscriber: SubscriberId, room: RoomId) {
        self.shared.local.unfollow(subscriber, room);
        self.shared.refresh(room);
    }

    async fn list_streaming(&self, room: RoomId) -> Vec<StreamingReply> {
        let memory = &self.shared.local.memory;
        if self.shared.is_away() {
            return memory.list(room);
        }
        let seeding = memory.start_seeding(room);
        let answers = self.shared.questions.ask(room).await;
        seeding.finish(answers)
    }

    fn status(&self) -> watch::Receiver<BusStatus> {
        self.shared.status.subscribe()
    }

    async fn close(&self) {
        if !self.shared.is_away() {
            let flushed = async {
                self.shared.outgoing().flush().await;
                // What the driver has is sent when the server answers behind it.
                self.shared.questions.probe(CLOSE_PATIENCE).await
            };
            if timeout(CLOSE_PATIENCE, flushed).await != Ok(true) {
                tracing::warn!("what other processes were to be told may not have been sent");
            }
        }
        self.shared.set_status(BusStatus::Away);
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

impl Drop for NatsBus {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

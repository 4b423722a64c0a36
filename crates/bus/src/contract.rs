//! The contract of a bus.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use parlor_protocol::event::Event;
use parlor_protocol::frame::StreamingReply;
use parlor_protocol::id::{JobId, RoomId, SessionId, UserId};
use parlor_protocol::signal::Signal;
use tokio::sync::{mpsc, watch};

/// Carries events, signals and controls between nodes.
#[async_trait]
pub trait Bus: Send + Sync + Debug {
    /// Tells the rooms' followers what was committed. Call it after the commit, in its order.
    fn publish_events(&self, events: Vec<Event>);

    /// Tells the room's followers a signal.
    fn publish_signal(&self, signal: Signal);

    /// Tells every subscriber of every process.
    fn publish_control(&self, control: Control);

    /// Tells the subscribers of this process only.
    fn deliver_control(&self, control: Control);

    /// Tells the room's followers of this process only that the store has events up to `seq`.
    fn deliver_ahead(&self, room: RoomId, seq: u64);

    /// Adds a subscriber whose mailbox holds at most `capacity` deliveries.
    ///
    /// A bus has at most 64 subscribers at a time: one for each core and a few for bots. `None`
    /// when there is no place left.
    fn subscribe(&self, capacity: usize) -> Option<Mailbox>;

    /// Starts deliveries of a room to a subscriber.
    fn follow(&self, subscriber: SubscriberId, room: RoomId);

    /// Tells whether anybody may follow a room, here or in another process. What is told to a room
    /// that nobody follows is work for nothing.
    fn may_be_followed(&self, _room: RoomId) -> bool {
        true
    }

    /// Waits, for a short bounded time, until what others publish in a followed room arrives here.
    /// Whoever follows a room, waits for this, and then reads the store misses nothing.
    async fn wait_followed(&self, room: RoomId);

    /// Ends deliveries of a room to a subscriber. Those in its mailbox stay there.
    fn unfollow(&self, subscriber: SubscriberId, room: RoomId);

    /// Returns the replies of a room that are being written, with their text so far.
    async fn list_streaming(&self, room: RoomId) -> Vec<StreamingReply>;

    /// Tells whether what is published reaches other processes at the moment.
    fn status(&self) -> watch::Receiver<BusStatus>;

    /// Sends what is queued, for a bounded time, and ends. Nothing may be published after it.
    async fn close(&self);
}

/// Whether a bus carries anything to other processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BusStatus {
    /// It does, or there are none.
    Connected,
    /// It does not: what is published elsewhere is only seen in the store.
    Away,
}

/// Names a subscriber of one bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SubscriberId(pub(crate) u8);

/// What arrives in a mailbox.
#[derive(Debug, Clone)]
pub enum Delivery {
    /// An entry of a room's log, with its frame as JSON, encoded once for all.
    Event {
        /// The event.
        event: Arc<Event>,
        /// The frame.
        json: Bytes,
    },
    /// A signal, with its frame as JSON, encoded once for all.
    Signal {
        /// The signal.
        signal: Arc<Signal>,
        /// The frame.
        json: Bytes,
    },
    /// The store has events of the room up to this one. Those that are missing have to be read.
    Ahead {
        /// The room.
        room: RoomId,
        /// Its newest event.
        seq: u64,
    },
    /// Something for the nodes themselves.
    Control(Control),
}

/// What nodes tell each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// There may be a job to claim.
    JobQueued,
    /// The holder of this job is asked to stop its reply.
    CancelReply(JobId),
    /// This login has ended: cut its connections.
    SessionRevoked(SessionId),
    /// This user may not be connected any more: cut all connections.
    UserRevoked(UserId),
    /// This room is gone: end its subscriptions.
    RoomDeleted(RoomId),
    /// Something may have been committed that nobody was told: compare with the store.
    StoreMayBeAhead,
}

/// The receiving end of a subscription. Dropping it ends the subscription.
#[derive(Debug)]
pub struct Mailbox {
    /// Names the subscriber in `follow` and `unfollow`.
    pub id: SubscriberId,
    pub(crate) deliveries: mpsc::Receiver<Delivery>,
    pub(crate) overflow: Arc<AtomicBool>,
}

impl Mailbox {
    /// Waits for deliveries and moves at most `max` of them into `batch`. Returns 0 when the bus is
    /// gone.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: deliveries leave the mailbox only in the poll that returns them.
    pub async fn receive(&mut self, batch: &mut Vec<Delivery>, max: usize) -> usize {
        self.deliveries.recv_many(batch, max).await
    }

    /// Tells whether deliveries were lost since the last call. Whoever asks must then compare what
    /// it has with the store.
    pub fn take_overflow(&self) -> bool {
        self.overflow.swap(false, Ordering::AcqRel)
    }
}

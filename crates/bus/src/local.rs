//! The bus of a single process. No lock is taken on the way of an event or signal.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use parlor_protocol::event::Event;
use parlor_protocol::frame::StreamingReply;
use parlor_protocol::id::RoomId;
use parlor_protocol::signal::{Signal, SignalBody};
use tokio::sync::{mpsc, watch};

use crate::contract::{Bus, BusStatus, Control, Delivery, Mailbox, SubscriberId};
use crate::encode;
use crate::memory::{Memory, Origin};

/// As many as a room's bitmap of followers has bits.
const SUBSCRIBERS_MAX: usize = 64;

/// A bus within one process.
#[derive(Debug)]
pub struct LocalBus {
    subscribers: [OnceLock<Subscriber>; SUBSCRIBERS_MAX],
    next: AtomicU64,
    /// For each room the bitmap of its followers.
    followers: papaya::HashMap<RoomId, u64>,
    /// The text so far of every reply that is being written.
    pub(crate) memory: Memory,
    dropped: AtomicU64,
    status: watch::Sender<BusStatus>,
}

#[derive(Debug)]
struct Subscriber {
    mailbox: mpsc::Sender<Delivery>,
    overflow: Arc<AtomicBool>,
}

impl Default for LocalBus {
    fn default() -> Self {
        Self {
            subscribers: [const { OnceLock::new() }; SUBSCRIBERS_MAX],
            next: AtomicU64::new(0),
            followers: papaya::HashMap::new(),
            memory: Memory::default(),
            dropped: AtomicU64::new(0),
            status: watch::Sender::new(BusStatus::Connected),
        }
    }
}

impl LocalBus {
    /// Creates a bus without subscribers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns how many deliveries were lost because a mailbox was full.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn deliver(&self, subscriber: usize, delivery: Delivery) {
        let Some(subscriber) = self.subscribers.get(subscriber).and_then(OnceLock::get) else {
            return;
        };
        match subscriber.mailbox.try_send(delivery) {
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                subscriber.overflow.store(true, Ordering::Release);
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Tells the followers of a room.
    pub(crate) fn fan_out(&self, room: RoomId, delivery: &Delivery) {
        let mut followers = self.followers.pin().get(&room).copied().unwrap_or(0);
        while followers != 0 {
            let subscriber = followers.trailing_zeros();
            followers &= followers - 1;
            self.deliver(subscriber as usize, delivery.clone());
        }
    }

    /// Tells whether anybody follows a room.
    pub(crate) fn is_followed(&self, room: RoomId) -> bool {
        self.followers.pin().contains_key(&room)
    }

    fn set_follower(&self, room: RoomId, change: impl Fn(u64) -> u64) {
        self.followers.pin().compute(room, |entry| {
            let followers = change(entry.map_or(0, |(_, followers)| *followers));
            if followers == 0 {
                papaya::Operation::<u64, ()>::Remove
            } else {
                papaya::Operation::Insert(followers)
            }
        });
    }
}

#[async_trait]
impl Bus for LocalBus {
    fn publish_events(&self, events: Vec<Event>) {
        for event in events {
            self.memory.apply_event(&event, Origin::Here);
            let room = event.room;
            if let Some(encoded) = encode::event(event) {
                self.fan_out(room, &encoded.delivery);
            }
        }
    }

    fn publish_signal(&self, signal: Signal) {
        let room = signal.room;
        if let SignalBody::MessageDelta(delta) = &signal.body {
            self.memory.apply_delta(room, delta, Origin::Here);
        }
        if let Some(encoded) = encode::signal(signal) {
            self.fan_out(room, &encoded.delivery);
        }
    }

    fn publish_control(&self, control: Control) {
        if let Control::RoomDeleted(room) = control {
            self.memory.end_all(room);
        }
        for subscriber in 0..SUBSCRIBERS_MAX {
            self.deliver(subscriber, Delivery::Control(control));
        }
    }

    fn deliver_control(&self, control: Control) {
        self.publish_control(control);
    }

    fn deliver_ahead(&self, room: RoomId, seq: u64) {
        self.fan_out(room, &Delivery::Ahead { room, seq });
    }

    fn subscribe(&self, capacity: usize) -> Option<Mailbox> {
        let place = self.next.fetch_add(1, Ordering::Relaxed);
        let id = u8::try_from(place).ok()?;
        let (sender, deliveries) = mpsc::channel(capacity.max(1));
        let overflow = Arc::new(AtomicBool::new(false));
        let subscriber = Subscriber { mailbox: sender, overflow: Arc::clone(&overflow) };
        self.subscribers.get(usize::from(id))?.set(subscriber).ok()?;
        Some(Mailbox { id: SubscriberId(id), deliveries, overflow })
    }

    fn follow(&self, subscriber: SubscriberId, room: RoomId) {
        self.set_follower(room, |followers| followers | 1 << subscriber.0);
    }

    fn may_be_followed(&self, room: RoomId) -> bool {
        self.is_followed(room)
    }

    async fn wait_followed(&self, _: RoomId) {}

    fn unfollow(&self, subscriber: SubscriberId, room: RoomId) {
        self.set_follower(room, |followers| followers & !(1 << subscriber.0));
    }

    async fn list_streaming(&self, room: RoomId) -> Vec<StreamingReply> {
        self.memory.list(room)
    }

    fn status(&self) -> watch::Receiver<BusStatus> {
        self.status.subscribe()
    }

    async fn close(&self) {}
}

#[cfg(test)]
mod tests {
    use parlor_protocol::id::UserId;
    use parlor_protocol::signal::Typing;
    use parlor_protocol::user::{UserKind, UserRef};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn full_mailbox_loses_and_says_so() {
        let bus = LocalBus::new();
        let room = RoomId(Uuid::from_u128(1));
        let mailbox = bus.subscribe(2).unwrap();
        bus.follow(mailbox.id, room);
        let user = UserRef {
            id: UserId(Uuid::from_u128(9)),
            username: "ada".into(),
            display_name: "Ada".into(),
            kind: UserKind::User,
        };

        for _ in 0..5 {
            let body = SignalBody::Typing(Typing { user: user.clone(), on: true });
            bus.publish_signal(Signal { room, body });
        }

        assert!(mailbox.take_overflow());
        assert_eq!(bus.dropped(), 3);
    }

    #[test]
    fn places_for_subscribers_are_bounded() {
        let bus = LocalBus::new();
        let mailboxes: Vec<_> = (0..SUBSCRIBERS_MAX).map(|_| bus.subscribe(1)).collect();
        assert!(mailboxes.iter().all(Option::is_some));
        assert!(bus.subscribe(1).is_none());
    }
}

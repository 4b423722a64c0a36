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
    use parlor_protocol::id::{MessageId, UserId};
    use parlor_protocol::signal::{MessageDelta, Typing};
    use parlor_protocol::user::{UserKind, UserRef};
    use uuid::Uuid;

    use super::*;

    fn room(n: u128) -> RoomId {
        RoomId(Uuid::from_u128(n))
    }

    fn typing(n: u128) -> Signal {
        let user = UserRef {
            id: UserId(Uuid::from_u128(9)),
            username: "ada".into(),
            display_name: "Ada".into(),
            kind: UserKind::User,
        };
        Signal { room: room(n), body: SignalBody::Typing(Typing { user, on: true }) }
    }

    fn delta(turn: u32, chunk: u32, text: &str) -> Signal {
        let delta = MessageDelta { message: message(), turn, chunk, text: text.into() };
        Signal { room: room(1), body: SignalBody::MessageDelta(delta) }
    }

    fn message() -> MessageId {
        MessageId(Uuid::from_u128(7))
    }

    async fn received(mailbox: &mut Mailbox) -> usize {
        let mut batch = Vec::new();
        mailbox.receive(&mut batch, 100).await
    }

    #[tokio::test]
    async fn only_followers_of_the_room_are_told() {
        let bus = LocalBus::new();
        let mut follower = bus.subscribe(8).unwrap();
        let mut other = bus.subscribe(8).unwrap();
        bus.follow(follower.id, room(1));
        bus.follow(other.id, room(2));

        bus.publish_signal(typing(1));
        bus.publish_control(Control::JobQueued);

        assert_eq!(received(&mut follower).await, 2);
        assert_eq!(received(&mut other).await, 1, "the control only");
    }

    #[tokio::test]
    async fn follower_that_left_is_told_no_more() {
        let bus = LocalBus::new();
        let mut mailbox = bus.subscribe(8).unwrap();
        bus.follow(mailbox.id, room(1));
        bus.unfollow(mailbox.id, room(1));

        bus.publish_signal(typing(1));
        bus.publish_control(Control::JobQueued);

        assert_eq!(received(&mut mailbox).await, 1);
    }

    #[tokio::test]
    async fn full_mailbox_loses_and_says_so() {
        let bus = LocalBus::new();
        let mut mailbox = bus.subscribe(2).unwrap();
        bus.follow(mailbox.id, room(1));

        for _ in 0..5 {
            bus.publish_signal(typing(1));
        }

        assert_eq!(received(&mut mailbox).await, 2);
        assert!(mailbox.take_overflow());
        assert!(!mailbox.take_overflow());
        assert_eq!(bus.dropped(), 3);
    }

    #[tokio::test]
    async fn places_for_subscribers_are_bounded() {
        let bus = LocalBus::new();
        let mailboxes: Vec<_> = (0..SUBSCRIBERS_MAX).map(|_| bus.subscribe(1)).collect();
        assert!(mailboxes.iter().all(Option::is_some));
        assert!(bus.subscribe(1).is_none());
    }

    #[tokio::test]
    async fn text_so_far_is_kept_until_the_reply_ends() {
        let bus = LocalBus::new();
        let created = serde_json::from_value(serde_json::json!({
            "room": room(1), "seq": 1, "at": "2026-01-01T00:00:00Z", "actor": null,
            "type": "message.created", "data": {
                "id": message(), "room": room(1), "seq": 1, "body": "", "status": "streaming",
                "sender": {"id": room(3), "username": "b", "display_name": "B", "kind": "bot"},
                "created_at": "2026-01-01T00:00:00Z"
            }
        }))
        .unwrap();
        bus.publish_events(vec![created]);
        bus.publish_signal(delta(1, 1, "a"));
        bus.publish_signal(delta(1, 2, "b"));
        bus.publish_signal(delta(1, 2, "b"));
        let text = |replies: Vec<StreamingReply>| {
            replies.into_iter().map(|r| (r.turn, r.chunk, r.text)).collect::<Vec<_>>()
        };
        assert_eq!(text(bus.list_streaming(room(1)).await), [(1, 2, "ab".to_owned())]);

        bus.publish_signal(delta(2, 1, "new"));
        assert_eq!(text(bus.list_streaming(room(1)).await), [(2, 1, "new".to_owned())]);

        let completed = serde_json::from_value(serde_json::json!({
            "room": room(1), "seq": 2, "at": "2026-01-01T00:00:00Z", "actor": null,
            "type": "message.completed", "data": {
                "message": message(), "body": "new", "status": "completed",
                "usage": {"prompt_tokens": 1, "completion_tokens": 1, "estimated": true}
            }
        }))
        .unwrap();
        bus.publish_events(vec![completed]);
        assert!(bus.list_streaming(room(1)).await.is_empty());
    }
}

//! The bus of a single process. No lock is taken on the way of an event or signal.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use async_trait::async_trait;
use bytes::Bytes;
use parlor_protocol::event::{Event, EventBody};
use parlor_protocol::frame::{Frame, StreamingReply};
use parlor_protocol::id::{MessageId, RoomId};
use parlor_protocol::message::MessageStatus;
use parlor_protocol::signal::{MessageDelta, Signal, SignalBody};
use tokio::sync::{mpsc, watch};

use crate::contract::{Bus, BusStatus, Control, Delivery, Mailbox, SubscriberId};

/// As many as a room's bitmap of followers has bits.
const SUBSCRIBERS_MAX: usize = 64;

/// A bus within one process.
#[derive(Debug)]
pub struct LocalBus {
    subscribers: [OnceLock<Subscriber>; SUBSCRIBERS_MAX],
    next: AtomicU64,
    /// For each room the bitmap of its followers.
    followers: papaya::HashMap<RoomId, u64>,
    /// The text so far of every reply that is being written. Written a few times a second for each
    /// reply, so a plain lock will do.
    streaming: Mutex<HashMap<RoomId, HashMap<MessageId, StreamingReply>>>,
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
            streaming: Mutex::default(),
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

    fn fan_out(&self, room: RoomId, delivery: &Delivery) {
        let mut followers = self.followers.pin().get(&room).copied().unwrap_or(0);
        while followers != 0 {
            let subscriber = followers.trailing_zeros();
            followers &= followers - 1;
            self.deliver(subscriber as usize, delivery.clone());
        }
    }

    fn streaming(&self) -> MutexGuard<'_, HashMap<RoomId, HashMap<MessageId, StreamingReply>>> {
        self.streaming.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Keeps the text so far in step with what the room is told.
    fn remember_event(&self, event: &Event) {
        match &event.body {
            EventBody::MessageCreated(message) if message.status == MessageStatus::Streaming => {
                let reply =
                    StreamingReply { message: message.id, turn: 1, chunk: 0, text: String::new() };
                self.streaming().entry(event.room).or_default().entry(message.id).or_insert(reply);
            }
            EventBody::MessageCompleted(completed) => {
                self.forget(event.room, |reply| *reply == completed.message);
            }
            EventBody::HistoryReset(_) => self.forget(event.room, |_| true),
            EventBody::MessageCreated(_)
            | EventBody::MessageEdited(_)
            | EventBody::MessageRedacted(_)
            | EventBody::ReactionAdded(_)
            | EventBody::ReactionRemoved(_)
            | EventBody::RoomCreated(_)
            | EventBody::RoomUpdated(_)
            | EventBody::RoomArchived(_)
            | EventBody::MemberJoined(_)
            | EventBody::MemberLeft(_)
            | EventBody::MemberRoleChanged(_)
            | EventBody::Unknown(_) => {}
        }
    }

    fn remember_delta(&self, room: RoomId, delta: &MessageDelta) {
        let mut streaming = self.streaming();
        // A later turn may be the first that this process hears of a reply: it was begun before a
        // restart. Any other delta of an unknown reply comes after its end.
        if delta.turn > 1 && delta.chunk == 1 {
            let reply = StreamingReply {
                message: delta.message,
                turn: delta.turn,
                chunk: 0,
                text: String::new(),
            };
            streaming.entry(room).or_default().entry(delta.message).or_insert(reply);
        }
        let Some(reply) = streaming.get_mut(&room).and_then(|room| room.get_mut(&delta.message))
        else {
            return;
        };
        if delta.turn > reply.turn {
            (reply.turn, reply.chunk) = (delta.turn, 0);
            reply.text.clear();
        }
        if delta.turn == reply.turn && delta.chunk == reply.chunk + 1 {
            reply.chunk = delta.chunk;
            reply.text.push_str(&delta.text);
        }
    }

    fn forget(&self, room: RoomId, gone: impl Fn(&MessageId) -> bool) {
        let mut streaming = self.streaming();
        if let Some(replies) = streaming.get_mut(&room) {
            replies.retain(|message, _| !gone(message));
            if replies.is_empty() {
                streaming.remove(&room);
            }
        }
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

fn encode(frame: &Frame) -> Option<Bytes> {
    match serde_json::to_vec(frame) {
        Ok(json) => Some(json.into()),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "frame cannot be encoded");
            None
        }
    }
}

#[async_trait]
impl Bus for LocalBus {
    fn publish_events(&self, events: Vec<Event>) {
        for event in events {
            self.remember_event(&event);
            let room = event.room;
            let frame = Frame::Event(Box::new(event));
            let Some(json) = encode(&frame) else { continue };
            let Frame::Event(event) = frame else { continue };
            self.fan_out(room, &Delivery::Event { event: Arc::from(event), json });
        }
    }

    fn publish_signal(&self, signal: Signal) {
        if let SignalBody::MessageDelta(delta) = &signal.body {
            self.remember_delta(signal.room, delta);
        }
        let room = signal.room;
        let frame = Frame::Signal(Box::new(signal));
        let Some(json) = encode(&frame) else { return };
        let Frame::Signal(signal) = frame else { return };
        self.fan_out(room, &Delivery::Signal { signal: Arc::from(signal), json });
    }

    fn publish_control(&self, control: Control) {
        if let Control::RoomDeleted(room) = control {
            self.forget(room, |_| true);
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

    fn unfollow(&self, subscriber: SubscriberId, room: RoomId) {
        self.set_follower(room, |followers| followers & !(1 << subscriber.0));
    }

    async fn list_streaming(&self, room: RoomId) -> Vec<StreamingReply> {
        self.streaming().get(&room).map(|room| room.values().cloned().collect()).unwrap_or_default()
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

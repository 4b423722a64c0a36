//! What every bus keeps, whether its subscribers are in one process or in two.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail at once")]

#[path = "nats/make.rs"]
mod make;

use std::sync::Arc;
use std::time::Duration;

use parlor_bus::{Bus, BusStatus, Control, Delivery, LocalBus, Mailbox, NatsBus, NatsOptions};
use parlor_protocol::id::RoomId;
use parlor_testkit::services::Nats;
use prometheus::Registry;
use tokio::time::timeout;

use make::{begun, delta, ended, message, room, said, typing};

const PATIENCE: Duration = Duration::from_secs(20);

/// A bus that publishes, and one whose subscribers listen.
struct World {
    here: Arc<dyn Bus>,
    there: Arc<dyn Bus>,
    _nats: Option<Nats>,
}

impl World {
    fn local() -> Self {
        let bus: Arc<dyn Bus> = Arc::new(LocalBus::new());
        Self { here: Arc::clone(&bus), there: bus, _nats: None }
    }

    async fn over_nats() -> Self {
        let nats = Nats::start().await;
        let connect = async || {
            let options = NatsOptions { url: nats.url(), ..NatsOptions::default() };
            Arc::new(NatsBus::connect(options, &Registry::new()).await.unwrap())
        };
        let here: Arc<dyn Bus> = connect().await;
        let there: Arc<dyn Bus> = connect().await;
        Self { here, there, _nats: Some(nats) }
    }

    async fn follow(&self, mailbox: &Mailbox, room: RoomId) {
        self.there.follow(mailbox.id, room);
        self.there.wait_followed(room).await;
    }
}

async fn next(mailbox: &mut Mailbox) -> Delivery {
    let mut batch = Vec::new();
    let received = timeout(PATIENCE, mailbox.receive(&mut batch, 1)).await;
    assert_eq!(received.expect("something is delivered"), 1);
    batch.pop().unwrap()
}

async fn next_event(mailbox: &mut Mailbox) -> u64 {
    loop {
        if let Delivery::Event { event, .. } = next(mailbox).await {
            return event.seq;
        }
    }
}

/// Makes a test of each for every bus.
macro_rules! contract {
    ($($name:ident)*) => {
        mod local {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::World::local()).await;
            })*
        }

        mod nats {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::World::over_nats().await).await;
            })*
        }
    };
}

contract! {
    followers_hear_events_in_order
    only_followers_of_the_room_are_told
    follower_that_left_is_told_no_more
    every_follower_hears_the_same_bytes
    controls_reach_every_subscriber
    what_is_for_one_process_reaches_its_subscribers
    full_mailbox_loses_and_says_so
    places_for_subscribers_are_bounded
    text_so_far_is_kept_until_the_reply_ends
    text_of_a_deleted_room_is_forgotten
    what_was_published_before_the_end_is_delivered
}

async fn followers_hear_events_in_order(world: World) {
    let mut mailbox = world.there.subscribe(1_000).unwrap();
    world.follow(&mailbox, room(1)).await;

    for seq in 1..=500 {
        world.here.publish_events(vec![said(room(1), seq)]);
    }

    for seq in 1..=500 {
        assert_eq!(next_event(&mut mailbox).await, seq);
    }
}

async fn only_followers_of_the_room_are_told(world: World) {
    let mut follower = world.there.subscribe(8).unwrap();
    let mut other = world.there.subscribe(8).unwrap();
    world.follow(&follower, room(1)).await;
    world.follow(&other, room(2)).await;

    world.here.publish_signal(typing(room(1)));
    assert!(matches!(next(&mut follower).await, Delivery::Signal { .. }));
    world.here.publish_control(Control::JobQueued);

    assert!(matches!(next(&mut other).await, Delivery::Control(Control::JobQueued)));
}

async fn follower_that_left_is_told_no_more(world: World) {
    let mut mailbox = world.there.subscribe(8).unwrap();
    world.follow(&mailbox, room(1)).await;
    world.follow(&mailbox, room(2)).await;
    world.there.unfollow(mailbox.id, room(1));

    world.here.publish_events(vec![said(room(1), 1), said(room(2), 7)]);

    assert_eq!(next_event(&mut mailbox).await, 7);
}

async fn every_follower_hears_the_same_bytes(world: World) {
    let mut one = world.there.subscribe(8).unwrap();
    let mut other = world.there.subscribe(8).unwrap();
    world.follow(&one, room(1)).await;
    world.follow(&other, room(1)).await;

    world.here.publish_events(vec![said(room(1), 1)]);

    let Delivery::Event { json: first, .. } = next(&mut one).await else { panic!("an event") };
    let Delivery::Event { json: second, .. } = next(&mut other).await else { panic!("an event") };
    assert_eq!(first.as_ptr(), second.as_ptr(), "encoded once for all");
    let frame: serde_json::Value = serde_json::from_slice(&first).unwrap();
    assert_eq!((&frame["op"], &frame["seq"]), (&"event".into(), &1.into()));
}

async fn controls_reach_every_subscriber(world: World) {
    let mut mailboxes = [world.there.subscribe(8).unwrap(), world.here.subscribe(8).unwrap()];

    world.here.publish_control(Control::RoomDeleted(room(3)));

    for mailbox in &mut mailboxes {
        let first = next(mailbox).await;
        let is_it = matches!(first, Delivery::Control(Control::RoomDeleted(id)) if id == room(3));
        assert!(is_it, "{first:?}");
    }
}

async fn what_is_for_one_process_reaches_its_subscribers(world: World) {
    let mut mailbox = world.there.subscribe(8).unwrap();
    world.follow(&mailbox, room(1)).await;

    world.there.deliver_ahead(room(2), 3);
    world.there.deliver_ahead(room(1), 7);
    world.there.deliver_control(Control::StoreMayBeAhead);

    let first = next(&mut mailbox).await;
    assert!(matches!(first, Delivery::Ahead { room: id, seq: 7 } if id == room(1)), "{first:?}");
    let second = next(&mut mailbox).await;
    assert!(matches!(second, Delivery::Control(Control::StoreMayBeAhead)), "{second:?}");
}

async fn full_mailbox_loses_and_says_so(world: World) {
    let mut full = world.there.subscribe(2).unwrap();
    let mut large = world.there.subscribe(100).unwrap();
    world.follow(&full, room(1)).await;
    world.follow(&large, room(1)).await;

    world.here.publish_events((1..=50).map(|seq| said(room(1), seq)).collect());
    for seq in 1..=50 {
        assert_eq!(next_event(&mut large).await, seq, "the others lose nothing");
    }

    assert!(full.take_overflow());
    assert!(!full.take_overflow());
    assert!(!large.take_overflow());
    assert_eq!(next_event(&mut full).await, 1);
    assert_eq!(next_event(&mut full).await, 2);
}

async fn places_for_subscribers_are_bounded(world: World) {
    let mailboxes: Vec<_> = (0..64).map(|_| world.there.subscribe(1)).collect();
    assert!(mailboxes.iter().all(Option::is_some));
    assert!(world.there.subscribe(1).is_none());
}

async fn text_so_far_is_kept_until_the_reply_ends(world: World) {
    let mut mailbox = world.there.subscribe(100).unwrap();
    world.follow(&mailbox, room(1)).await;
    let reply = message(7);
    let texts = async || {
        let replies = world.there.list_streaming(room(1)).await;
        replies.into_iter().map(|r| (r.turn, r.chunk, r.text)).collect::<Vec<_>>()
    };

    world.here.publish_events(vec![begun(room(1), 1, reply)]);
    world.here.publish_signal(delta(room(1), reply, 1, 1, "a"));
    world.here.publish_signal(delta(room(1), reply, 1, 2, "b"));
    world.here.publish_signal(delta(room(1), reply, 1, 2, "b"));
    for _ in 0..4 {
        next(&mut mailbox).await;
    }
    assert_eq!(texts().await, [(1, 2, "ab".to_owned())]);

    world.here.publish_signal(delta(room(1), reply, 2, 1, "new"));
    next(&mut mailbox).await;
    assert_eq!(texts().await, [(2, 1, "new".to_owned())]);

    world.here.publish_events(vec![ended(room(1), 2, reply)]);
    assert_eq!(next_event(&mut mailbox).await, 2);
    assert!(texts().await.is_empty());
}

async fn text_of_a_deleted_room_is_forgotten(world: World) {
    let mut mailbox = world.there.subscribe(100).unwrap();
    world.follow(&mailbox, room(1)).await;
    world.here.publish_events(vec![begun(room(1), 1, message(7))]);
    assert_eq!(next_event(&mut mailbox).await, 1);
    assert_eq!(world.there.list_streaming(room(1)).await.len(), 1);

    world.here.publish_control(Control::RoomDeleted(room(1)));
    while !matches!(next(&mut mailbox).await, Delivery::Control(_)) {}

    assert!(world.there.list_streaming(room(1)).await.is_empty());
}

async fn what_was_published_before_the_end_is_delivered(world: World) {
    let mut mailbox = world.there.subscribe(1_000).unwrap();
    world.follow(&mailbox, room(1)).await;
    assert_eq!(*world.here.status().borrow(), BusStatus::Connected);

    world.here.publish_events((1..=500).map(|seq| said(room(1), seq)).collect());
    world.here.close().await;

    for seq in 1..=500 {
        assert_eq!(next_event(&mut mailbox).await, seq);
    }
}

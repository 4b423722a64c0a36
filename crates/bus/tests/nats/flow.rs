//! What is published arrives, once, in order, and only where somebody wants it.

use async_nats::StatusCode;
use futures_util::StreamExt as _;
use parlor_bus::{Bus, Control, Delivery, NatsOptions};
use parlor_protocol::event::EventBody;
use parlor_protocol::id::{JobId, RoomId, SessionId};
use parlor_protocol::signal::SignalBody;
use parlor_testkit::services::Nats;
use uuid::Uuid;

use crate::harness::{Node, options, until};
use crate::make::{begun, delta, message, room, said, typing};

#[tokio::test]
async fn events_reach_another_process_once_and_in_order() {
    let nats = Nats::start().await;
    let mut here = Node::start(&nats).await;
    let mut there = Node::start(&nats).await;
    here.follow(room(1)).await;
    there.follow(room(1)).await;

    for first in (1..=2_000).step_by(10) {
        here.bus.publish_events((first..first + 10).map(|seq| said(room(1), seq)).collect());
        tokio::task::yield_now().await;
    }

    for seq in 1..=2_000 {
        assert_eq!(here.hear_event().await, seq, "own events are delivered at once");
    }
    for seq in 1..=2_000 {
        assert_eq!(there.hear_event().await, seq);
    }
    // Behind everything else on the same connections.
    here.bus.list_streaming(room(1)).await;
    assert!(here.heard().is_empty(), "own events do not come back");
    assert!(there.heard().is_empty());
}

#[tokio::test]
async fn what_is_delivered_there_is_what_is_delivered_here() {
    let nats = Nats::start().await;
    let mut here = Node::start(&nats).await;
    let mut there = Node::start(&nats).await;
    here.follow(room(1)).await;
    there.follow(room(1)).await;

    here.bus.publish_events(vec![said(room(1), 1)]);
    here.bus.publish_signal(typing(room(1)));

    for _ in 0..2 {
        match (here.hear().await, there.hear().await) {
            (
                Delivery::Event { event: a, json: one },
                Delivery::Event { event: b, json: other },
            ) => {
                assert_eq!((&a, &one), (&b, &other));
            }
            (
                Delivery::Signal { signal: a, json: one },
                Delivery::Signal { signal: b, json: other },
            ) => assert_eq!((&a, &one), (&b, &other)),
            different => panic!("{different:?}"),
        }
    }
}

#[tokio::test]
async fn controls_reach_every_process() {
    let nats = Nats::start().await;
    let mut here = Node::start(&nats).await;
    let mut there = Node::start(&nats).await;
    let id = Uuid::from_u128(7);

    for control in [
        Control::JobQueued,
        Control::CancelReply(JobId(id)),
        Control::SessionRevoked(SessionId(id)),
        Control::RoomDeleted(RoomId(id)),
        Control::StoreMayBeAhead,
    ] {
        here.bus.publish_control(control);
        here.hear_control(control).await;
        there.hear_control(control).await;
    }
}

#[tokio::test]
async fn what_is_for_this_process_stays_here() {
    let nats = Nats::start().await;
    let mut here = Node::start(&nats).await;
    let mut there = Node::start(&nats).await;
    here.follow(room(1)).await;
    there.follow(room(1)).await;

    here.bus.deliver_ahead(room(1), 7);
    here.bus.deliver_control(Control::StoreMayBeAhead);
    here.bus.publish_control(Control::JobQueued);

    let ahead = here.hear().await;
    assert!(matches!(ahead, Delivery::Ahead { room: id, seq: 7 } if id == room(1)), "{ahead:?}");
    here.hear_control(Control::StoreMayBeAhead).await;
    let first = there.hear().await;
    assert!(matches!(first, Delivery::Control(Control::JobQueued)), "{first:?}");
}

/// Tells whether anybody listens on a subject, by the server's own word.
async fn is_listened_to(client: &async_nats::Client, subject: &str) -> bool {
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(inbox.clone()).await.unwrap();
    client.publish_with_reply(subject.to_owned(), inbox.clone(), "".into()).await.unwrap();
    // The server answers by itself when nobody listens; behind that comes our own.
    client.publish(inbox, "mark".into()).await.unwrap();
    let first = answers.next().await.unwrap();
    first.status != Some(StatusCode::NO_RESPONDERS)
}

#[tokio::test]
async fn only_followed_rooms_are_subscribed_to_and_given_up_later() {
    const SUBSCRIPTIONS: &str = "parlor_bus_subscriptions";
    let nats = Nats::start().await;
    let node = Node::start(&nats).await;
    let observer = async_nats::connect(nats.url()).await.unwrap();
    let events = format!("parlor.e.{}", room(1));
    let signals = format!("parlor.s.{}", room(1));
    assert!(!is_listened_to(&observer, &events).await);

    node.follow(room(1)).await;
    assert!(is_listened_to(&observer, &events).await);
    assert!(is_listened_to(&observer, &signals).await);
    assert!(!is_listened_to(&observer, &format!("parlor.e.{}", room(2))).await);
    node.wait_metric(SUBSCRIPTIONS, &[], 2.0).await;

    node.unfollow(room(1));
    assert!(is_listened_to(&observer, &events).await, "somebody may come back");
    until(async || !is_listened_to(&observer, &events).await).await;
    until(async || !is_listened_to(&observer, &signals).await).await;
    node.wait_metric(SUBSCRIPTIONS, &[], 0.0).await;
}

#[tokio::test]
async fn room_that_is_followed_again_soon_was_never_given_up() {
    let nats = Nats::start().await;
    let here = Node::start(&nats).await;
    let mut there = Node::with(NatsOptions {
        release_after: std::time::Duration::from_mins(10),
        ..options(&nats)
    })
    .await;
    there.follow(room(1)).await;
    there.unfollow(room(1));
    // Not followed, but subscribed to: nobody hears it.
    here.bus.publish_events(vec![said(room(1), 1)]);
    there.wait_metric("parlor_bus_received_total", &[("kind", "event")], 1.0).await;
    there.follow(room(1)).await;
    here.bus.publish_events(vec![said(room(1), 2)]);

    assert_eq!(there.hear_event().await, 2);
    there.wait_metric("parlor_bus_subscriptions", &[], 2.0).await;
}

#[tokio::test]
async fn whoever_has_waited_for_the_subscription_misses_nothing_after_it() {
    let nats = Nats::start().await;
    let here = Node::start(&nats).await;
    let mut there = Node::start(&nats).await;

    for n in 1..=200 {
        there.follow(room(n)).await;
        here.bus.publish_events(vec![said(room(n), 1)]);
        assert_eq!(there.hear_event().await, 1);
    }
}

#[tokio::test]
async fn flood_of_signals_neither_drops_nor_delays_events() {
    let nats = Nats::start().await;
    let small = NatsOptions { publish_queue: 128, ..options(&nats) };
    let here = Node::with(small).await;
    let mut there = Node::start(&nats).await;
    there.follow(room(1)).await;

    for seq in 1..=100 {
        for _ in 0..500 {
            here.bus.publish_signal(typing(room(1)));
        }
        here.bus.publish_events(vec![said(room(1), seq)]);
    }

    for seq in 1..=100 {
        assert_eq!(there.hear_event().await, seq);
    }
    let dropped = |kind| here.metric("parlor_bus_dropped_total", &[("kind", kind)]);
    assert!(dropped("signal") > 1_000.0, "there was a flood");
    assert!(dropped("event") < 0.5, "events have their own queue");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signal_never_comes_before_the_event_that_was_sent_before_it() {
    let nats = Nats::start().await;
    let here = Node::start(&nats).await;
    let mut there = Node::start(&nats).await;
    let rooms = 20;
    for n in 1..=rooms {
        there.follow(room(n)).await;
    }

    for round in 1..=50_u64 {
        for n in 1..=rooms {
            let reply = message(u128::from(round) * 1_000 + n);
            here.bus.publish_events(vec![begun(room(n), round, reply)]);
            here.bus.publish_signal(delta(room(n), reply, 1, 1, "a"));
        }
        tokio::task::yield_now().await;
    }

    let mut begun = std::collections::HashSet::new();
    let mut deltas = 0;
    while deltas < 50 * rooms {
        match there.hear().await {
            Delivery::Event { event, .. } => {
                if let EventBody::MessageCreated(message) = &event.body {
                    begun.insert(message.id);
                }
            }
            Delivery::Signal { signal, .. } => {
                if let SignalBody::MessageDelta(delta) = &signal.body {
                    assert!(begun.contains(&delta.message), "a piece before its reply");
                    deltas += 1;
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn garbage_is_counted_and_ignored() {
    let nats = Nats::start().await;
    let here = Node::start(&nats).await;
    let mut there = Node::start(&nats).await;
    there.follow(room(1)).await;
    // A writer listens for questions.
    there.bus.publish_events(vec![begun(room(1), 1, message(7))]);
    there.wait_metric("parlor_bus_subscriptions", &[], 3.0).await;
    there.bus.wait_followed(room(1)).await;
    there.heard();
    let mallory = async_nats::connect(nats.url()).await.unwrap();
    let (events, signals) = (format!("parlor.e.{}", room(1)), format!("parlor.s.{}", room(1)));
    let questions = format!("parlor.q.{}", room(1));
    let other_room = format!("1{}", serde_json::json!({"op": "event", "x": said(room(2), 1)}));
    let foreign = {
        let frame = serde_json::to_value(said(room(2), 1)).unwrap();
        // The first field is the kind of frame, as in what nodes send.
        format!(r#"1{{"op":"event",{}"#, frame.to_string().trim_start_matches('{'))
    };

    for (subject, payload) in [
        (&events, ""),
        (&events, "1"),
        (&events, "1{\"op\":\"event\",\"room\":7}"),
        (&events, "1{\"op\":\"signal\"}"),
        (&events, &other_room),
        (&signals, "1\u{0}\u{ffff}"),
        (&"parlor.c".to_owned(), "1\"no"),
    ] {
        mallory.publish(subject.clone(), payload.to_owned().into()).await.unwrap();
    }
    mallory.publish(events.clone(), "9{\"op\":\"event\"}".into()).await.unwrap();
    mallory.publish("parlor.c", "1{\"tea_time\":7}".into()).await.unwrap();
    mallory.publish(events.clone(), foreign.into()).await.unwrap();
    mallory.publish_with_reply(questions.clone(), "parlor.c", "".into()).await.unwrap();
    mallory.publish(questions, "".into()).await.unwrap();

    let bad = "parlor_bus_bad_messages_total";
    there.wait_metric(bad, &[("reason", "garbage")], 7.0).await;
    there.wait_metric(bad, &[("reason", "version")], 2.0).await;
    there.wait_metric(bad, &[("reason", "room")], 1.0).await;
    there.wait_metric(bad, &[("reason", "subject")], 2.0).await;
    here.bus.publish_events(vec![said(room(1), 2)]);
    let first = there.hear().await;
    assert!(matches!(&first, Delivery::Event { event, .. } if event.seq == 2), "{first:?}");
}

#[tokio::test]
async fn what_is_queued_is_sent_before_the_end() {
    let nats = Nats::start().await;
    let here = Node::start(&nats).await;
    let mut there = Node::start(&nats).await;
    there.follow(room(1)).await;

    here.bus.publish_events((1..=500).map(|seq| said(room(1), seq)).collect());
    here.bus.close().await;
    drop(here);

    for seq in 1..=500 {
        assert_eq!(there.hear_event().await, seq);
    }
}

#[tokio::test]
async fn buses_with_different_prefixes_do_not_meet() {
    let nats = Nats::start().await;
    let here = Node::start(&nats).await;
    let other = NatsOptions { subject_prefix: "tea.room".into(), ..options(&nats) };
    let mut there = Node::with(other.clone()).await;
    let friend = Node::with(other).await;
    there.follow(room(1)).await;

    here.bus.publish_events(vec![said(room(1), 1)]);
    here.bus.close().await;
    friend.bus.publish_events(vec![said(room(1), 2)]);

    assert_eq!(there.hear_event().await, 2);
}

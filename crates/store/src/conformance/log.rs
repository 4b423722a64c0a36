//! The order of the log, idempotency, batches, and reading.

use std::collections::HashMap;

use parlor_protocol::event::EventBody;
use parlor_protocol::http::Trigger;
use parlor_protocol::id::{MessageId, RoomId};
use parlor_protocol::room::{Role, RoomKind};
use uuid::Uuid;

use super::Factory;
use super::world::{World, assert_dense, text, text_as};
use crate::append::{AppendRefused, Appended, Intent, NewMessage};

/// 16 tasks write to one room, and every twentieth message is sent twice from two tasks: the log is
/// 1, 2, 3 … and both senders of a message get the same answer.
pub async fn seq_is_dense_under_concurrent_writers_and_repeats(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let room = world.public(&ada, &[]).await;

    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..16_u32 {
        let store = world.shared();
        let wishes: Vec<_> = (0..40_u32)
            .map(|n| {
                // Each twentieth is that of the next task, too.
                let author = if n % 20 == 0 { task / 2 * 2 } else { task };
                let message = text_as(&format!("{author}-{n}"), &format!("from {task}"));
                world.wish(room, &ada, Intent::Publish(message))
            })
            .collect();
        tasks.spawn(async move {
            let mut answers = Vec::new();
            for wish in wishes {
                answers.extend(store.append(vec![wish]).await.unwrap());
            }
            answers
        });
    }
    let mut seqs: HashMap<Option<String>, (u64, MessageId)> = HashMap::new();
    let (mut new, mut repeats) = (0, 0);
    while let Some(answers) = tasks.join_next().await {
        for answer in answers.unwrap() {
            let event = match answer.unwrap() {
                Appended::New { mut events, .. } => {
                    new += 1;
                    events.remove(0)
                }
                Appended::Repeat { event } => {
                    repeats += 1;
                    event
                }
                Appended::Unchanged => panic!("a message is never unchanged"),
            };
            let EventBody::MessageCreated(message) = event.body else {
                panic!("not a message");
            };
            let first = seqs.entry(message.client_id.clone()).or_insert((event.seq, message.id));
            assert_eq!(*first, (event.seq, message.id), "two answers to one message");
        }
    }

    assert_eq!((new, repeats), (16 * 40 - 16, 16));
    let events = world.events(room).await;
    assert_dense(&events, 1);
    assert_eq!(events.len(), 2 + new, "the room, its owner and the messages");
    assert_eq!(world.messages(room).await.len(), new);
}

/// The same message twice in one batch is one message, and no number is lost.
pub async fn duplicates_inside_one_batch_are_one_message(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let room = world.public(&ada, &[]).await;
    let publish = |message| world.wish(room, &ada, Intent::Publish(message));
    let same = text("same id");

    let batch = vec![
        publish(text_as("a", "first")),
        publish(text_as("a", "second")),
        publish(same.clone()),
        publish(text_as("b", "third")),
        publish(same),
        publish(text_as("a", "fourth")),
    ];
    let answers = world.store().append(batch).await.unwrap();

    let kinds: Vec<_> = answers
        .iter()
        .map(|answer| match answer.as_ref().unwrap() {
            Appended::New { events, .. } => ("new", events[0].seq),
            Appended::Repeat { event } => ("repeat", event.seq),
            Appended::Unchanged => panic!("a message is never unchanged"),
        })
        .collect();
    assert_eq!(
        kinds,
        [("new", 3), ("repeat", 3), ("new", 4), ("new", 5), ("repeat", 4), ("repeat", 3)]
    );
    assert_dense(&world.events(room).await, 1);
    assert_eq!(world.messages(room).await.len(), 3);
}

/// A refused intent changes nothing: its neighbours get the numbers as if it had not been there.
pub async fn refusal_in_the_middle_of_a_batch_leaves_no_hole(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let room = world.public(&ada, &[]).await;
    let unknown = MessageId(Uuid::new_v4());

    let batch = vec![
        world.wish(room, &ada, Intent::Publish(text("one"))),
        world.wish(room, &bob, Intent::Publish(text("not a member"))),
        world.wish(
            room,
            &ada,
            Intent::Publish(NewMessage { reply_to: Some(unknown), ..text("x") }),
        ),
        world.wish(room, &ada, Intent::Redact { message: unknown }),
        world.wish(RoomId(Uuid::new_v4()), &ada, Intent::Publish(text("nowhere"))),
        world.wish(room, &ada, Intent::Publish(text("two"))),
    ];
    let answers = world.store().append(batch).await.unwrap();

    assert!(answers[0].is_ok() && answers[5].is_ok());
    assert!(matches!(answers[1], Err(AppendRefused::Rule(_))));
    assert_eq!(answers[2], Err(AppendRefused::NoSuchMessage));
    assert_eq!(answers[3], Err(AppendRefused::NoSuchMessage));
    assert_eq!(answers[4], Err(AppendRefused::NoSuchRoom));
    let bodies: Vec<_> =
        world.messages(room).await.into_iter().map(|message| (message.seq, message.body)).collect();
    assert_eq!(bodies, [(3, "one".to_owned()), (4, "two".to_owned())]);
}

/// Numbers follow the order of the batch in each of its rooms, and later intents see earlier ones.
pub async fn seq_follows_the_order_of_the_batch(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let one = world.public(&ada, &[]).await;
    let two = world.public(&ada, &[]).await;

    let mut batch = vec![world.wish(one, &bob, Intent::Join { invite: None })];
    for n in 0..50 {
        batch.push(world.wish(one, &bob, Intent::Publish(text(&format!("one {n}")))));
        batch.push(world.wish(two, &ada, Intent::Publish(text(&format!("two {n}")))));
    }
    let answers = world.store().append(batch).await.unwrap();

    assert!(answers.iter().all(Result::is_ok));
    for (room, name) in [(one, "one"), (two, "two")] {
        assert_dense(&world.events(room).await, 1);
        let bodies: Vec<_> =
            world.messages(room).await.into_iter().map(|message| message.body).collect();
        let expected: Vec<_> = (0..50).map(|n| format!("{name} {n}")).collect();
        assert_eq!(bodies, expected);
    }
}

/// The first answer stays the answer: whatever the body of the repeat, whatever happened to the
/// message since, and also when the author may not write any more.
pub async fn repeat_gets_the_first_answer_for_ever(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let guide = world.bot("guide", Trigger::Mention).await;
    let room = world.public(&ada, &[&bob, &guide]).await;
    let publish = |body: &str| Intent::Publish(text_as("key", body));

    let first = world.add(room, &bob, publish("first @guide")).await;
    let EventBody::MessageCreated(message) = &first[0].body else { panic!("not a message") };
    let edit = Intent::Edit { message: message.id, body: "edited".to_owned() };
    world.add(room, &bob, edit).await;
    world.add(room, &ada, Intent::Mute { user: bob.id, until: None, reason: None }).await;
    let seq = world.seq(room).await;
    let repeat = world.append(room, &bob, publish("another body @guide")).await.unwrap();

    let Appended::Repeat { event } = repeat else { panic!("not a repeat: {repeat:?}") };
    assert_eq!((event.seq, event.at), (first[0].seq, first[0].at));
    let EventBody::MessageCreated(now) = event.body else { panic!("not a message") };
    assert_eq!((now.id, now.body.as_str()), (message.id, "edited"));
    assert_eq!(world.seq(room).await, seq);
    assert_eq!(world.store().count_jobs().await.unwrap(), (1, 0));

    let other_author = world.append(room, &ada, publish("mine")).await;
    assert!(matches!(other_author, Ok(Appended::New { .. })), "each author has ids of their own");
    let other_room = world.public(&bob, &[]).await;
    world.add(other_room, &bob, publish("elsewhere")).await;
}

/// Events are read in order after a position, at most as many as asked for.
pub async fn events_are_read_after_a_position(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let room = world.public(&ada, &[]).await;
    for n in 0..8 {
        world.said(room, &ada, &n.to_string()).await;
    }

    let read = async |after, limit| -> Vec<u64> {
        let events = world.store().read_events(room, after, limit).await.unwrap();
        events.into_iter().map(|event| event.seq).collect()
    };
    assert_eq!(read(0, 3).await, [1, 2, 3]);
    assert_eq!(read(8, 100).await, [9, 10]);
    assert!(read(10, 100).await.is_empty());
    assert!(read(u64::MAX, 100).await.is_empty());
    let head = world.store().find_head(room).await.unwrap().unwrap();
    assert_eq!((head.seq, head.reset_through), (10, 0));
    let other = world.public(&ada, &[]).await;
    let other = world.store().find_head(other).await.unwrap().unwrap();
    assert_eq!(other.epoch, head.epoch, "one epoch for all logs of a store");
    assert_eq!(world.store().find_head(RoomId(Uuid::new_v4())).await.unwrap(), None);
}

/// Someone else's rooms stay closed for every kind of intent, and nothing changes.
pub async fn stranger_can_do_nothing_in_a_private_room(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let eve = world.user("eve").await;
    let room = world.room(RoomKind::Private, &ada, &[]).await;
    let message = world.said(room, &ada, "secret").await;
    let (before, user) = (world.events(room).await, ada.id);

    for intent in [
        Intent::Publish(text("hi")),
        Intent::Edit { message, body: "x".to_owned() },
        Intent::Redact { message },
        Intent::React { message, emoji: "x".to_owned(), add: true },
        Intent::Join { invite: None },
        Intent::Invite { user: eve.id },
        Intent::Leave,
        Intent::Kick { user, reason: None },
        Intent::Ban { user, until: None, reason: None },
        Intent::Mute { user, until: None, reason: None },
        Intent::SetRole { user: eve.id, role: Role::Owner },
        Intent::Update {
            name: Some("x".to_owned()),
            topic: None,
            archived: Some(true),
            settings: None,
        },
        Intent::ResetHistory,
    ] {
        let refused = world.append(room, &eve, intent.clone()).await;
        assert_eq!(refused, Err(AppendRefused::NoSuchRoom), "{intent:?}");
    }
    let cancelled = world.store().cancel_reply(room, message, eve.id, world.now()).await.unwrap();
    assert_eq!(cancelled, Err(AppendRefused::NoSuchRoom));
    let deleted = world.store().delete_room(room, eve.id, world.now()).await.unwrap();
    assert_eq!(deleted, Err(AppendRefused::NoSuchRoom));
    assert_eq!(world.events(room).await, before);
}

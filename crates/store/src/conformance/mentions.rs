//! Mentions: found when a text is written, and gone with it.

use parlor_protocol::event::EventBody;
use parlor_protocol::http::Trigger;
use parlor_protocol::id::{MessageId, RoomId};
use parlor_protocol::message::{Message, MessageStatus};
use parlor_protocol::room::{Role, RoomKind};
use parlor_protocol::user::UserRef;
use uuid::Uuid;

use super::Factory;
use super::world::{World, complete, start, text, text_as};
use crate::append::{Appended, Intent, NewMessage};

fn names(mentions: &[UserRef]) -> Vec<&str> {
    mentions.iter().map(|user| user.username.as_str()).collect()
}

/// Writes a message and returns it as it was told.
async fn told(world: &World, room: RoomId, author: &UserRef, new: NewMessage) -> Message {
    let events = world.add(room, author, Intent::Publish(new)).await;
    let EventBody::MessageCreated(message) = &events[0].body else { panic!("not a message") };
    (**message).clone()
}

async fn mentions(world: &World, room: RoomId, reader: &UserRef) -> u64 {
    world.listing(room, reader).await.mentions
}

/// Whoever is a member when the text is written is mentioned, in the order of the text, and stays so.
/// Told, listed, found and replayed it is the same.
pub async fn only_members_of_that_moment_are_mentioned(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let carol = world.user("carol").await;
    let dave = world.user("dave").await;
    let room = world.public(&ada, &[&bob, &dave]).await;
    let body = "@Dave, @carol and @bob! Not `@ada`, nor @nobody, nor mail@ada; again @bob";

    let message = told(&world, room, &ada, text(body)).await;
    world.add(room, &carol, Intent::Join { invite: None }).await;
    world.add(room, &dave, Intent::Leave).await;

    assert_eq!(names(&message.mentions), ["dave", "bob"]);
    assert_eq!(message.mentions[0], dave);
    assert_eq!(world.message(room, message.id).await, message);
    assert_eq!(world.messages(room).await, std::slice::from_ref(&message));
    let created = world.events(room).await.into_iter().find(|event| event.seq == message.seq);
    assert_eq!(created.unwrap().body, EventBody::MessageCreated(Box::new(message.clone())));
    let read = world.store().read_events_of_rooms(&[(room, message.seq - 1, 1)]).await.unwrap();
    let EventBody::MessageCreated(again) = &read[0][0].body else { panic!("not a message") };
    assert_eq!(**again, message);
    assert_eq!(mentions(&world, room, &bob).await, 1);
    assert_eq!(mentions(&world, room, &carol).await, 0);
    assert_eq!(mentions(&world, room, &ada).await, 0);
}

/// In one batch each message has its own mentions, and a repeated one those of the first time.
pub async fn messages_of_a_batch_have_their_own_mentions(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let room = world.public(&ada, &[&bob]).await;
    let other = world.public(&bob, &[&ada]).await;
    let say = |room, author: &UserRef, message| world.wish(room, author, Intent::Publish(message));

    let batch = vec![
        say(room, &ada, text_as("one", "@bob and @ada")),
        say(room, &bob, text("nobody")),
        say(other, &bob, text("@ada @room")),
        say(room, &bob, text("@ada @bob @room")),
        say(room, &ada, text_as("one", "@ada")),
    ];
    let answers = world.store().append(batch).await.unwrap();

    let messages: Vec<Message> = answers
        .into_iter()
        .map(|answer| match answer.unwrap() {
            Appended::New { events, .. } => events.into_iter().next().unwrap(),
            Appended::Repeat { event } => event,
            Appended::Unchanged => panic!("nothing was written"),
        })
        .map(|event| match event.body {
            EventBody::MessageCreated(message) => *message,
            other => panic!("not a message: {other:?}"),
        })
        .collect();
    let found: Vec<_> =
        messages.iter().map(|one| (names(&one.mentions), one.mentions_room)).collect();
    let expected = [
        (vec!["bob", "ada"], false),
        (vec![], false),
        (vec!["ada"], true),
        (vec!["ada", "bob"], false),
        (vec!["bob", "ada"], false),
    ];
    assert_eq!(found, expected);
    assert_eq!((mentions(&world, room, &ada).await, mentions(&world, room, &bob).await), (1, 1));
    // The same message twice is one.
    assert_eq!(mentions(&world, other, &ada).await, 1);
    assert_eq!(mentions(&world, other, &bob).await, 0, "nobody mentions themselves");
}

/// `@room` is for those who keep order; from others it is only text.
pub async fn room_is_mentioned_by_those_who_keep_order(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let carol = world.user("carol").await;
    let room = world.public(&ada, &[&bob, &carol]).await;

    let by_member = told(&world, room, &bob, text("all of @room")).await;
    let by_owner = told(&world, room, &ada, text("all of @room")).await;
    let set = Intent::SetRole { user: bob.id, role: Role::Moderator };
    world.add(room, &ada, set).await;
    let by_moderator = told(&world, room, &bob, text("@Room, @carol")).await;

    assert!(!by_member.mentions_room && by_owner.mentions_room && by_moderator.mentions_room);
    assert_eq!(mentions(&world, room, &carol).await, 2);
    assert_eq!(mentions(&world, room, &ada).await, 1);
    assert_eq!(mentions(&world, room, &bob).await, 1);
    let late = world.user("late").await;
    world.add(room, &late, Intent::Join { invite: None }).await;
    assert_eq!(mentions(&world, room, &late).await, 0);
}

/// An edit mentions whom its text mentions, and nobody else; a redaction mentions nobody.
pub async fn edit_and_redaction_change_who_is_mentioned(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let carol = world.user("carol").await;
    let room = world.room(RoomKind::Private, &ada, &[&bob, &carol]).await;
    let message = world.said(room, &ada, "for @bob").await;
    let edit = |body: &str| Intent::Edit { message, body: body.to_owned() };
    let counts = async || {
        let of = async |user| mentions(&world, room, user).await;
        (of(&bob).await, of(&carol).await, world.message(room, message).await.edits)
    };
    assert_eq!(counts().await, (1, 0, 0));

    let events = world.add(room, &ada, edit("for @carol")).await;
    let EventBody::MessageEdited(edited) = &events[0].body else { panic!("not an edit") };
    assert_eq!((names(&edited.mentions), edited.mentions_room), (vec!["carol"], false));
    assert_eq!(world.events(room).await.last(), Some(&events[0]));
    assert_eq!(counts().await, (0, 1, 1));

    world.add(room, &ada, edit("for @carol, and so for @room")).await;
    assert!(world.message(room, message).await.mentions_room);
    assert_eq!(counts().await, (1, 1, 2));

    world.add(room, &ada, edit("for nobody")).await;
    assert_eq!(counts().await, (0, 0, 3));

    world.add(room, &ada, edit("@bob @room")).await;
    world.add(room, &ada, Intent::Redact { message }).await;
    assert_eq!(counts().await, (0, 0, 4));
    let log = serde_json::to_value(world.events(room).await).unwrap();
    assert!(!log.to_string().contains("mentions"), "{log}");
}

/// A reply of a bot mentions when it is complete, and never everyone.
pub async fn finished_reply_mentions_members(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let guide = world.bot("guide", Trigger::Mention).await;
    let room = world.public(&ada, &[&bob, &guide]).await;
    let set = Intent::SetRole { user: guide.id, role: Role::Moderator };
    world.add(room, &ada, set).await;
    let asked = world.said(room, &ada, "@guide?").await;
    assert_eq!(names(&world.message(room, asked).await.mentions), ["guide"]);
    let job = world.claim().await.unwrap();
    let reply = MessageId(Uuid::new_v4());
    world.add(room, &guide, start(job.id, 1, reply)).await;
    assert_eq!(mentions(&world, room, &bob).await, 0);

    let end = complete(job.id, 1, reply, MessageStatus::Completed, "ask @bob, @room, @eve");
    let events = world.add(room, &guide, end).await;

    let EventBody::MessageCompleted(completed) = &events[0].body else { panic!("no end") };
    assert_eq!(names(&completed.mentions), ["bob"]);
    let now = world.message(room, reply).await;
    assert_eq!((names(&now.mentions), now.mentions_room), (vec!["bob"], false));
    assert_eq!((mentions(&world, room, &bob).await, mentions(&world, room, &ada).await), (1, 0));
}

//! What one reader sees: unread messages and mentions, places in the history, pins, older texts.

use parlor_domain::permission::Refused;
use parlor_protocol::event::EventBody;
use parlor_protocol::http::Trigger;
use parlor_protocol::id::{MessageId, RoomId};
use parlor_protocol::limits::{PINS_MAX, UNREAD_MAX, VERSIONS_MAX};
use parlor_protocol::message::MessageStatus;
use parlor_protocol::room::{NotificationLevel, Role, RoomKind};
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::UserRef;
use uuid::Uuid;

use super::Factory;
use super::world::{World, complete, text};
use crate::append::{AppendRefused, Appended, Intent, NewMessage};
use crate::record::Window;

fn pin(message: MessageId, pin: bool) -> Intent {
    Intent::Pin { message, pin }
}

fn edit(message: MessageId, body: &str) -> Intent {
    Intent::Edit { message, body: body.to_owned() }
}

/// Sets a marker and returns what is unread then: messages, mentions, and whether it went forward.
async fn mark(world: &World, room: RoomId, reader: &UserRef, seq: u64) -> (u64, u64, bool) {
    let marked = world.store().mark_read(room, reader.id, seq).await.unwrap().unwrap();
    let listing = world.listing(room, reader).await;
    assert_eq!((listing.unread, listing.mentions), (marked.state.unread, marked.state.mentions));
    assert_eq!(listing.read_seq, marked.state.read_seq);
    (marked.state.unread, marked.state.mentions, marked.forward)
}

/// The marker goes back and forth, and what is unread is always what stands after it.
pub async fn counts_are_right_wherever_the_marker_is(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let room = world.public(&ada, &[&bob]).await;
    let start = world.seq(room).await;
    let one = world.said(room, &ada, "@bob one").await;
    world.said(room, &bob, "@bob, says bob").await;
    let two = world.said(room, &ada, "two, @room").await;
    let three = world.said(room, &ada, "three").await;
    let at = async |message| world.message(room, message).await.seq;
    let newest = world.seq(room).await;

    assert_eq!(mark(&world, room, &bob, at(one).await).await, (2, 1, true));
    assert_eq!(mark(&world, room, &bob, start).await, (3, 2, false), "marked unread");
    assert_eq!(mark(&world, room, &bob, start).await, (3, 2, false));
    assert_eq!(mark(&world, room, &bob, at(three).await - 1).await, (1, 0, true));
    assert_eq!(mark(&world, room, &bob, u64::MAX).await, (0, 0, true));
    assert_eq!(world.listing(room, &bob).await.read_seq, newest, "not beyond the newest");

    // What was read and is edited now is not unread again; what is unread counts as it is now.
    world.add(room, &ada, edit(two, "two, @bob, @room")).await;
    assert_eq!(mark(&world, room, &bob, at(one).await).await, (2, 1, false), "counted once");
    world.add(room, &ada, edit(three, "three @bob")).await;
    assert_eq!(mark(&world, room, &bob, at(one).await).await, (2, 2, false));
    world.add(room, &ada, Intent::Redact { message: two }).await;
    assert_eq!(mark(&world, room, &bob, at(one).await).await, (1, 1, false));
    world.add(room, &ada, Intent::ResetHistory).await;
    assert_eq!(mark(&world, room, &bob, 0).await, (0, 0, false));
    world.said(room, &ada, "@bob again").await;
    assert_eq!(mark(&world, room, &bob, 0).await, (1, 1, false));

    let stranger = world.user("eve").await;
    assert_eq!(world.store().mark_read(room, stranger.id, 1).await.unwrap(), None);
    let nowhere = RoomId(Uuid::new_v4());
    assert_eq!(world.store().mark_read(nowhere, bob.id, 1).await.unwrap(), None);
}

/// A marker of the connection goes forward only, also after it was set back.
pub async fn marker_that_was_set_back_goes_forward_again(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let room = world.public(&ada, &[&bob]).await;
    let start = world.seq(room).await;
    let message = world.said(room, &ada, "hi").await;
    let seq = world.message(room, message).await.seq;
    mark(&world, room, &bob, seq).await;

    mark(&world, room, &bob, start).await;

    let set = async |seq| world.store().set_read_marker(room, bob.id, seq).await.unwrap();
    assert_eq!((set(start).await, set(seq).await), (None, Some(seq)));
    assert_eq!(world.listing(room, &bob).await.unread, 0);
}

/// Counting ends at a bound, so that a room with much in it costs no more than one with little.
pub async fn unread_is_counted_up_to_a_bound(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let room = world.public(&ada, &[&bob]).await;
    let start = world.seq(room).await;
    for _ in 0..3 {
        let wishes = (0..350)
            .map(|n| world.wish(room, &ada, Intent::Publish(text(&format!("{n} @bob @room")))));
        world.store().append(wishes.collect()).await.unwrap();
    }
    let max = u64::from(UNREAD_MAX);

    assert_eq!(mark(&world, room, &bob, start).await, (max, max, false));
    assert_eq!(mark(&world, room, &bob, start + 51).await, (999, 999, true));
}

/// The level is a member's own, and a new membership begins with the default.
pub async fn level_of_notifications_is_the_members_own(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let room = world.public(&ada, &[&bob]).await;
    let set = async |user: &UserRef, level| {
        world.store().set_notifications(room, user.id, level).await.unwrap()
    };
    let level = async |user| world.listing(room, user).await.notifications;

    assert!(set(&bob, NotificationLevel::Mentions).await);
    assert_eq!(level(&bob).await, NotificationLevel::Mentions);
    assert!(set(&bob, NotificationLevel::None).await);
    assert_eq!(level(&bob).await, NotificationLevel::None);
    assert_eq!(level(&ada).await, NotificationLevel::All);
    let eve = world.user("eve").await;
    assert!(!set(&eve, NotificationLevel::None).await, "not a member");
    assert_eq!(level(&eve).await, NotificationLevel::All);
    world.add(room, &bob, Intent::Leave).await;
    world.add(room, &bob, Intent::Join { invite: None }).await;
    assert_eq!(level(&bob).await, NotificationLevel::All);
}

/// A page around a position has both sides of it, and one around a time begins its second half with
/// the first message from then on.
pub async fn history_is_read_around_a_position_and_a_time(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let room = world.public(&ada, &[]).await;
    let mut said = Vec::new();
    for n in 1..=9 {
        world.advance(1_000);
        let message = world.said(room, &ada, &n.to_string()).await;
        said.push(world.message(room, message).await);
        world.add(room, &ada, pin(message, true)).await;
    }
    let page = async |window, limit| -> String {
        let messages = world.store().list_messages(room, window, limit).await.unwrap();
        assert!(messages.is_sorted_by_key(|message| message.seq));
        messages.iter().map(|message| message.body.as_str()).collect::<Vec<_>>().join("")
    };
    let after = |message: &parlor_protocol::message::Message, millis| {
        Window::At(Timestamp::from_millis(message.created_at.as_millis() + millis))
    };

    assert_eq!(page(Window::Around(said[4].seq), 4).await, "3456");
    assert_eq!(page(Window::Around(said[4].seq), 5).await, "34567");
    assert_eq!(page(Window::Around(said[4].seq + 1), 4).await, "4567", "between two messages");
    assert_eq!(page(Window::Around(0), 4).await, "12");
    assert_eq!(page(Window::Around(u64::MAX), 4).await, "89");
    assert_eq!(page(Window::Around(said[0].seq), 1).await, "1");
    for (n, message) in said.iter().enumerate() {
        let from = |n: usize| (n + 1).to_string();
        assert_eq!(page(after(message, 0), 1).await, from(n));
        assert_eq!(page(after(message, -1), 1).await, from(n));
        let next = if n < 8 { from(n + 1) } else { String::new() };
        assert_eq!(page(after(message, 1), 1).await, next);
    }
    assert_eq!(page(after(&said[4], 0), 4).await, "3456");
    assert_eq!(page(Window::At(Timestamp::from_millis(0)), 4).await, "12");
    assert_eq!(page(after(&said[8], 1_000_000), 4).await, "89");
    world.add(room, &ada, Intent::ResetHistory).await;
    assert_eq!(page(Window::At(Timestamp::from_millis(0)), 4).await, "");
}

/// Older texts are kept, numbered and bounded.
pub async fn older_texts_are_listed(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let ada = world.user("ada").await;
    let guide = world.bot("guide", Trigger::Mention).await;
    let room = world.public(&ada, &[&guide]).await;
    let message = world.said(room, &ada, "first").await;
    let first = world.message(room, message).await;
    let listed = async |message| -> Vec<(u32, String)> {
        let versions = store.list_versions(room, message).await.unwrap().unwrap();
        assert!(versions.is_sorted_by_key(|version| version.at));
        versions.into_iter().map(|version| (version.version, version.body)).collect()
    };
    assert_eq!(listed(message).await, [(1, "first".to_owned())]);

    world.add(room, &ada, edit(message, "second")).await;
    world.append(room, &ada, edit(message, "second")).await.unwrap();
    let events = world.add(room, &ada, edit(message, "third")).await;

    let expected = ["first", "second", "third"].map(str::to_owned);
    assert_eq!(listed(message).await, (1..).zip(expected).collect::<Vec<_>>());
    let versions = store.list_versions(room, message).await.unwrap().unwrap();
    assert_eq!((versions[0].at, versions[2].at), (first.created_at, events[0].at));
    assert_eq!(world.message(room, message).await.edits, 2);

    for n in 0..VERSIONS_MAX {
        world.add(room, &ada, edit(message, &format!("edit {n}"))).await;
    }
    let listed_then = listed(message).await;
    assert_eq!(listed_then.len(), VERSIONS_MAX as usize);
    assert_eq!(listed_then.last(), Some(&(VERSIONS_MAX + 3, "edit 49".to_owned())));
    assert_eq!(listed_then[0], (4, "edit 0".to_owned()), "the oldest are left out");

    world.said(room, &ada, "@guide").await;
    let job = world.claim().await.unwrap();
    let reply = MessageId(Uuid::new_v4());
    let end = complete(job.id, 1, reply, MessageStatus::Completed, "whole");
    world.add(room, &guide, end).await;
    assert_eq!(listed(reply).await, [(1, "whole".to_owned())]);
    let elsewhere = world.public(&ada, &[]).await;
    assert_eq!(store.list_versions(elsewhere, message).await.unwrap(), None);
}

/// The event that announced a message stays as it was, whatever happened to the message before its
/// first edit.
pub async fn first_words_stay_as_they_were(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let room = world.public(&ada, &[&bob]).await;
    let message = world.said(room, &ada, "first, @bob").await;
    let announced = world.events(room).await.pop().unwrap();
    assert!(matches!(announced.body, EventBody::MessageCreated(_)));

    world.add(room, &ada, pin(message, true)).await;
    let answer = NewMessage { thread: Some(message), ..text("in the thread") };
    world.add(room, &bob, Intent::Publish(answer)).await;
    let emoji = "👍".to_owned();
    world.add(room, &bob, Intent::React { message, emoji, add: true }).await;
    world.add(room, &ada, edit(message, "second")).await;
    world.add(room, &ada, edit(message, "third")).await;

    let events = world.events(room).await;
    let first = events.into_iter().find(|event| event.seq == announced.seq);
    assert_eq!(first, Some(announced));
}

/// Those who keep order pin; in a conversation everyone does. Each pin is an event.
pub async fn messages_are_pinned_and_unpinned(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let room = world.public(&ada, &[&bob]).await;
    let one = world.said(room, &bob, "one").await;
    let two = world.said(room, &bob, "two").await;
    let pinned = async || -> Vec<String> {
        let pins = store.list_pins(room).await.unwrap();
        assert!(pins.iter().all(|message| message.pinned.is_some()));
        pins.into_iter().map(|message| message.body).collect()
    };

    let by_member = world.append(room, &bob, pin(one, true)).await;
    let events = world.add(room, &ada, pin(two, true)).await;
    world.add(room, &ada, pin(one, true)).await;
    let again = world.append(room, &ada, pin(one, true)).await;

    assert_eq!(by_member, Err(AppendRefused::Rule(Refused::Role("moderator"))));
    let EventBody::MessagePinned(change) = &events[0].body else { panic!("no pin") };
    assert_eq!((change.message, &change.user), (two, &ada));
    assert_eq!(
        world.events(room).await.iter().find(|event| event.seq == events[0].seq),
        Some(&events[0])
    );
    let shown = world.message(room, two).await.pinned.unwrap();
    assert_eq!((shown.by, shown.at), (ada.clone(), events[0].at));
    assert_eq!(again, Ok(Appended::Unchanged));
    assert_eq!(pinned().await, ["two", "one"], "in the order of pinning");

    let unpinned = world.add(room, &ada, pin(two, false)).await;
    assert!(
        matches!(&unpinned[0].body, EventBody::MessageUnpinned(change) if change.message == two)
    );
    assert_eq!(world.append(room, &ada, pin(two, false)).await, Ok(Appended::Unchanged));
    assert_eq!(pinned().await, ["one"]);
    world.add(room, &bob, Intent::Redact { message: one }).await;
    assert!(pinned().await.is_empty(), "what is gone is not pinned");
    let gone = world.append(room, &ada, pin(one, true)).await;
    assert_eq!(gone, Err(AppendRefused::NotChangeable));
    let nothing = world.append(room, &ada, pin(MessageId(Uuid::new_v4()), true)).await;
    assert_eq!(nothing, Err(AppendRefused::NoSuchMessage));
    world.add(room, &ada, Intent::SetRole { user: bob.id, role: Role::Moderator }).await;
    world.add(room, &bob, pin(two, true)).await;
    world.add(room, &ada, Intent::ResetHistory).await;
    assert!(pinned().await.is_empty());

    let direct = world.room(RoomKind::Direct, &ada, &[&bob]).await;
    let said = world.said(direct, &ada, "here").await;
    world.add(direct, &bob, pin(said, true)).await;
}

/// A room has so many pins and no more; one that is taken down makes room for another.
pub async fn pins_of_a_room_are_bounded(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let room = world.public(&ada, &[]).await;
    let other = world.public(&ada, &[]).await;
    let mut messages = Vec::new();
    for n in 0..=PINS_MAX {
        messages.push(world.said(room, &ada, &n.to_string()).await);
    }
    let elsewhere = world.said(other, &ada, "elsewhere").await;
    let wishes = messages.iter().map(|message| world.wish(room, &ada, pin(*message, true)));
    let answers = world.store().append(wishes.collect()).await.unwrap();

    let (last, rest) = answers.split_last().unwrap();
    assert!(rest.iter().all(Result::is_ok));
    assert_eq!(*last, Err(AppendRefused::TooManyPins));
    world.add(other, &ada, pin(elsewhere, true)).await;
    world.add(room, &ada, pin(messages[0], false)).await;
    world.add(room, &ada, pin(*messages.last().unwrap(), true)).await;
    assert_eq!(world.store().list_pins(room).await.unwrap().len(), PINS_MAX as usize);
}

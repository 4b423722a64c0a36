//! Messages after they were written: edits, redactions, reactions, resets, pages.

use std::collections::BTreeSet;

use parlor_domain::permission::Refused;
use parlor_protocol::event::EventBody;
use parlor_protocol::http::Trigger;
use parlor_protocol::id::MessageId;
use parlor_protocol::message::MessageStatus;
use parlor_protocol::room::Role;
use uuid::Uuid;

use super::Factory;
use super::world::{LEASE, World, assert_dense, complete, start, text};
use crate::append::{AppendRefused, Appended, Intent, NewMessage};
use crate::record::Window;

fn edit(message: MessageId, body: &str) -> Intent {
    Intent::Edit { message, body: body.to_owned() }
}

fn react(message: MessageId, emoji: &str, add: bool) -> Intent {
    Intent::React { message, emoji: emoji.to_owned(), add }
}

/// What was written is read back as it was announced.
pub async fn message_is_read_as_it_was_announced(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let room = world.public(&ada, &[]).await;
    let first = world.said(room, &ada, "first").await;
    let new = NewMessage {
        client_id: Some("key".to_owned()),
        reply_to: Some(first),
        thread: Some(first),
        ..text("zwei\n👋 'quoted' \"twice\" \\")
    };

    let events = world.add(room, &ada, Intent::Publish(new.clone())).await;

    let EventBody::MessageCreated(told) = &events[0].body else { panic!("not a message") };
    assert_eq!((told.seq, told.created_at), (events[0].seq, events[0].at));
    assert_eq!((told.id, &told.body, &told.client_id), (new.id, &new.body, &new.client_id));
    assert_eq!((told.reply_to, told.thread), (Some(first), Some(first)));
    assert_eq!((told.status, &told.sender), (MessageStatus::Complete, &ada));
    assert_eq!(world.message(room, new.id).await, **told);
    assert_eq!(world.events(room).await.last(), Some(&events[0]));
    let elsewhere = world.public(&ada, &[]).await;
    assert_eq!(world.store().find_message(elsewhere, new.id).await.unwrap(), None);
}

/// What its author does is marked wherever it is read, once, and stays so.
pub async fn message_of_what_one_does_is_marked_everywhere(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let room = world.public(&ada, &[]).await;
    let new = NewMessage { client_id: Some("key".to_owned()), ..text("waves") };

    let events = world.add(room, &ada, Intent::Emote(new.clone())).await;

    let EventBody::MessageCreated(told) = &events[0].body else { panic!("not a message") };
    assert!(told.emote);
    assert_eq!(world.message(room, new.id).await, **told);
    assert_eq!(world.events(room).await.last(), Some(&events[0]));
    let again = NewMessage { id: MessageId(Uuid::new_v4()), ..new.clone() };
    let again = world.append(room, &ada, Intent::Emote(again)).await.unwrap();
    assert_eq!(again, Appended::Repeat { event: events[0].clone() });
    world.add(room, &ada, edit(new.id, "waves twice")).await;
    assert!(world.message(room, new.id).await.emote);
    assert!(world.events(room).await.contains(&events[0]), "as it was announced");
    let said = world.said(room, &ada, "hello").await;
    assert!(!world.message(room, said).await.emote);
}

/// A message answers one of the same room, or none.
pub async fn answer_to_another_room_is_refused(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let room = world.public(&ada, &[]).await;
    let other = world.public(&ada, &[]).await;
    let foreign = world.said(other, &ada, "elsewhere").await;

    let answer = NewMessage { reply_to: Some(foreign), ..text("hi") };
    let thread = NewMessage { thread: Some(MessageId(Uuid::new_v4())), ..text("hi") };

    for new in [answer, thread] {
        let refused = world.append(room, &ada, Intent::Publish(new)).await;
        assert_eq!(refused, Err(AppendRefused::NoSuchMessage));
    }
    let taken = NewMessage { id: foreign, ..text("hi") };
    let refused = world.append(room, &ada, Intent::Publish(taken)).await;
    assert_eq!(refused, Err(AppendRefused::NotChangeable), "ids are unique");
}

/// Only the author edits, and only what is complete.
pub async fn only_the_author_edits_a_message(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let room = world.public(&ada, &[&bob]).await;
    let message = world.said(room, &bob, "helo").await;

    let events = world.add(room, &bob, edit(message, "hello")).await;
    let same = world.append(room, &bob, edit(message, "hello")).await;
    let by_owner = world.append(room, &ada, edit(message, "mine")).await;
    let nothing = world.append(room, &bob, edit(MessageId(Uuid::new_v4()), "x")).await;

    let EventBody::MessageEdited(edited) = &events[0].body else { panic!("not an edit") };
    assert_eq!((edited.message, edited.body.as_str()), (message, "hello"));
    let now = world.message(room, message).await;
    assert_eq!((now.body.as_str(), now.edited_at), ("hello", Some(edited.edited_at)));
    assert_eq!(same, Ok(Appended::Unchanged));
    assert_eq!(by_owner, Err(AppendRefused::NotChangeable));
    assert_eq!(nothing, Err(AppendRefused::NoSuchMessage));
}

/// Authors and moderators redact; afterwards the message cannot be changed any more.
pub async fn author_or_moderator_redacts_a_message(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let carol = world.user("carol").await;
    let room = world.public(&ada, &[&bob, &carol]).await;
    let own = world.said(room, &bob, "one").await;
    let others = world.said(room, &bob, "two").await;
    let redact = |message| Intent::Redact { message };

    let by_member = world.append(room, &carol, redact(others)).await;
    let events = world.add(room, &bob, redact(own)).await;
    world.add(room, &ada, redact(others)).await;

    assert!(matches!(by_member, Err(AppendRefused::Rule(Refused::Role(_)))));
    let now = world.message(room, own).await;
    assert_eq!((now.body.as_str(), now.redacted_at), ("", Some(events[0].at)));
    assert_eq!(world.append(room, &bob, redact(own)).await, Ok(Appended::Unchanged));
    let refused = Err(AppendRefused::NotChangeable);
    assert_eq!(world.append(room, &bob, edit(own, "back")).await, refused);
    assert_eq!(world.append(room, &bob, react(own, "👍", true)).await, refused);
}

/// No event, no row and no byte of the files holds a text after it was redacted: neither the first
/// text, nor a later one, nor that of a bot's reply.
pub async fn redacted_text_is_nowhere_any_more(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let guide = world.bot("guide", Trigger::Mention).await;
    let room = world.public(&ada, &[&guide]).await;
    let long = "lang ".repeat(3000);
    let texts = ["erster wortlaut", "zweiter wortlaut", "antwort-wortlaut", "zwischenstand"];
    let message = world.said(room, &ada, &format!("{} {long} @guide @ada @room", texts[0])).await;
    world.add(room, &ada, Intent::Pin { message, pin: true }).await;
    world.add(room, &ada, edit(message, &format!("{} {long} @room", texts[1]))).await;
    let job = world.claim().await.unwrap();
    let reply = MessageId(Uuid::new_v4());
    world.add(room, &guide, start(job.id, 1, reply)).await;
    let so_far = format!("{} {long}", texts[3]);
    world.store().checkpoint_reply(job.id, 1, 1, so_far, LEASE).await.unwrap();
    let end = complete(job.id, 1, reply, MessageStatus::Completed, &format!("{} {long}", texts[2]));
    world.add(room, &guide, end).await;
    let kept = world.said(room, &ada, "was bleibt").await;

    world.add(room, &ada, Intent::Redact { message }).await;
    world.add(room, &ada, Intent::Redact { message: reply }).await;

    for message in [message, reply] {
        let versions = world.store().list_versions(room, message).await.unwrap();
        assert_eq!(versions, Some(Vec::new()), "there is no older text either");
        let now = world.message(room, message).await;
        assert!(now.mentions.is_empty() && !now.mentions_room && now.pinned.is_none());
    }
    let log = serde_json::to_string(&world.events(room).await).unwrap();
    let messages = serde_json::to_string(&world.messages(room).await).unwrap();
    assert_eq!(world.message(room, kept).await.body, "was bleibt");
    let remains = world.remains().await;
    for text in texts {
        assert!(!log.contains(text) && !messages.contains(text), "{text:?} is still read");
        let found = remains.windows(text.len()).any(|bytes| bytes == text.as_bytes());
        assert!(!found, "{text:?} is still stored");
    }
    assert!(
        remains.windows(10).any(|bytes| bytes == b"was bleibt"),
        "the search finds what is there"
    );
}

/// Reactions are counted by emoji, oldest first, and each is given and taken once.
pub async fn reactions_are_grouped_and_given_once(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let room = world.public(&ada, &[&bob]).await;
    let message = world.said(room, &ada, "hi").await;
    let other = world.said(room, &ada, "ho").await;

    world.add(room, &bob, react(message, "👍", true)).await;
    world.add(room, &bob, react(message, "🎉", true)).await;
    let added = world.add(room, &ada, react(message, "👍", true)).await;
    let again = world.append(room, &ada, react(message, "👍", true)).await;
    world.add(room, &bob, react(other, "🎉", true)).await;

    let EventBody::ReactionAdded(change) = &added[0].body else { panic!("no reaction") };
    assert_eq!((change.message, change.emoji.as_str(), &change.user), (message, "👍", &ada));
    assert_eq!(again, Ok(Appended::Unchanged));
    let groups = |message: parlor_protocol::message::Message| -> Vec<(String, u32, Vec<String>)> {
        let groups = message.reactions.into_iter();
        groups.map(|group| (group.emoji, group.count, group.users)).collect()
    };
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        groups(world.message(room, message).await),
        [("👍".to_owned(), 2, names(&["bob", "ada"])), ("🎉".to_owned(), 1, names(&["bob"])),]
    );
    world.add(room, &bob, react(message, "👍", false)).await;
    let gone = world.append(room, &bob, react(message, "👍", false)).await;
    assert_eq!(gone, Ok(Appended::Unchanged));
    let listed = world.messages(room).await;
    assert_eq!(
        groups(listed[0].clone()),
        [("🎉".to_owned(), 1, names(&["bob"])), ("👍".to_owned(), 1, names(&["ada"])),]
    );
    assert_eq!(groups(listed[1].clone()), [("🎉".to_owned(), 1, names(&["bob"]))]);
}

/// A message has a bounded number of different reactions, each of which anyone may join.
pub async fn different_reactions_of_a_message_are_bounded(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let room = world.public(&ada, &[&bob]).await;
    let message = world.said(room, &ada, "hi").await;

    let mut given = 0;
    let refused = loop {
        match world.append(room, &ada, react(message, &format!("e{given}"), true)).await {
            Ok(_) => given += 1,
            Err(refused) => break refused,
        }
        assert!(given < 1000, "there is no bound");
    };

    assert_eq!(refused, AppendRefused::TooManyReactions);
    world.add(room, &bob, react(message, "e0", true)).await;
}

/// Pages hold what they promise at both ends of the history.
pub async fn history_is_read_in_pages(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let room = world.public(&ada, &[]).await;
    for n in 1..=7 {
        let message = world.said(room, &ada, &n.to_string()).await;
        // Events that are no messages lie in between.
        world.add(room, &ada, react(message, "👍", true)).await;
    }
    let page = async |window, limit| -> String {
        let messages = world.store().list_messages(room, window, limit).await.unwrap();
        assert!(messages.is_sorted_by_key(|message| message.seq));
        assert!(messages.iter().all(|message| message.reactions.len() == 1));
        messages.iter().map(|message| message.body.as_str()).collect::<Vec<_>>().join("")
    };
    let all = world.messages(room).await;

    assert_eq!(page(Window::Before(None), 3).await, "567");
    assert_eq!(page(Window::Before(Some(all[4].seq)), 3).await, "234");
    assert_eq!(page(Window::Before(Some(all[1].seq)), 3).await, "1");
    assert_eq!(page(Window::After(all[4].seq), 3).await, "67");
    assert_eq!(page(Window::After(0), 3).await, "123");
    assert_eq!(page(Window::Offset(0), 3).await, "567");
    assert_eq!(page(Window::Offset(2), 3).await, "345");
    assert_eq!(page(Window::Offset(6), 3).await, "1");
    assert_eq!(page(Window::Offset(99), 3).await, "");
    assert_eq!(page(Window::After(u64::MAX), 3).await, "");
}

/// After a reset everything before it is gone, and the log goes on.
pub async fn reset_removes_all_before_it_and_the_log_goes_on(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let guide = world.bot("guide", Trigger::Mention).await;
    let room = world.public(&ada, &[&bob, &guide]).await;
    let spared = world.public(&ada, &[&guide]).await;
    world.said(spared, &ada, "elsewhere @guide").await;
    world.said(room, &bob, "eine alte zeile @guide").await;
    let message = world.said(room, &bob, "mehr @guide").await;
    world.add(room, &bob, react(message, "👍", true)).await;
    world.claim().await.unwrap();
    let held = world.claim().await.unwrap();
    assert_eq!(held.room, room);
    let through = world.seq(room).await;

    let by_member = world.append(room, &bob, Intent::ResetHistory).await;
    let events = world.add(room, &ada, Intent::ResetHistory).await;

    assert_eq!(by_member, Err(AppendRefused::Rule(Refused::Role("owner"))));
    let head = world.store().find_head(room).await.unwrap().unwrap();
    assert_eq!((head.reset_through, head.seq), (through, through + 1));
    assert!(matches!(&events[0].body, EventBody::HistoryReset(reset) if reset.through == through));
    assert_eq!(world.events(room).await, events);
    assert!(world.messages(room).await.is_empty());
    assert_eq!(world.role(room, &bob).await, Some(Role::Member), "members stay");
    let late = complete(
        held.id,
        held.generation,
        MessageId(Uuid::new_v4()),
        MessageStatus::Completed,
        "late",
    );
    let late = world.append(room, &guide, late).await;
    assert_eq!(late, Err(AppendRefused::StaleGeneration));
    assert_eq!(world.store().count_jobs().await.unwrap(), (0, 1), "other rooms keep their jobs");
    world.said(room, &bob, "new").await;
    assert_dense(&world.events(room).await, through + 1);
    assert_eq!(world.messages(spared).await.len(), 1);
    let remains = world.remains().await;
    assert!(!remains.windows(15).any(|bytes| bytes == b"eine alte zeile"));
}

/// Names in history are those of today.
pub async fn renamed_author_is_shown_with_the_new_name(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let room = world.public(&ada, &[&bob]).await;
    let message = world.said(room, &bob, "hi").await;
    world.add(room, &bob, react(message, "👍", true)).await;
    let named = world.said(room, &ada, "hi @bob").await;
    world.add(room, &ada, edit(named, "ho @bob")).await;
    world.add(room, &ada, Intent::SetRole { user: bob.id, role: Role::Moderator }).await;

    let change = crate::record::ProfileChange {
        username: Some("robert".to_owned()),
        display_name: Some("Robert".to_owned()),
        ..crate::record::ProfileChange::default()
    };
    world.store().update_profile(bob.id, change).await.unwrap().unwrap();

    let log = serde_json::to_value(world.events(room).await).unwrap().to_string();
    let messages = serde_json::to_value(world.messages(room).await).unwrap().to_string();
    assert!(log.contains("robert") && messages.contains("robert"));
    assert!(!log.contains("\"bob\"") && !messages.contains("\"bob\""));
    let names: BTreeSet<String> = world
        .events(room)
        .await
        .into_iter()
        .filter_map(|event| event.actor)
        .map(|actor| actor.username)
        .collect();
    assert_eq!(names, BTreeSet::from(["ada".to_owned(), "robert".to_owned()]));
}

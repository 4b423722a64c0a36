//! Threads: one root, and what follows it.

use parlor_protocol::event::EventBody;
use parlor_protocol::http::Trigger;
use parlor_protocol::id::{MessageId, RoomId};
use parlor_protocol::message::{Message, Replies};
use parlor_protocol::user::UserRef;
use uuid::Uuid;

use super::Factory;
use super::world::{World, start, text};
use crate::append::{AppendRefused, Intent, NewMessage};
use crate::record::Window;

/// Writes a message and returns it as it was told.
async fn told(world: &World, room: RoomId, author: &UserRef, new: NewMessage) -> Message {
    let events = world.add(room, author, Intent::Publish(new)).await;
    let EventBody::MessageCreated(message) = &events[0].body else { panic!("not a message") };
    assert_eq!(world.message(room, message.id).await, **message);
    (**message).clone()
}

fn in_thread(thread: MessageId) -> NewMessage {
    NewMessage { thread: Some(thread), ..text("in the thread") }
}

/// Whatever of a thread is named or answered, the message belongs to its root: threads do not nest.
pub async fn thread_has_one_root(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let room = world.public(&ada, &[]).await;
    let root = world.said(room, &ada, "root").await;
    let first = told(&world, room, &ada, in_thread(root)).await;

    let named = told(&world, room, &ada, in_thread(first.id)).await;
    let answer = NewMessage { reply_to: Some(named.id), ..text("and so on") };
    let answered = told(&world, room, &ada, answer).await;
    let beside = NewMessage { reply_to: Some(root), ..text("not in the thread") };
    let beside = told(&world, room, &ada, beside).await;
    let other = told(&world, room, &ada, in_thread(beside.id)).await;
    let moved = NewMessage { reply_to: Some(first.id), ..in_thread(beside.id) };
    let moved = told(&world, room, &ada, moved).await;

    assert_eq!((first.thread, named.thread, answered.thread), (Some(root), Some(root), Some(root)));
    assert_eq!((beside.thread, other.thread), (None, Some(beside.id)));
    assert_eq!(moved.thread, Some(beside.id), "what is said counts, not what is answered");
}

/// The same holds among messages that are written together.
pub async fn thread_that_begins_in_a_batch_has_one_root(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let room = world.public(&ada, &[]).await;
    let root = text("root");
    let one = in_thread(root.id);
    let two = in_thread(one.id);
    let three = NewMessage { reply_to: Some(two.id), ..text("three") };

    let wishes = [&root, &one, &two, &three]
        .map(|message| world.wish(room, &ada, Intent::Publish(message.clone())));
    for answer in world.store().append(wishes.to_vec()).await.unwrap() {
        answer.unwrap();
    }

    let threads: Vec<_> = world.messages(room).await.iter().map(|one| one.thread).collect();
    assert_eq!(threads, [None, Some(root.id), Some(root.id), Some(root.id)]);
}

/// No message is its own thread, and none of another room or of nowhere.
pub async fn thread_is_of_a_message_that_is_there(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let room = world.public(&ada, &[]).await;
    let elsewhere = world.public(&ada, &[]).await;
    let foreign = world.said(elsewhere, &ada, "elsewhere").await;
    let own = MessageId(Uuid::new_v4());

    for new in [
        NewMessage { id: own, ..in_thread(own) },
        NewMessage { id: own, reply_to: Some(own), ..text("me") },
        in_thread(foreign),
        in_thread(MessageId(Uuid::new_v4())),
    ] {
        let refused = world.append(room, &ada, Intent::Publish(new)).await;
        assert_eq!(refused, Err(AppendRefused::NoSuchMessage));
    }
    assert!(world.messages(room).await.is_empty());
}

/// The root counts replies that are not redacted, wherever it is read; being redacted itself changes
/// nothing.
pub async fn root_counts_its_replies(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let room = world.public(&ada, &[&bob]).await;
    let root = world.said(room, &ada, "root").await;
    assert_eq!(world.message(room, root).await.replies, None);
    let one = told(&world, room, &bob, in_thread(root)).await;
    let two = told(&world, room, &ada, in_thread(root)).await;
    let quiet = world.said(room, &ada, "beside").await;
    let counted = |newest: &Message, count| {
        Some(Replies { count, last_seq: newest.seq, last_at: newest.created_at })
    };

    assert_eq!(world.message(room, root).await.replies, counted(&two, 2));
    assert_eq!(world.messages(room).await[0].replies, counted(&two, 2));
    assert_eq!(world.message(room, quiet).await.replies, None);

    world.add(room, &ada, Intent::Redact { message: two.id }).await;
    assert_eq!(world.message(room, root).await.replies, counted(&one, 1));
    world.add(room, &ada, Intent::Redact { message: root }).await;
    assert_eq!(world.message(room, root).await.replies, counted(&one, 1));
    let three = told(&world, room, &bob, in_thread(root)).await;
    assert_eq!(world.message(room, root).await.replies, counted(&three, 2));
    world.add(room, &bob, Intent::Redact { message: one.id }).await;
    world.add(room, &bob, Intent::Redact { message: three.id }).await;
    assert_eq!(world.message(room, root).await.replies, None);

    world.add(room, &ada, Intent::ResetHistory).await;
    let gone = world.append(room, &bob, Intent::Publish(in_thread(root))).await;
    assert_eq!(gone, Err(AppendRefused::NoSuchMessage));
}

/// A thread is read in pages, without its root and without what was said beside it.
pub async fn thread_is_read_in_pages(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let room = world.public(&ada, &[]).await;
    let root = world.said(room, &ada, "root").await;
    let mut seqs = Vec::new();
    for n in 1..=5 {
        world.said(room, &ada, "beside").await;
        let new = NewMessage { thread: Some(root), ..text(&n.to_string()) };
        seqs.push(told(&world, room, &ada, new).await.seq);
    }
    let page = async |window, limit| -> String {
        let messages = world.store().list_messages(room, window, limit).await.unwrap();
        assert!(messages.is_sorted_by_key(|message| message.seq));
        messages.iter().map(|message| message.body.as_str()).collect::<Vec<_>>().join("")
    };

    assert_eq!(page(Window::ThreadBefore(root, None), 2).await, "45");
    assert_eq!(page(Window::ThreadBefore(root, Some(seqs[3])), 2).await, "23");
    assert_eq!(page(Window::ThreadBefore(root, Some(seqs[1])), 2).await, "1");
    assert_eq!(page(Window::ThreadAfter(root, 0), 2).await, "12");
    assert_eq!(page(Window::ThreadAfter(root, seqs[3]), 2).await, "5");
    let nothing = MessageId(Uuid::new_v4());
    assert_eq!(page(Window::ThreadBefore(nothing, None), 2).await, "");
    let elsewhere = world.public(&ada, &[]).await;
    let window = Window::ThreadBefore(root, None);
    assert!(world.store().list_messages(elsewhere, window, 9).await.unwrap().is_empty());
}

/// A bot answers in the thread in which it was asked.
pub async fn reply_of_a_bot_is_in_the_thread_of_its_question(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let guide = world.bot("guide", Trigger::Mention).await;
    let room = world.public(&ada, &[&guide]).await;
    let root = world.said(room, &ada, "root").await;
    let first = told(&world, room, &ada, in_thread(root)).await;
    let asked = NewMessage { reply_to: Some(first.id), ..text("@guide?") };
    told(&world, room, &ada, asked).await;
    let job = world.claim().await.unwrap();
    let reply = MessageId(Uuid::new_v4());

    world.add(room, &guide, start(job.id, 1, reply)).await;

    assert_eq!(world.message(room, reply).await.thread, Some(root));
    assert_eq!(world.message(room, root).await.replies.map(|replies| replies.count), Some(3));
}

//! Mentions, threads, pins, and what each reader has not read yet.

use parlor_client::{ClientError, MessageQuery, RoomQuery};
use parlor_protocol::{
    code::Code,
    event::EventBody,
    frame::Frame,
    http::PublishRequest,
    id::MessageId,
    message::Message,
    room::{NotificationLevel, Role},
    signal::SignalBody,
    time::Timestamp,
};
use parlor_testkit::process::{User, draft};

use crate::{
    MACHINE,
    stage::{Place, Stage, in_both_places},
};

in_both_places! {
    unread_and_mentions_are_right_after_whatever_happens,
    thread_is_counted_and_read_in_pages,
    pinned_message_is_at_hand_for_everyone,
    redacted_text_is_nowhere_on_any_node,
    history_is_entered_anywhere,
}

/// Calls that each land on another broker of a cluster.
const EVERYWHERE: usize = 3;

/// Makes a room of two.
async fn two(stage: &Stage) -> (User, User) {
    let ada = stage.register("ada").await;
    let bob = stage.register("bob").await;
    ada.create_room("den", &[]).await;
    bob.join("den").await;
    (ada, bob)
}

async fn in_thread(user: &User, thread: MessageId, body: &str) -> Message {
    let request = PublishRequest { thread: Some(thread), ..draft(body, None) };
    user.http.publish("den", &request).await.unwrap()
}

fn bodies(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.body.as_str()).collect()
}

fn code<T: std::fmt::Debug>(refused: Result<T, ClientError>) -> Option<Code> {
    refused.unwrap_err().code()
}

/// Asserts what is unread, on every node, in the room and in the list of rooms.
async fn assert_unread(reader: &User, expected: (u64, u64)) {
    for _ in 0..EVERYWHERE {
        let room = reader.http.room("den").await.unwrap();
        assert_eq!((room.unread, room.mentions), expected);
    }
    let mine = RoomQuery { mine: true, ..RoomQuery::default() };
    let rooms = reader.http.rooms(&mine).await.unwrap();
    let listed = rooms.items.into_iter().find(|room| room.slug == "den").unwrap();
    assert_eq!((listed.unread, listed.mentions), expected);
}

async fn unread_and_mentions_are_right_after_whatever_happens(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let (ada, bob) = two(&stage).await;
    let mut watch = ada.socket().await;
    watch.subscribe("den", None).await.unwrap();
    let start = bob.http.room("den").await.unwrap().read_seq;
    assert_unread(&bob, (0, 0)).await;

    let one = ada.say("den", "one").await;
    let two = ada.say("den", "two, @bob; not @eve").await;
    let three = ada.say("den", "three, @room").await;
    bob.say("den", "@bob and @room, says bob").await;
    let names: Vec<_> = two.mentions.iter().map(|user| user.username.as_str()).collect();
    assert_eq!((names, two.mentions_room, three.mentions_room), (vec!["bob"], false, true));
    assert_unread(&bob, (3, 2)).await;

    let read = bob.http.mark_read("den", two.seq).await.unwrap();
    assert_eq!((read.read_seq, read.unread, read.mentions), (two.seq, 1, 1));
    loop {
        if let Frame::Signal(signal) = watch.next_frame().await
            && let SignalBody::Receipt(receipt) = signal.body
        {
            assert_eq!((receipt.user.id, receipt.seq), (bob.id, two.seq));
            break;
        }
    }
    let back = bob.http.mark_read("den", start).await.unwrap();
    assert_eq!((back.read_seq, back.unread, back.mentions), (start, 3, 2), "marked unread");
    assert_unread(&bob, (3, 2)).await;

    let edited = ada.http.edit_message("den", one.id, "one, @bob").await.unwrap();
    assert_eq!((edited.edits, edited.mentions.len()), (1, 1));
    assert_unread(&bob, (3, 3)).await;
    ada.http.edit_message("den", two.id, "two").await.unwrap();
    assert_unread(&bob, (3, 2)).await;
    ada.http.redact_message("den", three.id).await.unwrap();
    assert_unread(&bob, (2, 1)).await;
    let all = bob.http.mark_read("den", u64::MAX).await.unwrap();
    assert_eq!((all.unread, all.mentions), (0, 0));
    assert_eq!(all.read_seq, bob.http.room("den").await.unwrap().seq, "not beyond the newest");
    ada.http.edit_message("den", two.id, "two, @bob @room").await.unwrap();
    assert_unread(&bob, (0, 0)).await;
    bob.http.mark_read("den", 0).await.unwrap();
    ada.http.reset_history("den").await.unwrap();
    assert_unread(&bob, (0, 0)).await;
    ada.say("den", "@bob again").await;
    assert_unread(&bob, (1, 1)).await;

    bob.http.set_notifications("den", NotificationLevel::Mentions).await.unwrap();
    for _ in 0..EVERYWHERE {
        let level = bob.http.room("den").await.unwrap().notifications;
        assert_eq!(level, NotificationLevel::Mentions);
        assert_eq!(ada.http.room("den").await.unwrap().notifications, NotificationLevel::All);
    }
}

async fn thread_is_counted_and_read_in_pages(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let (ada, bob) = two(&stage).await;
    let root = ada.say("den", "root").await;
    let one = in_thread(&bob, root.id, "one").await;
    ada.say("den", "beside").await;
    // Names a message of the thread, not its root.
    let two = in_thread(&ada, one.id, "two").await;
    let answer = PublishRequest { reply_to: Some(two.id), ..draft("three", None) };
    let three = bob.http.publish("den", &answer).await.unwrap();
    assert_eq!((two.thread, three.thread), (Some(root.id), Some(root.id)), "no thread in a thread");

    for _ in 0..EVERYWHERE {
        let counted = bob.http.message("den", root.id).await.unwrap().replies.unwrap();
        assert_eq!((counted.count, counted.last_seq), (3, three.seq));
        assert_eq!(bob.history("den").await[0].replies, Some(counted));
    }
    let query = |thread, cursor| MessageQuery {
        thread: Some(thread),
        cursor,
        limit: Some(2),
        ..MessageQuery::default()
    };
    let newest = bob.http.messages("den", &query(root.id, None)).await.unwrap();
    assert_eq!(bodies(&newest.items), ["two", "three"]);
    let older = bob.http.messages("den", &query(two.id, newest.next.clone())).await.unwrap();
    assert_eq!((bodies(&older.items), older.next), (vec!["one"], None));

    let other = ada.say("den", "another root").await;
    let foreign = bob.http.messages("den", &query(other.id, newest.next)).await;
    assert_eq!(code(foreign), Some(Code::ValidationFailed), "a cursor of another list");
    let nowhere = bob.http.messages("den", &query(MessageId(uuid::Uuid::nil()), None)).await;
    assert_eq!(code(nowhere), Some(Code::NotFound));
    let nowhere = draft("to nowhere", None);
    let nowhere = PublishRequest { thread: Some(MessageId(uuid::Uuid::nil())), ..nowhere };
    assert_eq!(code(bob.http.publish("den", &nowhere).await), Some(Code::NotFound));

    bob.http.redact_message("den", three.id).await.unwrap();
    ada.http.redact_message("den", root.id).await.unwrap();
    for _ in 0..EVERYWHERE {
        let counted = bob.http.message("den", root.id).await.unwrap().replies.unwrap();
        assert_eq!((counted.count, counted.last_seq), (2, two.seq));
    }
}

async fn pinned_message_is_at_hand_for_everyone(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let (ada, bob) = two(&stage).await;
    let one = bob.say("den", "one").await;
    let two = bob.say("den", "two").await;
    let mut watch = bob.socket().await;
    watch.subscribe("den", None).await.unwrap();

    assert_eq!(code(bob.http.pin_message("den", one.id).await), Some(Code::Forbidden));
    ada.http.pin_message("den", two.id).await.unwrap();
    ada.http.pin_message("den", two.id).await.unwrap();
    let role = parlor_protocol::http::PutMemberRequest {
        role: Some(Role::Moderator),
        ..Default::default()
    };
    ada.http.put_member("den", "bob", &role).await.unwrap();
    bob.http.pin_message("den", one.id).await.unwrap();

    let mut told = Vec::new();
    while told.len() < 2 {
        if let Frame::Event(event) = watch.next_frame().await
            && let EventBody::MessagePinned(change) = event.body
        {
            told.push((change.message, change.user.username));
        }
    }
    assert_eq!(told, [(two.id, "ada".to_owned()), (one.id, "bob".to_owned())], "each once");
    for _ in 0..EVERYWHERE {
        assert_eq!(bodies(&bob.http.pins("den").await.unwrap()), ["two", "one"]);
    }
    let pin = ada.http.message("den", two.id).await.unwrap().pinned.unwrap();
    assert_eq!(pin.by.username, "ada");
    bob.http.unpin_message("den", two.id).await.unwrap();
    bob.http.redact_message("den", one.id).await.unwrap();
    for _ in 0..EVERYWHERE {
        assert!(bob.http.pins("den").await.unwrap().is_empty());
    }
    assert_eq!(code(ada.http.pin_message("den", one.id).await), Some(Code::Forbidden));
}

async fn redacted_text_is_nowhere_on_any_node(place: Place) {
    const SECRETS: [&str; 2] = ["heron-at-dawn", "lantern-at-dusk"];
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let (ada, bob) = two(&stage).await;
    let since = bob.http.room("den").await.unwrap();
    // Each node has it in memory.
    let mut watch = Vec::new();
    for _ in 0..EVERYWHERE {
        let mut socket = bob.socket().await;
        socket.subscribe("den", None).await.unwrap();
        watch.push(socket);
    }
    let message = ada.say("den", &format!("{} @bob @room", SECRETS[0])).await;
    ada.http.pin_message("den", message.id).await.unwrap();
    let edit = format!("{} @bob", SECRETS[1]);
    ada.http.edit_message("den", message.id, &edit).await.unwrap();
    let versions = bob.http.versions("den", message.id).await.unwrap();
    let numbers: Vec<_> = versions.iter().map(|version| version.version).collect();
    assert_eq!((numbers, versions[1].body.as_str()), (vec![1, 2], edit.as_str()));
    assert!(versions[0].body.starts_with(SECRETS[0]));

    ada.http.redact_message("den", message.id).await.unwrap();

    let late = ada.http.edit_message("den", message.id, "back").await;
    assert_eq!(code(late), Some(Code::Forbidden), "what is gone is not edited");
    for mut socket in watch {
        // Whoever resumes now resumes on a node that knows.
        loop {
            if let Frame::Event(event) = socket.next_frame().await
                && matches!(event.body, EventBody::MessageRedacted(_))
            {
                break;
            }
        }
    }
    for _ in 0..EVERYWHERE {
        let now = bob.http.message("den", message.id).await.unwrap();
        assert!(now.redacted_at.is_some() && now.mentions.is_empty() && now.pinned.is_none());
        assert_eq!(bob.http.versions("den", message.id).await.unwrap(), []);
        let query = MessageQuery { around: Some(message.seq), ..MessageQuery::default() };
        let around = bob.http.messages("den", &query).await.unwrap();
        let pins = bob.http.pins("den").await.unwrap();
        let log = bob.log("den").await;
        assert!(log.iter().any(|event| event.seq == message.seq && event.seq > since.seq));
        let all = serde_json::to_string(&(now, around, pins, log, bob.history("den").await));
        let all = all.unwrap();
        assert!(SECRETS.iter().all(|secret| !all.contains(secret)), "{all}");
    }
}

async fn history_is_entered_anywhere(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let (ada, bob) = two(&stage).await;
    let mut said = Vec::new();
    for n in 1..=7 {
        said.push(ada.say("den", &n.to_string()).await);
    }
    let page = async |query: MessageQuery| {
        bob.http.messages("den", &MessageQuery { limit: Some(4), ..query }).await
    };

    let around = MessageQuery { around: Some(said[3].seq), ..MessageQuery::default() };
    let around = page(around).await.unwrap();
    assert_eq!((bodies(&around.items), around.next), (vec!["2", "3", "4", "5"], None));
    let at = MessageQuery { at: Some(said[3].created_at), ..MessageQuery::default() };
    let at = page(at).await.unwrap();
    // Several may have been written within one millisecond.
    let first = said.iter().position(|one| one.created_at >= said[3].created_at).unwrap();
    let shown = said.iter().skip(first.saturating_sub(2)).take(2 + first.min(2));
    assert_eq!(at.items, shown.cloned().collect::<Vec<_>>());
    let long_ago = MessageQuery { at: Some(Timestamp::from_millis(0)), ..MessageQuery::default() };
    assert_eq!(bodies(&page(long_ago).await.unwrap().items), ["1", "2"]);

    let (around, at) = (Some(said[3].seq), Some(said[3].created_at));
    let none = MessageQuery::default;
    for both in [
        MessageQuery { around, at, ..none() },
        MessageQuery { around, before: Some(9), ..none() },
        MessageQuery { at, offset: Some(1), ..none() },
        MessageQuery { around, thread: Some(said[0].id), ..none() },
        MessageQuery { at, thread: Some(said[0].id), ..none() },
        MessageQuery { offset: Some(1), thread: Some(said[0].id), ..none() },
    ] {
        assert_eq!(code(page(both).await), Some(Code::ValidationFailed));
    }
}

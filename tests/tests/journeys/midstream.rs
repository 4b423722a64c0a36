//! Whoever comes in the middle of a reply ends with the same text as everyone.

use std::{collections::BTreeSet, time::Duration};

use parlor_client::{StreamTracker, Streamed, Update};
use parlor_protocol::{
    event::EventBody,
    frame::{Frame, Subscribed},
    message::MessageStatus,
    signal::{MessageDelta, SignalBody},
};
use parlor_testkit::{
    fake_llm::{FakeLlm, Script},
    process::User,
};
use rand::Rng as _;
use tokio::{task::JoinSet, time::sleep};

use crate::{
    MACHINE,
    follow::{Follower, SharedHistory, settle, shared_history},
    sse::SseStream,
    stage::{Place, in_both_places},
};

in_both_places! {
    joiners_in_the_middle_of_a_reply_end_with_the_same_text,
    reader_far_behind_catches_up_in_the_middle_of_a_reply,
    answer_as_a_stream_has_the_message_the_pieces_and_the_reply,
}

/// The reply takes ten seconds, so that late ones come in time on a slow machine, too.
const NUMBERS: usize = 500;
const PAUSE: Duration = Duration::from_millis(20);
const LATEST_JOIN: u64 = 2_500;
/// More events than are replayed at once.
const FAR: usize = 600;

async fn joiners_in_the_middle_of_a_reply_end_with_the_same_text(place: Place) {
    let _alone = MACHINE.write().await;
    let llm = FakeLlm::start().await;
    let script = Script::counting(NUMBERS).with_delay(PAUSE);
    llm.set_script(script.clone());
    let stage = place.builder().model(&llm).start().await;
    let ada = stage.register("ada").await;
    let history = shared_history();
    let mut first = Follower::start(&ada, "general", &history, "first").await;
    history.lock().unwrap().wrote("call", "@guide count", true);
    first.socket().publish("general", "call", "@guide count").await.unwrap();
    first.reply_begins().await;

    let mut texts = JoinSet::new();
    for number in 0..8 {
        texts.spawn(join_late(ada.clone(), SharedHistory::clone(&history), number));
        texts.spawn(leave_and_resume(ada.clone(), SharedHistory::clone(&history), number));
    }
    for _ in 0..3 {
        texts.spawn(join_by_feed(ada.clone()));
        texts.spawn(join_by_events(ada.clone()));
    }
    let (end, completed) = first.reply_ends().await;
    let mut distinct: BTreeSet<String> = texts.join_all().await.into_iter().collect();
    distinct.insert(completed.body.clone());

    assert_eq!(completed.status, MessageStatus::Completed);
    assert_eq!(completed.body, script.text());
    assert_eq!(distinct.len(), 1, "everyone has the same text: {distinct:?}");
    first.read_to(end).await;
    // The history checks that each reader's pieces had no hole and made up the text.
    settle(history, &ada, "general").await;
}

async fn reader_far_behind_catches_up_in_the_middle_of_a_reply(place: Place) {
    let _shared = MACHINE.read().await;
    let llm = FakeLlm::start().await;
    let script = Script::counting(NUMBERS).with_delay(PAUSE);
    llm.set_script(script.clone());
    let stage = place
        .builder()
        .model(&llm)
        .env("PARLOR_LIMITS__RING_EVENTS", "8")
        .env("PARLOR_LIMITS__REPLAY_EVENTS", "10000")
        .start()
        .await;
    let ada = stage.register("ada").await;
    let history = shared_history();
    let mut behind = Follower::start(&ada, "general", &history, "behind").await;
    behind.disconnect().abort();
    let mut first = Follower::start(&ada, "general", &history, "first").await;
    for number in 0..FAR {
        let (client_id, body) = (format!("c{number}"), format!("message {number}"));
        history.lock().unwrap().wrote(&client_id, &body, false);
        let accepted = first.socket().publish("general", &client_id, &body).await.unwrap();
        history.lock().unwrap().accepted(&client_id, &accepted);
    }
    history.lock().unwrap().wrote("call", "@guide count", true);
    first.socket().publish("general", "call", "@guide count").await.unwrap();
    first.piece(5).await;

    behind.connect().await.unwrap();
    let piece = behind.piece(1).await;
    let (_, completed) = behind.reply_ends().await;

    assert!(piece.chunk > 1, "it came in the middle");
    assert_eq!((completed.status, completed.body), (MessageStatus::Completed, script.text()));
    first.reply_ends().await;
    settle(history, &ada, "general").await;
}

async fn answer_as_a_stream_has_the_message_the_pieces_and_the_reply(place: Place) {
    let _shared = MACHINE.read().await;
    let llm = FakeLlm::start().await;
    let script = Script::counting(40).with_delay(PAUSE);
    llm.set_script(script.clone());
    let stage = place.builder().model(&llm).start().await;
    let ada = stage.register("ada").await;

    let mut stream = SseStream::publish(&ada, "general", "@guide count").await;
    let message: parlor_protocol::message::Message = stream.next().await.unwrap().json();
    let (mut pieces, mut text) = (0, String::new());
    let reply: parlor_protocol::message::Message = loop {
        let event = stream.next().await.expect("the reply comes");
        if event.name == "reply" {
            break event.json();
        }
        let delta: MessageDelta = event.json();
        pieces += 1;
        assert_eq!(delta.chunk, pieces);
        text.push_str(&delta.text);
    };

    assert_eq!(reply.bot.unwrap().trigger, message.id);
    assert_eq!((reply.body, text), (script.text(), script.text()));
    assert!(pieces > 3, "{pieces}");
    assert_eq!(stream.next().await, None, "nothing follows the reply");
}

/// Waits until some moment of the reply.
async fn moment() {
    let moment = rand::rng().random_range(0..LATEST_JOIN);
    sleep(Duration::from_millis(moment)).await;
}

async fn join_late(user: User, history: SharedHistory, number: usize) -> String {
    moment().await;
    let mut late = Follower::start(&user, "general", &history, &format!("late-{number}")).await;
    late.reply_ends().await.1.body
}

async fn leave_and_resume(user: User, history: SharedHistory, number: usize) -> String {
    let name = format!("resumed-{number}");
    let mut follower = Follower::start(&user, "general", &history, &name).await;
    follower.piece(1).await;
    let (stay, away) = {
        let mut rng = rand::rng();
        (rng.random_range(1..20), rng.random_range(0..400))
    };
    follower.piece(stay).await;
    follower.disconnect().abort();
    sleep(Duration::from_millis(away)).await;
    follower.connect().await.unwrap();
    follower.reply_ends().await.1.body
}

/// Shows the reply as a program with the client library does.
async fn join_by_feed(user: User) -> String {
    moment().await;
    let (feed, mut updates) = user.feed();
    feed.subscribe("general", None).await.unwrap();
    let (mut tracker, mut shown) = (StreamTracker::new(), String::new());
    loop {
        match updates.next().await.expect("the feed goes on") {
            Update::Subscribed { streaming, .. } => {
                for (_, streamed) in tracker.subscribed(&streaming) {
                    show(&mut shown, streamed);
                }
            }
            Update::Signal(signal) => {
                if let SignalBody::MessageDelta(delta) = &signal.body {
                    show(&mut shown, tracker.delta(delta));
                }
            }
            Update::Event(event) => {
                if let EventBody::MessageCompleted(completed) = event.body {
                    let written = tracker.completed(&completed).expect("it was being written");
                    assert_eq!(shown, completed.body);
                    return written.text;
                }
            }
            _ => {}
        }
    }
}

fn show(shown: &mut String, streamed: Streamed) {
    match streamed {
        Streamed::Appended(text) => shown.push_str(&text),
        Streamed::Restarted(text) => *shown = text,
        Streamed::Nothing => {}
        Streamed::Lost => panic!("a piece is missing"),
    }
}

/// Shows the reply as a page with an `EventSource` does.
async fn join_by_events(user: User) -> String {
    moment().await;
    let mut stream = SseStream::follow(&user, "general", None).await;
    let first = stream.next().await.unwrap();
    let Frame::Subscribed(subscribed) = first.json() else { panic!("{first:?}") };
    let Subscribed { streaming, .. } = *subscribed;
    let so_far = streaming.first().expect("the reply is being written");
    let (mut chunk, mut text) = (so_far.chunk, so_far.text.clone());
    loop {
        match stream.next().await.expect("the stream goes on").json() {
            Frame::Signal(signal) => {
                if let SignalBody::MessageDelta(delta) = signal.body {
                    assert_eq!(delta.chunk, chunk + 1);
                    chunk = delta.chunk;
                    text.push_str(&delta.text);
                }
            }
            Frame::Event(event) => {
                if let EventBody::MessageCompleted(completed) = event.body {
                    assert_eq!(text, completed.body);
                    return text;
                }
            }
            _ => {}
        }
    }
}

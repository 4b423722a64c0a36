//! Anyone in the room can stop a reply, and the model is stopped with it.

use std::time::Duration;

use parlor_protocol::{command::Command, event::MessageCompleted, message::MessageStatus};
use parlor_testkit::{
    fake_llm::{Behaviour, FakeLlm, Script},
    process::User,
};
use tokio::time::{Instant, timeout};

use crate::{
    MACHINE, PROMISED,
    follow::{Follower, settle, shared_history},
    stage::{Place, in_both_places},
};

in_both_places! {
    reply_is_stopped_by_another_member_over_the_socket,
    reply_is_stopped_by_another_member_over_http,
    stranger_cannot_stop_a_reply,
}

/// Who stops it, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    BySocket,
    ByHttp,
}

async fn reply_is_stopped_by_another_member_over_the_socket(place: Place) {
    stop_by_another_member(place, Stop::BySocket).await;
}

async fn reply_is_stopped_by_another_member_over_http(place: Place) {
    stop_by_another_member(place, Stop::ByHttp).await;
}

async fn stop_by_another_member(place: Place, how: Stop) {
    let _alone = MACHINE.write().await;
    let llm = FakeLlm::start().await;
    let endless = Script::says("and so on ").with_delay(Duration::from_millis(10));
    llm.set_script(endless.behaving(Behaviour::Endless));
    // So rarely does the worker look for itself whether it is to stop.
    let builder = place
        .builder()
        .model(&llm)
        .env("PARLOR_BOTS__CHECKPOINT", "9s")
        .env("PARLOR_BOTS__LEASE", "30s");
    let stage = builder.start().await;
    let (ada, bob) = (stage.register("ada").await, stage.register("bob").await);
    let history = shared_history();
    let mut asker = Follower::start(&ada, "general", &history, "asker").await;
    let mut other = Follower::start(&bob, "general", &history, "other").await;
    history.lock().unwrap().wrote("call", "@guide go on", true);
    asker.socket().publish("general", "call", "@guide go on").await.unwrap();
    let piece = other.piece(5).await;
    assert_eq!((llm.open_streams(), llm.aborted_streams()), (1, 0));

    let asked = Instant::now();
    match how {
        Stop::BySocket => {
            let message = piece.message;
            let command = Command::Cancel { id: None, room: "general".into(), message };
            other.socket().request(command).await.unwrap();
        }
        Stop::ByHttp => drop(bob.http.cancel_reply("general", piece.message).await.unwrap()),
    }
    let (end, completed) = asker.reply_ends().await;
    let took = asked.elapsed();
    let aborted = timeout(PROMISED, llm.wait_aborted(1)).await;

    assert!(took < PROMISED, "it took {took:?}");
    assert!(aborted.is_ok(), "the provider's connection is still open");
    assert_stopped(&completed, &piece.text);
    other.read_to(end).await;
    settle(history, &ada, "general").await;
    assert_eq!(ended_message(&ada, &completed).await, (completed.body, MessageStatus::Cancelled));
}

async fn stranger_cannot_stop_a_reply(place: Place) {
    let _shared = MACHINE.read().await;
    let llm = FakeLlm::start().await;
    let slow = Script::counting(60).with_delay(Duration::from_millis(25));
    llm.set_script(slow.clone());
    let stage = place.builder().model(&llm).start().await;
    let (ada, eve) = (stage.register("ada").await, stage.register("eve").await);
    ada.create_room("ours", &["guide"]).await;
    let history = shared_history();
    let mut asker = Follower::start(&ada, "ours", &history, "asker").await;
    history.lock().unwrap().wrote("call", "@guide count", true);
    asker.socket().publish("ours", "call", "@guide count").await.unwrap();
    let piece = asker.piece(3).await;

    let refused = eve.http.cancel_reply("ours", piece.message).await;
    let elsewhere = eve.http.cancel_reply("general", piece.message).await;

    assert!(refused.is_err() && elsewhere.is_err());
    let (_, completed) = asker.reply_ends().await;
    assert_eq!((completed.status, completed.body), (MessageStatus::Completed, slow.text()));
    settle(history, &ada, "ours").await;
}

fn assert_stopped(completed: &MessageCompleted, piece: &str) {
    assert_eq!(completed.status, MessageStatus::Cancelled);
    assert!(completed.body.contains(piece), "the text so far is kept: {completed:?}");
    assert!(completed.usage.completion_tokens > 0, "{completed:?}");
}

async fn ended_message(user: &User, completed: &MessageCompleted) -> (String, MessageStatus) {
    let history = user.history("general").await;
    let message = history.into_iter().find(|message| message.id == completed.message).unwrap();
    (message.body, message.status)
}

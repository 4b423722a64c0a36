//! Someone starts the program and talks to a bot.

use std::time::{Duration, Instant};

use parlor_protocol::message::MessageStatus;
use parlor_testkit::process::{Builder, Parlor, draft};

use crate::{
    MACHINE,
    follow::{Follower, settle, shared_history},
    stage::{Place, in_both_places},
};

in_both_places! {
    one_call_over_http_brings_the_message_and_the_whole_reply,
}

/// The product promises ten seconds; this is a debug build on a machine that does other things.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn newcomer_has_the_bots_whole_reply_soon() {
    let _alone = MACHINE.write().await;
    let begun = Instant::now();
    let fresh = [
        "PARLOR_LIMITS__ENABLED",
        "PARLOR_ADMIN_USERNAME",
        "PARLOR_ADMIN_PASSWORD",
        "PARLOR_AUTH__ARGON2_MEMORY",
        "PARLOR_AUTH__ARGON2_ITERATIONS",
        "PARLOR_AUTH__HASH_QUEUE",
    ];
    let builder = fresh.into_iter().fold(Parlor::builder(), Builder::without);
    let server = builder.start().await;
    let ada = server.register("ada").await;
    let history = shared_history();
    let mut follower = Follower::start(&ada, "general", &history, "ada").await;
    history.lock().unwrap().wrote("first", "hi @guide, what can you do?", true);
    let answer =
        follower.socket().publish("general", "first", "hi @guide, what can you do?").await.unwrap();
    history.lock().unwrap().accepted("first", &answer);

    let piece = follower.piece(2).await;
    let (_, completed) = follower.reply_ends().await;
    let took = begun.elapsed();

    assert_eq!(piece.message, completed.message, "the reply came in pieces");
    assert_eq!(completed.status, MessageStatus::Completed);
    assert!(completed.body.len() > 20, "{completed:?}");
    assert!(took < PATIENCE, "it took {took:?}, of which the start took {:?}", server.started_in());
    settle(history, &ada, "general").await;
}

async fn one_call_over_http_brings_the_message_and_the_whole_reply(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let ada = stage.register("ada").await;

    let answer =
        ada.http.publish_and_wait("general", &draft("@guide echo hello there", None)).await;

    let answer = answer.unwrap();
    let reply = answer.reply.expect("the message calls the bot");
    assert_eq!(answer.message.body, "@guide echo hello there");
    assert_eq!(reply.status, MessageStatus::Completed);
    assert!(reply.body.contains("hello there"), "{}", reply.body);
    assert_eq!(reply.bot.unwrap().trigger, answer.message.id);
}

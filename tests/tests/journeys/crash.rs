//! A reply that was being written when the server was killed.

use std::time::Duration;

use parlor_protocol::message::MessageStatus;
use parlor_testkit::fake_llm::{FakeLlm, Script};

use crate::{
    MACHINE,
    follow::{Follower, Seen, settle, shared_history},
    stage::{Place, in_both_places},
};

in_both_places! {
    reply_that_a_crash_cut_off_is_written_anew_and_ends_once,
    reply_that_crashes_each_time_is_closed_with_a_sentence,
    reply_whose_lease_ran_out_while_the_server_slept_ends_once,
}

async fn reply_that_a_crash_cut_off_is_written_anew_and_ends_once(place: Place) {
    let _shared = MACHINE.read().await;
    let llm = FakeLlm::start().await;
    let script = Script::counting(240).with_delay(Duration::from_millis(25));
    llm.set_script(script.clone());
    let mut stage = place.builder().model(&llm).start().await;
    let ada = stage.register("ada").await;
    let history = shared_history();
    let mut follower = Follower::start(&ada, "general", &history, "ada").await;
    history.lock().unwrap().wrote("call", "@guide count", true);
    let accepted = follower.socket().publish("general", "call", "@guide count").await.unwrap();
    history.lock().unwrap().accepted("call", &accepted);
    let before = follower.piece(10).await;

    stage.kill().await;
    while !matches!(follower.next().await, Seen::Ended(_)) {}
    stage.restart().await;
    follower.connect().await.unwrap();
    let after = follower.piece(1).await;
    let (_, completed) = follower.reply_ends().await;

    assert_eq!(after.message, before.message, "it is the same message");
    assert!(after.turn > before.turn, "turn {} after turn {}", after.turn, before.turn);
    assert_eq!((completed.status, completed.body), (MessageStatus::Completed, script.text()));
    let summary = settle(history, &ada, "general").await;
    assert_eq!(summary.replies, 1);
    let requests = llm.requests();
    let calls = requests.iter().filter(|request| request.path.ends_with("completions")).count();
    // On a slow machine a lease may run out, too.
    assert!((2..=3).contains(&calls), "{calls} calls of the model");
}

async fn reply_that_crashes_each_time_is_closed_with_a_sentence(place: Place) {
    let _shared = MACHINE.read().await;
    let llm = FakeLlm::start().await;
    llm.set_script(Script::counting(10_000).with_delay(Duration::from_millis(20)));
    let mut stage = place.builder().model(&llm).start().await;
    let ada = stage.register("ada").await;
    let history = shared_history();
    let mut follower = Follower::start(&ada, "general", &history, "ada").await;
    history.lock().unwrap().wrote("call", "@guide count", true);
    follower.socket().publish("general", "call", "@guide count").await.unwrap();

    // As many attempts as `bots.max_attempts`.
    for _ in 0..3 {
        follower.piece(3).await;
        stage.kill().await;
        while !matches!(follower.next().await, Seen::Ended(_)) {}
        stage.restart().await;
        follower.connect().await.unwrap();
    }
    let (_, completed) = follower.reply_ends().await;

    assert!(
        matches!(completed.status, MessageStatus::Failed | MessageStatus::Interrupted),
        "{completed:?}"
    );
    settle(history, &ada, "general").await;
}

async fn reply_whose_lease_ran_out_while_the_server_slept_ends_once(place: Place) {
    let _shared = MACHINE.read().await;
    let llm = FakeLlm::start().await;
    let script = Script::counting(200).with_delay(Duration::from_millis(25));
    llm.set_script(script.clone());
    let mut stage = place
        .builder()
        .model(&llm)
        .env("PARLOR_BOTS__LEASE", "2s")
        .env("PARLOR_BOTS__CHECKPOINT", "200ms")
        .start()
        .await;
    let ada = stage.register("ada").await;
    let history = shared_history();
    let mut follower = Follower::start(&ada, "general", &history, "ada").await;
    history.lock().unwrap().wrote("call", "@guide count", true);
    follower.socket().publish("general", "call", "@guide count").await.unwrap();
    follower.piece(5).await;

    stage.freeze(Duration::from_secs(5)).await;
    let (_, completed) = follower.reply_ends().await;

    assert_eq!((completed.status, completed.body), (MessageStatus::Completed, script.text()));
    let summary = settle(history, &ada, "general").await;
    assert_eq!(summary.replies, 1);
}

//! One `client_id` is one message, however and however often it is sent.

use std::{collections::BTreeSet, time::Duration};

use parlor_protocol::{id::MessageId, message::MessageStatus};
use parlor_testkit::{
    fake_llm::{FakeLlm, Script},
    process::{User, draft},
};
use tokio::task::JoinSet;

use crate::{
    MACHINE,
    follow::{Follower, settle, shared_history},
    stage::{Place, in_both_places},
};

in_both_places! {
    attempts_at_once_over_sockets_and_http_are_one_message,
    same_id_of_another_author_is_another_message,
    calls_that_wait_for_one_reply_all_get_it,
}

const ATTEMPTS: usize = 20;

async fn attempts_at_once_over_sockets_and_http_are_one_message(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let ada = stage.register("ada").await;
    let history = shared_history();
    let mut follower = Follower::start(&ada, "general", &history, "ada").await;

    for round in 0..5 {
        let client_id = format!("once-{round}");
        history.lock().unwrap().wrote(&client_id, "only once", false);
        let mut attempts = JoinSet::new();
        for number in 0..ATTEMPTS {
            attempts.spawn(attempt(ada.clone(), client_id.clone(), number));
        }
        let answers: BTreeSet<(u64, MessageId)> = attempts.join_all().await.into_iter().collect();

        assert_eq!(answers.len(), 1, "{answers:?}");
        let (seq, id) = *answers.first().unwrap();
        history.lock().unwrap().acknowledged_at(&client_id, seq, id);
        assert_eq!(attempt(ada.clone(), client_id, 0).await, (seq, id), "also later");
    }
    let last = ada.http.room("general").await.unwrap().seq;
    follower.read_to(last).await;
    let summary = settle(history, &ada, "general").await;
    assert_eq!(summary.acknowledged, 5);
}

async fn same_id_of_another_author_is_another_message(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let (ada, bob) = (stage.register("ada").await, stage.register("bob").await);

    let first = ada.http.publish("general", &draft("ada's", Some("same"))).await.unwrap();
    let second = bob.http.publish("general", &draft("bob's", Some("same"))).await.unwrap();

    assert_ne!(first.id, second.id);
    let bodies: Vec<_> =
        ada.history("general").await.into_iter().map(|message| message.body).collect();
    assert_eq!(bodies, ["ada's", "bob's"]);
}

async fn calls_that_wait_for_one_reply_all_get_it(place: Place) {
    let _shared = MACHINE.read().await;
    let llm = FakeLlm::start().await;
    llm.set_script(Script::counting(20).with_delay(Duration::from_millis(10)));
    let stage = place.builder().model(&llm).start().await;
    let ada = stage.register("ada").await;

    let mut calls = JoinSet::new();
    for _ in 0..6 {
        let http = ada.http.clone();
        calls.spawn(async move {
            let request = draft("@guide count", Some("one-call"));
            let answer = http.publish_and_wait("general", &request).await.unwrap();
            (answer.message.id, answer.reply.map(|reply| (reply.id, reply.body, reply.status)))
        });
    }
    let answers: Vec<_> = calls.join_all().await;

    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    let (_, body, status) = answers[0].1.clone().expect("a reply");
    assert_eq!((body, status), (Script::counting(20).text(), MessageStatus::Completed));
    let asked = llm.requests().iter().filter(|request| request.path.contains("chat")).count();
    assert_eq!(asked, 1, "the model was asked once");
}

async fn attempt(user: User, client_id: String, number: usize) -> (u64, MessageId) {
    if number.is_multiple_of(2) {
        let mut socket = user.socket().await;
        let accepted = socket.publish("general", &client_id, "only once").await.unwrap();
        (accepted.seq.unwrap(), accepted.message.unwrap())
    } else {
        let request = draft("only once", Some(&client_id));
        let message = user.http.publish("general", &request).await.unwrap();
        (message.seq, message.id)
    }
}

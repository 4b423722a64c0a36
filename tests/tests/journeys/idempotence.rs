//! One `client_id` is one message, however and however often it is sent.

use std::collections::BTreeSet;

use parlor_protocol::id::MessageId;
use parlor_testkit::process::{Parlor, User, draft};
use tokio::task::JoinSet;

use crate::{
    MACHINE,
    follow::{Follower, settle, shared_history},
};

const ATTEMPTS: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_at_once_over_sockets_and_http_are_one_message() {
    let _shared = MACHINE.read().await;
    let server = Parlor::start().await;
    let ada = server.register("ada").await;
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

#[tokio::test]
async fn same_id_of_another_author_is_another_message() {
    let _shared = MACHINE.read().await;
    let server = Parlor::start().await;
    let (ada, bob) = (server.register("ada").await, server.register("bob").await);

    let first = ada.http.publish("general", &draft("ada's", Some("same"))).await.unwrap();
    let second = bob.http.publish("general", &draft("bob's", Some("same"))).await.unwrap();

    assert_ne!(first.id, second.id);
    let bodies: Vec<_> =
        ada.history("general").await.into_iter().map(|message| message.body).collect();
    assert_eq!(bodies, ["ada's", "bob's"]);
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

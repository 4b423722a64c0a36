//! A store that fails while a reply is being written.

use std::sync::Arc;
use std::time::Duration;

use parlor_bot_worker::BotWorkerConfig;
use parlor_protocol::message::MessageStatus;
use parlor_testkit::fake_llm::{FakeLlm, Script};

use crate::flaky::{Fault, FlakyStore};
use crate::harness::{World, quick};
use crate::puppet::{Puppet, fake_providers};

#[tokio::test]
async fn beginning_and_ending_are_repeated_until_the_store_is_back() {
    let world = World::new().await;
    world.add_bot("guide", |_| {}).await;
    let fake = FakeLlm::start().await;
    fake.set_script(Script::says("kept"));
    let store = FlakyStore::new(&world.store);
    store.fail_claims(&[Fault::Unavailable; 2]);
    store.fail_starts(&[Fault::Unavailable; 2]);
    store.fail_ends(&[Fault::Unavailable; 3]);
    let worker = world.start_on(store, quick(), fake_providers(&fake));
    let mut observer = world.observe();

    let trigger = world.say("@guide hi").await;
    let ending = observer.ending().await;

    assert_eq!((ending.status, ending.body.as_str()), (MessageStatus::Completed, "kept"));
    assert_eq!(observer.told.turns(ending.message), [1]);
    assert_eq!(fake.requests().len(), 1);
    assert_eq!(world.replies(trigger).await.len(), 1);
    worker.crash().await;
}

#[tokio::test]
async fn room_is_told_of_what_was_committed_although_the_answer_was_lost() {
    let world = World::new().await;
    world.add_bot("guide", |_| {}).await;
    let fake = FakeLlm::start().await;
    fake.set_script(Script::says("kept"));
    let store = FlakyStore::new(&world.store);
    store.fail_starts(&[Fault::AnswerLost]);
    store.fail_ends(&[Fault::AnswerLost]);
    let worker = world.start_on(store, quick(), fake_providers(&fake));
    let mut observer = world.observe();

    let trigger = world.say("@guide hi").await;
    let ending = observer.ending().await;

    assert_eq!((ending.status, ending.body.as_str()), (MessageStatus::Completed, "kept"));
    assert!(observer.told.created.iter().any(|message| message.id == ending.message));
    assert_eq!(world.replies(trigger).await.len(), 1);
    assert_eq!(world.store.count_jobs().await.unwrap(), (0, 0));
    worker.crash().await;
}

#[tokio::test]
async fn renewal_that_fails_once_does_not_end_the_turn() {
    let world = World::new().await;
    world.add_bot("guide", |_| {}).await;
    let puppet = Puppet::new();
    let store = FlakyStore::new(&world.store);
    store.fail_renewals(&[Fault::Unavailable; 2]);
    let flaky: Arc<FlakyStore> = Arc::clone(&store);
    let worker = world.start_on(flaky, quick(), puppet.providers());
    let mut observer = world.observe();
    world.say("@guide hi").await;
    let call = puppet.call().await;
    call.text("before").await;
    let reply = observer.streaming().await;

    // The checkpoint that failed is stored by a later one.
    world.stored("before").await;
    call.text(" and after").await;
    call.finish().await;

    let ending = observer.ending().await;
    assert_eq!((ending.message, ending.body.as_str()), (reply, "before and after"));
    worker.crash().await;
}

#[tokio::test]
async fn turn_that_cannot_renew_its_lease_falls_silent_when_it_ends() {
    let world = World::new().await;
    world.add_bot("guide", |_| {}).await;
    let puppet = Puppet::new();
    let store = FlakyStore::new(&world.store);
    store.fail_renewals(&[Fault::Unavailable; 1_000]);
    let config = BotWorkerConfig { lease: Duration::from_secs(4), ..quick() };
    let mut worker = world.start_on(store, config, puppet.providers());
    let mut observer = world.observe();
    world.say("@guide hi").await;
    let call = puppet.call().await;
    call.text("so far").await;
    observer.streaming().await;

    worker.stop.cancel();
    call.dropped().await;
    worker.ended().await;

    assert!(observer.catch_up().await.completed.is_empty());
    assert!(worker.metrics().contains("outcome=\"lost\"} 1"));
}

#[tokio::test]
async fn reply_goes_on_while_the_store_is_away_and_ends_when_it_is_back() {
    let world = World::new().await;
    world.add_bot("guide", |_| {}).await;
    let puppet = Puppet::new();
    let store = FlakyStore::new(&world.store);
    let flaky: Arc<FlakyStore> = Arc::clone(&store);
    let worker = world.start_on(flaky, quick(), puppet.providers());
    let mut observer = world.observe();
    let trigger = world.say("@guide hi").await;
    let call = puppet.call().await;
    call.text("before").await;
    let reply = observer.streaming().await;

    store.set_away(true);
    let asked_before = store.asked_to_claim();
    call.text(" while").await;
    observer.until(|told| told.streamed(reply) == "before while").await;
    call.finish().await;
    // Time itself is tried here: a second without a store.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let asked = store.asked_to_claim() - asked_before;
    assert!(observer.catch_up().await.completed.is_empty());
    store.set_away(false);
    let ending = observer.ending().await;

    assert_eq!((ending.status, ending.body.as_str()), (MessageStatus::Completed, "before while"));
    assert_eq!(observer.told.turns(reply), [1]);
    assert_eq!(world.replies(trigger).await.len(), 1);
    assert!((1..=8).contains(&asked), "claims wait longer each time: {asked}");
    assert!(!worker.metrics().contains("parlor_bot_claim_failures_total 0\n"));
    worker.crash().await;
}

#[tokio::test]
async fn calls_that_hang_are_given_up_and_repeated_within_the_lease() {
    let world = World::new().await;
    world.add_bot("guide", |_| {}).await;
    let puppet = Puppet::new();
    let store = FlakyStore::new(&world.store);
    store.fail_renewals(&[Fault::Hang]);
    store.fail_ends(&[Fault::Hang]);
    let config = BotWorkerConfig { lease: Duration::from_secs(9), ..quick() };
    let worker = world.start_on(store, config, puppet.providers());
    let mut observer = world.observe();
    world.say("@guide hi").await;

    let call = puppet.call().await;
    call.text("kept").await;
    world.stored("kept").await;
    call.finish().await;
    let ending = observer.ending().await;

    assert_eq!((ending.status, ending.body.as_str()), (MessageStatus::Completed, "kept"));
    assert_eq!(observer.told.turns(ending.message), [1]);
    worker.crash().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reply_survives_a_database_that_is_killed_and_comes_back() {
    let world = World::on_postgres().await;
    world.add_bot("guide", |_| {}).await;
    let puppet = Puppet::new();
    let config = BotWorkerConfig { lease: Duration::from_secs(30), ..quick() };
    let worker = world.start_with(config, puppet.providers());
    let mut observer = world.observe();
    let trigger = world.say("@guide hi").await;
    let call = puppet.call().await;
    call.text("before").await;
    let reply = observer.streaming().await;
    world.stored("before").await;

    let server = world.server.as_ref().unwrap();
    server.kill().await;
    call.text(" while").await;
    observer.until(|told| told.streamed(reply) == "before while").await;
    call.finish().await;
    server.restart().await;
    let ending = observer.ending().await;

    assert_eq!((ending.status, ending.body.as_str()), (MessageStatus::Completed, "before while"));
    assert_eq!(observer.told.turns(reply), [1]);
    assert_eq!(world.replies(trigger).await.len(), 1);
    world.say("@guide again").await;
    puppet.call().await.finish().await;
    observer.ending().await;
    worker.crash().await;
}

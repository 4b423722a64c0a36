//! Stopping a reply.

use std::time::{Duration, Instant};

use parlor_bot_worker::BotWorkerConfig;
use parlor_protocol::message::MessageStatus;
use parlor_store::Intent;
use parlor_testkit::fake_llm::{Behaviour, FakeLlm, Script};

use crate::harness::{World, now, quick, within};
use crate::puppet::{Puppet, fake_providers};

over_each_store!(worker_that_no_bus_reaches_stops_soon,);

fn endless() -> Script {
    Script::says("and on ").with_delay(Duration::from_millis(5)).behaving(Behaviour::Endless)
}

#[tokio::test]
async fn cancel_closes_the_providers_connection_and_keeps_the_text() {
    let world = World::new().await;
    world.add_bot("guide", |_| {}).await;
    let fake = FakeLlm::start().await;
    fake.set_script(endless());
    // Only the bus can be as quick as this test wants it: a checkpoint tells of it, too.
    let rarely = Duration::from_secs(20);
    let config = BotWorkerConfig {
        lease: rarely * 3,
        checkpoint_every: rarely,
        renew_every: rarely,
        ..quick()
    };
    let worker = world.start_with(config, fake_providers(&fake));
    let mut observer = world.observe();
    let trigger = world.say("@guide hi").await;
    let reply = observer.streaming().await;

    let asked = Instant::now();
    world.cancel(reply).await;
    let ending = observer.ending().await;

    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    assert_eq!(ending.status, MessageStatus::Cancelled);
    assert!(ending.body.starts_with("1 "), "{}", ending.body);
    assert!(ending.usage.estimated && ending.usage.completion_tokens > 0);
    assert_eq!(ending.error, None);
    fake.wait_aborted(1).await;
    fake.wait_open(0).await;
    assert_eq!(world.replies(trigger).await[0].status, MessageStatus::Cancelled);
    worker.crash().await;
}

#[tokio::test]
async fn cancel_that_the_bus_lost_is_found_at_the_next_renewal() {
    let world = World::new().await;
    world.add_bot("guide", |_| {}).await;
    let puppet = Puppet::new();
    let worker = world.start(puppet.providers());
    let mut observer = world.observe();
    let trigger = world.say("@guide hi").await;
    let call = puppet.call().await;

    world.ask_to_cancel(trigger).await;
    let ending = observer.ending().await;

    assert_eq!((ending.status, ending.body.as_str()), (MessageStatus::Cancelled, ""));
    call.dropped().await;
    worker.crash().await;
}

async fn worker_that_no_bus_reaches_stops_soon(world: World) {
    world.add_bot("guide", |_| {}).await;
    let puppet = Puppet::new();
    let worker = world.start_apart(BotWorkerConfig::default(), puppet.providers());
    let trigger = world.say("@guide hi").await;
    let call = puppet.call().await;
    call.text("so far").await;
    world.stored("so far").await;

    let asked = Instant::now();
    world.cancel(trigger).await;
    call.dropped().await;
    until_no_job(&world).await;

    // It looks once a second; the rest is for a busy machine.
    assert!(asked.elapsed() < Duration::from_secs(15), "{:?}", asked.elapsed());
    let reply = world.replies(trigger).await.remove(0);
    assert_eq!((reply.status, reply.body.as_str()), (MessageStatus::Cancelled, "so far"));
    worker.crash().await;
}

#[tokio::test]
async fn cancel_before_a_worker_is_there_needs_no_provider() {
    let world = World::new().await;
    world.add_bot("guide", |_| {}).await;
    let puppet = Puppet::new();
    let mut observer = world.observe();
    let trigger = world.say("@guide hi").await;
    world.cancel(trigger).await;

    let worker = world.start(puppet.providers());
    let ending = observer.ending().await;

    assert_eq!(ending.status, MessageStatus::Cancelled);
    assert_eq!(puppet.untaken().await, 0, "the provider was not called");
    assert_eq!(world.replies(trigger).await.len(), 1);
    worker.crash().await;
}

#[tokio::test]
async fn message_that_was_removed_gets_no_answer() {
    let world = World::new().await;
    world.add_bot("guide", |_| {}).await;
    let puppet = Puppet::new();
    let mut observer = world.observe();
    let trigger = world.say("@guide tell me a secret").await;
    world.redact(trigger).await;

    let worker = world.start(puppet.providers());
    let ending = observer.ending().await;

    assert_eq!((ending.status, ending.body.as_str()), (MessageStatus::Cancelled, ""));
    assert_eq!(puppet.untaken().await, 0, "the provider was not called");
    worker.crash().await;
}

#[tokio::test]
async fn bot_that_is_removed_from_the_room_stops_writing() {
    let world = World::new().await;
    let bot = world.add_bot("guide", |_| {}).await;
    let puppet = Puppet::new();
    let worker = world.start(puppet.providers());
    let mut observer = world.observe();
    let trigger = world.say("@guide hi").await;
    let call = puppet.call().await;
    call.text("so far").await;
    observer.streaming().await;

    world.act(Intent::Kick { user: bot.user.id, reason: None }).await;
    call.dropped().await;
    until_no_job(&world).await;

    let replies = world.replies(trigger).await;
    assert_eq!(replies.len(), 1);
    assert_ne!(replies[0].status, MessageStatus::Streaming);
    worker.crash().await;
}

#[tokio::test]
async fn reset_of_the_history_ends_the_replies_in_it() {
    let world = World::new().await;
    world.add_bot("guide", |_| {}).await;
    let puppet = Puppet::new();
    let worker = world.start(puppet.providers());
    let mut observer = world.observe();
    let trigger = world.say("@guide hi").await;
    let call = puppet.call().await;
    call.text("so far").await;
    observer.streaming().await;

    world.act(Intent::ResetHistory).await;
    call.dropped().await;
    until_no_job(&world).await;

    assert!(world.replies(trigger).await.is_empty(), "nothing comes back");
    worker.crash().await;
}

#[tokio::test]
async fn room_that_is_deleted_takes_its_replies_along() {
    let world = World::new().await;
    world.add_bot("guide", |_| {}).await;
    let puppet = Puppet::new();
    let mut worker = world.start(puppet.providers());
    let mut observer = world.observe();
    world.say("@guide hi").await;
    let call = puppet.call().await;
    call.text("so far").await;
    observer.streaming().await;

    world.store.delete_room(world.room, world.ada.id, now()).await.unwrap().unwrap();
    call.dropped().await;
    worker.stop.cancel();
    worker.ended().await;

    assert_eq!(world.store.count_jobs().await.unwrap(), (0, 0));
    assert!(observer.catch_up().await.completed.is_empty());
}

async fn until_no_job(world: &World) {
    within(async {
        while world.store.count_jobs().await.unwrap() != (0, 0) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

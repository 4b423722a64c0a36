//! Who is next, and what those that wait are told.

use std::sync::Arc;
use std::time::Duration;

use parlor_bot_worker::BotWorkerConfig;
use parlor_llm::{DemoProvider, Provider, Providers};
use parlor_protocol::message::MessageStatus;

use crate::harness::{World, now, quick, within};
use crate::puppet::Puppet;

over_each_store!(
    provider_that_is_busy_does_not_keep_the_others_waiting,
    busy_room_does_not_keep_another_waiting,
    those_that_wait_are_told_when_they_come_closer,
    call_that_waits_is_stopped_although_there_is_no_room_for_it,
);

/// The puppet as default and a demo under another name.
fn two_providers(puppet: &Arc<Puppet>) -> Providers {
    let mut providers = puppet.providers();
    let quick: Arc<dyn Provider> = Arc::new(DemoProvider::named("quick"));
    providers.insert(quick);
    providers
}

async fn provider_that_is_busy_does_not_keep_the_others_waiting(world: World) {
    for name in ["one", "two", "three"] {
        world.add_bot(name, |_| {}).await;
    }
    world.add_bot("swift", |bot| bot.provider = Some("quick".to_owned())).await;
    let puppet = Puppet::new();
    let config = BotWorkerConfig { provider_concurrency: 2, ..quick() };
    let worker = world.start_with(config, two_providers(&puppet));
    let mut observer = world.observe();
    world.say("@one @two @three").await;
    let calls = [puppet.call().await, puppet.call().await];

    world.say("@swift echo hello").await;
    assert_eq!(observer.ending().await.body, "hello", "its provider has room");
    assert_eq!(puppet.untaken().await, 0, "the third waits for the provider");

    for call in calls {
        call.text("done").await;
        call.finish().await;
    }
    puppet.call().await.finish().await;
    observer.until(|told| told.completed.len() == 4).await;
    worker.crash().await;
}

async fn busy_room_does_not_keep_another_waiting(world: World) {
    let bots = ["one", "two", "three", "four"];
    for name in bots {
        world.add_bot(name, |_| {}).await;
    }
    let guide = world.add_bot("guide", |_| {}).await;
    let other = world.add_room("other").await;
    world.bring(other, &guide).await;
    let puppet = Puppet::new();
    world.say("@one @two @three @four").await;
    world.say_at(other, "@guide elsewhere", now()).await;
    let mut observer = world.observe_room(other);

    let config = BotWorkerConfig { concurrency: 2, ..quick() };
    let worker = world.start_with(config, puppet.providers());
    let _calls = [puppet.call().await, puppet.call().await];

    let told = observer.until(|told| !told.created.is_empty()).await;
    assert_eq!(told.created[0].sender.username, "guide", "four came before it");
    worker.crash().await;
}

async fn those_that_wait_are_told_when_they_come_closer(world: World) {
    for name in ["one", "two", "three"] {
        world.add_bot(name, |_| {}).await;
    }
    let puppet = Puppet::new();
    let config = BotWorkerConfig { concurrency: 1, ..quick() };
    let mut observer = world.observe();
    for name in ["@one", "@two", "@three"] {
        world.say(name).await;
    }
    let worker = world.start_with(config, puppet.providers());
    let place = |name: &str, place| (name.to_owned(), place);

    let first = puppet.call().await;
    let told = observer.until(|told| told.places.len() >= 2).await;
    assert_eq!(told.places, [place("two", 2), place("three", 3)]);
    first.finish().await;
    let second = puppet.call().await;
    let told = observer.until(|told| told.places.len() >= 3).await;
    assert_eq!(told.places[2..], [place("three", 2)]);
    second.finish().await;
    puppet.call().await.finish().await;
    observer.until(|told| told.completed.len() == 3).await;
    worker.crash().await;
}

#[tokio::test]
async fn nobody_is_told_the_same_place_twice() {
    let world = World::new().await;
    for name in ["one", "two", "three"] {
        world.add_bot(name, |_| {}).await;
    }
    let puppet = Puppet::new();
    let config = BotWorkerConfig { concurrency: 1, ..quick() };
    let mut observer = world.observe();
    world.say("@one").await;
    world.say("@two").await;
    let last = world.say("@three").await;
    let worker = world.start_with(config, puppet.providers());
    let first = puppet.call().await;
    observer.until(|told| told.places.len() >= 2).await;

    world.cancel(last).await;
    observer.ending().await;
    first.finish().await;
    puppet.call().await.finish().await;
    observer.until(|told| told.completed.len() == 3).await;

    let places = &observer.catch_up().await.places;
    let told = |place| places.iter().filter(|told| **told == ("two".to_owned(), place)).count();
    assert_eq!((told(2), told(3)), (1, 0), "{places:?}");
    worker.crash().await;
}

async fn call_that_waits_is_stopped_although_there_is_no_room_for_it(world: World) {
    world.add_bot("one", |_| {}).await;
    world.add_bot("two", |_| {}).await;
    let puppet = Puppet::new();
    let config = BotWorkerConfig { concurrency: 1, ..quick() };
    let worker = world.start_with(config, puppet.providers());
    let mut observer = world.observe();
    world.say("@one").await;
    let call = puppet.call().await;
    let waiting = world.say("@two").await;

    world.ask_to_cancel(waiting).await;
    let ending = observer.ending().await;

    assert_eq!(ending.status, MessageStatus::Cancelled);
    assert_eq!(world.replies(waiting).await[0].id, ending.message);
    assert_eq!(puppet.untaken().await, 0, "no provider was called");
    call.finish().await;
    observer.ending().await;
    worker.crash().await;
}

#[tokio::test]
async fn metrics_tell_how_many_wait_and_for_how_long() {
    let world = World::new().await;
    world.add_bot("one", |_| {}).await;
    world.add_bot("two", |_| {}).await;
    let puppet = Puppet::new();
    let count_every = Duration::from_millis(20);
    let config = BotWorkerConfig { concurrency: 1, count_every, ..quick() };
    world.say("@one @two").await;
    let worker = world.start_with(config, puppet.providers());
    let call = puppet.call().await;

    within(async {
        loop {
            let metrics = worker.metrics();
            let waited = metrics.lines().find_map(|line| {
                line.strip_prefix("parlor_bot_jobs_oldest_waiting_seconds ")?.parse::<f64>().ok()
            });
            let counted = metrics.contains("\nparlor_bot_jobs_waiting 1\n")
                && metrics.contains("\nparlor_bot_jobs_held 1\n");
            if counted && waited.is_some_and(|waited| waited > 0.0) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    drop(call);
    worker.crash().await;
}

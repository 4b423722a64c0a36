//! Workers that are stopped on purpose: what they finish, and what they hand over.

use std::time::{Duration, Instant};

use parlor_bot_worker::BotWorkerConfig;
use parlor_bus::{Bus as _, Control, Delivery};
use parlor_protocol::message::MessageStatus;

use crate::harness::{World, quick, within};
use crate::puppet::Puppet;

over_each_store!(
    what_is_not_finished_within_the_limit_is_handed_over,
    reply_survives_any_number_of_clean_restarts,
);

async fn what_is_not_finished_within_the_limit_is_handed_over(world: World) {
    world.add_bot("guide", |_| {}).await;
    let puppet = Puppet::new();
    let config = BotWorkerConfig { drain: Duration::from_millis(300), ..quick() };
    let mut first = world.start_with(config, puppet.providers());
    let mut observer = world.observe();
    let trigger = world.say("@guide hi").await;
    let call = puppet.call().await;
    call.text("half").await;
    let reply = observer.streaming().await;

    let asked = Instant::now();
    first.stop.cancel();
    call.dropped().await;
    first.ended().await;

    let took = asked.elapsed();
    assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(15), "{took:?}");
    assert!(observer.catch_up().await.completed.is_empty());
    assert!(first.metrics().contains("outcome=\"released\"} 1"));
    let streaming = world.store.list_streaming(world.room).await.unwrap();
    assert_eq!(streaming[0].text, "half", "what was told is stored");

    let second = world.start(puppet.providers());
    let call = puppet.call().await;
    call.text("whole").await;
    call.finish().await;
    let ending = observer.ending().await;
    assert_eq!((ending.message, ending.body.as_str()), (reply, "whole"));
    assert_eq!(world.replies(trigger).await.len(), 1);
    second.shows("parlor_bot_take_overs_total 1").await;
    second.crash().await;
}

#[tokio::test]
async fn worker_that_waits_is_told_of_what_is_handed_over() {
    let world = World::new().await;
    world.add_bot("guide", |_| {}).await;
    let puppet = Puppet::new();
    let mut first = world.start(puppet.providers());
    let mut observer = world.observe();
    world.say("@guide hi").await;
    let lost = puppet.call().await;
    lost.text("half").await;
    observer.streaming().await;
    // It would not look by itself while the test lasts.
    let config = BotWorkerConfig { poll_every: Duration::from_mins(1), ..quick() };
    let second = world.start_with(config, puppet.providers());
    let mut mailbox = world.bus.subscribe(100).unwrap();

    first.abort.cancel();
    first.ended().await;
    let call = puppet.call().await;
    call.text("whole").await;
    call.finish().await;

    assert_eq!(observer.ending().await.body, "whole");
    let mut batch = Vec::new();
    within(mailbox.receive(&mut batch, 100)).await;
    let told = |delivery: &Delivery| matches!(delivery, Delivery::Control(Control::JobQueued));
    assert!(batch.iter().any(told), "{batch:?}");
    second.crash().await;
}

async fn reply_survives_any_number_of_clean_restarts(world: World) {
    world.add_bot("guide", |_| {}).await;
    let puppet = Puppet::new();
    let config = BotWorkerConfig { max_attempts: 1, ..quick() };
    let mut observer = world.observe();
    world.say("@guide hi").await;

    for restart in 1..=4 {
        let mut worker = world.start_with(config.clone(), puppet.providers());
        let call = puppet.call().await;
        call.text("so far").await;
        observer.until(|told| told.deltas.keys().any(|(_, turn)| *turn == restart)).await;
        worker.abort.cancel();
        worker.ended().await;
    }
    let worker = world.start_with(config, puppet.providers());
    let call = puppet.call().await;
    call.text("at last").await;
    call.finish().await;
    let ending = observer.ending().await;

    assert_eq!((ending.status, ending.body.as_str()), (MessageStatus::Completed, "at last"));
    assert_eq!(observer.told.turns(ending.message), [1, 2, 3, 4, 5]);
    worker.shows("parlor_bot_attempts_bucket{le=\"1\"} 1").await;
    worker.crash().await;
}

#[tokio::test]
async fn worker_without_work_stops_at_once() {
    let world = World::new().await;
    let mut worker = world.start(Puppet::new().providers());

    worker.stop.cancel();

    within(worker.ended()).await;
}

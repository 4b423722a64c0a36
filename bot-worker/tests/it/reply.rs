//! A reply from its call to its ending.

use std::time::Duration;

use parlor_bot_worker::BotWorkerConfig;
use parlor_protocol::message::MessageStatus;
use parlor_protocol::signal::BotState;
use parlor_testkit::fake_llm::{Behaviour, FakeLlm, Script};

use crate::harness::{World, quick};
use crate::puppet::{Puppet, fake_providers};

#[tokio::test]
async fn deltas_are_dense_and_equal_to_the_final_body() {
    let world = World::new().await;
    let bot = world.add_bot("guide", |_| {}).await;
    let fake = FakeLlm::start().await;
    let script = Script::counting(300).with_delay(Duration::from_millis(1));
    fake.set_script(script.clone());
    let worker = world.start(fake_providers(&fake));
    let mut observer = world.observe();

    let trigger = world.say("@guide count").await;
    let ending = observer.ending().await;

    assert_eq!(ending.status, MessageStatus::Completed);
    assert_eq!(ending.body, script.text());
    assert!(ending.usage.completion_tokens > 0);
    let told = &observer.told;
    let deltas = &told.deltas[&(ending.message, 1)];
    assert!(deltas.len() > 3 && deltas.len() < 300, "pieces are merged: {}", deltas.len());
    assert_eq!(told.states, [BotState::Thinking, BotState::Streaming]);
    let begun = told.created.iter().find(|message| message.id == ending.message).unwrap();
    assert_eq!(begun.status, MessageStatus::Streaming);
    assert_eq!((begun.reply_to, begun.sender.id), (Some(trigger), bot.user.id));
    let replies = world.replies(trigger).await;
    assert_eq!(replies.len(), 1);
    assert_eq!(replies[0].body, ending.body);
    assert_eq!(replies[0].bot.as_ref().unwrap().model, "fake-model");
    worker.crash().await;
}

#[tokio::test]
async fn joiner_in_the_middle_gets_the_text_so_far() {
    let world = World::new().await;
    world.add_bot("guide", |_| {}).await;
    let puppet = Puppet::new();
    let worker = world.start(puppet.providers());
    let mut observer = world.observe();
    world.say("@guide hi").await;

    let call = puppet.call().await;
    call.text("half of it").await;
    let reply = observer.streaming().await;

    let so_far = parlor_bus::Bus::list_streaming(&*world.bus, world.room).await;
    assert_eq!(so_far.len(), 1);
    assert_eq!((so_far[0].message, so_far[0].turn, so_far[0].chunk), (reply, 1, 1));
    assert_eq!(so_far[0].text, "half of it");
    call.text(" and the rest").await;
    call.finish().await;
    assert_eq!(observer.ending().await.body, "half of it and the rest");
    worker.crash().await;
}

#[tokio::test]
async fn first_text_is_told_at_once_and_what_follows_is_merged() {
    let world = World::new().await;
    world.add_bot("guide", |_| {}).await;
    let puppet = Puppet::new();
    let cork = Duration::from_secs(2);
    let worker = world.start_with(BotWorkerConfig { cork, ..quick() }, puppet.providers());
    let mut observer = world.observe();
    world.say("@guide hi").await;

    let call = puppet.call().await;
    call.text("one").await;
    let reply = observer.streaming().await;
    for piece in [" two", " three", " four"] {
        call.text(piece).await;
    }
    let told = observer.until(|told| told.deltas[&(reply, 1)].len() > 1).await;

    let chunks = [(1, "one".to_owned()), (2, " two three four".to_owned())];
    assert_eq!(told.deltas[&(reply, 1)], chunks);
    worker.crash().await;
}

#[tokio::test]
async fn progress_of_a_provider_is_told() {
    let world = World::new().await;
    world.add_bot("guide", |_| {}).await;
    let puppet = Puppet::new();
    let worker = world.start(puppet.providers());
    let mut observer = world.observe();
    world.say("@guide hi").await;

    let call = puppet.call().await;
    call.progress("downloading the model", Some(40)).await;
    let told = observer.until(|told| !told.details.is_empty()).await;

    assert_eq!(told.details, ["downloading the model, 40 %"]);
    assert_eq!(told.states, [BotState::Thinking, BotState::Thinking]);
    worker.crash().await;
}

#[tokio::test]
async fn usage_is_the_providers_or_an_estimate() {
    let world = World::new().await;
    world.add_bot("guide", |_| {}).await;
    let fake = FakeLlm::start().await;
    fake.set_script(Script::says("some words").behaving(Behaviour::NoUsage));
    let worker = world.start(fake_providers(&fake));
    let mut observer = world.observe();

    world.say("@guide hi").await;
    let estimated = observer.ending().await.usage;
    fake.set_script(Script::says("some words"));
    world.say("@guide hi").await;
    let counted = observer.ending().await.usage;

    assert!(estimated.estimated && estimated.prompt_tokens > 0);
    assert!(!counted.estimated);
    worker.shows("parlor_bot_turns_total{outcome=\"completed\"} 2").await;
    worker.shows("parlor_llm_tokens_total{direction=\"prompt\"").await;
    worker.crash().await;
}

#[tokio::test]
async fn endless_reply_ends_at_the_bound() {
    let world = World::new().await;
    world.add_bot("guide", |_| {}).await;
    let fake = FakeLlm::start().await;
    fake.set_script(Script::says("and on ").behaving(Behaviour::Endless));
    let config = BotWorkerConfig { reply_bytes: 20_000, ..quick() };
    let worker = world.start_with(config, fake_providers(&fake));
    let mut observer = world.observe();

    world.say("@guide hi").await;
    let ending = observer.ending().await;

    assert_eq!(ending.status, MessageStatus::Completed);
    assert!(ending.body.len() > 19_990 && ending.body.len() <= 20_000, "{}", ending.body.len());
    fake.wait_aborted(1).await;
    worker.crash().await;
}

#[tokio::test]
async fn job_that_nobody_told_of_is_found() {
    let world = World::new().await;
    world.add_bot("guide", |_| {}).await;
    world.say("@guide said before any worker was there").await;
    let fake = FakeLlm::start().await;
    let mut observer = world.observe();

    let worker = world.start(fake_providers(&fake));

    assert_eq!(observer.ending().await.status, MessageStatus::Completed);
    worker.crash().await;
}

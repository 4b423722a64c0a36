//! Bots that call each other.

use parlor_bot_worker::BotWorkerConfig;
use parlor_protocol::code::Code;
use parlor_protocol::message::MessageStatus;
use parlor_testkit::fake_llm::{FakeLlm, Script};

use crate::harness::{World, quick};
use crate::puppet::fake_providers;

async fn pair(world: &World, fake: &FakeLlm) {
    world.add_bot("ping", |bot| bot.model = Some("ping".to_owned())).await;
    world.add_bot("pong", |bot| bot.model = Some("pong".to_owned())).await;
    fake.set_script_for("ping", Script::says("over to @pong"));
    fake.set_script_for("pong", Script::says("back to @ping"));
}

#[tokio::test]
async fn bots_that_call_each_other_come_to_an_end() {
    let world = World::new().await;
    let fake = FakeLlm::start().await;
    pair(&world, &fake).await;
    let worker = world.start(fake_providers(&fake));
    let mut observer = world.observe();

    world.say("@ping start").await;
    for _ in 0..3 {
        assert_eq!(observer.ending().await.status, MessageStatus::Completed);
    }

    assert_eq!(world.store.count_jobs().await.unwrap(), (0, 0), "the third calls nobody");
    assert_eq!(fake.requests().len(), 3);
    let mut queued = observer.told.places.clone();
    queued.dedup();
    assert_eq!(queued, [("pong".to_owned(), 1), ("ping".to_owned(), 1)]);
    worker.crash().await;
}

#[tokio::test]
async fn bot_answers_another_only_so_often_in_a_minute() {
    let world = World::new().await;
    let fake = FakeLlm::start().await;
    pair(&world, &fake).await;
    fake.set_script_for("pong", Script::says("that is all"));
    let config = BotWorkerConfig { pair_limit_per_minute: 1, ..quick() };
    let first = world.start_with(config.clone(), fake_providers(&fake));
    let mut observer = world.observe();

    world.say("@ping once").await;
    observer.ending().await;
    assert_eq!(observer.ending().await.body, "that is all");
    // The history is what workers share, so another one knows.
    first.crash().await;
    let worker = world.start_with(config, fake_providers(&fake));
    world.say("@ping twice").await;
    observer.ending().await;
    let ending = observer.ending().await;

    assert_eq!((ending.status, ending.body.as_str()), (MessageStatus::Failed, ""));
    assert_eq!(ending.error.unwrap().code, Code::RateLimited);
    assert_eq!(fake.requests().len(), 3, "the provider was not called");
    worker.crash().await;
}

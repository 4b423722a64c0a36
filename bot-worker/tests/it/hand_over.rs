//! Workers that die, stall or stop, and those that take over.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parlor_bot_worker::BotWorkerConfig;
use parlor_protocol::message::MessageStatus;
use parlor_testkit::fake_llm::{FakeLlm, Script};

use crate::flaky::FlakyStore;
use crate::harness::{World, quick, within};
use crate::puppet::{Puppet, fake_providers};

over_each_store!(several_workers_never_answer_twice, replies_end_once_however_often_workers_die,);

#[tokio::test]
async fn reply_of_a_worker_that_died_is_written_anew_and_ends_once() {
    let world = World::new().await;
    world.add_bot("guide", |_| {}).await;
    let puppet = Puppet::new();
    let config = BotWorkerConfig { lease: Duration::from_secs(4), ..quick() };
    let first = world.start_with(config.clone(), puppet.providers());
    let mut observer = world.observe();
    let trigger = world.say("@guide hi").await;
    let lost = puppet.call().await;
    lost.text("lost text").await;
    let reply = observer.streaming().await;

    first.crash().await;
    lost.dropped().await;
    let second = world.start_with(config, puppet.providers());
    let call = puppet.call().await;
    call.text("new text").await;
    call.finish().await;
    let ending = observer.ending().await;

    assert_eq!((ending.message, ending.body.as_str()), (reply, "new text"));
    assert_eq!(ending.status, MessageStatus::Completed);
    assert_eq!(observer.told.turns(reply), [1, 2]);
    assert_eq!(world.replies(trigger).await.len(), 1);
    assert_eq!(world.store.count_jobs().await.unwrap(), (0, 0));
    second.crash().await;
}

#[tokio::test]
async fn worker_that_was_overtaken_writes_nothing() {
    let world = World::new().await;
    world.add_bot("guide", |_| {}).await;
    let (zombie, heir) = (Puppet::new(), Puppet::new());
    // It does not ask for its lease while the test lasts.
    let asleep = Duration::from_mins(1);
    let config = BotWorkerConfig {
        lease: asleep * 3,
        checkpoint_every: asleep,
        renew_every: asleep,
        ..quick()
    };
    let mut first = world.start_with(config, zombie.providers());
    let mut observer = world.observe();
    let trigger = world.say("@guide hi").await;
    let old_call = zombie.call().await;
    old_call.text("old").await;
    let reply = observer.streaming().await;

    first.stop.cancel();
    world.store.release_all_leases().await.unwrap();
    let second = world.start(heir.providers());
    let new_call = heir.call().await;
    old_call.text(" and finished").await;
    old_call.finish().await;
    first.ended().await;
    new_call.text("new").await;
    new_call.finish().await;
    let ending = observer.ending().await;

    assert_eq!((ending.message, ending.body.as_str()), (reply, "new"));
    let told = observer.catch_up().await;
    assert_eq!(told.completed.len(), 1);
    assert_eq!(world.replies(trigger).await.len(), 1);
    let metrics = first.metrics();
    assert!(metrics.contains("parlor_bot_turns_total{outcome=\"lost\"} 1"), "{metrics}");
    second.crash().await;
}

#[tokio::test]
async fn worker_that_learns_that_its_lease_is_lost_falls_silent() {
    let world = World::new().await;
    world.add_bot("guide", |_| {}).await;
    let puppet = Puppet::new();
    // Longer than the test may take: it must be the answer of the store that silences it.
    let config = BotWorkerConfig { lease: Duration::from_mins(5), ..quick() };
    let mut worker = world.start_with(config, puppet.providers());
    let mut observer = world.observe();
    world.say("@guide hi").await;
    let call = puppet.call().await;
    call.text("so far").await;
    observer.streaming().await;

    worker.stop.cancel();
    world.store.release_all_leases().await.unwrap();
    call.dropped().await;
    worker.ended().await;

    let told = observer.catch_up().await;
    assert!(told.completed.is_empty());
    assert_eq!(world.store.count_jobs().await.unwrap(), (1, 0), "the job waits");
}

#[tokio::test]
async fn lease_is_kept_while_the_provider_is_silent() {
    let world = World::new().await;
    world.add_bot("guide", |_| {}).await;
    let puppet = Puppet::new();
    let store = FlakyStore::new(&world.store);
    let [one, other]: [Arc<FlakyStore>; 2] = [Arc::clone(&store), Arc::clone(&store)];
    let first = world.start_on(one, quick(), puppet.providers());
    let second = world.start_on(other, quick(), puppet.providers());
    let mut observer = world.observe();
    world.say("@guide hi").await;
    let call = puppet.call().await;

    store.renewed(5).await;
    call.text("at last").await;
    call.finish().await;
    let ending = observer.ending().await;

    assert_eq!(ending.body, "at last");
    assert_eq!(observer.told.turns(ending.message), [1], "nobody took it over");
    assert_eq!(puppet.untaken().await, 0);
    first.crash().await;
    second.crash().await;
}

#[tokio::test]
async fn worker_that_has_to_stop_now_gives_its_jobs_back() {
    let world = World::new().await;
    world.add_bot("guide", |_| {}).await;
    let puppet = Puppet::new();
    let mut first = world.start(puppet.providers());
    let mut observer = world.observe();
    let trigger = world.say("@guide hi").await;
    let call = puppet.call().await;
    call.text("so far").await;
    let reply = observer.streaming().await;

    let asked = Instant::now();
    first.abort.cancel();
    first.ended().await;

    assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
    assert!(observer.catch_up().await.completed.is_empty());
    assert_eq!(world.store.count_jobs().await.unwrap(), (1, 0), "due for the next worker");
    assert!(first.metrics().contains("outcome=\"released\"} 1"));

    // Its lease would have lasted for ten seconds.
    let second = world.start(puppet.providers());
    let call = puppet.call().await;
    call.text("again").await;
    call.finish().await;
    let ending = observer.ending().await;
    assert_eq!((ending.message, ending.body.as_str()), (reply, "again"));
    assert_eq!(world.replies(trigger).await.len(), 1);
    second.crash().await;
}

#[tokio::test]
async fn worker_that_is_asked_to_stop_finishes_what_it_has_and_takes_nothing_new() {
    let world = World::new().await;
    world.add_bot("guide", |_| {}).await;
    let puppet = Puppet::new();
    let mut worker = world.start(puppet.providers());
    let mut observer = world.observe();
    world.say("@guide first").await;
    let call = puppet.call().await;
    call.text("half").await;
    observer.streaming().await;

    worker.stop.cancel();
    world.say("@guide second").await;
    call.text(" and whole").await;
    call.finish().await;
    let ending = observer.ending().await;
    worker.ended().await;

    assert_eq!((ending.status, ending.body.as_str()), (MessageStatus::Completed, "half and whole"));
    assert_eq!(puppet.untaken().await, 0);
    assert_eq!(world.store.count_jobs().await.unwrap(), (1, 0), "the second one waits");
}

#[tokio::test]
async fn reply_that_was_lost_too_often_is_closed_with_its_checkpoint() {
    let world = World::new().await;
    world.add_bot("guide", |_| {}).await;
    let puppet = Puppet::new();
    let first = world.start(puppet.providers());
    let mut observer = world.observe();
    world.say("@guide hi").await;
    let call = puppet.call().await;
    call.text("all that was ever written").await;
    let reply = observer.streaming().await;
    world.stored("all that was ever written").await;
    first.crash().await;
    world.store.release_all_leases().await.unwrap();

    let config = BotWorkerConfig { max_attempts: 1, ..quick() };
    let second = world.start_with(config, puppet.providers());
    let ending = observer.ending().await;

    assert_eq!(ending.message, reply);
    assert_eq!(ending.status, MessageStatus::Interrupted);
    assert_eq!(ending.body, "all that was ever written");
    assert!(ending.error.unwrap().detail.contains("several times"));
    assert_eq!(puppet.untaken().await, 0, "the provider was not called again");
    second.crash().await;
}

#[tokio::test]
async fn text_that_no_checkpoint_holds_is_taken_back() {
    let world = World::new().await;
    world.add_bot("guide", |_| {}).await;
    let puppet = Puppet::new();
    let asleep = Duration::from_mins(1);
    let config = BotWorkerConfig {
        lease: asleep * 3,
        checkpoint_every: asleep,
        renew_every: asleep,
        ..quick()
    };
    let first = world.start_with(config, puppet.providers());
    let mut observer = world.observe();
    world.say("@guide hi").await;
    let call = puppet.call().await;
    call.text("never stored").await;
    let reply = observer.streaming().await;
    first.crash().await;
    world.store.release_all_leases().await.unwrap();

    let config = BotWorkerConfig { max_attempts: 1, ..quick() };
    let second = world.start_with(config, puppet.providers());
    let ending = observer.ending().await;

    assert_eq!((ending.status, ending.body.as_str()), (MessageStatus::Failed, ""));
    assert_eq!(
        observer.told.deltas[&(reply, 2)],
        [(1, String::new())],
        "clients drop the old text"
    );
    second.crash().await;
}

#[tokio::test]
async fn turn_that_panics_is_tried_again_and_hurts_no_other() {
    let world = World::new().await;
    world.add_bot("guide", |_| {}).await;
    let puppet = Puppet::new();
    puppet.panic_times(1);
    let worker = world.start(puppet.providers());
    let mut observer = world.observe();
    let trigger = world.say("@guide hi").await;

    let call = puppet.call().await;
    call.text("second try").await;
    call.finish().await;
    let ending = observer.ending().await;

    assert_eq!((ending.status, ending.body.as_str()), (MessageStatus::Completed, "second try"));
    assert_eq!(world.replies(trigger).await.len(), 1);
    worker.shows("outcome=\"panicked\"} 1").await;
    worker.crash().await;
}

async fn several_workers_never_answer_twice(world: World) {
    world.add_bot("guide", |_| {}).await;
    world.add_bot("critic", |_| {}).await;
    let fake = FakeLlm::start().await;
    fake.set_script(Script::says("a few words").with_delay(Duration::from_millis(2)));
    let workers: Vec<_> = (0..3).map(|_| world.start(fake_providers(&fake))).collect();
    let mut observer = world.observe();

    let mut triggers = Vec::new();
    for n in 0..15 {
        triggers.push(world.say(&format!("@guide and @critic, number {n}")).await);
    }
    for _ in 0..30 {
        assert_eq!(observer.ending().await.status, MessageStatus::Completed);
    }

    for trigger in triggers {
        assert_eq!(world.replies(trigger).await.len(), 2, "one of each bot");
    }
    assert_eq!(observer.catch_up().await.completed.len(), 30);
    assert_eq!(fake.requests().len(), 30, "nothing was written twice");
    for worker in workers {
        worker.crash().await;
    }
}

async fn replies_end_once_however_often_workers_die(world: World) {
    world.add_bot("guide", |_| {}).await;
    let fake = FakeLlm::start().await;
    fake.set_script(Script::counting(20).with_delay(Duration::from_millis(5)));
    let config = BotWorkerConfig { max_attempts: 20, ..quick() };
    let mut observer = world.observe();
    let mut triggers = Vec::new();
    for n in 0..6 {
        triggers.push(world.say(&format!("@guide number {n}")).await);
    }

    for died_at in 1..=5 {
        let worker = world.start_with(config.clone(), fake_providers(&fake));
        within(fake.wait_requests(died_at * 2)).await;
        worker.crash().await;
        // As time would do it.
        world.store.release_all_leases().await.unwrap();
    }
    let worker = world.start_with(config, fake_providers(&fake));
    observer.until(|told| told.completed.len() == 6).await;

    for trigger in triggers {
        let replies = world.replies(trigger).await;
        assert_eq!(replies.len(), 1);
        assert_eq!(replies[0].status, MessageStatus::Completed);
        assert_eq!(observer.told.streamed(replies[0].id), replies[0].body);
    }
    assert_eq!(world.store.count_jobs().await.unwrap(), (0, 0));
    worker.crash().await;
}

//! Workers that stand still for longer than their lease, and what the room hears of them after.

use std::sync::Arc;
use std::time::Duration;

use parlor_bot_worker::BotWorkerConfig;
use parlor_protocol::message::MessageStatus;

use crate::flaky::{Fault, FlakyStore};
use crate::harness::{World, quick};
use crate::puppet::Puppet;

over_each_store!(
    worker_that_stood_still_for_longer_than_its_lease_says_nothing_more,
    take_over_is_told_before_the_model_speaks,
);

async fn worker_that_stood_still_for_longer_than_its_lease_says_nothing_more(world: World) {
    world.add_bot("guide", |_| {}).await;
    let (zombie, heir) = (Puppet::new(), Puppet::new());
    let config = BotWorkerConfig { lease: Duration::from_secs(4), ..quick() };
    let store = FlakyStore::new(&world.store);
    let flaky: Arc<FlakyStore> = Arc::clone(&store);
    let mut first = world.start_in_thread(flaky, config, zombie.providers());
    let mut observer = world.observe();
    let trigger = world.say("@guide hi").await;
    let old_call = zombie.call().await;
    old_call.text("old").await;
    let reply = observer.streaming().await;

    store.fail_renewals(&[Fault::Stall(Duration::from_secs(10))]);
    store.stalled().await;
    // It waits in the zombie's hands when that comes to itself.
    old_call.text(" and stale").await;
    let second = world.start(heir.providers());
    let new_call = heir.call().await;
    new_call.text("new").await;
    observer.until(|told| told.turns(reply).contains(&2)).await;
    old_call.dropped().await;
    first.stop.cancel();
    first.ended().await;
    new_call.finish().await;
    let ending = observer.ending().await;

    assert_eq!((ending.status, ending.body.as_str()), (MessageStatus::Completed, "new"));
    let told = observer.catch_up().await;
    let old: String = told.deltas[&(reply, 1)].iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(old, "old", "nothing of the turn that was overtaken came after");
    assert_eq!(told.completed.len(), 1);
    assert_eq!(world.replies(trigger).await.len(), 1);
    assert!(first.metrics().contains("outcome=\"lost\"} 1"));
    second.crash().await;
}

async fn take_over_is_told_before_the_model_speaks(world: World) {
    world.add_bot("guide", |_| {}).await;
    let puppet = Puppet::new();
    let first = world.start(puppet.providers());
    let mut observer = world.observe();
    world.say("@guide hi").await;
    let call = puppet.call().await;
    call.text("old text").await;
    let reply = observer.streaming().await;
    first.crash().await;
    world.store.release_all_leases().await.unwrap();

    let second = world.start(puppet.providers());
    let call = puppet.call().await;
    let told = observer.until(|told| told.turns(reply).contains(&2)).await;

    assert_eq!(told.deltas[&(reply, 2)], [(1, String::new())], "the old text is dropped");
    let so_far = parlor_bus::Bus::list_streaming(&*world.bus, world.room).await;
    assert_eq!((so_far[0].turn, so_far[0].chunk, so_far[0].text.as_str()), (2, 1, ""));
    call.text("new").await;
    world.stored("new").await;
    let stored = world.store.list_streaming(world.room).await.unwrap();
    let so_far = parlor_bus::Bus::list_streaming(&*world.bus, world.room).await;
    assert_eq!((stored[0].turn, stored[0].chunk), (2, 2), "a reader of the store goes on here");
    assert_eq!((so_far[0].turn, so_far[0].chunk, so_far[0].text.as_str()), (2, 2, "new"));
    call.finish().await;
    assert_eq!(observer.ending().await.body, "new");
    second.crash().await;
}

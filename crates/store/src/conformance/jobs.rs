//! Jobs: queued with their trigger, claimed with a lease, ended once.

use parlor_protocol::http::Trigger;

use super::Factory;
use super::world::World;

/// Each bot that is called gets one job, and the positions count the queue of the room.
pub async fn message_queues_one_job_for_each_bot_that_it_calls(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let guide = world.bot("guide", Trigger::Mention).await;
    let other = world.bot("other", Trigger::Mention).await;
    let absent = world.bot("absent", Trigger::Always).await;
    let room = world.public(&ada, &[&guide, &other]).await;

    let (_, none) = world.say(room, &ada, "hello all").await;
    let (_, both) = world.say(room, &ada, "hello @guide and @other and @absent").await;
    let (_, third) = world.say(room, &ada, "again @guide").await;

    assert!(none.is_empty());
    let called = |jobs: &[crate::append::QueuedJob]| -> Vec<_> {
        jobs.iter().map(|job| (job.bot.id, job.position)).collect()
    };
    assert_eq!(called(&both), [(guide.id, 1), (other.id, 2)]);
    assert_eq!(called(&third), [(guide.id, 3)]);
    assert!(!called(&both).iter().any(|(bot, _)| *bot == absent.id));
    assert_eq!(world.store().count_jobs().await.unwrap(), (3, 0));
}

//! Bots.

use parlor_protocol::event::EventBody;
use parlor_protocol::http::Trigger;
use parlor_protocol::id::MessageId;
use parlor_protocol::message::MessageStatus;
use parlor_protocol::user::{UserKind, UserRef};
use uuid::Uuid;

use super::Factory;
use super::world::{LEASE, World, complete, start};
use crate::append::{AppendRefused, Intent};
use crate::record::{BotRecord, Lease, UserConflict};

/// A bot is a user with settings, found by its name.
pub async fn bot_is_a_user_with_settings(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let ada = world.user("ada").await;
    let (user, settings) = world.new_bot("guide", Trigger::Mention);
    let settings = BotRecord { owner: Some(ada.id), ..settings };

    let made = store.create_bot(user.clone(), settings.clone()).await.unwrap().unwrap();
    let again = store.create_bot(user, settings.clone()).await.unwrap().unwrap();
    let (taken, other) = world.new_bot("ada", Trigger::Never);
    let conflict = store.create_bot(taken, other).await.unwrap();

    assert_eq!((&made, &again), (&settings, &settings));
    assert_eq!(conflict, Err(UserConflict::Username));
    assert_eq!(store.find_bot("GUIDE").await.unwrap(), Some(made.clone()));
    assert_eq!(store.find_bot("ada").await.unwrap(), None, "a person is no bot");
    let account = store.find_user(made.user.id).await.unwrap().unwrap();
    assert_eq!(account.user.kind, UserKind::Bot);
    world.bot("aide", Trigger::Never).await;
    let all: Vec<_> =
        store.list_bots().await.unwrap().into_iter().map(|bot| bot.user.username).collect();
    assert_eq!(all, ["aide", "guide"]);
    let room = world.public(&ada, &[&made.user]).await;
    assert_eq!(store.list_room_bots(room).await.unwrap(), [made]);
}

/// Changed settings count from the next message on; the name stays.
pub async fn changed_bot_answers_as_its_settings_say(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let ada = world.user("ada").await;
    let guide = world.bot("guide", Trigger::Mention).await;
    let room = world.public(&ada, &[&guide]).await;
    assert!(world.say(room, &ada, "hello").await.1.is_empty());

    let before = store.find_bot("guide").await.unwrap().unwrap();
    let changed = BotRecord {
        user: UserRef {
            username: "ignored".to_owned(),
            display_name: "The guide".to_owned(),
            ..guide.clone()
        },
        trigger: Trigger::Always,
        model: Some("large".to_owned()),
        temperature: None,
        ..before
    };
    let now = store.update_bot(changed.clone()).await.unwrap().unwrap();

    assert_eq!(
        (now.user.username.as_str(), now.user.display_name.as_str()),
        ("guide", "The guide")
    );
    assert_eq!(
        (now.trigger, now.model.as_deref(), now.temperature),
        (Trigger::Always, Some("large"), None)
    );
    assert_eq!(world.say(room, &ada, "hello").await.1.len(), 1);
    let unknown = BotRecord { user: ada, ..changed };
    assert_eq!(store.update_bot(unknown).await.unwrap(), None);
}

/// A bot that is ended leaves its rooms; what it had begun to say ends, what it had not is dropped.
pub async fn ended_bot_leaves_no_open_reply(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let ada = world.user("ada").await;
    let guide = world.bot("guide", Trigger::Always).await;
    let room = world.public(&ada, &[&guide]).await;
    let direct = world.room(parlor_protocol::room::RoomKind::Direct, &ada, &[&guide]).await;
    world.said(room, &ada, "one").await;
    world.said(room, &ada, "two").await;
    let job = world.claim().await.unwrap();
    let message = MessageId(Uuid::new_v4());
    world.add(room, &guide, start(job.id, 1, message)).await;
    store.checkpoint_reply(job.id, 1, 1, "so far".to_owned(), LEASE).await.unwrap();

    let events = store.delete_bot(guide.id, world.now()).await.unwrap().unwrap();

    let mut told: Vec<_> = events.iter().map(|event| (event.room, event.body.kind())).collect();
    assert_eq!(told.remove(0), (room, "message.completed"));
    told.sort_unstable();
    let mut left = vec![(room, "member.left"), (direct, "member.left")];
    left.sort_unstable();
    assert_eq!(told, left);
    let EventBody::MessageCompleted(end) = &events[0].body else { panic!("no end") };
    assert_eq!((end.body.as_str(), end.status), ("so far", MessageStatus::Interrupted));
    let stored = world.message(room, message).await;
    assert_eq!((stored.body.as_str(), stored.status), ("so far", MessageStatus::Interrupted));
    assert_eq!(store.count_jobs().await.unwrap(), (0, 0));
    assert_eq!(store.renew_lease(job.id, 1, LEASE).await.unwrap(), Lease::Lost);
    let late = complete(job.id, 1, message, MessageStatus::Completed, "late");
    assert!(world.append(room, &guide, late).await.is_err());
    assert_eq!(store.find_bot("guide").await.unwrap(), None);
    assert!(world.say(room, &ada, "three @guide").await.1.is_empty());
    assert_eq!(store.delete_bot(guide.id, world.now()).await.unwrap(), None);
    super::world::assert_dense(&world.events(room).await, 1);
}

/// A bot that was removed from a room stops what it does there.
pub async fn removed_bot_is_asked_to_stop(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let guide = world.bot("guide", Trigger::Always).await;
    let room = world.public(&ada, &[&guide]).await;
    let other = world.public(&ada, &[&guide]).await;
    world.said(room, &ada, "one").await;
    world.said(other, &ada, "two").await;
    let (job, spared) = (world.claim().await.unwrap(), world.claim().await.unwrap());

    world.add(room, &ada, Intent::Kick { user: guide.id, reason: None }).await;

    let held = world.store().renew_lease(job.id, 1, LEASE).await.unwrap();
    assert_eq!(held, Lease::Held { cancel_requested: true });
    let held = world.store().renew_lease(spared.id, 1, LEASE).await.unwrap();
    assert_eq!(held, Lease::Held { cancel_requested: false });
    let end = complete(job.id, 1, MessageId(Uuid::new_v4()), MessageStatus::Cancelled, "");
    world.add(room, &guide, end).await;
    let gone = world.append(room, &guide, Intent::Publish(super::world::text("hi"))).await;
    assert!(matches!(gone, Err(AppendRefused::Rule(_))));
}

/// A bot that is switched off is called no more, and what it owes can still be ended.
pub async fn bot_that_is_switched_off_ends_what_it_owes(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let guide = world.bot("guide", Trigger::Always).await;
    let room = world.public(&ada, &[&guide]).await;
    world.said(room, &ada, "one").await;
    world.said(room, &ada, "two").await;
    let running = world.claim().await.unwrap();

    let off = world.store().set_user_access(guide.id, Some(false), None, world.now());
    off.await.unwrap().unwrap().unwrap();

    assert!(world.say(room, &ada, "three").await.1.is_empty());
    let held = world.store().renew_lease(running.id, 1, LEASE).await.unwrap();
    assert_eq!(held, Lease::Held { cancel_requested: true });
    let end = |job| complete(job, 1, MessageId(Uuid::new_v4()), MessageStatus::Cancelled, "");
    world.add(room, &guide, end(running.id)).await;
    let queued = world.claim().await.unwrap();
    assert!(queued.cancel_requested);
    world.add(room, &guide, end(queued.id)).await;
    assert_eq!(world.store().count_jobs().await.unwrap(), (0, 0));
}

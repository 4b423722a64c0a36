//! Integrations, registered commands and outgoing webhooks.

use std::time::Duration;

use parlor_domain::permission::Refused;
use parlor_protocol::http::PatchRoomSettings;
use parlor_protocol::id::{CommandId, MessageId, RoomId, WebhookId};
use parlor_protocol::room::{Role, RoomKind};
use parlor_protocol::user::{UserKind, UserRef};
use uuid::Uuid;

use super::Factory;
use super::world::{LEASE, World, text as message};
use crate::append::{AppendRefused, Appended, Intent, NewMessage};
use crate::contract::Store;
use crate::record::{
    ClaimedWebhook, IntegrationSecret, NewCommand, NewIntegration, NewUser, NewWebhook,
    ProgramConflict, WebhookChange, WebhookProgress, WebhookRecord,
};

const SALT: [u8; 16] = [7; 16];

pub(super) fn new_integration(
    world: &World,
    room: RoomId,
    creator: &UserRef,
    hash: Option<u8>,
) -> NewIntegration {
    let name = format!("ci-{}", Uuid::new_v4().simple());
    let user = NewUser {
        kind: UserKind::Integration,
        email: None,
        password_hash: None,
        ..world.new_user(&name)
    };
    let secret =
        hash.map(|hash| IntegrationSecret { prefix: "parlor_hook_x".into(), hash: [hash; 32] });
    NewIntegration { user, room, creator: creator.id, secret, max: 2 }
}

pub(super) fn new_webhook(world: &World, room: RoomId, creator: &UserRef) -> NewWebhook {
    NewWebhook {
        id: WebhookId(Uuid::new_v4()),
        room,
        creator: creator.id,
        url: "https://example.org/in".to_owned(),
        events: vec!["message.created".to_owned(), "message.edited".to_owned()],
        salt: SALT,
        at: world.now(),
        max: 2,
    }
}

async fn claim(store: &dyn Store) -> Option<ClaimedWebhook> {
    store.claim_webhook(LEASE).await.unwrap()
}

async fn settle(store: &dyn Store, claimed: &ClaimedWebhook, progress: WebhookProgress) -> bool {
    let id = claimed.webhook.id;
    store.settle_webhook(id, claimed.generation, progress, LEASE).await.unwrap()
}

async fn find(store: &dyn Store, webhook: &WebhookRecord) -> WebhookRecord {
    store.find_webhook(webhook.room, webhook.id).await.unwrap().unwrap()
}

/// An integration is found by its present secret only, and not at all once it is ended.
pub async fn integration_is_found_by_its_present_secret(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let ada = world.user("ada").await;
    let room = world.room(RoomKind::Public, &ada, &[]).await;
    let other = world.room(RoomKind::Public, &ada, &[]).await;
    let new = new_integration(&world, room, &ada, Some(1));

    let made = store.create_integration(new.clone()).await.unwrap().unwrap();
    let repeated = store.create_integration(new.clone()).await.unwrap().unwrap();
    assert_eq!(made, repeated);
    assert_eq!((made.user.id, made.user.kind), (new.user.id, UserKind::Integration));
    assert_eq!(store.find_integration([1; 32]).await.unwrap(), Some(made.clone()));
    assert_eq!(store.list_integrations(room).await.unwrap(), std::slice::from_ref(&made));

    let next = IntegrationSecret { prefix: "parlor_hook_y".into(), hash: [2; 32] };
    let user = made.user.id;
    assert!(store.rotate_integration(other, user, next.clone()).await.unwrap().is_none());
    let rotated = store.rotate_integration(room, user, next).await.unwrap().unwrap();
    assert_eq!(rotated.prefix.as_deref(), Some("parlor_hook_y"));
    assert!(store.find_integration([1; 32]).await.unwrap().is_none());
    let at = world.now();
    store.touch_integration(user, at).await.unwrap();
    let used = store.find_integration([2; 32]).await.unwrap().unwrap();
    assert_eq!(used.last_used_at, Some(at));

    assert!(!store.delete_integration(other, user).await.unwrap());
    assert!(store.delete_integration(room, user).await.unwrap());
    assert!(!store.delete_integration(room, user).await.unwrap());
    assert!(store.find_integration([2; 32]).await.unwrap().is_none());
    assert!(!store.find_user(user).await.unwrap().unwrap().active, "its messages keep a sender");
}

/// A room has so many integrations and no more; they go with the room.
pub async fn integrations_of_a_room_are_bounded_and_go_with_it(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let ada = world.user("ada").await;
    let room = world.room(RoomKind::Public, &ada, &[]).await;
    for hash in 1..=2 {
        let new = new_integration(&world, room, &ada, Some(hash));
        store.create_integration(new).await.unwrap().unwrap();
    }
    let third = new_integration(&world, room, &ada, Some(3));
    let third = store.create_integration(third).await.unwrap();
    assert_eq!(third, Err(ProgramConflict::TooMany));
    let webhook = store.create_webhook(new_webhook(&world, room, &ada)).await.unwrap().unwrap();

    store.delete_room(room, ada.id, world.now()).await.unwrap().unwrap();

    assert!(store.find_integration([1; 32]).await.unwrap().is_none());
    assert!(store.find_webhook(room, webhook.id).await.unwrap().is_none());
    let nowhere = new_integration(&world, room, &ada, Some(4));
    let nowhere = store.create_integration(nowhere).await.unwrap();
    assert_eq!(nowhere, Err(ProgramConflict::NoSuchRoom));
}

/// A command has a name of its own in its room, and ends with who speaks for it.
pub async fn command_has_a_name_of_its_own_in_its_room(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let ada = world.user("ada").await;
    let room = world.room(RoomKind::Public, &ada, &[]).await;
    let other = world.room(RoomKind::Public, &ada, &[]).await;
    let command = |name: &str| NewCommand {
        id: CommandId(Uuid::new_v4()),
        name: name.to_owned(),
        description: "Rolls dice".to_owned(),
        url: "https://example.org/roll".to_owned(),
        salt: SALT,
    };

    let speaker = new_integration(&world, room, &ada, None);
    let made = store.create_command(speaker.clone(), command("roll")).await.unwrap().unwrap();
    let again = new_integration(&world, room, &ada, None);
    let taken = store.create_command(again, command("roll")).await.unwrap();
    let elsewhere = new_integration(&world, other, &ada, None);
    store.create_command(elsewhere, command("roll")).await.unwrap().unwrap();

    assert_eq!(taken, Err(ProgramConflict::Name));
    assert_eq!(store.find_command(room, "roll").await.unwrap(), Some(made.clone()));
    assert_eq!(store.find_command_by_id(made.id).await.unwrap(), Some(made.clone()));
    assert_eq!(store.list_commands(room).await.unwrap(), std::slice::from_ref(&made));
    assert!(store.list_integrations(room).await.unwrap().is_empty(), "it has no address");
    assert!(store.delete_integration(room, made.integration.id).await.unwrap());
    assert!(store.find_command(room, "roll").await.unwrap().is_none());
}

/// What a program answers is for who may write when it is written, and is written once.
pub async fn answer_of_a_program_is_for_who_may_write_then(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let (eve, tom) = (world.user("eve").await, world.user("tom").await);
    let room = world.room(RoomKind::Private, &ada, &[&bob, &eve, &tom]).await;
    let new = new_integration(&world, room, &ada, None);
    let command = NewCommand {
        id: CommandId(Uuid::new_v4()),
        name: "roll".to_owned(),
        description: "Rolls dice".to_owned(),
        url: "https://example.org/roll".to_owned(),
        salt: SALT,
    };
    let speaker = store.create_command(new, command).await.unwrap().unwrap().integration;
    world.add(room, &ada, Intent::Invite { user: speaker.id }).await;
    let rolled = NewMessage { client_id: Some("call".to_owned()), ..message("rolled 7") };
    let answer = |message: &NewMessage| Intent::Answer {
        speaker: speaker.id,
        message: NewMessage { id: MessageId(Uuid::new_v4()), ..message.clone() },
    };
    let later = message("rolled 6");
    let refused = |refused: Refused| Err(AppendRefused::Rule(refused));

    let written = world.add(room, &bob, answer(&rolled)).await.remove(0);
    assert_eq!(written.actor.as_ref(), Some(&speaker), "the program speaks");
    let head = world.seq(room).await;
    assert_eq!(written.seq, head);
    let until = world.later(60_000);
    world.add(room, &ada, Intent::Mute { user: bob.id, until: Some(until), reason: None }).await;
    let muted = world.append(room, &bob, answer(&later)).await;
    assert_eq!(muted, refused(Refused::Muted { until }));
    let again = world.append(room, &bob, answer(&rolled)).await;
    assert!(matches!(again, Ok(Appended::Repeat { event }) if event.seq == head), "the first one");
    world.add(room, &ada, Intent::Ban { user: eve.id, until: None, reason: None }).await;
    assert_eq!(world.append(room, &eve, answer(&rolled)).await, Err(AppendRefused::NoSuchRoom));
    let off = store.set_user_access(tom.id, Some(false), None, world.now()).await;
    off.unwrap().unwrap().unwrap();
    assert_eq!(world.append(room, &tom, answer(&later)).await, Err(AppendRefused::NoSuchRoom));
    world
        .add(room, &ada, Intent::Mute { user: speaker.id, until: Some(until), reason: None })
        .await;
    let muted = world.append(room, &ada, answer(&later)).await;
    assert_eq!(muted, refused(Refused::Muted { until }), "a mute is for programs, too");
    let over = world.now();
    world.add(room, &ada, Intent::Mute { user: speaker.id, until: Some(over), reason: None }).await;

    // Nobody keeps order by whose word it is here; then it is gone.
    world.add(room, &ada, Intent::Transfer { user: bob.id }).await;
    world.add(room, &bob, Intent::SetRole { user: ada.id, role: Role::Member }).await;
    let gone = Err(AppendRefused::NoSuchSpeaker);
    assert_eq!(world.append(room, &ada, answer(&later)).await, gone);
    world.add(room, &bob, Intent::SetRole { user: ada.id, role: Role::Moderator }).await;
    world.add(room, &ada, answer(&later)).await;
    assert!(store.delete_integration(room, speaker.id).await.unwrap());
    assert_eq!(world.append(room, &ada, answer(&later)).await, gone);
    assert_eq!(world.append(room, &ada, answer(&rolled)).await, gone);
}

/// A webhook has work while its cursor is behind the room, for one node at a time.
pub async fn webhook_is_claimed_by_one_while_it_has_work(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let ada = world.user("ada").await;
    let room = world.room(RoomKind::Public, &ada, &[]).await;
    world.said(room, &ada, "before").await;
    let new = new_webhook(&world, room, &ada);
    let made = store.create_webhook(new.clone()).await.unwrap().unwrap();
    assert_eq!(store.create_webhook(new).await.unwrap().unwrap(), made);
    assert_eq!(made.cursor, world.seq(room).await, "it is told what happens from now on");
    assert_eq!(claim(store).await, None);

    world.said(room, &ada, "one").await;
    let seq = world.seq(room).await;
    let claimed = claim(store).await.unwrap();
    assert_eq!(claimed.webhook, made);
    assert_eq!(claim(store).await, None, "it is held");

    let delivered = WebhookProgress::Delivered { seq, at: world.now() };
    assert!(settle(store, &claimed, delivered).await);
    assert!(settle(store, &claimed, WebhookProgress::Released).await);
    assert_eq!(claim(store).await, None, "there is nothing to tell");
    let told = find(store, &made).await;
    assert_eq!((told.cursor, told.last_outcome.as_deref()), (seq, Some("delivered")));

    world.said(room, &ada, "two").await;
    let lost = store.claim_webhook(Duration::ZERO).await.unwrap().unwrap();
    let next = claim(store).await.unwrap();
    assert!(next.generation > lost.generation, "a lease that is over is taken by another");
    assert!(!settle(store, &lost, WebhookProgress::Passed { seq: seq + 1 }).await);
    assert_eq!(find(store, &made).await.cursor, seq, "who lost the right moves nothing");
    assert_eq!(store.release_webhooks().await.unwrap(), 1);
    assert!(claim(store).await.is_some());
}

/// Who has fewer webhooks that are told at the moment comes first, then what has been due longer.
pub async fn webhooks_of_one_maker_keep_those_of_others_not_waiting(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let (lab, den) = (world.public(&ada, &[]).await, world.public(&bob, &[]).await);
    let mut ids = [(); 3].map(|()| WebhookId(Uuid::new_v4()));
    ids.sort_unstable_by_key(|id| id.0);
    // As they are due: at the same time, so by their ids.
    for (id, room, maker) in [(ids[0], lab, &ada), (ids[1], lab, &ada), (ids[2], den, &bob)] {
        let new = NewWebhook { id, ..new_webhook(&world, room, maker) };
        store.create_webhook(new).await.unwrap().unwrap();
    }
    world.said(lab, &ada, "one").await;
    world.said(den, &bob, "one").await;

    let first = claim(store).await.unwrap();
    let order = [claim(store).await, claim(store).await].map(|next| next.unwrap().webhook.id);
    assert_eq!(first.webhook.id, ids[0]);
    assert_eq!(order, [ids[2], ids[1]], "one of each, then what is left");
    assert_eq!(claim(store).await, None);

    assert!(settle(store, &first, WebhookProgress::Released).await);
    assert_eq!(claim(store).await.unwrap().webhook.id, ids[0], "nobody else waits");
}

/// An event that fails waits; given up, it is kept apart, and only so many are.
pub async fn event_that_is_given_up_is_kept_apart(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let ada = world.user("ada").await;
    let room = world.room(RoomKind::Public, &ada, &[]).await;
    let made = store.create_webhook(new_webhook(&world, room, &ada)).await.unwrap().unwrap();
    let mut seqs = Vec::new();
    for text in ["one", "two", "three"] {
        world.said(room, &ada, text).await;
        seqs.push(world.seq(room).await);
    }

    let claimed = claim(store).await.unwrap();
    let at = world.now();
    let failed = |delay| WebhookProgress::Failed { at, outcome: "HTTP 500".into(), delay };
    assert!(settle(store, &claimed, failed(LEASE)).await);
    assert_eq!(claim(store).await, None, "it waits");
    let found = find(store, &made).await;
    assert_eq!((found.attempts, found.failing_since), (1, Some(at)));
    let enabled = WebhookChange { enabled: Some(false), ..WebhookChange::default() };
    store.update_webhook(room, made.id, enabled).await.unwrap().unwrap();
    let enabled = WebhookChange { enabled: Some(true), ..WebhookChange::default() };
    let enabled = store.update_webhook(room, made.id, enabled).await.unwrap().unwrap();
    assert_eq!((enabled.attempts, enabled.disabled), (0, None));

    let claimed = claim(store).await.unwrap();
    for seq in &seqs {
        let outcome = "HTTP 500".to_owned();
        let given_up = WebhookProgress::GivenUp { seq: *seq, at, outcome, keep: 2 };
        assert!(settle(store, &claimed, given_up).await);
    }
    let dead = store.list_dead_letters(made.id).await.unwrap();
    let kept: Vec<u64> = dead.iter().map(|letter| letter.seq).collect();
    assert_eq!(kept, [seqs[2], seqs[1]], "the newest are kept");
    assert_eq!((dead[0].attempts, dead[0].outcome.as_str()), (1, "HTTP 500"));
    assert_eq!(find(store, &made).await.dead_letters, 2);
    assert!(store.delete_dead_letter(made.id, seqs[2]).await.unwrap());
    assert!(!store.delete_dead_letter(made.id, seqs[2]).await.unwrap());
}

/// Who may post by the settings of a room is a rule for people; a mute is for programs, too.
pub async fn integration_posts_whatever_the_settings_of_the_room_say(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let room = world.public(&ada, &[&bob]).await;
    let new = new_integration(&world, room, &ada, Some(3));
    let made = world.store().create_integration(new).await.unwrap().unwrap();
    world.add(room, &ada, Intent::Invite { user: made.user.id }).await;
    let rules = PatchRoomSettings { post: Some(Role::Moderator), ..PatchRoomSettings::default() };
    let intent = Intent::Update { name: None, topic: None, archived: None, settings: Some(rules) };
    world.add(room, &ada, intent).await;

    let post = |text: &str| Intent::Publish(message(text));
    assert!(world.append(room, &made.user, post("green")).await.is_ok());
    let refused = world.append(room, &bob, post("me too")).await;
    assert!(matches!(refused, Err(AppendRefused::Rule(Refused::Role(_)))));
    world.add(room, &ada, Intent::Mute { user: made.user.id, until: None, reason: None }).await;
    let refused = world.append(room, &made.user, post("red")).await;
    assert!(matches!(refused, Err(AppendRefused::Rule(Refused::Muted { .. }))));
}

/// Whoever tells a webhook stops when it is changed, and the next one knows the change.
pub async fn changed_webhook_is_told_by_another_turn(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let ada = world.user("ada").await;
    let room = world.room(RoomKind::Public, &ada, &[]).await;
    let made = store.create_webhook(new_webhook(&world, room, &ada)).await.unwrap().unwrap();
    world.said(room, &ada, "one").await;
    let seq = world.seq(room).await;
    for change in [
        WebhookChange {
            url: Some("https://example.org/new".to_owned()),
            ..WebhookChange::default()
        },
        WebhookChange { salt: Some([9; 16]), ..WebhookChange::default() },
    ] {
        let before = claim(store).await.unwrap();
        let changed = store.update_webhook(room, made.id, change).await.unwrap().unwrap();
        let delivered = WebhookProgress::Delivered { seq, at: world.now() };
        assert!(!settle(store, &before, delivered).await, "it went to the old address");
        let now = claim(store).await.expect("nobody has to wait for the lease to end");
        assert_eq!((now.webhook.url, now.webhook.salt), (changed.url, changed.salt));
        store.release_webhooks().await.unwrap();
    }
}

/// A webhook that is switched off is not claimed, and its holder loses it.
pub async fn webhook_that_is_off_is_told_nothing(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let ada = world.user("ada").await;
    let room = world.room(RoomKind::Public, &ada, &[]).await;
    let made = store.create_webhook(new_webhook(&world, room, &ada)).await.unwrap().unwrap();
    store.create_webhook(new_webhook(&world, room, &ada)).await.unwrap().unwrap();
    let third = store.create_webhook(new_webhook(&world, room, &ada)).await.unwrap();
    assert_eq!(third, Err(ProgramConflict::TooMany));
    for webhook in store.list_webhooks(room).await.unwrap() {
        if webhook.id != made.id {
            assert!(store.delete_webhook(room, webhook.id).await.unwrap());
        }
    }
    world.said(room, &ada, "one").await;
    let claimed = claim(store).await.unwrap();
    let at = world.now();
    let reason = "failing for 5 days".to_owned();
    assert!(settle(store, &claimed, WebhookProgress::Disabled { at, reason }).await);
    assert!(!settle(store, &claimed, WebhookProgress::Released).await);
    assert_eq!(claim(store).await, None);
    let off = find(store, &made).await.disabled;
    assert_eq!(off, Some((at, "failing for 5 days".to_owned())));

    let change = WebhookChange {
        url: Some("https://example.org/other".to_owned()),
        events: Some(Vec::new()),
        salt: Some([8; 16]),
        enabled: Some(true),
    };
    let changed = store.update_webhook(room, made.id, change).await.unwrap().unwrap();
    assert_eq!((changed.url.as_str(), changed.salt), ("https://example.org/other", [8; 16]));
    assert!(changed.events.is_empty() && changed.disabled.is_none());
    assert!(claim(store).await.is_some(), "it goes on where it stopped");
    let elsewhere = RoomId(Uuid::new_v4());
    assert!(!store.delete_webhook(elsewhere, made.id).await.unwrap());
    assert!(store.delete_webhook(room, made.id).await.unwrap());
}

/// What someone made in a room works only while they may log in and keep order there. Whoever keeps
/// order sees it in any case.
pub async fn programs_work_while_their_maker_keeps_order(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let room = world.public(&ada, &[&bob]).await;
    let give = |role| Intent::SetRole { user: bob.id, role };
    world.add(room, &ada, give(Role::Moderator)).await;
    store.create_integration(new_integration(&world, room, &bob, Some(1))).await.unwrap().unwrap();
    let command = NewCommand {
        id: CommandId(Uuid::new_v4()),
        name: "roll".to_owned(),
        description: "Rolls".to_owned(),
        url: "https://example.org/roll".to_owned(),
        salt: SALT,
    };
    let speaker = new_integration(&world, room, &bob, None);
    store.create_command(speaker, command).await.unwrap().unwrap();
    store.create_webhook(new_webhook(&world, room, &bob)).await.unwrap().unwrap();
    world.said(room, &ada, "news").await;
    let work = async || {
        let integration = store.find_integration([1; 32]).await.unwrap().is_some();
        let command = store.find_command(room, "roll").await.unwrap().is_some();
        let claimed = claim(store).await;
        let read = WebhookProgress::Released;
        let told = match claimed {
            Some(claimed) => settle(store, &claimed, read).await,
            None => false,
        };
        [integration, command, told]
    };

    assert_eq!(work().await, [true; 3]);
    let held = claim(store).await.unwrap();
    world.add(room, &ada, give(Role::Member)).await;
    assert!(!settle(store, &held, WebhookProgress::Released).await, "not while it is told either");
    assert_eq!(work().await, [false; 3], "demoted");
    assert_eq!(store.list_integrations(room).await.unwrap().len(), 1);
    assert_eq!(store.list_webhooks(room).await.unwrap().len(), 1);
    assert_eq!(store.list_commands(room).await.unwrap().len(), 1);
    world.add(room, &ada, give(Role::Moderator)).await;
    store.release_webhooks().await.unwrap();
    assert_eq!(work().await, [true; 3]);
    store.close_account(bob.id, world.now()).await.unwrap().unwrap();
    assert_eq!(work().await, [false; 3], "deactivated");
    store.set_user_access(bob.id, Some(true), None, world.now()).await.unwrap().unwrap().unwrap();
    assert_eq!(work().await, [true; 3]);
    world.add(room, &ada, Intent::Ban { user: bob.id, until: None, reason: None }).await;
    assert_eq!(work().await, [false; 3], "banned");
}

/// What makes an integration may end in the middle: until it is a member it is not active, and only
/// its own room brings it in.
pub async fn integration_begins_with_its_membership(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let room = world.room(RoomKind::Public, &ada, &[]).await;
    let other = world.room(RoomKind::Public, &ada, &[]).await;
    let made = store.create_integration(new_integration(&world, room, &ada, Some(1))).await;
    let user = made.unwrap().unwrap().user.id;
    let active = async || store.find_user(user).await.unwrap().unwrap().active;
    assert!(!active().await);
    let bring_in = Intent::Invite { user };

    assert_eq!(
        world.append(other, &ada, bring_in.clone()).await,
        Err(AppendRefused::NoSuchUser),
        "it belongs to another room"
    );
    world.add(room, &ada, bring_in.clone()).await;

    assert!(active().await);
    assert!(store.delete_integration(room, user).await.unwrap());
    world.add(room, &ada, Intent::Kick { user, reason: None }).await;
    assert_eq!(world.append(room, &ada, bring_in).await, Err(AppendRefused::NoSuchUser));
    assert!(!active().await);
    store.close_account(bob.id, world.now()).await.unwrap().unwrap();
    let closed = world.append(room, &ada, Intent::Invite { user: bob.id }).await;
    assert_eq!(closed, Err(AppendRefused::NoSuchUser), "as before");
}

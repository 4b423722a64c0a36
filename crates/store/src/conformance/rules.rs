//! Settings of rooms, ownership, bans and links.

use parlor_domain::permission::Refused;
use parlor_protocol::event::EventBody;
use parlor_protocol::http::{PatchRoomSettings, Trigger};
use parlor_protocol::id::{RoomId, RoomRef};
use parlor_protocol::room::{Role, RoomKind, RoomSettings};
use parlor_protocol::user::UserRef;

use super::Factory;
use super::world::{World, text, text_as};
use crate::append::{AppendRefused, Appended, Intent};
use crate::record::NewInvite;

const NOTHING: PatchRoomSettings = PatchRoomSettings {
    post: None,
    call_bots: None,
    stop_bots: None,
    invite: None,
    slow_mode_seconds: None,
    signals: None,
};

fn rule(settings: PatchRoomSettings) -> Intent {
    Intent::Update { name: None, topic: None, archived: None, settings: Some(settings) }
}

const fn slow(seconds: u32) -> PatchRoomSettings {
    PatchRoomSettings { slow_mode_seconds: Some(seconds), ..NOTHING }
}

async fn settings(world: &World, room: RoomId, user: &UserRef) -> RoomSettings {
    world.store().find_room(&RoomRef::from(room), user.id).await.unwrap().unwrap().room.settings
}

async fn moderator(world: &World, room: RoomId, owner: &UserRef, name: &str) -> UserRef {
    let user = world.user(name).await;
    world.add(room, owner, Intent::Invite { user: user.id }).await;
    world.add(room, owner, Intent::SetRole { user: user.id, role: Role::Moderator }).await;
    user
}

/// An owner sets the rules; everyone is told once; what is not named stays.
pub async fn owner_says_who_may_do_what_and_everyone_is_told(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let room = world.public(&ada, &[]).await;
    assert_eq!(settings(&world, room, &ada).await, RoomSettings::default());
    let first = PatchRoomSettings {
        post: Some(Role::Moderator),
        invite: Some(Some(Role::Owner)),
        signals: Some(false),
        ..NOTHING
    };

    let told = world.add(room, &ada, rule(first)).await;
    let again = world.append(room, &ada, rule(first)).await;
    let second = PatchRoomSettings { invite: Some(None), ..slow(30) };
    world.add(room, &ada, rule(second)).await;

    let EventBody::RoomUpdated(state) = &told[0].body else { panic!("{told:?}") };
    assert_eq!((told.len(), state.settings.post), (1, Role::Moderator));
    assert_eq!(again, Ok(Appended::Unchanged));
    let expected = RoomSettings {
        post: Role::Moderator,
        signals: false,
        slow_mode_seconds: 30,
        ..RoomSettings::default()
    };
    assert_eq!(settings(&world, room, &ada).await, expected);
    assert_eq!(world.listing(room, &ada).await.room.settings, expected);
    let events = world.events(room).await;
    let EventBody::RoomUpdated(state) = &events.last().unwrap().body else { panic!("{events:?}") };
    assert_eq!(state.settings, expected);
}

/// A moderator sets how long members wait, and no other rule; a direct room has none.
pub async fn moderators_set_slow_mode_and_nothing_else(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let room = world.public(&ada, &[]).await;
    let bob = moderator(&world, room, &ada, "bob").await;
    let carol = world.user("carol").await;
    world.add(room, &carol, Intent::Join { invite: None }).await;

    world.add(room, &bob, rule(slow(10))).await;
    let more = PatchRoomSettings { signals: Some(false), ..slow(20) };
    let by_moderator = world.append(room, &bob, rule(more)).await;
    let by_member = world.append(room, &carol, rule(slow(0))).await;
    let direct = world.room(RoomKind::Direct, &ada, &[&bob]).await;
    let in_direct = world.append(direct, &ada, rule(slow(10))).await;

    assert_eq!(by_moderator, Err(AppendRefused::Rule(Refused::Role("owner"))));
    assert_eq!(by_member, Err(AppendRefused::Rule(Refused::Role("moderator"))));
    assert_eq!(in_direct, Err(AppendRefused::Rule(Refused::Direct)));
    assert_eq!(settings(&world, room, &ada).await.slow_mode_seconds, 10);
}

/// Who may write and invite is what the settings say, also right after they changed.
pub async fn settings_decide_who_writes_and_invites(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let carol = world.user("carol").await;
    let room = world.room(RoomKind::Private, &ada, &[&bob]).await;
    let first = world.said(room, &bob, "before").await;
    let announcements = PatchRoomSettings {
        post: Some(Role::Moderator),
        invite: Some(Some(Role::Member)),
        ..NOTHING
    };
    world.add(room, &ada, rule(announcements)).await;

    let refused = world.append(room, &bob, Intent::Publish(text("no"))).await;
    world.said(room, &ada, "news").await;
    let thumb = Intent::React { message: first, emoji: "+".to_owned(), add: true };
    world.add(room, &bob, thumb).await;
    world.add(room, &bob, Intent::Invite { user: carol.id }).await;
    world.add(room, &ada, rule(PatchRoomSettings { post: Some(Role::Member), ..NOTHING })).await;
    world.said(room, &bob, "again").await;

    assert_eq!(refused, Err(AppendRefused::Rule(Refused::Role("moderator"))));
}

/// A message of someone who may not call bots is a message like any other, and calls none.
pub async fn message_of_who_may_not_call_bots_calls_none(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let guide = world.bot("guide", Trigger::Mention).await;
    let room = world.public(&ada, &[&bob, &guide]).await;
    assert_eq!(world.say(room, &bob, "@guide one").await.1.len(), 1);
    let rules = PatchRoomSettings { call_bots: Some(Role::Moderator), ..NOTHING };
    world.add(room, &ada, rule(rules)).await;

    let (message, by_member) = world.say(room, &bob, "@guide two").await;
    let (_, by_owner) = world.say(room, &ada, "@guide three").await;

    assert_eq!((by_member.len(), by_owner.len()), (0, 1));
    assert_eq!(world.message(room, message).await.body, "@guide two");
}

/// Members wait; those who keep order and bots do not; a repeat is never refused; a refusal leaves
/// no hole and does not begin the wait anew.
pub async fn slow_mode_makes_members_wait_and_repeats_get_their_first_answer(
    factory: &dyn Factory,
) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let bot = world.bot("guide", Trigger::Never).await;
    let room = world.public(&ada, &[&bob, &bot]).await;
    world.said(room, &bob, "before it was slow").await;
    world.add(room, &ada, rule(slow(10))).await;

    let first = world.add(room, &bob, Intent::Publish(text_as("one", "one"))).await;
    let too_soon = world.append(room, &bob, Intent::Publish(text_as("two", "two"))).await;
    let repeat = world.append(room, &bob, Intent::Publish(text_as("one", "one"))).await;
    for exempt in [&ada, &ada, &bot, &bot] {
        world.said(room, exempt, "at any time").await;
    }
    world.advance(9_000);
    let still = world.append(room, &bob, Intent::Publish(text_as("two", "two"))).await;
    world.advance(1_000);
    world.add(room, &bob, Intent::Publish(text_as("two", "two"))).await;

    let Err(AppendRefused::Rule(Refused::SlowMode { wait_ms })) = too_soon else {
        panic!("{too_soon:?}")
    };
    assert!((9_900..=10_000).contains(&wait_ms), "{wait_ms}");
    let Ok(Appended::Repeat { event }) = repeat else { panic!("{repeat:?}") };
    assert_eq!(event.seq, first[0].seq);
    let Err(AppendRefused::Rule(Refused::SlowMode { wait_ms })) = still else {
        panic!("{still:?}")
    };
    assert!(wait_ms <= 1_000, "{wait_ms}");
    super::world::assert_dense(&world.events(room).await, 1);
}

/// Coming back does not help, nor sending many at once: one of them is written.
pub async fn slow_mode_is_not_escaped_by_leaving_or_by_many_at_once(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let room = world.public(&ada, &[&bob]).await;
    world.add(room, &ada, rule(slow(3_600))).await;

    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..8 {
        let store = world.shared();
        let wishes =
            (0..4).map(|m| world.wish(room, &bob, Intent::Publish(text(&format!("{n} {m}")))));
        let wishes: Vec<_> = wishes.collect();
        tasks.spawn(async move { store.append(wishes).await.unwrap() });
    }
    let answers: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    world.add(room, &bob, Intent::Leave).await;
    world.add(room, &bob, Intent::Join { invite: None }).await;
    let back = world.append(room, &bob, Intent::Publish(text("back"))).await;

    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
    assert_eq!(world.messages(room).await.len(), 1);
    assert!(matches!(back, Err(AppendRefused::Rule(Refused::SlowMode { .. }))), "{back:?}");
}

/// The new owner and the old one change places in one step, which the log tells.
pub async fn ownership_goes_over_in_one_step(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let carol = world.user("carol").await;
    let room = world.public(&ada, &[&bob, &carol]).await;

    let told = world.add(room, &ada, Intent::Transfer { user: bob.id }).await;
    let again = world.append(room, &ada, Intent::Transfer { user: carol.id }).await;
    world.add(room, &bob, Intent::SetRole { user: carol.id, role: Role::Owner }).await;
    world.add(room, &bob, Intent::Transfer { user: carol.id }).await;

    let roles: Vec<_> = told
        .iter()
        .map(|event| match &event.body {
            EventBody::MemberRoleChanged(change) => (change.user.id, change.role),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(roles, [(bob.id, Role::Owner), (ada.id, Role::Moderator)]);
    assert_eq!(again, Err(AppendRefused::Rule(Refused::Role("owner"))));
    assert_eq!(world.role(room, &bob).await, Some(Role::Moderator));
    assert_eq!(world.append(room, &carol, Intent::Leave).await, Err(AppendRefused::LastOwner));
}

/// A bot, a stranger and oneself are given no room; nothing changes.
pub async fn only_people_become_owners(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let eve = world.user("eve").await;
    let bot = world.bot("guide", Trigger::Never).await;
    let room = world.public(&ada, &[&bot]).await;
    let seq = world.seq(room).await;

    for (user, refused) in [
        (&bot, AppendRefused::NotAnOwner),
        (&ada, AppendRefused::NotAnOwner),
        (&eve, AppendRefused::NoSuchUser),
    ] {
        let answer = world.append(room, &ada, Intent::Transfer { user: user.id }).await;
        assert_eq!(answer, Err(refused));
    }
    let role = Intent::SetRole { user: bot.id, role: Role::Owner };
    assert_eq!(world.append(room, &ada, role).await, Err(AppendRefused::NotAnOwner));
    assert_eq!(world.seq(room).await, seq);
}

/// Bans are listed by name, in pages, with who did it, and no longer than they hold.
pub async fn bans_are_listed_until_they_end(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let room = world.public(&ada, &[]).await;
    for (name, until) in [("carol", None), ("bob", Some(world.later(5_000))), ("dave", None)] {
        let user = world.user(name).await;
        world.append(room, &ada, Intent::Ban { user: user.id, until, reason: None }).await.unwrap();
    }
    let names = async |after: Option<&str>, limit| {
        let bans = world.store().list_bans(room, after, world.now(), limit).await.unwrap();
        bans.into_iter().map(|ban| ban.user.username).collect::<Vec<_>>()
    };

    assert_eq!(names(None, 10).await, ["bob", "carol", "dave"]);
    assert_eq!(names(Some("bob"), 1).await, ["carol"]);
    let first = world.store().list_bans(room, None, world.now(), 1).await.unwrap().remove(0);
    assert_eq!(first.by.as_ref(), Some(&ada));
    assert!(first.until.is_some());
    world.advance(5_000);
    assert_eq!(names(None, 10).await, ["carol", "dave"]);
}

fn link(world: &World, room: RoomId, creator: &UserRef, code: &str, max_uses: u32) -> NewInvite {
    NewInvite {
        code: code.to_owned(),
        room,
        creator: creator.id,
        at: world.now(),
        expires_at: world.later(1_000_000),
        max_uses,
    }
}

/// A link is ended by who made it and by moderators; for others it is not there.
pub async fn links_are_listed_and_revoked_by_who_made_them_or_a_moderator(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let carol = world.user("carol").await;
    let eve = world.user("eve").await;
    let room = world.room(RoomKind::Private, &ada, &[&bob, &carol]).await;
    let all = PatchRoomSettings { invite: Some(Some(Role::Member)), ..NOTHING };
    world.add(room, &ada, rule(all)).await;
    for (creator, code) in [(&ada, "a1"), (&bob, "b1"), (&bob, "b2")] {
        store.create_invite(link(&world, room, creator, code, 2)).await.unwrap().unwrap();
    }
    let codes = async |creator: Option<&UserRef>, after: Option<&str>| {
        let creator = creator.map(|user| user.id);
        let found = store.list_invites(room, creator, after, world.now(), 10).await.unwrap();
        found.into_iter().map(|invite| invite.code).collect::<Vec<_>>().join(" ")
    };
    let revoke = async |actor: &UserRef, code: &str| {
        store.revoke_invite(room, actor.id, code, world.now()).await.unwrap()
    };

    assert_eq!(codes(None, None).await, "a1 b1 b2");
    assert_eq!(codes(None, Some("b1")).await, "b2");
    assert_eq!(codes(Some(&bob), None).await, "b1 b2");
    assert_eq!(revoke(&carol, "b1").await, Ok(false));
    assert_eq!(revoke(&eve, "b1").await, Err(AppendRefused::NoSuchRoom));
    assert_eq!(revoke(&bob, "b1").await, Ok(true));
    assert_eq!(revoke(&ada, "b2").await, Ok(true));
    assert_eq!(revoke(&ada, "b2").await, Ok(false));
    assert_eq!(codes(None, None).await, "a1");
    let late = world.append(room, &eve, Intent::Join { invite: Some("b1".to_owned()) }).await;
    assert_eq!(late, Err(AppendRefused::NoSuchRoom));
}

/// Of many who use the last use of a link at once, one comes in.
pub async fn link_with_one_use_left_admits_one_of_many(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let room = world.room(RoomKind::Private, &ada, &[]).await;
    let once = link(&world, room, &ada, "once", 1);
    world.store().create_invite(once).await.unwrap().unwrap();

    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..6 {
        let user = world.user(&format!("user{n}")).await;
        let wish = world.wish(room, &user, Intent::Join { invite: Some("once".to_owned()) });
        let store = world.shared();
        tasks.spawn(async move { store.append(vec![wish]).await.unwrap().pop().unwrap() });
    }
    let answers = tasks.join_all().await;

    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
    assert_eq!(world.listing(room, &ada).await.members, 2);
}

/// Whoever is removed loses the links they made.
pub async fn removed_member_has_no_way_back_by_a_link_of_their_own(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let room = world.room(RoomKind::Private, &ada, &[]).await;
    let bob = moderator(&world, room, &ada, "bob").await;
    let own = link(&world, room, &bob, "own", 9);
    world.store().create_invite(own).await.unwrap().unwrap();

    world.add(room, &ada, Intent::Kick { user: bob.id, reason: None }).await;

    let back = world.append(room, &bob, Intent::Join { invite: Some("own".to_owned()) }).await;
    assert_eq!(back, Err(AppendRefused::NoSuchRoom));
}

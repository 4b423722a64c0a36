//! Memberships: joining, invites, roles, kicks, bans and mutes.

use parlor_domain::permission::Refused;
use parlor_protocol::event::{Event, EventBody, LeaveReason, MemberChange};
use parlor_protocol::id::{RoomId, UserId};
use parlor_protocol::room::{Role, RoomKind};
use uuid::Uuid;

use super::world::{World, text};
use super::{Factory, ROOM_MEMBERS};
use crate::append::{AppendRefused, Appended, Intent};
use crate::record::{MemberFilter, NewInvite};

fn join() -> Intent {
    Intent::Join { invite: None }
}

fn join_by(code: &str) -> Intent {
    Intent::Join { invite: Some(code.to_owned()) }
}

fn left(body: &EventBody) -> &MemberChange {
    match body {
        EventBody::MemberLeft(change) => change,
        other => panic!("not the end of a membership: {other:?}"),
    }
}

/// Everyone may join a public room, once; a private one does not exist for strangers.
pub async fn public_room_is_joined_once_and_a_private_one_is_hidden(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let public = world.public(&ada, &[]).await;
    let private = world.room(RoomKind::Private, &ada, &[]).await;

    let joined = world.add(public, &bob, join()).await;
    let again = world.append(public, &bob, join()).await;
    let hidden = world.append(private, &bob, join()).await;
    let guessed = world.append(private, &bob, join_by("guess")).await;
    let nowhere = world.append(RoomId(Uuid::new_v4()), &bob, join()).await;

    let EventBody::MemberJoined(change) = &joined[0].body else { panic!("not joined") };
    assert_eq!((change.user.id, change.role), (bob.id, Role::Member));
    assert_eq!(again, Ok(Appended::Unchanged));
    assert_eq!(hidden, Err(AppendRefused::NoSuchRoom));
    assert_eq!(guessed, hidden, "a wrong code tells no more");
    assert_eq!(nowhere, hidden);
}

/// A link works until it is used up or its time is over, and only for its room.
pub async fn invite_link_works_for_its_uses_and_its_time(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let (bob, carol, dave) =
        (world.user("bob").await, world.user("carol").await, world.user("dave").await);
    let room = world.room(RoomKind::Private, &ada, &[]).await;
    let other = world.room(RoomKind::Private, &ada, &[]).await;
    let invite = |code: &str, creator: UserId, max_uses| NewInvite {
        code: code.to_owned(),
        room,
        creator,
        at: world.now(),
        expires_at: world.later(10_000),
        max_uses,
    };
    let store = world.store();
    store.create_invite(invite("once", ada.id, 1)).await.unwrap().unwrap();
    store.create_invite(invite("often", ada.id, 9)).await.unwrap().unwrap();
    let by_stranger = store.create_invite(invite("no", bob.id, 1)).await.unwrap();
    assert_eq!(by_stranger, Err(AppendRefused::NoSuchRoom));

    let elsewhere = world.append(other, &bob, join_by("once")).await;
    world.add(room, &bob, join_by("once")).await;
    let spent = world.append(room, &carol, join_by("once")).await;
    world.add(room, &carol, join_by("often")).await;
    let found = store.find_invite("often", world.now()).await.unwrap().unwrap();
    world.advance(10_000);
    let expired = world.append(room, &dave, join_by("often")).await;

    assert_eq!(elsewhere, Err(AppendRefused::NoSuchRoom));
    assert_eq!(spent, Err(AppendRefused::InvalidInvite));
    assert_eq!((found.room, found.uses_left), (room, 8));
    assert_eq!(expired, Err(AppendRefused::InvalidInvite));
    assert_eq!(store.find_invite("once", world.now()).await.unwrap(), None);
    assert_eq!(store.find_invite("often", world.now()).await.unwrap(), None);
}

/// Members of a private room are brought in by its moderators.
pub async fn moderator_brings_someone_in(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let carol = world.user("carol").await;
    let room = world.room(RoomKind::Private, &ada, &[&bob]).await;
    let invite = Intent::Invite { user: carol.id };

    let by_member = world.append(room, &bob, invite.clone()).await;
    world.add(room, &ada, Intent::SetRole { user: bob.id, role: Role::Moderator }).await;
    let events = world.add(room, &bob, invite.clone()).await;
    let again = world.append(room, &bob, invite).await;
    let nobody = Intent::Invite { user: UserId(Uuid::new_v4()) };

    assert!(matches!(by_member, Err(AppendRefused::Rule(Refused::Role(_)))));
    assert_eq!(events[0].actor.as_ref().map(|actor| actor.id), Some(bob.id));
    assert_eq!(again, Ok(Appended::Unchanged));
    assert_eq!(world.append(room, &bob, nobody).await, Err(AppendRefused::NoSuchUser));
    assert_eq!(world.role(room, &carol).await, Some(Role::Member));
}

/// A room has as many members as it may have, and no more.
pub async fn full_room_takes_nobody(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let room = world.public(&ada, &[]).await;
    for n in 1..ROOM_MEMBERS {
        let user = world.user(&format!("user{n}")).await;
        world.add(room, &user, join()).await;
    }
    let late = world.user("late").await;
    let seq = world.seq(room).await;

    let joined = world.append(room, &late, join()).await;
    let invited = world.append(room, &ada, Intent::Invite { user: late.id }).await;

    assert_eq!(joined, Err(AppendRefused::RoomFull));
    assert_eq!(invited, Err(AppendRefused::RoomFull));
    assert_eq!(world.seq(room).await, seq);
    let one = world.store().find_user_by_name("user1").await.unwrap().unwrap().user.to_ref();
    world.add(room, &one, Intent::Leave).await;
    world.add(room, &late, join()).await;
}

/// What a refused intent had changed before it was refused is taken back.
pub async fn refused_join_does_not_use_up_the_invite(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let room = world.room(RoomKind::Private, &ada, &[]).await;
    for n in 1..ROOM_MEMBERS {
        let user = world.user(&format!("user{n}")).await;
        world.add(room, &ada, Intent::Invite { user: user.id }).await;
    }
    let late = world.user("late").await;
    let invite = NewInvite {
        code: "once".to_owned(),
        room,
        creator: ada.id,
        at: world.now(),
        expires_at: world.later(10_000),
        max_uses: 1,
    };
    world.store().create_invite(invite).await.unwrap().unwrap();

    let batch = vec![
        world.wish(room, &late, join_by("once")),
        world.wish(room, &ada, Intent::Publish(text("goes on"))),
    ];
    let answers = world.store().append(batch).await.unwrap();

    assert_eq!(answers[0], Err(AppendRefused::RoomFull));
    assert!(answers[1].is_ok(), "the neighbour is not hurt");
    let found = world.store().find_invite("once", world.now()).await.unwrap().unwrap();
    assert_eq!(found.uses_left, 1);
}

/// A room with members has an owner, whatever anyone tries.
pub async fn last_owner_stays(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let room = world.public(&ada, &[&bob]).await;
    let demote = Intent::SetRole { user: ada.id, role: Role::Member };

    for intent in [
        Intent::Leave,
        demote.clone(),
        Intent::Kick { user: ada.id, reason: None },
        Intent::Ban { user: ada.id, until: None, reason: None },
    ] {
        let refused = world.append(room, &ada, intent.clone()).await;
        assert_eq!(refused, Err(AppendRefused::LastOwner), "{intent:?}");
    }
    world.add(room, &ada, Intent::SetRole { user: bob.id, role: Role::Owner }).await;
    world.add(room, &bob, demote).await;
    let events = world.add(room, &ada, Intent::Leave).await;
    assert_eq!(left(&events[0].body).reason, Some(LeaveReason::Left));
    world.add(room, &bob, Intent::Leave).await;
    assert_eq!(world.listing(room, &bob).await.members, 0, "the last member may go");
}

/// Roles are given by owners, once each.
pub async fn only_owners_give_roles(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let carol = world.user("carol").await;
    let room = world.public(&ada, &[&bob, &carol]).await;
    let moderator = |user: UserId| Intent::SetRole { user, role: Role::Moderator };

    let events = world.add(room, &ada, moderator(bob.id)).await;
    let same = world.append(room, &ada, moderator(bob.id)).await;
    let by_moderator = world.append(room, &bob, moderator(carol.id)).await;
    let stranger = world.append(room, &ada, moderator(UserId(Uuid::new_v4()))).await;

    let EventBody::MemberRoleChanged(change) = &events[0].body else { panic!("no change") };
    assert_eq!((change.user.id, change.role), (bob.id, Role::Moderator));
    assert_eq!(same, Ok(Appended::Unchanged));
    assert_eq!(by_moderator, Err(AppendRefused::Rule(Refused::Role("owner"))));
    assert_eq!(stranger, Err(AppendRefused::NoSuchUser));
}

/// A moderator removes members, but nobody of the same rank or above.
pub async fn moderator_kicks_members_but_not_owners(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let carol = world.user("carol").await;
    let room = world.public(&ada, &[&bob, &carol]).await;
    world.add(room, &ada, Intent::SetRole { user: bob.id, role: Role::Moderator }).await;

    let owner = world.append(room, &bob, Intent::Kick { user: ada.id, reason: None }).await;
    let by_member = world.append(room, &carol, Intent::Kick { user: bob.id, reason: None }).await;
    let events = world.add(room, &bob, Intent::Kick { user: carol.id, reason: None }).await;
    let gone = world.append(room, &bob, Intent::Kick { user: carol.id, reason: None }).await;

    assert_eq!(owner, Err(AppendRefused::Rule(Refused::Role("owner"))));
    assert!(matches!(by_member, Err(AppendRefused::Rule(Refused::Role(_)))));
    assert_eq!(left(&events[0].body).reason, Some(LeaveReason::Kicked));
    assert_eq!(gone, Err(AppendRefused::NoSuchUser));
    let write = world.append(room, &carol, Intent::Publish(text("hi"))).await;
    assert_eq!(write, Err(AppendRefused::Rule(Refused::NotAMember)));
    world.add(room, &carol, join()).await;
}

/// A ban keeps out until its time is over or it is lifted.
pub async fn ban_ends_by_itself_or_when_lifted(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let carol = world.user("carol").await;
    let room = world.public(&ada, &[&bob]).await;
    let ban = |user: UserId, until| Intent::Ban { user, until, reason: None };

    let until = world.later(10_000);
    let events = world.add(room, &ada, ban(bob.id, Some(until))).await;
    assert_eq!(left(&events[0].body).reason, Some(LeaveReason::Banned));
    let refused = Err(AppendRefused::Banned { until: Some(until), reason: None });
    assert_eq!(world.append(room, &bob, join()).await, refused);
    assert_eq!(world.append(room, &ada, Intent::Invite { user: bob.id }).await, refused);
    world.advance(10_000);
    world.add(room, &bob, join()).await;

    let stranger = world.append(room, &ada, ban(carol.id, None)).await;
    assert_eq!(stranger, Ok(Appended::Unchanged), "the log does not tell of strangers");
    let forever = Err(AppendRefused::Banned { until: None, reason: None });
    assert_eq!(world.append(room, &carol, join()).await, forever);
    world.append(room, &ada, ban(carol.id, Some(world.now()))).await.unwrap();
    world.add(room, &carol, join()).await;
}

/// Whoever is banned has no way back by a link of their own, also when they had left before.
pub async fn ban_ends_the_links_of_someone_who_has_left(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let carol = world.user("carol").await;
    let room = world.public(&ada, &[&bob]).await;
    for creator in [&ada, &bob] {
        let invite = NewInvite {
            code: creator.username.clone(),
            room,
            creator: creator.id,
            at: world.now(),
            expires_at: world.later(10_000),
            max_uses: 9,
        };
        world.store().create_invite(invite).await.unwrap().unwrap();
    }
    world.add(room, &bob, Intent::Leave).await;
    assert!(world.store().find_invite("bob", world.now()).await.unwrap().is_some());

    let ban = Intent::Ban { user: bob.id, until: None, reason: None };
    assert_eq!(world.append(room, &ada, ban).await, Ok(Appended::Unchanged));

    assert_eq!(world.store().find_invite("bob", world.now()).await.unwrap(), None);
    assert!(world.store().find_invite("ada", world.now()).await.unwrap().is_some());
    world.add(room, &carol, join_by("ada")).await;
}

/// A mute takes away writing, not reading, until its time is over or it is lifted.
pub async fn mute_ends_by_itself_or_when_lifted(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let room = world.public(&ada, &[&bob]).await;
    let mute = |until| Intent::Mute { user: bob.id, until, reason: None };
    let write = || Intent::Publish(text("hi"));

    let until = world.later(10_000);
    let events = world.add(room, &ada, mute(Some(until))).await;
    let EventBody::MemberRoleChanged(change) = &events[0].body else { panic!("no change") };
    assert_eq!((change.role, change.muted_until), (Role::Member, Some(until)));
    let refused = Err(AppendRefused::Rule(Refused::Muted { until }));
    assert_eq!(world.append(room, &bob, write()).await, refused);
    assert_eq!(world.member(room, &bob).await.unwrap().muted_until, Some(until));
    world.advance(10_000);
    world.add(room, &bob, write()).await;

    world.add(room, &ada, mute(None)).await;
    world.advance(1_000_000_000_000);
    assert!(world.append(room, &bob, write()).await.is_err(), "until lifted");
    let lifted = world.add(room, &ada, mute(Some(world.now()))).await;
    let EventBody::MemberRoleChanged(change) = &lifted[0].body else { panic!("no change") };
    assert_eq!(change.muted_until, None);
    world.add(room, &bob, write()).await;
    assert_eq!(world.append(room, &ada, mute(Some(world.now()))).await, Ok(Appended::Unchanged));
}

/// The reason of a kick, a ban or a mute is told in its event, listed, and told to whom it concerns. It
/// is gone when the restriction is lifted.
pub async fn reason_is_told_and_kept_as_long_as_what_it_is_for(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let room = world.public(&ada, &[&bob]).await;
    let reason = |text: &str| Some(text.to_owned());
    let mute = |until, reason| Intent::Mute { user: bob.id, until, reason };
    let ban = |until, reason| Intent::Ban { user: bob.id, until, reason };
    let told = |events: &[Event]| match &events[0].body {
        EventBody::MemberLeft(change) | EventBody::MemberRoleChanged(change) => {
            change.reason_text.clone()
        }
        other => panic!("{other:?}"),
    };
    let listed = async || {
        let members = store.list_members(room, None, 10).await.unwrap();
        let filter = MemberFilter::default();
        let found = store.list_members_by(room, &filter, None, 10).await.unwrap();
        assert_eq!(members, found);
        members.into_iter().find(|member| member.user.id == bob.id).unwrap().mute_reason
    };

    let muted = world.add(room, &ada, mute(None, reason("\"too\" loud"))).await;
    assert_eq!(told(&muted), reason("\"too\" loud"));
    assert_eq!(listed().await, reason("\"too\" loud"));
    let same = world.append(room, &ada, mute(None, reason("\"too\" loud"))).await;
    assert_eq!(same, Ok(Appended::Unchanged));
    let anew = world.add(room, &ada, mute(None, reason("still too loud"))).await;
    assert_eq!(told(&anew), reason("still too loud"));
    let found = store.find_mute_reason(room, bob.id).await.unwrap();
    assert_eq!(found, reason("still too loud"));
    assert_eq!(store.find_mute_reason(room, ada.id).await.unwrap(), None);
    // Another change of the member does not tell it again.
    let role = Intent::SetRole { user: bob.id, role: Role::Moderator };
    assert_eq!(told(&world.add(room, &ada, role).await), None);
    let lifted = world.add(room, &ada, mute(Some(world.now()), reason("enough"))).await;
    assert_eq!((told(&lifted), listed().await), (None, None), "it is of no mute any more");

    let kick = Intent::Kick { user: bob.id, reason: reason("out") };
    assert_eq!(told(&world.add(room, &ada, kick).await), reason("out"));
    world.add(room, &bob, join()).await;
    assert_eq!(told(&world.add(room, &ada, ban(None, reason("spam"))).await), reason("spam"));
    let bans = store.list_bans(room, None, world.now(), 10).await.unwrap();
    assert_eq!(bans[0].reason, reason("spam"));
    let own = store.list_bans_of(bob.id, None, 10).await.unwrap();
    assert_eq!(own[0].reason, reason("spam"));
    let refused = AppendRefused::Banned { until: None, reason: reason("spam") };
    assert_eq!(world.append(room, &bob, join()).await, Err(refused));
    let unsaid = AppendRefused::Banned { until: None, reason: None };
    let invited = world.append(room, &ada, Intent::Invite { user: bob.id }).await;
    assert_eq!(invited, Err(unsaid.clone()), "it is for whom it concerns");
    world.append(room, &ada, ban(None, None)).await.unwrap();
    assert_eq!(world.append(room, &bob, join()).await, Err(unsaid));
}

/// Whoever writes again and again after a removal is refused from the first event on.
pub async fn removal_is_exact_in_the_order_of_the_log(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let room = world.public(&ada, &[&bob]).await;

    let batch = vec![
        world.wish(room, &bob, Intent::Publish(text("before"))),
        world.wish(room, &ada, Intent::Kick { user: bob.id, reason: None }),
        world.wish(room, &bob, Intent::Publish(text("after"))),
    ];
    let answers = world.store().append(batch).await.unwrap();

    assert!(answers[0].is_ok() && answers[1].is_ok());
    assert_eq!(answers[2], Err(AppendRefused::Rule(Refused::NotAMember)));
    assert_eq!(world.messages(room).await.len(), 1);
}

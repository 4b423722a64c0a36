//! Many questions in one call are answered as one by one.

use parlor_protocol::http::Trigger;
use parlor_protocol::id::{MessageId, RoomId, RoomRef, UserId};
use parlor_protocol::room::RoomKind;
use parlor_protocol::user::UserRef;
use uuid::Uuid;

use super::Factory;
use super::world::{LEASE, World, start};
use crate::append::Intent;
use crate::contract::MANY_MAX;
use crate::record::RoomSize;

fn nobody() -> UserId {
    UserId(Uuid::new_v4())
}

/// In the order of the questions, also when one is asked twice or about nobody.
pub async fn accounts_are_found_as_one_by_one(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let store = world.store();
    store.set_user_access(bob.id, Some(false), None, world.now()).await.unwrap().unwrap();

    let asked = [bob.id, nobody(), ada.id, bob.id];
    let found = store.find_users(&asked).await.unwrap();

    let mut one_by_one = Vec::new();
    for user in asked {
        one_by_one.push(store.find_user(user).await.unwrap());
    }
    assert_eq!(found, one_by_one);
    assert!(found[1].is_none() && found[2].is_some());
    assert!(store.find_users(&[]).await.unwrap().is_empty());
}

/// By id and by slug, as a member and as a stranger.
pub async fn rooms_and_memberships_are_found_as_one_by_one(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let store = world.store();
    let new = world.new_room(RoomKind::Private, &ada, &[]);
    store.create_room(new.clone()).await.unwrap().unwrap();
    let other = world.public(&bob, &[&ada]).await;
    world.said(other, &bob, "hello").await;

    let names: [RoomRef; 7] = [
        new.id.into(),
        new.slug.as_str().into(),
        RoomId(Uuid::new_v4()).into(),
        other.into(),
        "nowhere".into(),
        "\0".into(),
        new.id.into(),
    ];
    let users = [ada.id, bob.id, nobody()];
    let asked: Vec<_> =
        names.iter().flat_map(|name| users.map(|user| (name.clone(), user))).collect();
    let found = store.find_accesses(&asked).await.unwrap();

    let mut one_by_one = Vec::new();
    for (name, user) in &asked {
        one_by_one.push(store.find_room(name, *user).await.unwrap());
    }
    assert_eq!(found, one_by_one);
    let own = found[0].as_ref().unwrap();
    assert!(own.room.id == new.id && own.membership.is_some());
    assert!(found[1].as_ref().unwrap().membership.is_none(), "a stranger");
    assert!(store.find_accesses(&[]).await.unwrap().is_empty());
}

/// Each with the number of members of the room at this time.
pub async fn rooms_of_users_are_listed_as_one_by_one_with_their_sizes(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let people: [UserRef; 3] =
        [world.user("ada").await, world.user("bob").await, world.user("cyd").await];
    let [ada, bob, cyd] = &people;
    let small = world.public(ada, &[]).await;
    let large = world.public(bob, &[ada, cyd]).await;
    let store = world.store();

    let asked = [ada.id, nobody(), cyd.id, ada.id];
    let listed = store.list_rooms_of_users(&asked).await.unwrap();

    for (user, listed) in asked.iter().zip(&listed) {
        let rooms: Vec<_> = listed.iter().map(|one| one.room).collect();
        assert_eq!(rooms, store.list_room_ids_of(*user).await.unwrap());
    }
    assert!(listed[0].contains(&RoomSize { room: small, members: 1 }), "{listed:?}");
    assert_eq!(listed[2], [RoomSize { room: large, members: 3 }]);
    assert_eq!((&listed[3], listed[1].len()), (&listed[0], 0));
    assert!(store.list_rooms_of_users(&[]).await.unwrap().is_empty());
}

/// Each after its own position, with its own limit, also the same room twice.
pub async fn events_are_read_as_room_by_room(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let ada = world.user("ada").await;
    let (one, two) = (world.public(&ada, &[]).await, world.public(&ada, &[]).await);
    for n in 0..5 {
        let said = world.said(one, &ada, &format!("one {n}")).await;
        world.add(one, &ada, Intent::Redact { message: said }).await;
        world.said(two, &ada, &format!("two {n}")).await;
    }

    let nowhere = RoomId(Uuid::new_v4());
    let asked =
        [(two, 2, 3), (one, 0, 100), (nowhere, 0, 9), (two, 0, 2), (one, 99, 9), (one, 1, 0)];
    let read = store.read_events_of_rooms(&asked).await.unwrap();

    for ((room, after, limit), events) in asked.into_iter().zip(&read) {
        assert_eq!(*events, store.read_events(room, after, limit).await.unwrap(), "{room} {after}");
    }
    assert_eq!((read[0].len(), read[3].len()), (3, 2));
    assert!(read[1].len() > 10 && read[2].is_empty());
    assert!(store.read_events_of_rooms(&[]).await.unwrap().is_empty());
}

/// The text of one room's reply is not shown in another.
pub async fn texts_so_far_are_listed_as_room_by_room(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let ada = world.user("ada").await;
    let bot = world.bot("guide", Trigger::Always).await;
    let (busy, quiet) = (world.public(&ada, &[&bot]).await, world.public(&ada, &[]).await);
    world.said(busy, &ada, "hello").await;
    let job = world.claim().await.unwrap();
    let reply = MessageId(Uuid::new_v4());
    world.add(busy, &bot, start(job.id, job.generation, reply)).await;
    let text = "so far".to_owned();
    store.checkpoint_reply(job.id, job.generation, 3, text, LEASE).await.unwrap();

    let asked = [quiet, busy, RoomId(Uuid::new_v4()), busy];
    let listed = store.list_streaming_of_rooms(&asked).await.unwrap();

    for (room, listed) in asked.iter().zip(&listed) {
        assert_eq!(*listed, store.list_streaming(*room).await.unwrap());
    }
    assert_eq!((listed[1].len(), listed[0].len()), (1, 0));
    assert_eq!((listed[1][0].text.as_str(), listed[1][0].message), ("so far", reply));
}

/// The newest time counts, in whatever order they come, and nobody is no failure.
pub async fn last_seen_of_many_never_moves_back(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let store = world.store();
    let [first, second, third] = [world.now(), world.now(), world.now()];

    let seen = [(ada.id, second), (bob.id, third), (nobody(), third), (ada.id, first)];
    store.touch_last_seen_of_users(&seen).await.unwrap();
    store.touch_last_seen_of_users(&[(bob.id, first)]).await.unwrap();
    store.touch_last_seen_of_users(&[]).await.unwrap();

    for (user, at) in [(&ada, second), (&bob, third)] {
        let found = store.find_user(user.id).await.unwrap().unwrap();
        assert_eq!(found.last_seen, Some(at), "{}", user.username);
    }
}

/// As many as may be asked for at once are one read, so it counts calls and not questions.
pub async fn many_are_one_read(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let room = world.public(&ada, &[]).await;
    let store = world.store();
    let before = store.reads();

    let found = store.find_users(&vec![ada.id; MANY_MAX]).await.unwrap();
    assert_eq!(found.len(), MANY_MAX);
    let asked = vec![(RoomRef::from(room), ada.id); MANY_MAX];
    assert_eq!(store.find_accesses(&asked).await.unwrap().len(), MANY_MAX);

    assert_eq!(store.reads() - before, 2);
}

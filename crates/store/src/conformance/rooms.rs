//! Rooms, lists of them, and read markers.

use parlor_protocol::event::EventBody;
use parlor_protocol::id::{RoomId, RoomRef, UserId};
use parlor_protocol::room::{Role, RoomKind};
use uuid::Uuid;

use super::Factory;
use super::world::{World, assert_dense, text};
use crate::append::{AppendRefused, Intent};
use crate::record::{NewRoom, RoomConflict, RoomFilter};

/// The log of a room begins with the room, its owner and its members.
pub async fn room_begins_with_its_owner_and_members(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let new = NewRoom {
        members: vec![bob.id, ada.id, bob.id],
        ..world.new_room(RoomKind::Private, &ada, &[])
    };

    let created = world.store().create_room(new.clone()).await.unwrap().unwrap();

    assert_dense(&created.events, 1);
    let kinds: Vec<_> = created.events.iter().map(|event| event.body.kind()).collect();
    assert_eq!(kinds, ["room.created", "member.joined", "member.joined"]);
    assert!(created.events.iter().all(|event| event.actor.as_ref() == Some(&ada)));
    assert_eq!(created.room.head.seq, 3);
    assert_eq!(world.events(new.id).await, created.events);
    assert_eq!(world.role(new.id, &ada).await, Some(Role::Owner));
    assert_eq!(world.role(new.id, &bob).await, Some(Role::Member));
    assert_eq!(world.listing(new.id, &bob).await.members, 2);
}

/// The same room is made once, by the creator's own id or by its id.
pub async fn repeated_creation_gives_the_first_room(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let keyed = |creator, slug: &str| NewRoom {
        client_id: Some("key".to_owned()),
        slug: slug.to_owned(),
        ..world.new_room(RoomKind::Public, creator, &[])
    };
    let first = keyed(&ada, "one");

    let made = world.store().create_room(first.clone()).await.unwrap().unwrap();
    let by_key = world.store().create_room(keyed(&ada, "two")).await.unwrap().unwrap();
    let by_id = world.store().create_room(first).await.unwrap().unwrap();
    let of_bob = world.store().create_room(keyed(&bob, "three")).await.unwrap().unwrap();

    assert_eq!((by_key.room.id, by_id.room.id), (made.room.id, made.room.id));
    assert!(by_key.events.is_empty() && by_id.events.is_empty());
    assert_ne!(of_bob.room.id, made.room.id, "each creator has ids of their own");
}

/// A room that cannot be made leaves nothing behind.
pub async fn room_that_cannot_be_made_leaves_nothing(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let taken = world.new_room(RoomKind::Public, &ada, &[]);
    world.store().create_room(taken.clone()).await.unwrap().unwrap();

    let slug = NewRoom { slug: taken.slug.clone(), ..world.new_room(RoomKind::Public, &ada, &[]) };
    let stranger = NewRoom {
        members: vec![UserId(Uuid::new_v4())],
        ..world.new_room(RoomKind::Public, &ada, &[])
    };
    let too_many = NewRoom { max_owned: 1, ..world.new_room(RoomKind::Public, &ada, &[]) };
    // Whoever may make no room does not learn which names are taken.
    let no_name = NewRoom { slug: taken.slug, id: RoomId(Uuid::new_v4()), ..too_many.clone() };
    for (new, conflict) in [
        (slug, RoomConflict::Slug),
        (stranger, RoomConflict::NoSuchUser),
        (too_many, RoomConflict::TooMany),
        (no_name, RoomConflict::TooMany),
    ] {
        let id = new.id;
        assert_eq!(world.store().create_room(new).await.unwrap(), Err(conflict));
        assert_eq!(world.store().find_head(id).await.unwrap(), None);
    }
}

/// Whoever begins it, however often, at the same time: a direct room of the same people is one.
pub async fn direct_room_of_the_same_people_is_one(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let carol = world.user("carol").await;

    let mut tasks = tokio::task::JoinSet::new();
    for (creator, other) in [(&ada, &bob), (&bob, &ada), (&ada, &bob)] {
        let new = world.new_room(RoomKind::Direct, creator, &[other]);
        let store = world.shared();
        tasks.spawn(async move { store.create_room(new).await.unwrap().unwrap().room.id });
    }
    let rooms = tasks.join_all().await;
    let three = world.room(RoomKind::Direct, &ada, &[&bob, &carol]).await;

    assert!(rooms.iter().all(|room| *room == rooms[0]));
    assert_ne!(three, rooms[0]);
    let seen = world.listing(rooms[0], &ada).await;
    assert_eq!(seen.participants, std::slice::from_ref(&bob));
    let left = world.append(rooms[0], &bob, Intent::Leave).await;
    assert!(matches!(left, Err(AppendRefused::Rule(_))), "{left:?}");
    let joined = world.append(rooms[0], &carol, Intent::Join { invite: None }).await;
    assert_eq!(joined, Err(AppendRefused::NoSuchRoom));
}

/// A room is found by id and by slug, with the membership of who asks.
pub async fn room_is_found_by_id_and_by_slug(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let new = world.new_room(RoomKind::Private, &ada, &[]);
    world.store().create_room(new.clone()).await.unwrap().unwrap();

    for name in [RoomRef::from(new.id), RoomRef::from(new.slug.as_str())] {
        let own = world.store().find_room(&name, ada.id).await.unwrap().unwrap();
        let foreign = world.store().find_room(&name, bob.id).await.unwrap().unwrap();
        assert_eq!(own.room.id, new.id);
        assert_eq!(own.membership.map(|member| member.role), Some(Role::Owner));
        assert_eq!(foreign.membership, None);
    }
    let nowhere = RoomRef::from(RoomId(Uuid::new_v4()));
    assert_eq!(world.store().find_room(&nowhere, ada.id).await.unwrap(), None);
}

/// Nobody sees private rooms of others; words, archive and pages narrow the list.
pub async fn list_shows_only_rooms_that_the_user_may_see(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let make = async |slug: &str, name: &str, kind, creator| {
        let new = NewRoom {
            slug: slug.to_owned(),
            name: name.to_owned(),
            ..world.new_room(kind, creator, &[])
        };
        world.store().create_room(new).await.unwrap().unwrap().room.id
    };
    make("a-public", "Über uns", RoomKind::Public, &ada).await;
    make("b-private", "Secret", RoomKind::Private, &ada).await;
    make("c-of-bob", "Mine", RoomKind::Private, &bob).await;
    let closed = make("d-closed", "Old", RoomKind::Public, &bob).await;
    let archive = Intent::Update { name: None, topic: None, archived: Some(true), settings: None };
    world.add(closed, &bob, archive).await;

    let list = async |filter: RoomFilter, after: Option<&str>, limit| {
        let rooms = world.store().list_rooms(bob.id, filter, after, limit).await.unwrap();
        rooms.into_iter().map(|listing| listing.room.slug).collect::<Vec<_>>().join(" ")
    };
    let query = |query: &str| RoomFilter { query: Some(query.to_owned()), ..RoomFilter::default() };
    assert_eq!(list(RoomFilter::default(), None, 10).await, "a-public c-of-bob");
    assert_eq!(list(RoomFilter::default(), Some("a-public"), 10).await, "c-of-bob");
    assert_eq!(list(RoomFilter::default(), None, 1).await, "a-public");
    let mine = RoomFilter { mine: true, ..RoomFilter::default() };
    assert_eq!(list(mine, None, 10).await, "c-of-bob");
    let archived = RoomFilter { archived: true, ..RoomFilter::default() };
    assert_eq!(list(archived, None, 10).await, "a-public c-of-bob d-closed");
    assert_eq!(list(query("über"), None, 10).await, "a-public");
    assert_eq!(list(query("OF-BOB"), None, 10).await, "c-of-bob");
    assert_eq!(list(query("secret"), None, 10).await, "");
    assert_eq!(list(query("%"), None, 10).await, "");
    assert_eq!(world.store().list_room_ids_of(ada.id).await.unwrap().len(), 2);
}

/// Unread is what others wrote after the marker; the marker only moves forward, to the newest event
/// at most.
pub async fn read_marker_moves_forward_and_counts_what_others_wrote(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let room = world.public(&ada, &[]).await;
    world.said(room, &ada, "before bob came").await;
    world.add(room, &bob, Intent::Join { invite: None }).await;
    assert_eq!(world.listing(room, &bob).await.unread, 0, "what was before is not unread");

    let one = world.said(room, &ada, "one").await;
    world.said(room, &bob, "mine").await;
    world.said(room, &ada, "two").await;
    assert_eq!(world.listing(room, &bob).await.unread, 2);

    let seq = world.message(room, one).await.seq;
    assert_eq!(store.set_read_marker(room, bob.id, seq).await.unwrap(), Some(seq));
    assert_eq!(world.listing(room, &bob).await.unread, 1);
    assert_eq!(store.set_read_marker(room, bob.id, seq - 1).await.unwrap(), None);
    let newest = world.seq(room).await;
    assert_eq!(store.set_read_marker(room, bob.id, u64::MAX).await.unwrap(), Some(newest));
    assert_eq!(world.listing(room, &bob).await.read_seq, newest);
    let stranger = world.user("carol").await;
    assert_eq!(store.set_read_marker(room, stranger.id, 1).await.unwrap(), None);

    let late = world.said(room, &ada, "taken back").await;
    assert_eq!(world.listing(room, &bob).await.unread, 1);
    world.add(room, &ada, Intent::Redact { message: late }).await;
    assert_eq!(world.listing(room, &bob).await.unread, 0);
}

/// Members are listed in pages by name.
pub async fn members_are_listed_in_pages_by_name(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let carol = world.user("carol").await;
    let bob = world.user("bob").await;
    let room = world.public(&carol, &[&ada, &bob]).await;

    let first = world.store().list_members(room, None, 2).await.unwrap();
    let second = world.store().list_members(room, Some("bob"), 2).await.unwrap();

    let names = |page: &[crate::record::MemberRecord]| -> Vec<UserId> {
        page.iter().map(|member| member.user.id).collect()
    };
    assert_eq!(names(&first), [ada.id, bob.id]);
    assert_eq!(names(&second), [carol.id]);
    assert_eq!(second[0].role, Role::Owner);
}

/// A name or topic is told when it changes; closing the room stops writing, not reading.
pub async fn room_is_renamed_and_archived(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let room = world.public(&ada, &[&bob]).await;
    let update = |name: Option<&str>, archived| Intent::Update {
        name: name.map(str::to_owned),
        topic: None,
        archived,
        settings: None,
    };

    let both = world.add(room, &ada, update(Some("New"), Some(true))).await;
    let same = world.append(room, &ada, update(Some("New"), Some(true))).await;

    let kinds: Vec<_> = both.iter().map(|event| event.body.kind()).collect();
    assert_eq!(kinds, ["room.updated", "room.archived"]);
    let EventBody::RoomArchived(state) = &both[1].body else { panic!("not archived") };
    assert_eq!(
        (state.name.as_str(), state.topic.as_str(), state.archived),
        ("New", "about it", true)
    );
    assert_eq!(same, Ok(crate::append::Appended::Unchanged));
    let written = world.append(room, &bob, Intent::Publish(text("hi"))).await;
    assert!(matches!(written, Err(AppendRefused::Rule(_))));
    let by_member = world.append(room, &bob, update(None, Some(false))).await;
    assert!(matches!(by_member, Err(AppendRefused::Rule(_))));
    world.add(room, &ada, update(None, Some(false))).await;
    world.said(room, &bob, "open again").await;
}

/// Only an owner may delete a room, and nothing of it is left.
pub async fn deleted_room_is_gone(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let guide = world.bot("guide", parlor_protocol::http::Trigger::Always).await;
    let room = world.public(&ada, &[&bob, &guide]).await;
    let message = world.said(room, &ada, "an unusual sentence").await;
    let react = Intent::React { message, emoji: "👍".to_owned(), add: true };
    world.add(room, &bob, react).await;

    let refused = world.store().delete_room(room, bob.id, world.now()).await.unwrap();
    assert!(matches!(refused, Err(AppendRefused::Rule(_))));
    assert_eq!(world.store().delete_room(room, ada.id, world.now()).await.unwrap(), Ok(()));

    assert_eq!(world.store().find_head(room).await.unwrap(), None);
    assert!(world.events(room).await.is_empty());
    assert!(world.store().list_room_ids_of(bob.id).await.unwrap().is_empty());
    assert_eq!(world.store().count_jobs().await.unwrap(), (0, 0));
    assert!(world.claim().await.is_none());
    let again = world.append(room, &ada, Intent::Publish(text("hi"))).await;
    assert_eq!(again, Err(AppendRefused::NoSuchRoom));
}

/// Rooms with another owner stay.
pub async fn rooms_of_one_owner_are_deleted_by_kind(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let private = world.room(RoomKind::Private, &ada, &[]).await;
    let public = world.public(&ada, &[]).await;
    let shared = world.room(RoomKind::Private, &ada, &[&bob]).await;
    let foreign = world.room(RoomKind::Private, &bob, &[&ada]).await;
    world.add(shared, &ada, Intent::SetRole { user: bob.id, role: Role::Owner }).await;

    let kind = Some(RoomKind::Private);
    let deleted = world.store().delete_rooms_owned_by(ada.id, kind).await.unwrap();

    assert_eq!(deleted, [private]);
    let mut left = world.store().list_room_ids_of(ada.id).await.unwrap();
    left.sort_unstable();
    let mut expected = vec![public, shared, foreign];
    expected.sort_unstable();
    assert_eq!(left, expected);
}

//! Accounts.

use parlor_protocol::room::RoomKind;
use parlor_protocol::user::{ServerRole, Visibility};

use super::Factory;
use super::world::World;
use crate::append::{AppendRefused, Intent};
use crate::record::{NewUser, ProfileChange, RoomFilter, UserConflict};

/// What was put in comes out, by id and by name in any case.
pub async fn account_is_found_by_id_and_by_name_in_any_case(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let new = world.new_user("ada");

    let made = store.create_user(new.clone()).await.unwrap().unwrap();

    assert_eq!(made.user.username, "ada");
    assert_eq!(made.user.display_name, "ADA");
    assert_eq!(made.user.email.as_deref(), Some("ada@example.org"));
    assert_eq!(made.user.created_at, new.at);
    assert!(made.active && made.last_seen.is_none());
    assert_eq!(store.find_user(new.id).await.unwrap(), Some(made.clone()));
    assert_eq!(store.find_user_by_name("ADA").await.unwrap(), Some(made));
    assert_eq!(store.find_user_by_name("bob").await.unwrap(), None);
}

/// Clients may ask for any text; what nothing can be called is called by nothing.
pub async fn text_that_is_no_name_finds_nothing(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let private = world.room(RoomKind::Private, &ada, &[]).await;
    let (bob, store, at) = (world.user("bob").await, world.store(), world.now());
    for text in ["\0", "ada\0", "a\u{fffd}da", "", "'"] {
        assert_eq!(store.find_user_by_name(text).await.unwrap(), None, "{text:?}");
        assert!(store.find_credentials(text).await.unwrap().is_none(), "{text:?}");
        assert!(store.find_bot(text).await.unwrap().is_none(), "{text:?}");
        assert!(store.find_room(&text.into(), ada.id).await.unwrap().is_none(), "{text:?}");
        assert!(store.find_invite(text, at).await.unwrap().is_none(), "{text:?}");
        store.list_users(Some(text), 10).await.unwrap();
        store.list_members(private, Some(text), 10).await.unwrap();
        store.list_rooms(ada.id, RoomFilter::default(), Some(text), 10).await.unwrap();
        let join = Intent::Join { invite: Some(text.to_owned()) };
        let refused = world.append(private, &bob, join).await;
        assert_eq!(refused, Err(AppendRefused::NoSuchRoom), "{text:?}");
    }
}

/// Names and addresses are unique in any case; the same id again is a repeat.
pub async fn taken_name_or_address_is_a_typed_conflict(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let ada = world.new_user("ada");
    let made = store.create_user(ada.clone()).await.unwrap().unwrap();

    let same_name = NewUser { email: None, ..world.new_user("Ada") };
    let same_address =
        NewUser { email: Some("ADA@example.org".to_owned()), ..world.new_user("bob") };

    assert_eq!(store.create_user(same_name).await.unwrap(), Err(UserConflict::Username));
    assert_eq!(store.create_user(same_address).await.unwrap(), Err(UserConflict::Email));
    assert_eq!(store.create_user(ada).await.unwrap(), Ok(made));
    assert_eq!(store.list_users(None, 10).await.unwrap().len(), 1);
}

/// However many ask at once, one becomes the first administrator.
pub async fn first_admin_is_one_however_many_ask(factory: &dyn Factory) {
    let world = World::open(factory).await;
    assert!(!world.store().has_admin().await.unwrap());

    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..8 {
        let (store, user) = (world.shared(), world.new_user(&format!("admin{n}")));
        tasks.spawn(async move { store.create_first_admin(user).await.unwrap() });
    }
    let answers = tasks.join_all().await;

    let made: Vec<_> = answers.iter().flatten().collect();
    assert_eq!(made.len(), 1);
    assert_eq!(made[0].user.role, ServerRole::Admin);
    let refused = answers.iter().filter(|answer| **answer == Err(UserConflict::AdminExists));
    assert_eq!(refused.count(), 7);
    assert!(world.store().has_admin().await.unwrap());
}

/// A login is checked by name or address; a changed password replaces the old one.
pub async fn credentials_are_found_by_name_or_address(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let ada = world.user("ada").await;

    store.set_password_hash(ada.id, "another".to_owned()).await.unwrap();

    for login in ["ada", "Ada", "ada@example.org"] {
        let found = store.find_credentials(login).await.unwrap().unwrap();
        assert_eq!(found.account.user.id, ada.id, "{login}");
        assert_eq!(found.password_hash.as_deref(), Some("another"));
    }
    assert!(store.find_credentials("nobody").await.unwrap().is_none());
}

/// What is `None` stays, and a taken name changes nothing.
pub async fn profile_changes_only_what_is_given(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let ada = world.user("ada").await;
    world.user("bob").await;
    let change = ProfileChange {
        bio: Some("counts".to_owned()),
        visibility: Some(Visibility::Private),
        ..ProfileChange::default()
    };

    let changed = store.update_profile(ada.id, change).await.unwrap().unwrap().unwrap();
    let taken = ProfileChange {
        username: Some("bob".to_owned()),
        bio: Some("lost".to_owned()),
        ..ProfileChange::default()
    };
    let refused = store.update_profile(ada.id, taken).await.unwrap();
    let own = ProfileChange { username: Some("ADA".to_owned()), ..ProfileChange::default() };
    let kept = store.update_profile(ada.id, own).await.unwrap().unwrap().unwrap();

    assert_eq!((changed.user.bio.as_str(), changed.user.display_name.as_str()), ("counts", "ADA"));
    assert_eq!(changed.user.visibility, Visibility::Private);
    assert_eq!(refused, Err(UserConflict::Username));
    assert_eq!((kept.user.bio.as_str(), kept.user.username.as_str()), ("counts", "ADA"));
    let nobody = world.new_user("nobody").id;
    assert_eq!(store.update_profile(nobody, ProfileChange::default()).await.unwrap(), Ok(None));
}

/// Someone who is not active has no login and may do nothing in any room.
pub async fn inactive_user_has_no_login_and_no_room(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let room = world.public(&ada, &[&bob]).await;
    let session = world.new_session(&bob, 1);
    store.create_session(session.clone()).await.unwrap();

    let at = world.now();
    let changed = store.set_user_access(bob.id, Some(false), None, at).await.unwrap().unwrap();
    let changed = changed.unwrap();

    assert!(!changed.active);
    let ended = store.find_session(session.id).await.unwrap().unwrap();
    assert_eq!(ended.revoked_at, Some(at));
    let wish = crate::append::Intent::Publish(super::world::text("hi"));
    assert!(world.append(room, &bob, wish).await.is_err());
    let again = store.set_user_access(bob.id, Some(true), Some(ServerRole::Admin), world.now());
    let again = again.await.unwrap().unwrap().unwrap();
    assert!(again.active && again.user.role == ServerRole::Admin);
    assert!(store.has_admin().await.unwrap());
    let nobody = world.new_user("nobody").id;
    assert!(store.set_user_access(nobody, None, None, at).await.unwrap().unwrap().is_none());
}

/// Pages follow each other by name.
pub async fn accounts_are_listed_in_pages_by_name(factory: &dyn Factory) {
    let world = World::open(factory).await;
    for name in ["carol", "ada", "bob"] {
        world.user(name).await;
    }

    let first = world.store().list_users(None, 2).await.unwrap();
    let second = world.store().list_users(Some("bob"), 2).await.unwrap();

    let names = |page: &[crate::record::Account]| -> Vec<String> {
        page.iter().map(|account| account.user.username.clone()).collect()
    };
    assert_eq!(
        (names(&first), names(&second)),
        (vec!["ada".to_owned(), "bob".to_owned()], vec!["carol".to_owned()],)
    );
}

/// An older time that comes late changes nothing.
pub async fn last_seen_never_moves_back(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let (early, late) = (world.now(), world.now());

    world.store().touch_last_seen(ada.id, late).await.unwrap();
    world.store().touch_last_seen(ada.id, early).await.unwrap();

    let found = world.store().find_user(ada.id).await.unwrap().unwrap();
    assert_eq!(found.last_seen, Some(late));
}

//! New passwords, and leaving for a while or for good.

use parlor_protocol::event::{EventBody, LeaveReason};
use parlor_protocol::http::Scope;
use parlor_protocol::id::{SessionId, TokenId, UserId};
use parlor_protocol::room::{Role, RoomKind};
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::{ServerRole, UserRef};

use super::Factory;
use super::world::World;
use crate::append::{AppendRefused, Appended, Intent};
use crate::contract::Store;
use crate::people::{FORMER_NAMES_MAX, LastAdmin, NewErasure};
use crate::record::{Account, NewToken, NewUser, ProfileChange, UserConflict};

async fn login(world: &World, user: &UserRef, token: u8) -> SessionId {
    let session = world.new_session(user, token);
    let id = session.id;
    world.store().create_session(session).await.unwrap();
    id
}

async fn erase(world: &World, user: &UserRef, name: &str, redact: bool) {
    let username = name.to_owned();
    let erasure = NewErasure { user: user.id, username, redact, at: world.now() };
    world.store().erase_account(erasure).await.unwrap().unwrap();
}

/// A password is replaced only if it is still the one that was checked.
pub async fn password_changes_once_and_ends_the_other_logins(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let ada = world.user("ada").await;
    let (here, there) = (login(&world, &ada, 1).await, login(&world, &ada, 2).await);
    let change = async |checked: &str, hash: &str| {
        store.change_password(ada.id, checked, hash.to_owned(), here, world.now()).await.unwrap()
    };

    assert_eq!(change("hash of ada", "new").await, Some(vec![there]));
    assert_eq!(change("hash of ada", "newer").await, None, "another change came first");

    let found = store.find_credentials("ada").await.unwrap().unwrap();
    assert_eq!(found.password_hash.as_deref(), Some("new"));
    assert!(store.find_session(here).await.unwrap().unwrap().revoked_at.is_none());
}

/// Two administrators who leave at the same moment do not both go.
pub async fn last_administrator_stays_however_many_leave_at_once(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let mut admins = Vec::new();
    for name in ["ada", "bob"] {
        let user = world.user(name).await;
        let access =
            world.store().set_user_access(user.id, None, Some(ServerRole::Admin), world.now());
        access.await.unwrap().unwrap().unwrap();
        admins.push(user);
    }
    let mut tasks = tokio::task::JoinSet::new();
    for user in &admins {
        let (store, id, at) = (world.shared(), user.id, world.now());
        tasks.spawn(async move { store.close_account(id, at).await.unwrap() });
    }
    let left = tasks.join_all().await;

    assert_eq!(left.iter().filter(|left| **left == Err(LastAdmin)).count(), 1, "{left:?}");
    assert!(world.store().has_admin().await.unwrap());
}

async fn admin(world: &World, name: &str) -> UserId {
    let user = NewUser { role: ServerRole::Admin, ..world.new_user(name) };
    world.store().create_user(user).await.unwrap().unwrap().user.id
}

/// Takes an administrator's rights in one of the ways that there are.
async fn take_rights(
    store: &dyn Store,
    way: usize,
    user: UserId,
    at: Timestamp,
) -> Result<(), LastAdmin> {
    match way % 4 {
        0 => store.set_user_access(user, None, Some(ServerRole::User), at).await.unwrap().map(drop),
        1 => store.set_user_access(user, Some(false), None, at).await.unwrap().map(drop),
        2 => store.close_account(user, at).await.unwrap().map(drop),
        _ => {
            let username = format!("deleted-{}", user.0.simple());
            let erasure = NewErasure { user, username, redact: false, at };
            store.erase_account(erasure).await.unwrap().map(drop)
        }
    }
}

/// Whichever ways two choose at the same moment, one of them is refused, and that one is left.
pub async fn administrators_who_take_each_others_rights_leave_one(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let mut last = admin(&world, "first").await;
    for round in 0..32 {
        let other = admin(&world, &format!("admin-{round}")).await;
        let mut tasks = tokio::task::JoinSet::new();
        for (user, way) in [(last, round), (other, round / 4)] {
            let (store, at) = (world.shared(), world.now());
            tasks.spawn(async move { (user, take_rights(&*store, way, user, at).await) });
        }
        let (stay, go): (Vec<_>, Vec<_>) =
            tasks.join_all().await.into_iter().partition(|(_, taken)| *taken == Err(LastAdmin));

        assert_eq!((stay.len(), go.len()), (1, 1), "round {round}: {stay:?}, {go:?}");
        last = stay[0].0;
        let account = world.store().find_user(last).await.unwrap().unwrap();
        assert!(account.active && account.user.role == ServerRole::Admin, "{account:?}");
    }
}

/// A program, or someone of an imported file, has no password: with them alone nobody could get in.
pub async fn who_cannot_log_in_is_no_administrator_to_rely_on(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = admin(&world, "ada").await;
    let imported =
        NewUser { role: ServerRole::Admin, password_hash: None, ..world.new_user("imported") };
    world.store().create_user(imported).await.unwrap().unwrap();
    for way in 0..4 {
        let taken = take_rights(world.store(), way, ada, world.now()).await;
        assert_eq!(taken, Err(LastAdmin), "{way}");
    }
    admin(&world, "bob").await;
    take_rights(world.store(), 0, ada, world.now()).await.expect("bob is there");
}

/// Nothing of the profile is left; logins end; the account stays closed; its name is free.
pub async fn erased_account_is_nobody_and_its_name_is_free(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let ada = world.user("ada").await;
    let session = login(&world, &ada, 1).await;

    erase(&world, &ada, "deleted-1", false).await;

    let account = store.find_user(ada.id).await.unwrap().unwrap();
    assert!(!account.active);
    assert_eq!(account.user.username, "deleted-1");
    assert_eq!(account.user.display_name, "Deleted user");
    assert_eq!(account.user.email, None);
    assert!(store.find_session(session).await.unwrap().unwrap().revoked_at.is_some());
    assert!(store.find_credentials("ada@example.org").await.unwrap().is_none());
    let back = store.set_user_access(ada.id, Some(true), None, world.now()).await.unwrap();
    assert_eq!(back, Ok(None), "nobody brings it back");
    world.user("ada").await;
    let left = store.list_erasures().await.unwrap();
    assert_eq!((left.len(), left[0].user, left[0].redact), (1, ada.id, false));
    store.finish_erasure(ada.id).await.unwrap();
    assert!(store.list_erasures().await.unwrap().is_empty());
}

/// The moderator, or else the member, who was there longest; without another person the room goes.
pub async fn departing_owner_leaves_the_room_to_who_was_there_longest(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let carol = world.user("carol").await;
    let shared = world.public(&ada, &[]).await;
    for user in [&bob, &carol] {
        world.add(shared, user, Intent::Join { invite: None }).await;
    }
    world.add(shared, &ada, Intent::SetRole { user: carol.id, role: Role::Moderator }).await;
    let own = world.room(RoomKind::Private, &ada, &[]).await;
    erase(&world, &ada, "deleted-1", false).await;

    let told = world.add(shared, &ada, Intent::Depart).await;
    let again = world.append(shared, &ada, Intent::Depart).await;
    let alone = world.append(own, &ada, Intent::Depart).await;

    assert_eq!(told.len(), 2);
    let EventBody::MemberLeft(change) = &told[1].body else { panic!("{told:?}") };
    assert_eq!(change.reason, Some(LeaveReason::Deleted));
    assert_eq!(change.user.display_name, "Deleted user");
    assert_eq!(world.role(shared, &carol).await, Some(Role::Owner));
    assert_eq!(again, Ok(Appended::Unchanged));
    assert_eq!(alone, Err(AppendRefused::Deserted));
    assert!(!store.delete_deserted_room(shared, ada.id).await.unwrap());
    assert!(store.delete_deserted_room(own, ada.id).await.unwrap());
    assert_eq!(store.find_head(own).await.unwrap(), None);
}

/// Nobody can ever log in as someone of an imported file, and someone who is deactivated cannot do so
/// now, however long they have been there.
pub async fn room_is_left_to_someone_who_can_log_in(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let ada = world.user("ada").await;
    let imported = NewUser { password_hash: None, ..world.new_user("imported") };
    let imported = store.create_user(imported).await.unwrap().unwrap().user.to_ref();
    let (away, carol) = (world.user("away").await, world.user("carol").await);
    let with_all = world.public(&ada, &[&imported, &away]).await;
    for user in [&imported, &away] {
        let role = Intent::SetRole { user: user.id, role: Role::Moderator };
        world.add(with_all, &ada, role).await;
    }
    world.add(with_all, &carol, Intent::Join { invite: None }).await;
    let with_one = world.public(&ada, &[&imported, &away]).await;
    let with_none = world.public(&ada, &[&imported]).await;
    store.close_account(away.id, world.now()).await.unwrap().unwrap();
    erase(&world, &ada, "deleted-1", false).await;

    for room in [with_all, with_one] {
        world.add(room, &ada, Intent::Depart).await;
    }
    let alone = world.append(with_none, &ada, Intent::Depart).await;

    assert_eq!(world.role(with_all, &carol).await, Some(Role::Owner));
    assert_eq!(world.role(with_one, &away).await, Some(Role::Owner));
    assert_eq!(world.role(with_one, &imported).await, Some(Role::Member));
    assert_eq!(alone, Err(AppendRefused::Deserted));
    assert!(store.delete_deserted_room(with_none, ada.id).await.unwrap());
}

/// Their messages are found also in rooms that they had left, and lose their texts everywhere.
pub async fn messages_of_an_erased_user_are_found_and_lose_their_texts(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let room = world.public(&ada, &[&bob]).await;
    let secret = world.said(room, &bob, "a secret of bob").await;
    let kept = world.said(room, &ada, "not his").await;
    world.add(room, &bob, Intent::Leave).await;
    assert_eq!(store.list_past_rooms(bob.id).await.unwrap(), [room]);
    erase(&world, &bob, "deleted-2", true).await;

    // What was on its way comes too late.
    let change = ProfileChange {
        username: Some("bobby".to_owned()),
        display_name: Some("Bob again".to_owned()),
        bio: None,
        visibility: None,
    };
    assert!(matches!(store.update_profile(bob.id, change).await.unwrap(), Ok(None)));
    store.touch_last_seen(bob.id, world.now()).await.unwrap();
    let account = store.find_user(bob.id).await.unwrap().unwrap();
    assert_eq!(account.user.display_name, "Deleted user");
    assert_eq!(account.user.username, "deleted-2");

    let found = store.list_own_messages(room, bob.id, 0, 1_000, 10).await.unwrap();
    assert_eq!(found.iter().map(|message| message.id).collect::<Vec<_>>(), [secret]);
    let told = world.add(room, &bob, Intent::EraseMessage { message: secret }).await;
    let again = world.append(room, &bob, Intent::EraseMessage { message: secret }).await;
    let foreign = world.append(room, &bob, Intent::EraseMessage { message: kept }).await;

    assert!(matches!(told[0].body, EventBody::MessageRedacted(_)), "{told:?}");
    assert_eq!(again, Ok(Appended::Unchanged));
    assert_eq!(foreign, Err(AppendRefused::NotChangeable));
    let message = world.message(room, secret).await;
    assert_eq!((message.body.as_str(), message.sender.display_name.as_str()), ("", "Deleted user"));
    let events = format!("{:?}", world.events(room).await);
    assert!(!events.contains("a secret of bob"));
    store.forget_past_room(bob.id, room).await.unwrap();
    assert!(store.list_past_rooms(bob.id).await.unwrap().is_empty());
}

async fn rename(world: &World, user: &UserRef, name: &str) -> Result<Account, UserConflict> {
    let change = ProfileChange { username: Some(name.to_owned()), ..ProfileChange::default() };
    world.store().update_profile(user.id, change).await.unwrap().map(Option::unwrap)
}

/// Nobody else takes the name that someone had, in any case; they may have it back; who has had too
/// many keeps the one they have.
pub async fn former_names_are_held_for_their_owner_and_bounded(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;

    assert_eq!(rename(&world, &ada, "ida").await.unwrap().user.username, "ida");

    assert_eq!(rename(&world, &bob, "Ada").await, Err(UserConflict::Username));
    let newcomer = store.create_user(world.new_user("ada")).await.unwrap();
    assert_eq!(newcomer, Err(UserConflict::Username));
    rename(&world, &ada, "ADA").await.unwrap();
    assert_eq!(rename(&world, &bob, "ida").await, Err(UserConflict::Username));
    // One is held; each change holds another.
    for number in 1..FORMER_NAMES_MAX {
        rename(&world, &ada, &format!("ada-{number}")).await.unwrap();
    }
    assert_eq!(rename(&world, &ada, "ada-more").await, Err(UserConflict::TooManyNames));
    rename(&world, &ada, "ada").await.expect("a former name is no further one");
    erase(&world, &ada, "deleted-1", false).await;
    rename(&world, &bob, "ida").await.expect("nothing tells of an erased user");
}

/// The members of a room hear of a new name; whoever is no member tells nothing.
pub async fn room_is_told_of_a_new_name(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let room = world.public(&ada, &[]).await;
    rename(&world, &ada, "ida").await.unwrap();

    let told = world.add(room, &ada, Intent::TellName).await;
    let stranger = world.append(room, &bob, Intent::TellName).await;

    let EventBody::MemberUpdated(change) = &told[0].body else { panic!("{told:?}") };
    assert_eq!((change.user.id, change.user.username.as_str()), (ada.id, "ida"));
    assert_eq!((change.role, told.len()), (Role::Owner, 1));
    assert_eq!(stranger, Ok(Appended::Unchanged));
}

/// It is given no room, and the last owner who may log in stays.
pub async fn account_that_is_deactivated_cannot_look_after_a_room(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let carol = world.user("carol").await;
    let room = world.public(&ada, &[&bob, &carol]).await;
    world.add(room, &ada, Intent::SetRole { user: carol.id, role: Role::Owner }).await;
    for user in [&bob, &carol] {
        store.close_account(user.id, world.now()).await.unwrap().unwrap();
    }
    let give = |role| Intent::SetRole { user: bob.id, role };

    let transferred = world.append(room, &ada, Intent::Transfer { user: bob.id }).await;
    let made = world.append(room, &ada, give(Role::Owner)).await;
    let left = world.append(room, &ada, Intent::Leave).await;

    assert_eq!(transferred, Err(AppendRefused::NotAnOwner));
    assert_eq!(made, Err(AppendRefused::NotAnOwner));
    assert_eq!(left, Err(AppendRefused::LastOwner), "the other owner is deactivated");
    world.add(room, &ada, give(Role::Moderator)).await;
    let back = store.set_user_access(carol.id, Some(true), None, world.now()).await;
    back.unwrap().unwrap().unwrap();
    world.add(room, &ada, Intent::Leave).await;
}

/// What someone called their tokens goes with the account.
pub async fn personal_tokens_of_an_erased_user_say_nothing(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let ada = world.user("ada").await;
    let token = NewToken {
        id: TokenId(uuid::Uuid::new_v4()),
        user: ada.id,
        name: "for my clinic".to_owned(),
        scopes: [Scope::Read].into_iter().collect(),
        prefix: "parlor_pat_x".to_owned(),
        hash: [7; 32],
        at: world.now(),
        expires_at: world.later(60_000),
        max_tokens: 5,
    };
    store.create_token(token.clone()).await.unwrap().unwrap();

    erase(&world, &ada, "deleted-1", false).await;

    // The same id again gives what is there.
    let left = store.create_token(token).await.unwrap().unwrap();
    assert_eq!((left.name.as_str(), left.prefix.as_str()), ("", ""));
    assert_eq!(store.find_tokens(&[[7; 32]]).await.unwrap(), [None]);
    store.finish_erasure(ada.id).await.unwrap();
}

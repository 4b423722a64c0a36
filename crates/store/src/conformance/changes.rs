//! What someone remembers of accounts, rooms and memberships is told to be out of date when it is.

use std::collections::HashMap;

use parlor_domain::permission::Membership;
use parlor_protocol::http::{PatchRoomSettings, Trigger};
use parlor_protocol::id::{RoomId, RoomRef, UserId};
use parlor_protocol::room::{Role, RoomKind};
use parlor_protocol::user::{ServerRole, UserKind, UserRef, Visibility};
use uuid::Uuid;

use super::world::World;
use super::{Factory, ROOM_MEMBERS};
use crate::append::Intent;
use crate::changes::{Change, ChangePosition};
use crate::people::NewErasure;
use crate::record::{
    Account, ImportEnd, NewImport, NewIntegration, NewUser, ProfileChange, RoomAccess, RoomRecord,
};

/// Remembers some accounts, rooms and memberships, and believes what it is told.
struct Memory<'a> {
    world: &'a World,
    position: ChangePosition,
    users: HashMap<UserId, Option<Account>>,
    rooms: HashMap<RoomId, Option<RoomRecord>>,
    members: HashMap<(RoomId, UserId), Option<Membership>>,
}

impl<'a> Memory<'a> {
    /// Remembers users and rooms, and who is a member of which.
    async fn new(world: &'a World, users: &[&UserRef], rooms: &[RoomId]) -> Self {
        let page = world.store().read_changes(None).await.unwrap();
        assert!(page.everything, "nothing was read before");
        let mut memory = Self {
            world,
            position: page.position,
            users: users.iter().map(|user| (user.id, None)).collect(),
            rooms: rooms.iter().map(|room| (*room, None)).collect(),
            members: HashMap::new(),
        };
        for room in rooms {
            memory.members.extend(users.iter().map(|user| ((*room, user.id), None)));
        }
        memory.learn().await;
        memory
    }

    /// Reads all of it again.
    async fn learn(&mut self) {
        for (user, known) in &mut self.users {
            *known = account(self.world, *user).await;
        }
        for (room, known) in &mut self.rooms {
            *known = access(self.world, *room, UserId(Uuid::nil())).await.map(|access| access.room);
        }
        for ((room, user), known) in &mut self.members {
            *known = access(self.world, *room, *user).await.and_then(|access| access.membership);
        }
    }

    /// Returns what was told, and fails when something is not as it is remembered and not told.
    async fn told(&mut self) -> Vec<Change> {
        let page = self.world.store().read_changes(Some(&self.position)).await.unwrap();
        assert!(!page.everything);
        self.position = page.position;
        let is_told = |change: &Change| page.changes.contains(change);
        for (user, known) in &self.users {
            if !is_told(&Change::User(*user)) {
                assert_eq!(*known, account(self.world, *user).await, "an account, silently");
            }
        }
        for (room, known) in &self.rooms {
            if !is_told(&Change::Room(*room)) {
                let now = access(self.world, *room, UserId(Uuid::nil())).await;
                assert_eq!(*known, now.map(|access| access.room), "a room, silently");
            }
        }
        for ((room, user), known) in &self.members {
            if !is_told(&Change::Member(*room, *user)) && !is_told(&Change::Members(*room)) {
                let now = access(self.world, *room, *user).await;
                let now = now.and_then(|access| access.membership);
                assert_eq!(*known, now, "a membership, silently");
            }
        }
        self.learn().await;
        page.changes
    }

    /// Something was changed, so something must be told.
    async fn expect(&mut self, change: Change) {
        let told = self.told().await;
        assert!(told.contains(&change), "{change:?} is not in {told:?}");
    }

    /// Nothing that is remembered was changed.
    async fn expect_nothing(&mut self) {
        assert_eq!(self.told().await, []);
    }
}

/// An account, without what is not told.
async fn account(world: &World, user: UserId) -> Option<Account> {
    let found = world.store().find_user(user).await.unwrap();
    found.map(|account| Account { last_seen: None, ..account })
}

/// A room and a membership, without the log.
async fn access(world: &World, room: RoomId, user: UserId) -> Option<RoomAccess> {
    let found = world.store().find_room(&RoomRef::from(room), user).await.unwrap();
    found.map(|mut access| {
        (access.room.head.seq, access.room.head.reset_through) = (0, 0);
        access
    })
}

/// Whatever shows of an account is told.
pub async fn changed_account_is_told(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    // The last administrator could not be changed at will.
    let root = NewUser { role: ServerRole::Admin, ..world.new_user("root") };
    store.create_user(root).await.unwrap().unwrap();
    let guide = world.bot("guide", Trigger::Mention).await;
    let room = world.public(&ada, &[&bob, &guide]).await;
    let mut memory = Memory::new(&world, &[&ada, &bob, &guide], &[room]).await;

    for change in [
        ProfileChange { username: Some("Ada".to_owned()), ..ProfileChange::default() },
        ProfileChange { username: Some("lovelace".to_owned()), ..ProfileChange::default() },
        ProfileChange { display_name: Some("Countess".to_owned()), ..ProfileChange::default() },
        ProfileChange { bio: Some("notes".to_owned()), ..ProfileChange::default() },
        ProfileChange { visibility: Some(Visibility::Private), ..ProfileChange::default() },
    ] {
        store.update_profile(ada.id, change).await.unwrap().unwrap().unwrap();
        memory.expect(Change::User(ada.id)).await;
    }
    store.set_avatar(ada.id, Some("v1".to_owned())).await.unwrap().unwrap();
    memory.expect(Change::User(ada.id)).await;
    for (active, role) in [
        (None, Some(ServerRole::Admin)),
        (None, Some(ServerRole::User)),
        (Some(false), None),
        (Some(true), None),
    ] {
        store.set_user_access(ada.id, active, role, world.now()).await.unwrap().unwrap();
        memory.expect(Change::User(ada.id)).await;
    }

    let mut bot = store.find_bot("guide").await.unwrap().unwrap();
    "Signpost".clone_into(&mut bot.user.display_name);
    store.update_bot(bot).await.unwrap().unwrap();
    memory.expect(Change::User(guide.id)).await;
    store.delete_bot(guide.id, world.now()).await.unwrap().unwrap();
    let told = memory.told().await;
    assert!(told.contains(&Change::User(guide.id)), "{told:?}");
    assert!(told.contains(&Change::Member(room, guide.id)), "{told:?}");

    store.close_account(bob.id, world.now()).await.unwrap().unwrap();
    memory.expect(Change::User(bob.id)).await;
    let erasure =
        NewErasure { user: ada.id, username: "gone-1".to_owned(), redact: false, at: world.now() };
    store.erase_account(erasure).await.unwrap().unwrap();
    memory.expect(Change::User(ada.id)).await;
}

/// Whatever decides who may do what in a room is told.
pub async fn changed_room_and_membership_are_told(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let (ada, bob, eve) =
        (world.user("ada").await, world.user("bob").await, world.user("eve").await);
    let room = world.public(&ada, &[&bob]).await;
    let other = world.public(&eve, &[]).await;
    let mut memory = Memory::new(&world, &[&ada, &bob, &eve], &[room, other]).await;
    let update = |name: Option<&str>, topic: Option<&str>, archived| Intent::Update {
        name: name.map(str::to_owned),
        topic: topic.map(str::to_owned),
        archived,
        settings: None,
    };
    let settings = PatchRoomSettings { post: Some(Role::Moderator), ..Default::default() };
    let settings =
        Intent::Update { name: None, topic: None, archived: None, settings: Some(settings) };

    for intent in [
        update(Some("New"), None, None),
        update(None, Some("new"), None),
        update(None, None, Some(true)),
        update(None, None, Some(false)),
        settings,
    ] {
        world.add(room, &ada, intent).await;
        memory.expect(Change::Room(room)).await;
    }

    let member = |user: &UserRef| Change::Member(room, user.id);
    world.add(room, &eve, Intent::Join { invite: None }).await;
    memory.expect(member(&eve)).await;
    world.add(room, &eve, Intent::Leave).await;
    memory.expect(member(&eve)).await;
    world.add(room, &ada, Intent::Invite { user: eve.id }).await;
    memory.expect(member(&eve)).await;
    let until = Some(world.later(60_000));
    world.add(room, &ada, Intent::Mute { user: eve.id, until, reason: None }).await;
    memory.expect(member(&eve)).await;
    world.add(room, &ada, Intent::Mute { user: eve.id, until: None, reason: None }).await;
    memory.expect(member(&eve)).await;
    world.add(room, &ada, Intent::SetRole { user: eve.id, role: Role::Moderator }).await;
    memory.expect(member(&eve)).await;
    world.add(room, &ada, Intent::Kick { user: eve.id, reason: None }).await;
    memory.expect(member(&eve)).await;
    world.add(room, &ada, Intent::Ban { user: bob.id, until: None, reason: None }).await;
    memory.expect(member(&bob)).await;
    world.add(room, &ada, Intent::Invite { user: eve.id }).await;
    memory.expect(member(&eve)).await;
    world.add(room, &ada, Intent::Transfer { user: eve.id }).await;
    memory.expect(member(&ada)).await;

    store.delete_room(room, eve.id, world.now()).await.unwrap().unwrap();
    memory.expect(Change::Room(room)).await;
    assert_eq!(store.delete_rooms_owned_by(eve.id, None).await.unwrap(), [other]);
    memory.expect(Change::Room(other)).await;
}

/// Rooms and accounts that come from elsewhere, and go again.
pub async fn what_comes_and_goes_otherwise_is_told(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let ada = world.user("ada").await;
    let home = world.public(&ada, &[]).await;
    let (room, dropped) = (RoomId(Uuid::new_v4()), RoomId(Uuid::new_v4()));
    for room in [room, dropped] {
        let import = NewImport { room, importer: ada.id, at: world.now() };
        store.begin_import(import).await.unwrap();
    }
    let speaker = NewUser {
        kind: UserKind::Integration,
        email: None,
        password_hash: None,
        ..world.new_user("speaker")
    };
    let integration = NewIntegration {
        user: speaker.clone(),
        room: home,
        creator: ada.id,
        secret: None,
        max: ROOM_MEMBERS,
    };
    store.create_integration(integration.clone()).await.unwrap().unwrap();
    let speaks = account(&world, speaker.id).await.unwrap().user.to_ref();
    let mut memory = Memory::new(&world, &[&ada, &speaks], &[home, room, dropped]).await;

    assert!(store.give_up_import(dropped).await.unwrap());
    while store.clear_import(dropped).await.unwrap() {}
    memory.expect(Change::Room(dropped)).await;
    let end = ImportEnd {
        room,
        slug: "den".to_owned(),
        name: "Den".to_owned(),
        kind: RoomKind::Public,
        topic: String::new(),
        archived: false,
        settings: parlor_protocol::room::RoomSettings::default(),
        created_at: world.now(),
        last_seq: 0,
        members: Vec::new(),
        existing: Vec::new(),
    };
    store.finish_import(end).await.unwrap().unwrap();
    memory.expect(Change::Room(room)).await;
    assert!(store.delete_integration(home, speaker.id).await.unwrap());
    memory.told().await;
    assert_eq!(store.delete_rooms_owned_by(ada.id, Some(RoomKind::Public)).await.unwrap(), [home]);
    memory.expect(Change::Room(home)).await;
}

/// Those who remember keep what they have when people only talk.
pub async fn talk_is_no_change(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let room = world.public(&ada, &[&bob]).await;
    let mut memory = Memory::new(&world, &[&ada, &bob], &[room]).await;

    let message = world.said(room, &ada, "hello").await;
    let body = "hello, all".to_owned();
    world.add(room, &ada, Intent::Edit { message, body }).await;
    let emoji = "👍".to_owned();
    world.add(room, &bob, Intent::React { message, emoji, add: true }).await;
    world.add(room, &ada, Intent::Redact { message }).await;
    store.set_read_marker(room, bob.id, 2).await.unwrap();
    store.touch_last_seen(bob.id, world.now()).await.unwrap();
    store.touch_last_seen_of_users(&[(ada.id, world.now())]).await.unwrap();
    store.set_password_hash(ada.id, "another".to_owned()).await.unwrap();
    store.create_session(world.new_session(&ada, 1)).await.unwrap();
    memory.expect_nothing().await;

    // What is refused is not changed either.
    world.append(room, &bob, Intent::Kick { user: ada.id, reason: None }).await.unwrap_err();
    memory.expect_nothing().await;
}

/// A room with many members comes and goes without naming each.
pub async fn many_memberships_are_told_as_one(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let ada = world.user("ada").await;
    let mut others = Vec::new();
    for n in 1..ROOM_MEMBERS {
        others.push(world.user(&format!("u{n}")).await);
    }
    let others: Vec<&UserRef> = others.iter().collect();
    let room = world.public(&ada, &others).await;
    let mut memory = Memory::new(&world, &others, &[room]).await;

    store.delete_room(room, ada.id, world.now()).await.unwrap().unwrap();

    let told = memory.told().await;
    assert!(told.contains(&Change::Room(room)), "{told:?}");
    assert!(told.len() <= ROOM_MEMBERS as usize + 1, "{told:?}");
    memory.expect_nothing().await;
}

/// Whoever reads with a position that means nothing is told that everything may have changed.
pub async fn position_that_means_nothing_is_everything(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let ada = world.user("ada").await;
    let strange = ChangePosition("strange".to_owned());
    let page = world.store().read_changes(Some(&strange)).await.unwrap();
    assert!(page.everything);
    let page = world.store().read_changes(Some(&page.position)).await.unwrap();
    assert_eq!((page.everything, page.changes), (false, Vec::new()));
    // Far more than is told at once.
    for n in 0..=crate::changes::CHANGES_MAX {
        let bio = Some(n.to_string());
        let change = ProfileChange { bio, ..ProfileChange::default() };
        world.store().update_profile(ada.id, change).await.unwrap().unwrap().unwrap();
    }
    let page = world.store().read_changes(Some(&page.position)).await.unwrap();
    assert!(page.everything || page.changes == [Change::User(ada.id)]);
}

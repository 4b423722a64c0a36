//! Rooms that come from files.

use std::time::Duration;

use parlor_protocol::event::{
    Event, EventBody, MemberChange, MessageEdited, ReactionChange, RoomState,
};
use parlor_protocol::id::{MessageId, RoomId, RoomRef, UserId};
use parlor_protocol::message::{Message, MessageStatus};
use parlor_protocol::room::{Role, RoomKind, RoomSettings};
use parlor_protocol::user::{UserKind, UserRef};
use uuid::Uuid;

use super::Factory;
use super::world::World;
use crate::append::Intent;
use crate::people::NewErasure;
use crate::record::{
    ImportEnd, ImportPart, ImportRefused, ImportedMember, ImportedReaction, NewImport, NewUser,
    ProfileChange, Window,
};

/// A room of a file in the making.
struct File {
    room: RoomId,
    ada: UserRef,
    zoe: NewUser,
    message: Message,
    /// One that was changed.
    edited: Message,
}

impl File {
    async fn begin(world: &World) -> Self {
        let ada = world.user("ada").await;
        let room = RoomId(Uuid::new_v4());
        let import = NewImport { room, importer: ada.id, at: world.now() };
        world.store().begin_import(import).await.unwrap();
        let zoe = NewUser { email: None, password_hash: None, ..world.new_user("zoe") };
        let edited = Message {
            edits: 1,
            edited_at: Some(world.now()),
            ..message(room, 5, &reference(&zoe), "new", world)
        };
        let message = message(room, 3, &reference(&zoe), "zebra crossing", world);
        Self { room, ada, zoe, message, edited }
    }

    fn event(&self, seq: u64, actor: Option<&UserRef>, body: EventBody) -> Event {
        let at = self.message.created_at;
        Event { room: self.room, seq, at, actor: actor.cloned(), body }
    }

    fn state() -> RoomState {
        RoomState {
            slug: "den".to_owned(),
            name: "Den".to_owned(),
            kind: RoomKind::Public,
            topic: "stripes".to_owned(),
            archived: false,
            settings: RoomSettings::default(),
        }
    }

    fn part(&self) -> ImportPart {
        let zoe = reference(&self.zoe);
        let joined = MemberChange {
            user: zoe.clone(),
            role: Role::Owner,
            reason: None,
            muted_until: None,
            reason_text: None,
        };
        let reacted =
            ReactionChange {
                message: self.message.id, emoji: "👍".to_owned(), user: zoe.clone()
            };
        let first =
            Message { body: "old".to_owned(), edits: 0, edited_at: None, ..self.edited.clone() };
        let edited = MessageEdited {
            message: self.edited.id,
            body: self.edited.body.clone(),
            edited_at: self.edited.created_at,
            mentions: Vec::new(),
            mentions_room: true,
        };
        ImportPart {
            number: 1,
            people: vec![self.zoe.clone()],
            events: vec![
                self.event(1, None, EventBody::RoomCreated(Self::state())),
                self.event(2, Some(&zoe), EventBody::MemberJoined(joined)),
                self.event(
                    3,
                    Some(&zoe),
                    EventBody::MessageCreated(Box::new(self.message.clone())),
                ),
                self.event(4, Some(&zoe), EventBody::ReactionAdded(reacted)),
                self.event(5, Some(&zoe), EventBody::MessageCreated(Box::new(first))),
                self.event(6, Some(&zoe), EventBody::MessageEdited(edited)),
            ],
            messages: vec![self.message.clone(), self.edited.clone()],
            reactions: vec![ImportedReaction {
                message_seq: 3,
                seq: 4,
                emoji: "👍".to_owned(),
                user: zoe.id,
            }],
        }
    }

    fn end(&self, slug: &str) -> ImportEnd {
        let member = |user: UserId, role: Role| ImportedMember {
            user,
            role,
            bot: false,
            joined_at: self.message.created_at,
            muted_until: None,
            mute_reason: None,
        };
        let RoomState { name, kind, topic, archived, settings, .. } = Self::state();
        ImportEnd {
            room: self.room,
            slug: slug.to_owned(),
            name,
            kind,
            topic,
            archived,
            settings,
            created_at: self.message.created_at,
            last_seq: 6,
            members: vec![member(self.ada.id, Role::Member), member(self.zoe.id, Role::Owner)],
            existing: vec![self.ada.id],
        }
    }
}

/// Clears all that is left of an import, and returns in how many steps.
async fn clear(world: &World, room: RoomId) -> usize {
    let mut steps = 1;
    while world.store().clear_import(room).await.unwrap() {
        steps += 1;
    }
    steps
}

fn reference(user: &NewUser) -> UserRef {
    UserRef {
        id: user.id,
        username: user.username.clone(),
        display_name: user.display_name.clone(),
        kind: UserKind::User,
    }
}

fn message(room: RoomId, seq: u64, sender: &UserRef, body: &str, world: &World) -> Message {
    Message {
        id: MessageId(Uuid::new_v4()),
        room,
        seq,
        sender: sender.clone(),
        client_id: None,
        body: body.to_owned(),
        status: MessageStatus::Complete,
        reply_to: None,
        thread: None,
        created_at: world.now(),
        edited_at: None,
        redacted_at: None,
        reactions: Vec::new(),
        attachments: Vec::new(),
        mentions: Vec::new(),
        mentions_room: true,
        emote: true,
        edits: 0,
        replies: None,
        pinned: None,
        bot: None,
        usage: None,
        error: None,
    }
}

pub async fn nobody_sees_a_room_before_its_file_was_read(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let file = File::begin(&world).await;
    let store = world.store();
    store.write_import(file.room, file.part()).await.unwrap().unwrap();

    let found = store.find_room(&file.room.into(), file.ada.id).await.unwrap();
    if let Some(access) = found {
        assert_eq!((access.room.kind, access.membership), (RoomKind::Private, None));
    }
    let by_slug = RoomRef("den".to_owned());
    assert_eq!(store.find_room(&by_slug, file.ada.id).await.unwrap(), None);
    let listed =
        store.list_rooms(file.ada.id, crate::record::RoomFilter::default(), None, 10).await;
    assert_eq!(listed.unwrap(), []);
    assert_eq!(store.list_idle_imports(Duration::ZERO).await.unwrap(), [file.room]);
    assert_eq!(store.list_idle_imports(Duration::from_hours(1)).await.unwrap(), []);
    // Whoever the file brings cannot log in.
    let zoe = store.find_credentials("zoe").await.unwrap().unwrap();
    assert!(!zoe.account.active && zoe.password_hash.is_none());
}

pub async fn finished_room_is_one_like_any_other(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let file = File::begin(&world).await;
    let store = world.store();
    let start = store.tail_start().await.unwrap();
    store.write_import(file.room, file.part()).await.unwrap().unwrap();
    let taken = world.room(RoomKind::Private, &file.ada, &[]).await;
    let taken = store.find_room(&taken.into(), file.ada.id).await.unwrap().unwrap().room.slug;
    let refused = store.finish_import(file.end(&taken)).await.unwrap();
    assert_eq!(refused.unwrap_err(), ImportRefused::Slug);
    let room = store.finish_import(file.end("den")).await.unwrap().unwrap();

    assert_eq!((&*room.slug, &*room.name, room.head.seq), ("den", "Den", 6));
    let listing = store.find_room_listing(file.room, file.ada.id).await.unwrap().unwrap();
    assert_eq!((listing.members, listing.unread, listing.mentions), (2, 0, 0));
    assert_eq!((listing.read_seq, listing.role), (6, Some(Role::Member)));
    let listed = store.list_messages(file.room, Window::After(0), 10).await.unwrap();
    assert_eq!(listed.len(), 2);
    assert_eq!((&*listed[0].body, listed[0].reactions[0].count), ("zebra crossing", 1));
    let versions = store.list_versions(file.room, file.edited.id).await.unwrap().unwrap();
    let texts: Vec<&str> = versions.iter().map(|version| &*version.body).collect();
    assert_eq!(texts, ["old", "new"]);
    let events = store.read_events(file.room, 0, 10).await.unwrap();
    let kinds: Vec<&str> = events.iter().map(|event| event.body.kind()).collect();
    let expected = [
        "room.created",
        "member.joined",
        "message.created",
        "reaction.added",
        "message.created",
        "message.edited",
    ];
    assert_eq!(kinds, expected);
    // It goes on where the file has ended.
    world.said(file.room, &file.ada, "on").await;
    assert_eq!(world.seq(file.room).await, 7);
    let tail = store.read_tail(&start, 100).await.unwrap();
    if store.backend() == "postgres" {
        let told = tail.commits.iter().flat_map(|commit| &commit.rooms);
        assert!(told.into_iter().any(|told| *told == (file.room, 6)));
    }
    // Before and after what is remembered of the import was cleared.
    for _ in 0..2 {
        assert!(!store.give_up_import(file.room).await.unwrap(), "it was finished");
        clear(&world, file.room).await;
        assert!(store.find_room(&file.room.into(), file.ada.id).await.unwrap().is_some());
        assert!(store.find_user_by_name("zoe").await.unwrap().is_some());
        assert_eq!(store.list_idle_imports(Duration::ZERO).await.unwrap(), []);
    }
}

pub async fn part_that_is_written_again_is_written_once(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let file = File::begin(&world).await;
    let store = world.store();
    for _ in 0..2 {
        store.write_import(file.room, file.part()).await.unwrap().unwrap();
    }
    let listed = store.list_messages(file.room, Window::After(0), 10).await.unwrap();
    assert_eq!(listed.len(), 2);
}

pub async fn import_that_is_taken_back_leaves_nothing(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let file = File::begin(&world).await;
    let store = world.store();
    store.write_import(file.room, file.part()).await.unwrap().unwrap();
    for _ in 0..2 {
        assert!(store.give_up_import(file.room).await.unwrap());
        clear(&world, file.room).await;
    }

    assert_eq!(store.find_room(&file.room.into(), file.ada.id).await.unwrap(), None);
    assert_eq!(store.find_user_by_name("zoe").await.unwrap(), None);
    assert_eq!(store.list_messages(file.room, Window::After(0), 10).await.unwrap(), []);
    assert_eq!(store.read_events(file.room, 0, 10).await.unwrap(), []);
    assert_eq!(store.list_reactions(file.room, (0, 0), 10, 10).await.unwrap(), []);
    assert_eq!(store.list_idle_imports(Duration::ZERO).await.unwrap(), []);
    let late = ImportPart { number: 2, ..ImportPart::default() };
    let gone = store.write_import(file.room, late).await.unwrap();
    assert_eq!(gone.unwrap_err(), ImportRefused::Gone);
    let gone = store.finish_import(file.end("den")).await.unwrap();
    assert_eq!(gone.unwrap_err(), ImportRefused::Gone);
    // The same message can still be told.
    let import = NewImport { room: file.room, importer: file.ada.id, at: world.now() };
    store.begin_import(import).await.unwrap();
    store.write_import(file.room, file.part()).await.unwrap().unwrap();
}

pub async fn import_that_was_given_up_takes_nothing_more(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let file = File::begin(&world).await;
    let store = world.store();
    store.write_import(file.room, file.part()).await.unwrap().unwrap();
    // Whoever reads the file has only paused.
    assert!(store.give_up_import(file.room).await.unwrap());
    loop {
        let late = ImportPart { number: 2, ..ImportPart::default() };
        let refused = store.write_import(file.room, late).await.unwrap();
        assert_eq!(refused.unwrap_err(), ImportRefused::Gone);
        let refused = store.finish_import(file.end("den")).await.unwrap();
        assert_eq!(refused.unwrap_err(), ImportRefused::Gone);
        let listed = store.list_idle_imports(Duration::from_hours(1)).await.unwrap();
        if !store.clear_import(file.room).await.unwrap() {
            break;
        }
        // Whoever has begun to take it back may have died.
        assert_eq!(listed, [file.room]);
    }
    assert_eq!(store.list_idle_imports(Duration::ZERO).await.unwrap(), []);
}

/// More than one step takes back of anything.
const MANY: u64 = 5_100;

pub async fn large_import_is_taken_back_in_steps_between_which_others_write(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let file = File::begin(&world).await;
    let store = world.store();
    let elsewhere = world.room(RoomKind::Private, &file.ada, &[]).await;
    store.write_import(file.room, file.part()).await.unwrap().unwrap();
    for (number, first) in (2..).zip((10..10 + MANY).step_by(500)) {
        let people: Vec<NewUser> = (first..first + 500)
            .map(|n| NewUser {
                email: None,
                password_hash: None,
                ..world.new_user(&format!("zoe{n}"))
            })
            .collect();
        let said =
            |(n, author): (u64, &NewUser)| message(file.room, n, &reference(author), "hi", &world);
        let messages: Vec<Message> = (first..).zip(&people).map(said).collect();
        let told = |said: &Message| {
            file.event(said.seq, None, EventBody::MessageCreated(Box::new(said.clone())))
        };
        let events = messages.iter().map(told).collect();
        let part = ImportPart { number, people, events, messages, reactions: Vec::new() };
        store.write_import(file.room, part).await.unwrap().unwrap();
    }

    assert!(store.give_up_import(file.room).await.unwrap());
    let mut steps = 0;
    while store.clear_import(file.room).await.unwrap() {
        steps += 1;
        world.said(elsewhere, &file.ada, "on").await;
    }
    // More than one for messages, mentions, events, authors and people.
    assert!(steps > 15, "{steps}");
    assert_eq!(world.store().find_user_by_name("zoe10").await.unwrap(), None);
    assert_eq!(world.store().find_user_by_name("zoe5109").await.unwrap(), None);
    assert_eq!(store.find_room(&file.room.into(), file.ada.id).await.unwrap(), None);
    assert!(world.seq(elsewhere).await > steps);
}

pub async fn person_of_an_import_who_is_in_another_room_stays(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let file = File::begin(&world).await;
    let store = world.store();
    let elsewhere = world.room(RoomKind::Private, &file.ada, &[]).await;
    let left = world.room(RoomKind::Private, &file.ada, &[]).await;
    let people = ["yan", "xia"].map(|name| NewUser {
        email: None,
        password_hash: None,
        ..world.new_user(name)
    });
    let [yan, xia] = people.clone();
    let part =
        ImportPart { people: [vec![file.zoe.clone()], people.to_vec()].concat(), ..file.part() };
    store.write_import(file.room, part).await.unwrap().unwrap();
    // An administrator has let them in for a while.
    for person in [yan.id, xia.id] {
        store.set_user_access(person, Some(true), None, world.now()).await.unwrap().unwrap();
    }
    world.add(elsewhere, &file.ada, Intent::Invite { user: yan.id }).await;
    // The log of the room names someone who was there and went.
    world.add(left, &file.ada, Intent::Invite { user: xia.id }).await;
    world.add(left, &file.ada, Intent::Kick { user: xia.id, reason: None }).await;
    for person in [yan.id, xia.id] {
        store.set_user_access(person, Some(false), None, world.now()).await.unwrap().unwrap();
    }

    assert!(store.give_up_import(file.room).await.unwrap());
    clear(&world, file.room).await;
    assert_eq!(store.find_user_by_name("zoe").await.unwrap(), None);
    for (name, room) in [("yan", elsewhere), ("xia", left)] {
        assert!(store.find_user_by_name(name).await.unwrap().is_some(), "{name}");
        let events = store.read_events(room, 0, 10).await.unwrap();
        let named = |event: &Event| matches!(&event.body, EventBody::MemberJoined(joined) if joined.user.username == name);
        assert!(events.iter().any(named), "{name}");
    }
}

pub async fn whoever_is_erased_while_a_file_is_read_ends_its_import(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let file = File::begin(&world).await;
    store.write_import(file.room, file.part()).await.unwrap().unwrap();
    // Somebody who comes with an import is nobody yet, as far as others are concerned.
    let other = RoomId(Uuid::new_v4());
    let import = NewImport { room: other, importer: file.ada.id, at: world.now() };
    store.begin_import(import).await.unwrap();
    let early = ImportEnd {
        room: other,
        last_seq: 0,
        existing: vec![file.ada.id, file.zoe.id],
        ..file.end("early")
    };
    let refused = store.finish_import(early.clone()).await.unwrap();
    assert_eq!(refused.unwrap_err(), ImportRefused::Person);

    let erase = async |user: UserId, username: &str| {
        let username = username.to_owned();
        let erasure = NewErasure { user, username, redact: true, at: world.now() };
        store.erase_account(erasure).await.unwrap().unwrap();
    };
    erase(file.ada.id, "deleted-ada").await;
    assert_eq!(store.list_past_rooms(file.zoe.id).await.unwrap(), [], "it is no room yet");
    let refused = store.finish_import(file.end("den")).await.unwrap();
    assert_eq!(refused.unwrap_err(), ImportRefused::Person);
    // The same holds for those that the file has brought itself.
    erase(file.zoe.id, "deleted-zoe").await;
    let end = ImportEnd { existing: Vec::new(), ..file.end("den") };
    let refused = store.finish_import(end).await.unwrap();
    assert_eq!(refused.unwrap_err(), ImportRefused::Person);
    assert!(store.give_up_import(file.room).await.unwrap());
    clear(&world, file.room).await;
    assert_eq!(store.list_messages(file.room, Window::After(0), 10).await.unwrap(), []);
}

pub async fn name_that_is_held_for_somebody_is_taken(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let store = world.store();
    let file = File::begin(&world).await;
    let bob = world.user("bob").await;
    let rename = ProfileChange { username: Some("rob".to_owned()), ..ProfileChange::default() };
    store.update_profile(bob.id, rename).await.unwrap().unwrap().unwrap();
    for (name, taken) in
        [("ada", true), ("rob", true), ("bob", true), ("Bob", true), ("zoe", false)]
    {
        assert_eq!(store.is_name_taken(name).await.unwrap(), taken, "{name}");
    }
    let zoe = NewUser { username: "bob".to_owned(), ..file.zoe.clone() };
    let part = ImportPart { people: vec![zoe], ..file.part() };
    let refused = store.write_import(file.room, part).await.unwrap();
    assert_eq!(refused.unwrap_err(), ImportRefused::Username);
}

pub async fn name_that_is_taken_stops_an_import(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let file = File::begin(&world).await;
    world.user("zoe").await;
    let refused = world.store().write_import(file.room, file.part()).await.unwrap();
    assert_eq!(refused.unwrap_err(), ImportRefused::Username);
    let crowd: Vec<ImportedMember> = file
        .end("den")
        .members
        .into_iter()
        .cycle()
        .take(super::ROOM_MEMBERS as usize + 1)
        .collect();
    let end = ImportEnd { members: crowd, ..file.end("den") };
    let refused = world.store().finish_import(end).await.unwrap();
    assert_eq!(refused.unwrap_err(), ImportRefused::TooManyMembers);
}

pub async fn reactions_are_listed_in_their_order(factory: &dyn Factory) {
    let world = World::open(factory).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let room = world.room(RoomKind::Private, &ada, &[&bob]).await;
    let mut seqs = Vec::new();
    for text in ["one", "two", "three"] {
        let message = world.said(room, &ada, text).await;
        seqs.push(world.seq(room).await);
        for (who, emoji) in [(&bob, "👍"), (&ada, "🎉"), (&ada, "👍")] {
            let react = Intent::React { message, emoji: emoji.to_owned(), add: true };
            world.append(room, who, react).await.unwrap();
        }
    }
    let mut after = (seqs[0], 0);
    let mut found = Vec::new();
    loop {
        let page = world.store().list_reactions(room, after, seqs[1], 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = (last.message_seq, last.seq);
        found.extend(page);
    }
    let told: Vec<_> =
        found.iter().map(|made| (made.message_seq, &*made.user.username, &*made.emoji)).collect();
    let of = |seq: u64| [(seq, "bob", "👍"), (seq, "ada", "🎉"), (seq, "ada", "👍")];
    assert_eq!(told, [of(seqs[0]), of(seqs[1])].concat());
    assert!(found.iter().all(|made| made.at.as_millis() > 0));
}

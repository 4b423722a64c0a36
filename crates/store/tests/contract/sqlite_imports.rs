//! Imports of many people are finished in steps, and nobody sees them before the last one.
//!
//! Accounts of imports that were given up are removed without the checks of foreign keys; nothing
//! refers to them afterwards, and everything else is checked as before.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::time::Duration;

use parlor_domain::search::Query;
use parlor_protocol::event::{Event, EventBody, MemberChange};
use parlor_protocol::id::{MessageId, RoomId, UserId};
use parlor_protocol::message::{Message, MessageStatus};
use parlor_protocol::room::{Role, RoomKind, RoomSettings};
use parlor_protocol::user::{ServerRole, UserKind, UserRef};
use parlor_store::record::{
    ImportEnd, ImportPart, ImportRefused, ImportedMember, NewImport, NewUser, RoomFilter,
};
use parlor_store::{
    Append, AppendRefused, Imports as _, Intent, Log as _, Many as _, Operations as _, Rooms as _,
    Search as _, SearchRequest, SqliteStore, StoreError, Users as _,
};
use rusqlite::Connection;
use uuid::Uuid;

use super::sqlite_crash::{child_folder, start_child, tell};
use super::{ADA, ROOM, at, open, settle};

/// The columns that refer to accounts.
const REFERRING: &[&str] = &[
    "attachments.owner",
    "bans.user",
    "bot_jobs.bot",
    "bots.owner",
    "bots.user",
    "erasures.user",
    "events.actor",
    "events.subject",
    "former_names.user",
    "integrations.creator",
    "integrations.user",
    "invites.creator",
    "last_posts.user",
    "members.user",
    "messages.sender",
    "past_members.user",
    "personal_tokens.user",
    "reactions.user",
    "rooms.creator",
    "sessions.user",
    "webhooks.creator",
];
const IMPORTED: RoomId = RoomId(Uuid::from_u128(0x1000));

fn person(number: u128) -> NewUser {
    NewUser {
        id: UserId(Uuid::from_u128(0x2000 + number)),
        username: format!("zoe{number}"),
        display_name: "Zoe".to_owned(),
        kind: UserKind::User,
        email: None,
        password_hash: None,
        role: ServerRole::User,
        at: at(),
    }
}

/// An event of somebody.
fn joined(user: &NewUser) -> Event {
    let NewUser { id, username, display_name, kind, .. } = user.clone();
    let user = UserRef { id, username, display_name, kind };
    let (role, actor) = (Role::Member, Some(user.clone()));
    let change = MemberChange { user, role, reason: None, muted_until: None, reason_text: None };
    Event { room: IMPORTED, seq: 1, at: at(), actor, body: EventBody::MemberJoined(change) }
}

async fn act(store: &SqliteStore, intent: Intent) {
    let append = Append { room: ROOM, actor: ADA, at: at(), intent };
    store.append(vec![append]).await.unwrap().remove(0).unwrap();
}

async fn begin(store: &SqliteStore) {
    let import = NewImport { room: IMPORTED, importer: ADA, at: at() };
    store.begin_import(import).await.unwrap();
}

/// More than two steps make members.
const MANY: u128 = 2_500;

/// Writes a file of many people, one of whom has said something.
async fn write(store: &SqliteStore) {
    begin(store).await;
    let people: Vec<NewUser> = (0..MANY).map(person).collect();
    let NewUser { id, username, display_name, kind, .. } = people[0].clone();
    let said = Message {
        id: MessageId(Uuid::from_u128(0x4000)),
        room: IMPORTED,
        seq: 1,
        sender: UserRef { id, username, display_name, kind },
        client_id: None,
        body: "zebra crossing".to_owned(),
        status: MessageStatus::Complete,
        reply_to: None,
        thread: None,
        created_at: at(),
        edited_at: None,
        redacted_at: None,
        reactions: Vec::new(),
        attachments: Vec::new(),
        mentions: Vec::new(),
        mentions_room: false,
        emote: false,
        edits: 0,
        replies: None,
        pinned: None,
        bot: None,
        usage: None,
        error: None,
    };
    let created = EventBody::MessageCreated(Box::new(said.clone()));
    let actor = Some(said.sender.clone());
    let events = vec![Event { room: IMPORTED, seq: 1, at: at(), actor, body: created }];
    let part =
        ImportPart { number: 1, people, events, messages: vec![said], ..ImportPart::default() };
    store.write_import(IMPORTED, part).await.unwrap().unwrap();
}

/// Ada was here before; all others come with the file.
fn end() -> ImportEnd {
    let member = |user: UserId, role: Role| ImportedMember {
        user,
        role,
        bot: false,
        joined_at: at(),
        muted_until: None,
        mute_reason: None,
    };
    let people = (0..MANY).map(|number| member(person(number).id, Role::Member));
    ImportEnd {
        room: IMPORTED,
        slug: "den".to_owned(),
        name: "Den".to_owned(),
        kind: RoomKind::Private,
        topic: String::new(),
        archived: false,
        settings: RoomSettings::default(),
        created_at: at(),
        last_seq: 1,
        members: [member(ADA, Role::Owner)].into_iter().chain(people).collect(),
        existing: vec![ADA],
    }
}

fn count_members(folder: &Path) -> u128 {
    let database = Connection::open(folder.join("parlor.db")).unwrap();
    let key = [IMPORTED.0.as_bytes()];
    let count = "SELECT count(*) FROM members WHERE room = ?1";
    database.query_row(count, key, |row| row.get::<_, u32>(0)).unwrap().into()
}

/// Keeps the last person of the file from becoming a member, until it is mended.
fn break_last_step(folder: &Path) {
    let last = person(MANY - 1).id.0.simple();
    let database = Connection::open(folder.join("parlor.db")).unwrap();
    let trigger = format!(
        "CREATE TRIGGER broken BEFORE INSERT ON members WHEN NEW.user = x'{last}' \
         BEGIN SELECT RAISE(ABORT, 'broken'); END"
    );
    database.busy_timeout(Duration::from_mins(1)).unwrap();
    database.execute_batch(&trigger).unwrap();
}

fn mend(folder: &Path) {
    let database = Connection::open(folder.join("parlor.db")).unwrap();
    database.busy_timeout(Duration::from_mins(1)).unwrap();
    database.execute_batch("DROP TRIGGER broken").unwrap();
}

/// In how many rooms somebody sees the message of the file.
async fn count_found(store: &SqliteStore, user: UserId) -> usize {
    let query = Query::parse("zebra").unwrap();
    let (from, room, window) = (None, None, None);
    let time = Duration::from_mins(1);
    let request = SearchRequest { user, query, from, room, window, limit: 10, time };
    store.search(request).await.unwrap().hits.len()
}

/// Nobody is a member of the room of the file, as far as anybody can tell.
async fn assert_unseen(store: &SqliteStore) {
    for user in [ADA, person(0).id] {
        let found = store.find_room(&IMPORTED.into(), user).await.unwrap();
        assert!(found.is_none_or(|access| access.membership.is_none()));
        let rooms = store.list_room_ids_of(user).await.unwrap();
        assert!(!rooms.contains(&IMPORTED), "{rooms:?}");
        let sizes = store.list_rooms_of_users(&[user]).await.unwrap().remove(0);
        assert_eq!(sizes.len(), rooms.len(), "{sizes:?}");
        let listed = store.list_rooms(user, RoomFilter::default(), None, 10).await.unwrap();
        assert!(listed.iter().all(|listing| listing.room.id != IMPORTED), "{listed:?}");
        let listing = store.find_room_listing(IMPORTED, user).await.unwrap();
        assert!(listing.is_none_or(|listing| listing.role.is_none()));
        assert_eq!(count_found(store, user).await, 0);
        let publish = Append { room: IMPORTED, actor: user, ..super::publish("x", "hi") };
        let refused = store.append(vec![publish]).await.unwrap().remove(0);
        assert!(matches!(refused, Err(AppendRefused::NoSuchRoom)), "{refused:?}");
    }
}

#[tokio::test]
async fn import_of_many_people_is_finished_in_steps() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    settle(&store).await;
    write(&store).await;
    let before = store.write_counts().commits;
    let taken = ImportEnd { slug: "room".to_owned(), ..end() };
    let refused = store.finish_import(taken).await.unwrap();
    assert_eq!(refused.unwrap_err(), ImportRefused::Slug);
    assert_eq!(store.write_counts().commits, before, "what is refused anyway is not begun");
    store.finish_import(end()).await.unwrap().unwrap();
    // Others write between them.
    assert_eq!(store.write_counts().commits - before, 4);
    let listing = store.find_room_listing(IMPORTED, ADA).await.unwrap().unwrap();
    assert_eq!((u128::from(listing.members), listing.role), (MANY + 1, Some(Role::Owner)));
    assert_eq!(count_members(folder.path()), MANY + 1);
    assert_eq!(count_found(&store, ADA).await, 1);
}

#[tokio::test]
async fn import_that_stopped_between_two_steps_is_unseen_until_it_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    settle(&store).await;
    write(&store).await;
    // An administrator lets them in early.
    store.set_user_access(person(0).id, Some(true), None, at()).await.unwrap().unwrap();
    break_last_step(folder.path());
    assert!(store.finish_import(end()).await.is_err());
    assert_eq!(count_members(folder.path()), 1_999, "Ada comes last");
    assert_unseen(&store).await;

    mend(folder.path());
    store.finish_import(end()).await.unwrap().unwrap();
    assert_eq!(count_members(folder.path()), MANY + 1);
    let listing = store.find_room_listing(IMPORTED, person(0).id).await.unwrap().unwrap();
    assert_eq!((u128::from(listing.members), listing.unread), (MANY + 1, 0));
    assert_eq!(count_found(&store, person(0).id).await, 1);
}

#[tokio::test]
async fn child_that_finishes_an_import() {
    let Some(folder) = child_folder() else { return };
    let store = open(&folder);
    settle(&store).await;
    write(&store).await;
    break_last_step(&folder);
    assert!(store.finish_import(end()).await.is_err());
    tell("between two steps");
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn import_of_a_process_that_was_killed_between_two_steps_is_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let child = "sqlite_imports::child_that_finishes_an_import";
    let mut child = start_child("exec \"$0\" \"$@\"", child, folder.path());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line == "between two steps"), "the child ended by itself");
    child.kill().unwrap();
    child.wait().unwrap();

    let store = open(folder.path());
    assert_eq!(count_members(folder.path()), 1_999);
    assert_unseen(&store).await;
    assert_eq!(store.list_idle_imports(Duration::ZERO).await.unwrap(), [IMPORTED]);
    assert!(store.give_up_import(IMPORTED).await.unwrap());
    let refused = store.finish_import(end()).await.unwrap();
    assert_eq!(refused.unwrap_err(), ImportRefused::Gone);
    // Also while it is taken back.
    while store.clear_import(IMPORTED).await.unwrap() {
        assert_unseen(&store).await;
    }
    assert_eq!(count_members(folder.path()), 0);
    assert_eq!(store.find_room(&IMPORTED.into(), ADA).await.unwrap(), None);
    assert_eq!(store.list_users(None, 10).await.unwrap().len(), 1, "only Ada is left");
    assert_eq!(store.list_idle_imports(Duration::ZERO).await.unwrap(), []);
}

#[tokio::test]
async fn nothing_refers_to_the_accounts_of_an_import_that_was_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    settle(&store).await;
    begin(&store).await;
    let people: Vec<NewUser> = (0..2_500).map(person).collect();
    let [member, banned, kicked] = [people[10].id, people[20].id, people[30].id];
    let part =
        ImportPart { number: 1, events: vec![joined(&people[0])], people, ..ImportPart::default() };
    store.write_import(IMPORTED, part).await.unwrap().unwrap();
    for person in [member, kicked] {
        store.set_user_access(person, Some(true), None, at()).await.unwrap().unwrap();
    }
    act(&store, Intent::Invite { user: member }).await;
    act(&store, Intent::Ban { user: banned, until: None, reason: None }).await;
    act(&store, Intent::Invite { user: kicked }).await;
    act(&store, Intent::Kick { user: kicked, reason: None }).await;
    for person in [member, kicked] {
        store.set_user_access(person, Some(false), None, at()).await.unwrap().unwrap();
    }

    assert!(store.give_up_import(IMPORTED).await.unwrap());
    while store.clear_import(IMPORTED).await.unwrap() {}

    // They are checked again: this event is of somebody who is not here.
    begin(&store).await;
    let part = ImportPart { number: 1, events: vec![joined(&person(5))], ..ImportPart::default() };
    let refused = store.write_import(IMPORTED, part).await;
    assert!(matches!(refused, Err(StoreError::Inconsistent { .. })), "{refused:?}");
    store.close().await;
    let database = Connection::open(folder.path().join("parlor.db")).unwrap();
    let dangling = database
        .prepare("SELECT \"table\", rowid, parent FROM pragma_foreign_key_check")
        .unwrap()
        .query_map([], |row| row.get::<_, String>(0))
        .unwrap()
        .count();
    assert_eq!(dangling, 0);
    let left: Vec<String> = database
        .prepare("SELECT username FROM users WHERE username LIKE 'zoe%' ORDER BY username")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(left, ["zoe10", "zoe30"]);
}

/// Whoever lets another table refer to accounts decides here, and in `DELETE_PERSON`, what becomes of it.
#[tokio::test]
async fn what_refers_to_accounts_is_known_to_whoever_removes_them_unchecked() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).close().await;
    let database = Connection::open(folder.path().join("parlor.db")).unwrap();
    let referring: Vec<String> = database
        .prepare(
            "SELECT t.name || '.' || f.\"from\" FROM sqlite_schema t, \
             pragma_foreign_key_list(t.name) f \
             WHERE t.type = 'table' AND f.\"table\" = 'users' ORDER BY 1",
        )
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(referring, REFERRING);
}

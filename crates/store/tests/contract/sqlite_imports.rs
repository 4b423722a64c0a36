//! Accounts of imports that were given up are removed without the checks of foreign keys; nothing
//! refers to them afterwards, and everything else is checked as before.

use parlor_protocol::event::{Event, EventBody, MemberChange};
use parlor_protocol::id::{RoomId, UserId};
use parlor_protocol::room::Role;
use parlor_protocol::user::{ServerRole, UserKind, UserRef};
use parlor_store::record::{ImportPart, NewImport, NewUser};
use parlor_store::{
    Append, Imports as _, Intent, Log as _, Operations as _, SqliteStore, StoreError, Users as _,
};
use rusqlite::Connection;
use uuid::Uuid;

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
    let change = MemberChange { user, role, reason: None, muted_until: None };
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
    act(&store, Intent::Ban { user: banned, until: None }).await;
    act(&store, Intent::Invite { user: kicked }).await;
    act(&store, Intent::Kick { user: kicked }).await;
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

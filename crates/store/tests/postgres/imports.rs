//! An import that is being finished while others go on, or while its node dies.

use std::sync::Arc;
use std::time::Duration;

use parlor_protocol::id::{RoomId, UserId};
use parlor_protocol::room::{Role, RoomKind, RoomSettings};
use parlor_store::people::NewErasure;
use parlor_store::record::{
    ImportEnd, ImportPart, ImportRefused, ImportedMember, NewImport, NewRoom, NewUser,
    ProfileChange, RoomRecord,
};
use parlor_store::{
    Imports as _, People as _, PostgresOptions, PostgresStore, Rooms as _, StoreError, Users as _,
};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::{at, database, open, options, person, server, soon};

/// The node that finishes the import waits where it adds members, while the table has a row.
const HOLD_MEMBERS: &str = "
    CREATE TABLE held AS SELECT 1;
    CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        WHILE current_setting('application_name') LIKE 'one %' AND EXISTS (SELECT 1 FROM held)
            LOOP PERFORM pg_sleep(0.02); END LOOP;
        RETURN NULL;
    END $$;
    CREATE TRIGGER hold BEFORE INSERT ON members EXECUTE FUNCTION hold();";
/// The same for a commit that makes a room visible.
const HOLD_COMMIT: &str = "
    CREATE TABLE held AS SELECT 1;
    CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        WHILE EXISTS (SELECT 1 FROM held) LOOP PERFORM pg_sleep(0.02); END LOOP;
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER hold AFTER UPDATE OF state ON imports DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW WHEN (NEW.state = 'finished') EXECUTE FUNCTION hold();";

type Finishing = JoinHandle<Result<Result<RoomRecord, ImportRefused>, StoreError>>;

/// Two nodes, and a file that one of them has read: Ada was here before, Zoe comes with it.
struct Stage {
    database: String,
    one: Arc<PostgresStore>,
    other: Arc<PostgresStore>,
    room: RoomId,
    ada: UserId,
    zoe: UserId,
}

impl Stage {
    async fn set_up() -> Self {
        let (database, url) = database();
        let patient = PostgresOptions {
            append_deadline: Duration::from_mins(1),
            application_name: "one".to_owned(),
            ..options(&url)
        };
        let one = Arc::new(PostgresStore::open(patient).await.unwrap());
        let other = Arc::new(open(&url).await);
        let ada = one.create_user(person("ada")).await.unwrap().unwrap().user.id;
        let room = RoomId(Uuid::new_v4());
        one.begin_import(NewImport { room, importer: ada, at: at() }).await.unwrap();
        let zoe = NewUser { id: UserId(Uuid::new_v4()), ..person("zoe") };
        let people = vec![zoe.clone()];
        let part = ImportPart { number: 1, people, ..ImportPart::default() };
        one.write_import(room, part).await.unwrap().unwrap();
        Self { database, one, other, room, ada, zoe: zoe.id }
    }

    fn sql(&self, sql: &str) -> String {
        server().sql(&self.database, sql)
    }

    /// Finishes the import, and waits until that is held.
    async fn finish(&self, hold: &str) -> Finishing {
        self.sql(hold);
        let member = |user: UserId, role: Role| ImportedMember {
            user,
            role,
            bot: false,
            joined_at: at(),
            muted_until: None,
            mute_reason: None,
        };
        let end = ImportEnd {
            room: self.room,
            slug: "den".to_owned(),
            name: "Den".to_owned(),
            kind: RoomKind::Public,
            topic: String::new(),
            archived: false,
            settings: RoomSettings::default(),
            created_at: at(),
            last_seq: 0,
            members: vec![member(self.ada, Role::Owner), member(self.zoe, Role::Member)],
            existing: vec![self.ada],
        };
        let store = Arc::clone(&self.one);
        let finishing = tokio::spawn(async move { store.finish_import(end).await });
        self.wait(1, "wait_event = 'PgSleep'", || false).await;
        finishing
    }

    /// Waits until so many connections are in a state, or something else has come to pass.
    async fn wait(&self, n_connections: u32, state: &str, or: impl Fn() -> bool) {
        let asked = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND {state}",
            self.database
        );
        let waits = async {
            while !or() && self.sql(&asked).trim() != n_connections.to_string() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        soon(waits).await;
    }

    fn let_go(&self) {
        self.sql("DELETE FROM held");
    }

    /// Ends the connection that finishes the import.
    fn kill(&self) {
        self.sql(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = '{}' AND wait_event = 'PgSleep'",
            self.database
        ));
    }

    /// Nothing is left of the import and of whom it brought.
    async fn assert_taken_back(&self) {
        while self.other.clear_import(self.room).await.unwrap() {}
        assert_eq!(self.other.find_room(&self.room.into(), self.ada).await.unwrap(), None);
        assert_eq!(self.other.list_room_ids_of(self.ada).await.unwrap(), []);
        assert_eq!(self.other.find_user_by_name("zoe").await.unwrap(), None);
        assert_eq!(self.other.list_idle_imports(Duration::ZERO).await.unwrap(), []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn others_do_not_wait_while_the_people_of_a_file_become_members() {
    let stage = Stage::set_up().await;
    let finishing = stage.finish(HOLD_MEMBERS).await;
    // Ada is in the file as someone who was here before.
    let rename = ProfileChange { username: Some("eve".to_owned()), ..ProfileChange::default() };
    stage.other.update_profile(stage.ada, rename).await.unwrap().unwrap().unwrap();
    stage.let_go();
    finishing.await.unwrap().unwrap().unwrap();
    let members = stage.other.list_members(stage.room, None, 10).await.unwrap();
    let names: Vec<&str> = members.iter().map(|member| &*member.user.username).collect();
    assert_eq!(names, ["eve", "zoe"]);
    let by_name = format!("SELECT name FROM members WHERE user_id = '{}'", stage.ada.0);
    assert_eq!(stage.sql(&by_name).trim(), "eve");
}

#[tokio::test(flavor = "multi_thread")]
async fn short_name_is_free_while_the_people_of_a_file_become_members() {
    let stage = Stage::set_up().await;
    let finishing = stage.finish(HOLD_MEMBERS).await;
    // Somebody is quicker.
    let quick = NewRoom {
        id: RoomId(Uuid::new_v4()),
        slug: "den".to_owned(),
        name: "Den".to_owned(),
        kind: RoomKind::Public,
        topic: String::new(),
        creator: stage.ada,
        members: Vec::new(),
        at: at(),
        client_id: None,
        max_owned: 10,
    };
    stage.other.create_room(quick).await.unwrap().unwrap();
    stage.let_go();
    assert_eq!(finishing.await.unwrap().unwrap().unwrap_err(), ImportRefused::Slug);
    assert!(stage.other.give_up_import(stage.room).await.unwrap());
    while stage.other.clear_import(stage.room).await.unwrap() {}
    assert_eq!(stage.other.find_user_by_name("zoe").await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_erased_while_an_import_ends_is_found_in_its_room() {
    let stage = Stage::set_up().await;
    let finishing = stage.finish(HOLD_MEMBERS).await;
    let erasing = tokio::spawn({
        let (store, user) = (Arc::clone(&stage.one), stage.zoe);
        let username = "deleted-zoe".to_owned();
        let erasure = NewErasure { user, username, redact: true, at: at() };
        async move {
            store.erase_account(erasure).await.unwrap().unwrap();
            // As whoever takes them out of their rooms does.
            store.list_room_ids_of(user).await.unwrap()
        }
    });
    stage.wait(1, "wait_event_type = 'Lock'", || erasing.is_finished()).await;
    stage.let_go();
    finishing.await.unwrap().unwrap().unwrap();
    assert_eq!(erasing.await.unwrap(), [stage.room]);
}

#[tokio::test(flavor = "multi_thread")]
async fn import_whose_node_dies_while_it_ends_is_taken_back() {
    for hold in [HOLD_MEMBERS, HOLD_COMMIT] {
        let stage = Stage::set_up().await;
        let finishing = stage.finish(hold).await;
        assert_eq!(stage.other.list_room_ids_of(stage.ada).await.unwrap(), []);
        finishing.abort();
        assert!(finishing.await.unwrap_err().is_cancelled());
        stage.kill();
        assert!(stage.other.give_up_import(stage.room).await.unwrap());
        stage.assert_taken_back().await;
    }
}

/// The first attempt ends without an answer, and the second comes after another node.
#[tokio::test(flavor = "multi_thread")]
async fn import_that_was_given_up_between_two_attempts_is_not_there() {
    let stage = Stage::set_up().await;
    let finishing = stage.finish(HOLD_COMMIT).await;
    let giving_up = tokio::spawn({
        let (store, room) = (Arc::clone(&stage.other), stage.room);
        async move { store.give_up_import(room).await }
    });
    stage.wait(1, "wait_event_type = 'Lock'", || false).await;
    stage.kill();
    assert!(giving_up.await.unwrap().unwrap());
    let refused = soon(finishing).await.unwrap().unwrap();
    assert_eq!(refused.unwrap_err(), ImportRefused::Gone);
    stage.assert_taken_back().await;
}

//! A server that crashes while it is asked to commit.

use std::sync::Arc;
use std::time::Duration;

use parlor_protocol::id::RoomId;
use parlor_protocol::room::RoomKind;
use parlor_store::record::NewRoom;
use parlor_store::{
    Append, Appended, Intent, Log as _, PostgresOptions, PostgresStore, Rooms as _, Users as _,
};
use parlor_testkit::services::Postgres;
use tokio::time::sleep;
use uuid::Uuid;

use super::{at, options, person, soon};

/// Commits that note something wait while the table has a row. A crash empties it.
const HOLD_COMMITS: &str = "
    CREATE UNLOGGED TABLE held AS SELECT 1;
    CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF EXISTS (SELECT 1 FROM held) THEN PERFORM pg_sleep(60); END IF;
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER hold AFTER INSERT ON commit_log DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION hold();
    CHECKPOINT;";

/// What was not on disk at a crash is gone, and the server gives the number of its transaction to
/// another one, which commits.
#[tokio::test(flavor = "multi_thread")]
async fn lost_transaction_is_not_taken_for_the_one_that_got_its_number() {
    // Nothing is on disk before its commit.
    let server = Postgres::builder().setting("wal_writer_delay=10s").start().await;
    let options =
        PostgresOptions { append_deadline: Duration::from_mins(1), ..options(&server.url()) };
    let store = Arc::new(PostgresStore::open(options).await.unwrap());
    let ada = store.create_user(person("ada")).await.unwrap().unwrap().user.id;
    let bob = store.create_user(person("bob")).await.unwrap().unwrap().user.id;
    let room = RoomId(Uuid::new_v4());
    let new = NewRoom {
        id: room,
        slug: "lobby".to_owned(),
        name: "Lobby".to_owned(),
        kind: RoomKind::Public,
        topic: String::new(),
        creator: ada,
        members: Vec::new(),
        at: at(),
        client_id: None,
        max_owned: 10,
    };
    store.create_room(new).await.unwrap().unwrap();
    server.query(HOLD_COMMITS);

    let join = tokio::spawn({
        let store = Arc::clone(&store);
        let intent = Intent::Join { invite: None };
        async move { store.append(vec![Append { room, actor: bob, at: at(), intent }]).await }
    });
    let asked = async {
        let asked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        while server.query(asked).trim() != "1" {
            sleep(Duration::from_millis(10)).await;
        }
    };
    soon(asked).await;
    server.kill().await;
    server.restart().await;

    let joined = soon(join).await.unwrap().unwrap().pop().unwrap().unwrap();
    let Appended::New { events, .. } = joined else { panic!("{joined:?}") };
    let members = format!("SELECT count(*) FROM members WHERE user_id = '{}'", bob.0);
    assert_eq!(server.query(&members).trim(), "1", "what was answered was done");
    assert_eq!(store.find_head(room).await.unwrap().unwrap().seq, events.last().unwrap().seq);
}

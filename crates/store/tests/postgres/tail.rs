//! The tail leaves nothing out, whatever the order in which transactions become visible.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parlor_protocol::id::RoomId;
use parlor_store::{PostgresStore, Tail as _, TailPosition};
use parlor_testkit::services::Postgres;
use tokio::task::{JoinSet, spawn_blocking};
use uuid::Uuid;

use super::{database, open, server, soon};

/// Notes a commit that is visible only after a while.
fn commit_slowly(server: &Postgres, database: &str, room: RoomId, wait: Duration) {
    let room = room.0;
    let wait = wait.as_secs_f64();
    server.sql(
        database,
        &format!(
            "BEGIN; INSERT INTO commit_log (rooms, seqs) VALUES (ARRAY['{room}'::uuid], \
             ARRAY[1]); SELECT pg_sleep({wait}); COMMIT;"
        ),
    );
}

/// Reads to the end, in small pages.
async fn read_all(store: &PostgresStore, position: &mut TailPosition) -> Vec<RoomId> {
    let mut rooms = Vec::new();
    loop {
        let page = store.read_tail(position, 3).await.unwrap();
        assert!(page.commits.len() <= 3);
        rooms.extend(page.commits.iter().flat_map(|commit| &commit.rooms).map(|(room, _)| *room));
        *position = page.position;
        if !page.more {
            return rooms;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_that_become_visible_out_of_order_are_all_told() {
    let (name, url) = database();
    let store = Arc::new(open(&url).await);
    let mut position = store.tail_start().await.unwrap();
    let mut writers = JoinSet::new();
    for writer in 0..6_u64 {
        let name = name.clone();
        let server = server();
        writers.spawn(async move {
            let mut written = Vec::new();
            for n in 0..12_u64 {
                let room = RoomId(Uuid::new_v4());
                let wait = Duration::from_millis((writer * 37 + n * 53) % 150);
                let name = name.clone();
                spawn_blocking(move || commit_slowly(server, &name, room, wait)).await.unwrap();
                written.push(room);
            }
            written
        });
    }

    let mut told: HashMap<RoomId, u32> = HashMap::new();
    let mut written = Vec::new();
    while !writers.is_empty() {
        for room in soon(read_all(&store, &mut position)).await {
            *told.entry(room).or_default() += 1;
        }
        while let Some(done) = writers.try_join_next() {
            written.extend(done.unwrap());
        }
    }
    for room in read_all(&store, &mut position).await {
        *told.entry(room).or_default() += 1;
    }

    assert_eq!(written.len(), 72);
    for room in &written {
        assert_eq!(told.get(room), Some(&1), "left out, or told twice");
    }
    assert_eq!(told.len(), 72);
}

#[tokio::test(flavor = "multi_thread")]
async fn transaction_that_stays_open_holds_nothing_up() {
    let (name, url) = database();
    let store = open(&url).await;
    let server = server();
    let mut position = store.tail_start().await.unwrap();
    let slow = RoomId(Uuid::new_v4());
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    client.batch_execute("BEGIN").await.unwrap();
    let note = "INSERT INTO commit_log (rooms, seqs) VALUES (ARRAY[$1::uuid], ARRAY[1])";
    client.execute(note, &[&slow.0]).await.unwrap();

    let quick: Vec<RoomId> = (0..8).map(|_| RoomId(Uuid::new_v4())).collect();
    for room in &quick {
        commit_slowly(server, &name, *room, Duration::ZERO);
    }
    let told = read_all(&store, &mut position).await;
    assert_eq!(told, quick, "in order, while the other one is open");
    assert!(read_all(&store, &mut position).await.is_empty(), "and once");

    client.batch_execute("COMMIT").await.unwrap();
    assert_eq!(read_all(&store, &mut position).await, [slow]);
    drop(client);
    connection.await.unwrap().unwrap();
}

#[tokio::test]
async fn forgotten_commits_are_gone_and_young_ones_stay() {
    let (name, url) = database();
    let store = open(&url).await;
    let server = server();
    let mut position = store.tail_start().await.unwrap();
    let (old, young) = (RoomId(Uuid::new_v4()), RoomId(Uuid::new_v4()));
    commit_slowly(server, &name, old, Duration::ZERO);
    server.sql(&name, "UPDATE commit_log SET at = at - 60000");
    commit_slowly(server, &name, young, Duration::ZERO);

    assert_eq!(store.prune_tail(Duration::from_secs(50)).await.unwrap(), 1);
    assert_eq!(read_all(&store, &mut position).await, [young]);
}

#[tokio::test]
async fn position_of_other_logs_begins_anew() {
    let (name, url) = database();
    let store = open(&url).await;
    let server = server();
    let position = store.tail_start().await.unwrap();
    server.sql(&name, "UPDATE meta SET value = 'another' WHERE key = 'incarnation'");
    let restored = open(&url).await;
    commit_slowly(server, &name, RoomId(Uuid::new_v4()), Duration::ZERO);

    let page = restored.read_tail(&position, 10).await.unwrap();

    assert_ne!(page.epoch, *store.epoch());
    assert!(page.commits.is_empty() && !page.more, "everything is to be compared anyway");
    let mut position = page.position;
    let room = RoomId(Uuid::new_v4());
    commit_slowly(server, &name, room, Duration::ZERO);
    assert_eq!(read_all(&restored, &mut position).await, [room]);
}

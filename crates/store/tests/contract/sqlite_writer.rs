//! What the one writer promises: batches, bounds, and what happens when the disk is full.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Waker};

use parlor_store::record::NewInvite;
use parlor_store::{
    Appended, Log as _, Operations as _, Rooms as _, SqliteOptions, SqliteStore, StoreError,
};
use rusqlite::Connection;

use super::{ADA, ROOM, at, open, publish, settle};

/// Keeps the writer waiting as long as it lives.
struct Obstacle(Connection);

impl Obstacle {
    fn put(folder: &Path) -> Self {
        let database = Connection::open(folder.join("parlor.db")).unwrap();
        database.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
        database.execute_batch("BEGIN IMMEDIATE").unwrap();
        Self(database)
    }

    fn remove(self) {
        self.0.execute_batch("ROLLBACK").unwrap();
    }
}

type Waiting<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Queues a call and returns its answer if it has one already.
fn queue<T>(call: &mut Waiting<'_, T>) -> Option<Result<T, StoreError>> {
    match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        std::task::Poll::Ready(answer) => Some(answer),
        std::task::Poll::Pending => None,
    }
}

#[tokio::test]
async fn what_has_queued_is_one_commit() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    settle(&store).await;
    let before = store.write_counts();

    let obstacle = Obstacle::put(folder.path());
    let mut calls: Vec<Waiting<'_, _>> = Vec::new();
    for n in 0..200 {
        let mut call = store.append(vec![publish(&n.to_string(), "hi")]);
        assert!(queue(&mut call).is_none(), "no answer before the commit");
        calls.push(call);
    }
    obstacle.remove();
    for call in calls {
        call.await.unwrap().remove(0).unwrap();
    }

    let after = store.write_counts();
    assert_eq!(after.commands - before.commands, 200);
    // Whatever the first commit took before the others came, and the rest.
    assert!(after.commits - before.commits <= 2, "{before:?} {after:?}");
    assert_eq!(store.find_head(ROOM).await.unwrap().unwrap().seq, 202);
    store.close().await;
}

#[tokio::test]
async fn full_queue_refuses_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions { queue: 8, ..SqliteOptions::new(folder.path()) };
    let store = SqliteStore::open(options).unwrap();
    settle(&store).await;

    let obstacle = Obstacle::put(folder.path());
    let mut waiting: Vec<Waiting<'_, _>> = Vec::new();
    let mut refused = 0;
    for n in 0..2000 {
        let mut call = store.append(vec![publish(&n.to_string(), "hi")]);
        match queue(&mut call) {
            None => waiting.push(call),
            Some(Err(StoreError::Overloaded)) => refused += 1,
            Some(other) => panic!("{other:?}"),
        }
    }
    obstacle.remove();
    let kept = waiting.len() as u64;
    for call in waiting {
        call.await.unwrap().remove(0).unwrap();
    }

    assert!(refused > 0, "the queue has no bound");
    assert_eq!(kept + refused, 2000);
    assert_eq!(
        store.find_head(ROOM).await.unwrap().unwrap().seq,
        2 + kept,
        "nothing of the others"
    );
    store.close().await;
}

#[tokio::test]
async fn command_that_fails_leaves_its_neighbours_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    settle(&store).await;
    let invite = || NewInvite {
        code: "taken".to_owned(),
        room: ROOM,
        creator: ADA,
        at: at(),
        expires_at: parlor_protocol::time::Timestamp::from_millis(i64::MAX),
        max_uses: 1,
    };
    store.create_invite(invite()).await.unwrap().unwrap();
    let before = store.write_counts();

    let obstacle = Obstacle::put(folder.path());
    let mut first = store.append(vec![publish("1", "hi")]);
    let mut second = store.append(vec![publish("2", "hi")]);
    let mut failing = store.create_invite(invite());
    let mut third = store.append(vec![publish("3", "hi")]);
    assert!(queue(&mut first).is_none() && queue(&mut second).is_none());
    assert!(queue(&mut failing).is_none() && queue(&mut third).is_none());
    obstacle.remove();

    for (call, seq) in [(first, 3), (second, 4), (third, 5)] {
        let Appended::New { events, .. } = call.await.unwrap().remove(0).unwrap() else {
            panic!("not new");
        };
        assert_eq!(events[0].seq, seq);
    }
    let failed = failing.await;
    assert!(matches!(failed, Err(StoreError::Inconsistent { .. })), "{failed:?}");
    assert!(store.write_counts().commits - before.commits <= 2);
    store.close().await;
}

#[tokio::test]
async fn reading_does_not_wait_for_writing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    settle(&store).await;

    let obstacle = Obstacle::put(folder.path());
    let mut write = store.append(vec![publish("1", "hi")]);
    assert!(queue(&mut write).is_none());
    assert_eq!(store.find_head(ROOM).await.unwrap().unwrap().seq, 2);
    obstacle.remove();
    write.await.unwrap().remove(0).unwrap();

    assert_eq!(store.find_head(ROOM).await.unwrap().unwrap().seq, 3, "one reads what one wrote");
    store.close().await;
}

/// Writes until the store refuses, and returns how many were acknowledged.
pub(crate) async fn fill(store: &SqliteStore) -> u64 {
    let body = "x".repeat(8000);
    for n in 0..100_000_u64 {
        match store.append(vec![publish(&format!("fill {n}"), &body)]).await {
            Ok(mut answers) => answers.remove(0).unwrap(),
            Err(StoreError::ReadOnly(_) | StoreError::UnknownOutcome) => return n,
            Err(other) => panic!("{other:?}"),
        };
    }
    panic!("the disk is never full");
}

#[tokio::test]
async fn full_disk_stops_writing_but_not_reading_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions { max_pages: Some(400), ..SqliteOptions::new(folder.path()) };
    let store = SqliteStore::open(options).unwrap();
    settle(&store).await;

    let acknowledged = fill(&store).await;

    assert!(acknowledged > 10);
    for _ in 0..3 {
        let refused = store.append(vec![publish("more", "hi")]).await;
        assert!(matches!(refused, Err(StoreError::ReadOnly(_))), "{refused:?}");
        let health = store.check_health().await;
        assert!(matches!(health, Err(StoreError::ReadOnly(_))), "{health:?}");
    }
    assert_eq!(store.find_head(ROOM).await.unwrap().unwrap().seq, 2 + acknowledged);
    store.close().await;

    let store = open(folder.path());
    let events = store.read_events(ROOM, 0, 100_000).await.unwrap();
    assert_eq!(events.len() as u64, 2 + acknowledged);
    store.append(vec![publish("more", "hi")]).await.unwrap().remove(0).unwrap();
    store.close().await;
}

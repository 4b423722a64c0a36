use std::sync::atomic::AtomicU32;

use async_trait::async_trait;
use parlor_domain::log::Head;
use parlor_protocol::id::MessageId;
use parlor_protocol::message::Message;
use parlor_store::record::{Checkpoint, Window};
use parlor_store::{Append, AppendRefused, Appended, StoreError};
use serde_json::json;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::*;

const ROOM: RoomId = RoomId(Uuid::from_u128(1));

/// A log whose reads wait until they are let through, and see what is committed then or earlier.
#[derive(Debug)]
struct SlowLog {
    let_through: Semaphore,
    begun: Semaphore,
    reads: AtomicU32,
    last: AtomicU64,
}

impl SlowLog {
    fn new(last: u64) -> Arc<Self> {
        Arc::new(Self {
            let_through: Semaphore::new(0),
            begun: Semaphore::new(0),
            reads: AtomicU32::new(0),
            last: AtomicU64::new(last),
        })
    }
}

fn event(seq: u64) -> Event {
    let user = json!({"id": Uuid::nil(), "username": "u", "display_name": "U", "kind": "user"});
    serde_json::from_value(json!({
        "room": ROOM, "seq": seq, "at": "2026-01-01T00:00:00Z", "actor": user,
        "type": "room.updated", "data": {"name": "n", "topic": "t"},
    }))
    .unwrap()
}

type Stored<T> = Result<T, StoreError>;

#[async_trait]
impl Log for SlowLog {
    async fn read_events(&self, _room: RoomId, after: u64, limit: u32) -> Stored<Vec<Event>> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let last = self.last.load(Ordering::SeqCst);
        self.begun.add_permits(1);
        self.let_through.acquire().await.unwrap().forget();
        Ok((after + 1..=last).take(limit as usize).map(event).collect())
    }

    async fn append(&self, _: Vec<Append>) -> Stored<Vec<Result<Appended, AppendRefused>>> {
        unreachable!("only events are read")
    }

    async fn find_head(&self, _: RoomId) -> Stored<Option<Head>> {
        unreachable!("only events are read")
    }

    async fn list_messages(&self, _: RoomId, _: Window, _: u32) -> Stored<Vec<Message>> {
        unreachable!("only events are read")
    }

    async fn find_message(&self, _: RoomId, _: MessageId) -> Stored<Option<Message>> {
        unreachable!("only events are read")
    }

    async fn list_replies(&self, _: RoomId, _: MessageId) -> Stored<Vec<Message>> {
        unreachable!("only events are read")
    }

    async fn list_streaming(&self, _: RoomId) -> Stored<Vec<Checkpoint>> {
        unreachable!("only events are read")
    }
}

fn reads(log: &Arc<SlowLog>) -> Arc<EventReads> {
    let shared = IntCounter::new("shared", "shared").unwrap();
    Arc::new(EventReads::new(Arc::clone(log) as Arc<dyn Log + Send + Sync>, shared))
}

#[tokio::test]
async fn many_who_want_the_same_cost_the_store_one_read() {
    let log = SlowLog::new(5);
    let reads = reads(&log);
    let readers = (0..50).map(|_| reads.read(ROOM, 2, 5, 100));
    let let_through = async {
        log.begun.acquire().await.unwrap().forget();
        log.let_through.add_permits(100);
    };
    let (answers, ()) = tokio::join!(futures_util::future::join_all(readers), let_through);
    for events in answers {
        let seqs: Vec<u64> = events.unwrap().iter().map(|event| event.seq).collect();
        assert_eq!(seqs, [3, 4, 5]);
    }
    assert_eq!(log.reads.load(Ordering::SeqCst), 1);
    assert!(lock(&reads.under_way).is_empty(), "nothing is left behind");
}

#[tokio::test]
async fn read_that_began_too_early_is_made_again() {
    let log = SlowLog::new(5);
    let reads = reads(&log);
    let early = reads.read(ROOM, 2, 5, 100);
    let late = async {
        log.begun.acquire().await.unwrap().forget();
        // Committed after the other read has looked.
        log.last.store(6, Ordering::SeqCst);
        let late = reads.read(ROOM, 2, 6, 100);
        log.let_through.add_permits(100);
        late.await
    };
    let (early, late) = tokio::join!(early, late);
    assert_eq!(early.unwrap().last().map(|event| event.seq), Some(5));
    assert_eq!(late.unwrap().last().map(|event| event.seq), Some(6));
}

#[tokio::test]
async fn reader_that_gives_up_leaves_nothing_behind() {
    let log = SlowLog::new(5);
    let reads = reads(&log);
    let mut read = Box::pin(reads.read(ROOM, 2, 5, 100));
    assert!(futures_util::poll!(read.as_mut()).is_pending());
    assert_eq!(lock(&reads.under_way).len(), 1);
    drop(read);
    assert!(lock(&reads.under_way).is_empty());
}

#[tokio::test]
async fn reads_at_once_are_bounded() {
    let log = SlowLog::new(500);
    let reads = reads(&log);
    let mut waiting: Vec<_> = (0..100).map(|after| Box::pin(reads.clone_read(after))).collect();
    for read in &mut waiting {
        assert!(futures_util::poll!(read.as_mut()).is_pending());
    }
    assert_eq!(log.reads.load(Ordering::SeqCst) as usize, AT_ONCE);
}

impl EventReads {
    fn clone_read(&self, after: u64) -> impl Future<Output = Outcome<Arc<[Event]>>> + '_ {
        self.read(ROOM, after, 500, 10)
    }
}

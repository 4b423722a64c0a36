use std::sync::atomic::AtomicU32;

use prometheus::{Histogram, HistogramOpts};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
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

impl SlowLog {
    async fn read(self: Arc<Self>, asked: Vec<Key>) -> Vec<Arc<[Event]>> {
        let last = self.last.load(Ordering::SeqCst);
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.begun.add_permits(1);
        self.let_through.acquire().await.unwrap().forget();
        let read =
            |(_, after, limit): Key| (after + 1..=last).take(limit as usize).map(event).collect();
        asked.into_iter().map(read).collect()
    }
}

struct Reading {
    reads: EventReads,
    _worker: JoinSet<()>,
}

fn reads(log: &Arc<SlowLog>) -> Reading {
    let asked = Arc::clone(log);
    let call: Call<Key, Arc<[Event]>> = Arc::new(move |keys| {
        let log = Arc::clone(&asked);
        Box::pin(async move { Ok(log.read(keys).await) })
    });
    let size = Histogram::with_opts(HistogramOpts::new("size", "size")).unwrap();
    let (events, worker) = Batched::new(call, AT_ONCE, 1_000, size);
    let shared = IntCounter::new("shared", "shared").unwrap();
    let (reads, worker) = EventReads::over(events, worker, shared);
    let mut tasks = JoinSet::new();
    tasks.spawn(worker.run());
    Reading { reads, _worker: tasks }
}

#[tokio::test]
async fn many_who_want_the_same_cost_the_store_one_read() {
    let log = SlowLog::new(5);
    let reading = reads(&log);
    let reads = &reading.reads;
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
    let reading = reads(&log);
    let reads = &reading.reads;
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
    let reading = reads(&log);
    let reads = &reading.reads;
    let mut read = Box::pin(reads.read(ROOM, 2, 5, 100));
    assert!(futures_util::poll!(read.as_mut()).is_pending());
    assert_eq!(lock(&reads.under_way).len(), 1);
    drop(read);
    assert!(lock(&reads.under_way).is_empty());
}

#[tokio::test]
async fn reads_at_once_are_bounded() {
    let log = SlowLog::new(500);
    let reading = reads(&log);
    let all = (0..100).map(|after| reading.reads.read(ROOM, after, 500, 10));
    let all = futures_util::future::join_all(all);
    log.let_through.add_permits(100);
    for (after, events) in (0..).zip(all.await) {
        assert_eq!(events.unwrap().first().map(|event| event.seq), Some(after + 1));
    }
    // One begins alone; the others gather and are cut into pieces.
    let most = 100 / u32::try_from(AT_ONCE).unwrap() + 2;
    assert!((7..=most).contains(&log.reads.load(Ordering::SeqCst)), "{:?}", log.reads);
}

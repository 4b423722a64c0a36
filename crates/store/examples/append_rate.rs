//! How much a Postgres store takes: appended messages per second, and how long each takes.
//!
//! `cargo run --release --example append_rate -p parlor-store`. It starts a private server that
//! syncs every commit to the disk. Everything shares this machine; each line tells how much
//! processor time a message has cost here and in the server.

#![expect(clippy::print_stdout, reason = "this is what it is for")]
#![expect(clippy::unwrap_used, reason = "it ends when something fails")]
#![expect(clippy::disallowed_methods, reason = "it makes its own ids and times")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parlor_protocol::http::Trigger;
use parlor_protocol::id::{MessageId, RoomId, UserId};
use parlor_protocol::room::RoomKind;
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::{ServerRole, UserKind, UserRef};
use parlor_store::record::{BotRecord, NewRoom, NewUser};
use parlor_store::{
    Append, Bots as _, Intent, Log as _, NewMessage, PostgresOptions, PostgresStore, Rooms as _,
    Tail as _, Users as _,
};
use parlor_testkit::services::Postgres;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};
use uuid::Uuid;

/// Messages that wait for their answer at the same time.
const IN_FLIGHT: usize = 1_024;
/// Messages in one batch.
const BATCH: usize = 512;
const BODY_BYTES: usize = 200;
const PEOPLE: usize = 200;

#[tokio::main]
async fn main() {
    let seconds = std::env::args().nth(1).and_then(|seconds| seconds.parse().ok()).unwrap_or(5);
    let time = Duration::from_secs(seconds);
    let server = Postgres::builder()
        .setting("shared_buffers=256MB")
        .setting("max_wal_size=4GB")
        .start()
        .await;
    let store = open(&server, 2).await;
    let town = Arc::new(Town::build(&store, 1_000).await);
    println!("{IN_FLIGHT} in flight, batches of up to {BATCH}, bodies of {BODY_BYTES} bytes:");
    for (name, rooms, bot) in [
        ("1 room", 1, false),
        ("1 room with a bot", 1, true),
        ("1,000 rooms", 1_000, false),
        ("1,000 rooms with a bot", 1_000, true),
    ] {
        closed_loop(name, &server, &store, &town, Load { rooms, bot, lanes: 2, time }).await;
    }
    println!("one message per transaction, 64 connections:");
    let single = open(&server, 64).await;
    for (name, rooms) in [("1 room", 1), ("1,000 rooms", 1_000)] {
        one_by_one(name, &server, &single, &town, rooms, time).await;
    }
    println!("2,000 messages/s, whatever the answers:");
    for (name, rooms) in [("1 room", 1), ("1,000 rooms", 1_000)] {
        open_loop(name, &store, &town, rooms, 2_000, time).await;
    }
    println!("the tail with 100,000 rooms:");
    tail(&server, &store, &town).await;
}

async fn open(server: &Postgres, lanes: usize) -> Arc<PostgresStore> {
    let options = PostgresOptions { lanes, ..PostgresOptions::new(server.url()) };
    Arc::new(PostgresStore::open(options).await.unwrap())
}

fn now() -> Timestamp {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap())
}

/// People, and rooms that all of them are in: half of the rooms with a bot.
struct Town {
    people: Vec<UserId>,
    plain: Vec<RoomId>,
    with_bot: Vec<RoomId>,
}

impl Town {
    async fn build(store: &PostgresStore, rooms: usize) -> Self {
        let mut people = Vec::new();
        for n in 0..PEOPLE {
            let user = new_user(&format!("user{n}"), UserKind::User);
            people.push(store.create_user(user).await.unwrap().unwrap().user.id);
        }
        let user = new_user("guide", UserKind::Bot);
        let bot = store.create_bot(user.clone(), new_bot(&user)).await.unwrap().unwrap();
        let (mut plain, mut with_bot) = (Vec::new(), Vec::new());
        for n in 0..rooms {
            let mut members: Vec<UserId> = (0..9).map(|k| people[(n + k * 7) % PEOPLE]).collect();
            plain.push(room(store, &people, members.clone()).await);
            members.push(bot.user.id);
            with_bot.push(room(store, &people, members).await);
        }
        Self { people, plain, with_bot }
    }

    fn publish(&self, rooms: usize, bot: bool, n: usize) -> Append {
        let place = n % rooms;
        let rooms = if bot { &self.with_bot } else { &self.plain };
        let author = self.people[(place + (n % 9) * 7) % PEOPLE];
        let message = NewMessage {
            id: MessageId(Uuid::now_v7()),
            client_id: Some(Uuid::new_v4().to_string()),
            body: "x".repeat(BODY_BYTES),
            reply_to: None,
            thread: None,
            attachments: Vec::new(),
        };
        Append { room: rooms[place], actor: author, at: now(), intent: Intent::Publish(message) }
    }
}

fn new_user(username: &str, kind: UserKind) -> NewUser {
    NewUser {
        id: UserId(Uuid::now_v7()),
        username: username.to_owned(),
        display_name: username.to_owned(),
        kind,
        email: None,
        password_hash: None,
        role: ServerRole::User,
        at: now(),
    }
}

fn new_bot(user: &NewUser) -> BotRecord {
    BotRecord {
        user: UserRef {
            id: user.id,
            username: user.username.clone(),
            display_name: user.display_name.clone(),
            kind: UserKind::Bot,
        },
        provider: None,
        model: None,
        system_prompt: String::new(),
        trigger: Trigger::Mention,
        temperature: None,
        max_tokens: None,
        context_messages: 20,
        memory_ttl_seconds: 0,
        owner: None,
        created_at: user.at,
    }
}

async fn room(store: &PostgresStore, people: &[UserId], members: Vec<UserId>) -> RoomId {
    let id = RoomId(Uuid::now_v7());
    let creator = members.first().copied().unwrap_or(people[0]);
    let room = NewRoom {
        id,
        slug: format!("room-{}", id.0.simple()),
        name: "Room".to_owned(),
        kind: RoomKind::Public,
        topic: "about it".to_owned(),
        creator,
        members,
        at: now(),
        client_id: None,
        max_owned: u32::MAX,
    };
    store.create_room(room).await.unwrap().unwrap().room.id
}

/// What is tried.
#[derive(Clone, Copy)]
struct Load {
    rooms: usize,
    bot: bool,
    lanes: usize,
    time: Duration,
}

struct Entry {
    append: Append,
    answer: oneshot::Sender<()>,
}

/// Lanes that commit whatever has gathered, as a broker does.
fn start_lanes(
    store: &Arc<PostgresStore>,
    lanes: usize,
    n_batches: &Arc<AtomicU64>,
) -> Vec<mpsc::Sender<Entry>> {
    let lane = |_| {
        let (sender, mut receiver) = mpsc::channel::<Entry>(IN_FLIGHT);
        let (store, n_batches) = (Arc::clone(store), Arc::clone(n_batches));
        tokio::spawn(async move {
            let mut entries = Vec::with_capacity(BATCH);
            while receiver.recv_many(&mut entries, BATCH).await > 0 {
                let (batch, waiting): (Vec<_>, Vec<_>) =
                    entries.drain(..).map(|entry| (entry.append, entry.answer)).unzip();
                for (came, answer) in store.append(batch).await.unwrap().into_iter().zip(waiting) {
                    came.unwrap();
                    answer.send(()).unwrap();
                }
                n_batches.fetch_add(1, Ordering::Relaxed);
            }
        });
        sender
    };
    (0..lanes).map(lane).collect()
}

fn lane_of(append: &Append, lanes: &[mpsc::Sender<Entry>]) -> mpsc::Sender<Entry> {
    lanes[append.room.0.as_u128() as usize % lanes.len()].clone()
}

async fn closed_loop(
    name: &str,
    server: &Postgres,
    store: &Arc<PostgresStore>,
    town: &Arc<Town>,
    load: Load,
) {
    let n_batches = Arc::new(AtomicU64::new(0));
    let lanes = Arc::new(start_lanes(store, load.lanes, &n_batches));
    let stop = Arc::new(AtomicBool::new(false));
    let next = Arc::new(AtomicU64::new(0));
    let mut clients = JoinSet::new();
    let used = Cpu::now(server);
    let began = Instant::now();
    for _ in 0..IN_FLIGHT {
        let (lanes, town) = (Arc::clone(&lanes), Arc::clone(town));
        let (stop, next) = (Arc::clone(&stop), Arc::clone(&next));
        clients.spawn(async move {
            let mut times = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let n = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap_or(0);
                let append = town.publish(load.rooms, load.bot, n);
                let lane = lane_of(&append, &lanes);
                let (answer, answered) = oneshot::channel();
                let asked = Instant::now();
                lane.send(Entry { append, answer }).await.unwrap();
                answered.await.unwrap();
                times.push(asked.elapsed());
            }
            times
        });
    }
    sleep(load.time).await;
    stop.store(true, Ordering::Relaxed);
    let times: Vec<Duration> = clients.join_all().await.into_iter().flatten().collect();
    let wall = began.elapsed();
    let used = Cpu::now(server).since(used);
    let n_batches = usize::try_from(n_batches.load(Ordering::Relaxed)).unwrap().max(1);
    let batch = times.len() / n_batches;
    report(name, times, wall, used);
    println!("    {batch} messages per batch");
}

async fn one_by_one(
    name: &str,
    server: &Postgres,
    store: &Arc<PostgresStore>,
    town: &Arc<Town>,
    rooms: usize,
    time: Duration,
) {
    let stop = Arc::new(AtomicBool::new(false));
    let next = Arc::new(AtomicU64::new(0));
    let mut clients = JoinSet::new();
    let used = Cpu::now(server);
    let began = Instant::now();
    for _ in 0..64 {
        let (store, town) = (Arc::clone(store), Arc::clone(town));
        let (stop, next) = (Arc::clone(&stop), Arc::clone(&next));
        clients.spawn(async move {
            let mut times = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let n = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap_or(0);
                let asked = Instant::now();
                let came = store.append(vec![town.publish(rooms, false, n)]).await.unwrap();
                assert!(came[0].is_ok());
                times.push(asked.elapsed());
            }
            times
        });
    }
    sleep(time).await;
    stop.store(true, Ordering::Relaxed);
    let times: Vec<Duration> = clients.join_all().await.into_iter().flatten().collect();
    report(name, times, began.elapsed(), Cpu::now(server).since(used));
}

/// Publishes at a rate; a late answer makes nobody wait.
async fn open_loop(
    name: &str,
    store: &Arc<PostgresStore>,
    town: &Arc<Town>,
    rooms: usize,
    rate: u128,
    time: Duration,
) {
    let lanes = start_lanes(store, 2, &Arc::new(AtomicU64::new(0)));
    let mut ticks = interval(Duration::from_millis(1));
    let mut waiting = JoinSet::new();
    let began = Instant::now();
    let mut sent = 0;
    while began.elapsed() < time {
        ticks.tick().await;
        let due = began.elapsed().as_millis() * rate / 1_000;
        let due = usize::try_from(due).unwrap();
        while sent < due {
            let append = town.publish(rooms, false, sent);
            let (answer, answered) = oneshot::channel();
            let asked = Instant::now();
            lane_of(&append, &lanes).send(Entry { append, answer }).await.unwrap();
            waiting.spawn(async move {
                answered.await.unwrap();
                asked.elapsed()
            });
            sent += 1;
        }
    }
    let times = waiting.join_all().await;
    let (p50, p99, max) = percentiles(times);
    println!("  {name:24} p50 {p50:.1?}  p99 {p99:.1?}  max {max:.1?}");
}

/// What following the other nodes costs.
async fn tail(server: &Postgres, store: &Arc<PostgresStore>, town: &Arc<Town>) {
    server.query(
        "INSERT INTO rooms (id, slug, name, kind, topic, creator, created_at, last_seq) \
         SELECT gen_random_uuid(), 'many' || n, 'Room', 'public', '', \
         (SELECT id FROM users LIMIT 1), 0, 5 FROM generate_series(1, 98000) n; ANALYZE",
    );
    let mut position = store.tail_start().await.unwrap();
    for _ in 0..20 {
        position = store.read_tail(&position, 1_000).await.unwrap().position;
    }
    let polls = 500;
    let used = Cpu::now(server);
    let began = Instant::now();
    for _ in 0..polls {
        position = store.read_tail(&position, 1_000).await.unwrap().position;
    }
    let idle = Cpu::now(server).since(used);
    println!(
        "  idle: {:.2?} a poll; processor {:.2?} here, {:.2?} in the server",
        began.elapsed() / polls,
        idle.here / polls,
        idle.server / polls
    );
    // 1,000 rooms are written to between two polls, in commits of ten rooms.
    let mut took = Duration::ZERO;
    let mut n_commits = 0;
    for round in 0..20 {
        for commit in 0..100 {
            let batch =
                (0..10).map(|k| town.publish(1_000, false, commit * 10 + k + round * 1_000));
            store.append(batch.collect()).await.unwrap();
        }
        let asked = Instant::now();
        let page = store.read_tail(&position, 1_000).await.unwrap();
        took += asked.elapsed();
        n_commits += page.commits.len();
        position = page.position;
    }
    println!("  1,000 active rooms: {:.2?} a poll of {} commits", took / 20, n_commits / 20);
    let asked = Instant::now();
    let heads = store.list_heads(&town.plain).await.unwrap();
    println!("  heads of {} rooms: {:.2?}", heads.len(), asked.elapsed());
}

fn report(name: &str, times: Vec<Duration>, wall: Duration, used: Cpu) {
    let n = u32::try_from(times.len()).unwrap();
    let rate = u128::from(n) * 1_000 / wall.as_millis();
    let (p50, p99, max) = percentiles(times);
    println!(
        "  {name:24} {rate:>7}/s  p50 {p50:.1?}  p99 {p99:.1?}  max {max:.1?}; \
         processor {:.1?} here, {:.1?} in the server",
        used.here / n,
        used.server / n
    );
}

fn percentiles(mut times: Vec<Duration>) -> (Duration, Duration, Duration) {
    times.sort_unstable();
    let at = |share: usize| times[(times.len() - 1) * share / 100];
    (at(50), at(99), at(100))
}

/// Processor time of this process, and of the server with all its processes.
#[derive(Clone, Copy)]
struct Cpu {
    here: Duration,
    server: Duration,
}

impl Cpu {
    fn now(server: &Postgres) -> Self {
        let mut of_server = spent(server.pid());
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let pid = entry.file_name().to_string_lossy().parse::<u32>();
            if let Ok(pid) = pid
                && parent(pid) == Some(server.pid())
            {
                of_server += spent(pid);
            }
        }
        Self { here: spent(std::process::id()), server: of_server }
    }

    fn since(self, before: Self) -> Self {
        Self {
            here: self.here.saturating_sub(before.here),
            server: self.server.saturating_sub(before.server),
        }
    }
}

fn fields(pid: u32) -> Option<Vec<String>> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

fn parent(pid: u32) -> Option<u32> {
    fields(pid)?.get(1)?.parse().ok()
}

/// User and system time in hundredths of a second.
fn spent(pid: u32) -> Duration {
    let Some(fields) = fields(pid) else { return Duration::ZERO };
    let ticks = |nth: usize| fields.get(nth).and_then(|ticks| ticks.parse::<u64>().ok());
    let ticks = ticks(11).unwrap_or(0) + ticks(12).unwrap_or(0);
    Duration::from_millis(ticks * 10)
}

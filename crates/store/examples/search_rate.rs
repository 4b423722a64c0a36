//! What searching costs: how fast messages are appended, and how long searches take.
//!
//! `cargo run --release --example search_rate -p parlor-store -- sqlite 200000`, or `postgres`. The
//! texts have words of very different frequency, as written language has.

#![expect(clippy::print_stdout, reason = "this is what it is for")]
#![expect(clippy::unwrap_used, reason = "it ends when something fails")]
#![expect(clippy::disallowed_methods, reason = "it makes its own ids and times")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use parlor_domain::search::Query;
use parlor_protocol::id::{MessageId, RoomId, UserId};
use parlor_protocol::room::RoomKind;
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::{ServerRole, UserKind};
use parlor_store::record::{NewRoom, NewUser};
use parlor_store::{
    Append, Intent, NewMessage, PostgresOptions, PostgresStore, SearchRequest, SqliteOptions,
    SqliteStore, Store,
};
use parlor_testkit::services::Postgres;
use uuid::Uuid;

const BATCH: usize = 512;
const ROOMS: usize = 50;
const WORDS: usize = 20;
const VOCABULARY: f64 = 50_000.0;

#[tokio::main]
async fn main() {
    let backend = std::env::args().nth(1).unwrap_or_else(|| "sqlite".to_owned());
    let count = std::env::args().nth(2).and_then(|count| count.parse().ok()).unwrap_or(200_000);
    if backend == "postgres" {
        let server = Postgres::builder()
            .setting("shared_buffers=256MB")
            .setting("max_wal_size=4GB")
            .start()
            .await;
        let store = PostgresStore::open(PostgresOptions::new(server.url())).await.unwrap();
        measure(Arc::new(store), count).await;
    } else {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(SqliteOptions::new(folder.path())).unwrap();
        measure(Arc::new(store), count).await;
    }
}

async fn measure(store: Arc<dyn Store>, count: usize) {
    let town = Town::build(&*store).await;
    town.fill(&*store, 2_000).await;
    let rate = town.fill(&*store, count).await;
    println!("{count} messages: {rate:.0} messages/s");
    for (name, query) in [
        ("a word that nearly all have", "w0"),
        ("a word that many have", "w30"),
        ("a rare word", "w40000"),
        ("two common words", "w0 w1"),
        ("two that are seldom together", "w40 w3000"),
        ("a phrase", "\"w0 w1\""),
        ("a prefix", "w4999*"),
        ("a prefix of many words", "w1*"),
        ("a word that nobody has", "nothing"),
        ("one author, no word", ""),
    ] {
        let mut times: Vec<Duration> = Vec::new();
        let mut found = 0;
        for _ in 0..5 {
            let mut request = town.request(query);
            if query.is_empty() {
                request.from = Some(town.people[3]);
            }
            let begun = Instant::now();
            let page = store.search(request).await.unwrap();
            times.push(begun.elapsed());
            found = page.hits.len();
        }
        times.sort();
        println!("{name}: {:?}, at most {:?}, {found} on the first page", times[2], times[4]);
    }
    let begun = Instant::now();
    let room = town.rooms[0];
    let reset = Append { room, actor: town.people[0], at: now(), intent: Intent::ResetHistory };
    store.append(vec![reset]).await.unwrap().remove(0).unwrap();
    println!("resetting a room of {} messages: {:?}", count / ROOMS, begun.elapsed());
}

fn now() -> Timestamp {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap())
}

struct Town {
    people: Vec<UserId>,
    rooms: Vec<RoomId>,
}

impl Town {
    async fn build(store: &dyn Store) -> Self {
        let mut people = Vec::new();
        for n in 0..10 {
            let user = NewUser {
                id: UserId(Uuid::now_v7()),
                username: format!("user{n}"),
                display_name: format!("User {n}"),
                kind: UserKind::User,
                email: None,
                password_hash: None,
                role: ServerRole::User,
                at: now(),
            };
            people.push(store.create_user(user).await.unwrap().unwrap().user.id);
        }
        let mut rooms = Vec::new();
        for n in 0..ROOMS {
            let room = NewRoom {
                id: RoomId(Uuid::now_v7()),
                slug: format!("room{n}"),
                name: format!("Room {n}"),
                kind: RoomKind::Public,
                topic: String::new(),
                creator: people[0],
                members: people[1..].to_vec(),
                at: now(),
                client_id: None,
                max_owned: 1_000,
            };
            rooms.push(store.create_room(room).await.unwrap().unwrap().room.id);
        }
        Self { people, rooms }
    }

    /// Appends messages and returns how many a second.
    async fn fill(&self, store: &dyn Store, count: usize) -> f64 {
        let mut left = count;
        let mut time = Duration::ZERO;
        while left > 0 {
            let size = left.min(BATCH);
            let batch: Vec<Append> = (0..size).map(|n| self.publish(n)).collect();
            let begun = Instant::now();
            let answers = store.append(batch).await.unwrap();
            time += begun.elapsed();
            assert!(answers.iter().all(Result::is_ok));
            left -= size;
        }
        f64::from(u32::try_from(count).unwrap()) / time.as_secs_f64()
    }

    fn publish(&self, n: usize) -> Append {
        let body: Vec<String> = (0..WORDS).map(|_| format!("w{}", word())).collect();
        let message = NewMessage {
            id: MessageId(Uuid::now_v7()),
            client_id: Some(Uuid::new_v4().to_string()),
            body: body.join(" "),
            reply_to: None,
            thread: None,
            attachments: Vec::new(),
        };
        Append {
            room: self.rooms[n % ROOMS],
            actor: self.people[n % self.people.len()],
            at: now(),
            intent: Intent::Publish(message),
        }
    }

    fn request(&self, query: &str) -> SearchRequest {
        SearchRequest {
            user: self.people[1],
            query: Query::parse(query).unwrap(),
            from: None,
            room: None,
            window: None,
            limit: 50,
            time: Duration::from_secs(1),
        }
    }
}

/// Returns the number of a word; small ones are common.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to the most")]
#[expect(clippy::cast_precision_loss, reason = "it need not be exact")]
fn word() -> u32 {
    let random = (Uuid::new_v4().as_u128() >> 64) as u64 as f64 / u64::MAX as f64;
    (VOCABULARY.powf(random) - 1.0) as u32
}

//! The contract on Postgres, and what only this backend promises.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::needless_pass_by_value,
    clippy::cast_possible_truncation,
    reason = "tests fail by panicking, spawn what they like, and count little"
)]

#[path = "postgres/crash.rs"]
mod crash;
#[path = "postgres/cuts.rs"]
mod cuts;
#[path = "postgres/epoch.rs"]
mod epoch;
#[path = "postgres/faults.rs"]
mod faults;
#[path = "postgres/imports.rs"]
mod imports;
#[path = "postgres/jobs.rs"]
mod jobs;
#[path = "postgres/lost_answers.rs"]
mod lost_answers;
#[path = "postgres/model.rs"]
mod model;
#[path = "postgres/open.rs"]
mod open;
#[path = "postgres/schema.rs"]
mod schema;
#[path = "postgres/search.rs"]
mod search;
#[path = "postgres/tail.rs"]
mod tail;
#[path = "postgres/tls.rs"]
mod tls;
#[path = "postgres/told.rs"]
mod told;
#[path = "postgres/writers.rs"]
mod writers;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use parlor_protocol::id::{RoomId, UserId};
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::{ServerRole, UserKind};
use parlor_store::conformance::{Factory, MAX_HOPS, Opened, ROOM_MEMBERS};
use parlor_store::record::NewUser;
use parlor_store::{Operations as _, PostgresOptions, PostgresStore, Store};
use parlor_testkit::services::Postgres;
use tokio::runtime::Runtime;
use uuid::Uuid;

/// An empty database with the newest schema, to be copied.
const TEMPLATE: &str = "template_of_tests";

/// Returns the server that most tests share, each with a database of its own. It outlives the test
/// that asks first, so it has a thread and a runtime of its own.
fn server() -> &'static Postgres {
    static SERVER: OnceLock<(Postgres, Runtime)> = OnceLock::new();
    let start = || {
        let runtime = Runtime::new().unwrap();
        let server = runtime.block_on(async {
            let server = Postgres::builder().setting("fsync=off").start().await;
            let template = server.create_database(TEMPLATE);
            PostgresStore::migrate(&options(&template)).await.unwrap();
            nobody_uses(&server, TEMPLATE).await;
            server
        });
        (server, runtime)
    };
    &SERVER.get_or_init(|| std::thread::spawn(start).join().unwrap()).0
}

/// Waits until a database can be copied.
async fn nobody_uses(server: &Postgres, name: &str) {
    let users = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}'");
    let unused = async {
        while server.sql("postgres", &users).trim() != "0" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon(unused).await;
}

/// Makes a database with the newest schema, and returns its name and address.
fn database() -> (String, String) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let url = server().create_database_from(&name, TEMPLATE);
    (name, url)
}

/// Returns options with few connections: many tests share a server.
fn options(url: &str) -> PostgresOptions {
    PostgresOptions { readers: 2, ..PostgresOptions::new(url) }
}

async fn open(url: &str) -> PostgresStore {
    PostgresStore::open(options(url)).await.unwrap()
}

/// A time that does not matter.
fn at() -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000)
}

/// Describes a person.
fn person(username: &str) -> NewUser {
    NewUser {
        id: UserId(Uuid::new_v4()),
        username: username.to_owned(),
        display_name: username.to_owned(),
        kind: UserKind::User,
        email: None,
        password_hash: None,
        role: ServerRole::User,
        at: at(),
    }
}

/// Ends a test that would wait for ever.
async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_mins(1), work).await.expect("it takes too long")
}

struct OnServer;

struct OpenedOnServer {
    store: Arc<PostgresStore>,
    database: String,
}

#[async_trait]
impl Factory for OnServer {
    async fn open(&self) -> Box<dyn Opened> {
        let (database, url) = database();
        let options =
            PostgresOptions { max_hops: MAX_HOPS, room_members: ROOM_MEMBERS, ..options(&url) };
        let store = Arc::new(PostgresStore::open(options).await.unwrap());
        Box::new(OpenedOnServer { store, database })
    }
}

#[async_trait]
impl Opened for OpenedOnServer {
    fn store(&self) -> Arc<dyn Store> {
        Arc::<PostgresStore>::clone(&self.store)
    }

    async fn replace_document(&self, room: RoomId, seq: u64, document: &str) {
        let document = document.replace('\'', "''");
        let room = room.0;
        let sql =
            format!("UPDATE events SET data = '{document}' WHERE room = '{room}' AND seq = {seq}");
        server().sql(&self.database, &sql);
    }

    /// Every row of every table. The files of the server hold removed rows until it cleans up.
    async fn remains(&self) -> Vec<u8> {
        self.store.close().await;
        let server = server();
        let tables = server
            .sql(&self.database, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'");
        let rows = tables
            .lines()
            .map(|table| server.sql(&self.database, &format!("SELECT t::text FROM \"{table}\" t")));
        rows.collect::<String>().into_bytes()
    }
}

parlor_store::store_conformance!(conformance, OnServer);

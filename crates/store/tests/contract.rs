//! The contract on each backend, and what only one of them promises.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "contract/sqlite_crash.rs"]
mod sqlite_crash;
#[path = "contract/sqlite_epoch.rs"]
mod sqlite_epoch;
#[path = "contract/sqlite_files.rs"]
mod sqlite_files;
#[path = "contract/sqlite_imports.rs"]
mod sqlite_imports;
#[path = "contract/sqlite_search.rs"]
mod sqlite_search;
#[path = "contract/sqlite_writer.rs"]
mod sqlite_writer;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use parlor_protocol::id::{MessageId, RoomId, UserId};
use parlor_protocol::room::RoomKind;
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::{ServerRole, UserKind};
use parlor_store::conformance::{Factory, MAX_HOPS, Opened, ROOM_MEMBERS};
use parlor_store::record::{NewRoom, NewUser};
use parlor_store::{
    Append, Intent, NewMessage, Operations as _, Rooms as _, SqliteOptions, SqliteStore, Store,
    Users as _,
};
use tempfile::TempDir;
use uuid::Uuid;

#[derive(Default)]
struct Sqlite {
    /// How often a search looks at the clock, if not as usual.
    search_steps: Option<i32>,
}

struct OpenedSqlite {
    store: Arc<SqliteStore>,
    folder: TempDir,
}

#[async_trait]
impl Factory for Sqlite {
    async fn open(&self) -> Box<dyn Opened> {
        let folder = tempfile::tempdir().unwrap();
        let usual = SqliteOptions::new(folder.path());
        let options = SqliteOptions {
            max_hops: MAX_HOPS,
            room_members: ROOM_MEMBERS,
            search_steps: self.search_steps.unwrap_or(usual.search_steps),
            ..usual
        };
        let store = Arc::new(SqliteStore::open(options).unwrap());
        Box::new(OpenedSqlite { store, folder })
    }
}

#[async_trait]
impl Opened for OpenedSqlite {
    fn store(&self) -> Arc<dyn Store> {
        Arc::<SqliteStore>::clone(&self.store)
    }

    async fn replace_document(&self, room: RoomId, seq: u64, document: &str) {
        let conn = rusqlite::Connection::open(self.folder.path().join("parlor.db")).unwrap();
        conn.busy_timeout(std::time::Duration::from_mins(1)).unwrap();
        conn.execute(
            "UPDATE events SET data = ?3 WHERE room = ?1 AND seq = ?2",
            rusqlite::params![room.0.as_bytes(), seq.cast_signed(), document],
        )
        .unwrap();
    }

    async fn remains(&self) -> Vec<u8> {
        self.store.close().await;
        let mut bytes = Vec::new();
        for entry in std::fs::read_dir(self.folder.path()).unwrap() {
            bytes.extend(std::fs::read(entry.unwrap().path()).unwrap());
        }
        bytes
    }
}

parlor_store::store_conformance!(sqlite, Sqlite::default());

/// A time that does not matter.
fn at() -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000)
}

/// Opens the store of a folder as a program would.
fn open(folder: &Path) -> SqliteStore {
    SqliteStore::open(SqliteOptions::new(folder)).unwrap()
}

/// Ids that are the same in every process.
const ADA: UserId = UserId(Uuid::from_u128(1));
const ROOM: RoomId = RoomId(Uuid::from_u128(2));

/// Makes Ada and her room, unless they are there.
async fn settle(store: &SqliteStore) {
    let ada = NewUser {
        id: ADA,
        username: "ada".to_owned(),
        display_name: "Ada".to_owned(),
        kind: UserKind::User,
        email: None,
        password_hash: None,
        role: ServerRole::User,
        at: at(),
    };
    store.create_user(ada).await.unwrap().unwrap();
    let room = NewRoom {
        id: ROOM,
        slug: "room".to_owned(),
        name: "Room".to_owned(),
        kind: RoomKind::Public,
        topic: String::new(),
        creator: ADA,
        members: Vec::new(),
        at: at(),
        client_id: None,
        max_owned: 10,
    };
    store.create_room(room).await.unwrap().unwrap();
}

/// Describes a message of Ada.
fn publish(client_id: &str, body: &str) -> Append {
    let message = NewMessage {
        id: MessageId(Uuid::new_v4()),
        client_id: Some(client_id.to_owned()),
        body: body.to_owned(),
        reply_to: None,
        thread: None,
        attachments: Vec::new(),
    };
    Append { room: ROOM, actor: ADA, at: at(), intent: Intent::Publish(message) }
}

//! A commit whose answer is lost: the work is repeated, done once, and answered as it was done.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parlor_protocol::http::Trigger;
use parlor_protocol::id::{RoomId, SessionId, UserId};
use parlor_protocol::room::RoomKind;
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::{ServerRole, UserKind, UserRef};
use parlor_store::record::{BotRecord, NewInvite, NewRoom, NewSession, NewUser, Rotated, Rotation};
use parlor_store::{
    Bots as _, Operations as _, PostgresOptions, PostgresStore, Rooms as _, Sessions as _,
    StoreError, Users as _,
};
use parlor_testkit::services::Postgres;
use parlor_testkit::tcp_proxy::TcpProxy;
use tokio::task::JoinSet;
use tokio::time::sleep;
use uuid::Uuid;

use super::{at, open, options, person, soon};

/// A server behind a proxy, and a store that reaches it only that way.
struct Stage {
    server: Postgres,
    proxy: TcpProxy,
    store: Arc<PostgresStore>,
}

impl Stage {
    async fn set_up(deadline: Duration) -> Self {
        let server = Postgres::start().await;
        let proxy = TcpProxy::start(SocketAddr::from(([127, 0, 0, 1], server.port()))).await;
        let port = |port: u16| format!(":{port}/");
        let url = server.url().replace(&port(server.port()), &port(proxy.addr().port()));
        let options = PostgresOptions { append_deadline: deadline, ..options(&url) };
        let store = Arc::new(PostgresStore::open(options).await.unwrap());
        Self { server, proxy, store }
    }

    fn set_standby(&self, name: &str) {
        self.server.query(&format!("ALTER SYSTEM SET synchronous_standby_names = '{name}'"));
        self.server.query("SELECT pg_reload_conf()");
    }

    /// Counts the commits that wait for a standby.
    fn waiting(&self) -> u32 {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        self.server.query(waiting).trim().parse().unwrap()
    }

    /// Makes commits wait for a standby that does not exist, beginning with one that is returned.
    async fn hold_commits(&self) -> JoinSet<()> {
        self.set_standby("nobody");
        let mut probe = JoinSet::new();
        let held = async {
            while self.waiting() == 0 {
                // The server applies the setting a little later: the one before was not held.
                if probe.is_empty() {
                    let store = Arc::clone(&self.store);
                    probe.spawn(async move { drop(store.check_health().await) });
                }
                sleep(Duration::from_millis(10)).await;
                drop(probe.try_join_next());
            }
        };
        soon(held).await;
        probe
    }

    async fn waits_for_standby(&self, n_commits: u32) {
        let waits = async {
            while self.waiting() < n_commits {
                sleep(Duration::from_millis(10)).await;
            }
        };
        soon(waits).await;
    }

    /// Does something whose commit is kept, and whose answer never arrives.
    async fn lose_answer<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let probe = self.hold_commits().await;
        let work = JoinSet::from_iter([work]);
        self.waits_for_standby(2).await;
        self.proxy.reset_all();
        self.set_standby("");
        let answer = soon(work.join_all()).await.remove(0);
        soon(probe.join_all()).await;
        answer
    }
}

fn new_session(user: UserId, token: u8, at: i64) -> NewSession {
    NewSession {
        id: SessionId(Uuid::new_v4()),
        user,
        client: "test/1".to_owned(),
        refresh_hash: [token; 32],
        at: Timestamp::from_millis(at),
        idle_until: Timestamp::from_millis(at + 1_000_000),
        absolute_until: Timestamp::from_millis(at + 9_000_000),
        max_sessions: 1,
    }
}

fn new_room(creator: UserId, slug: &str) -> NewRoom {
    NewRoom {
        id: RoomId(Uuid::new_v4()),
        slug: slug.to_owned(),
        name: slug.to_owned(),
        kind: RoomKind::Public,
        topic: String::new(),
        creator,
        members: Vec::new(),
        at: at(),
        client_id: None,
        max_owned: 10,
    }
}

const DEADLINE: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_made_once_and_answered() {
    let stage = Stage::set_up(DEADLINE).await;
    let ada = person("ada");

    let (store, user) = (Arc::clone(&stage.store), ada.clone());
    let made = stage.lose_answer(async move { store.create_first_admin(user).await }).await;
    let made = made.unwrap().unwrap();
    assert_eq!((made.user.id, made.user.role), (ada.id, ServerRole::Admin));

    let (store, bob) = (Arc::clone(&stage.store), person("bob"));
    let made = stage.lose_answer(async move { store.create_user(bob).await }).await;
    assert_eq!(made.unwrap().unwrap().user.username, "bob");

    let store = Arc::clone(&stage.store);
    let pinned = stage.lose_answer(async move { store.pin("key", "first").await }).await;
    assert_eq!(pinned.unwrap(), "first");
    assert_eq!(stage.store.pin("key", "second").await.unwrap(), "first");
    assert_eq!(stage.store.list_users(None, 10).await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_are_begun_exchanged_and_ended_once() {
    let stage = Stage::set_up(DEADLINE).await;
    let ada = stage.store.create_user(person("ada")).await.unwrap().unwrap().user;
    let first = new_session(ada.id, 1, 1_000);
    stage.store.create_session(first.clone()).await.unwrap();

    let second = new_session(ada.id, 2, 2_000);
    let (store, session) = (Arc::clone(&stage.store), second.clone());
    let ended = stage.lose_answer(async move { store.create_session(session).await }).await;
    assert_eq!(ended.unwrap(), [first.id], "the one that made room is told although it is done");

    let rotation = Rotation {
        presented: [2; 32],
        successor: [3; 32],
        at: Timestamp::from_millis(3_000),
        grace_ms: 0,
        idle_until: Timestamp::from_millis(1_003_000),
    };
    let (store, exchange) = (Arc::clone(&stage.store), rotation.clone());
    let rotated =
        stage.lose_answer(async move { store.rotate_refresh_token(exchange).await }).await;
    let rotated = rotated.unwrap();
    assert!(matches!(&rotated, Rotated::Fresh(session) if session.id == second.id), "{rotated:?}");

    let reuse = Rotation { at: Timestamp::from_millis(4_000), ..rotation };
    let store = Arc::clone(&stage.store);
    let reused = stage.lose_answer(async move { store.rotate_refresh_token(reuse).await }).await;
    assert!(matches!(reused.unwrap(), Rotated::Reused(session) if session.id == second.id));

    let third = new_session(ada.id, 5, 5_000);
    stage.store.create_session(third.clone()).await.unwrap();
    let store = Arc::clone(&stage.store);
    let revoked =
        async move { store.revoke_session(third.id, Timestamp::from_millis(6_000)).await };
    assert!(stage.lose_answer(revoked).await.unwrap());

    let fourth = new_session(ada.id, 7, 7_000);
    stage.store.create_session(fourth.clone()).await.unwrap();
    let (store, user) = (Arc::clone(&stage.store), ada.id);
    let at = Timestamp::from_millis(8_000);
    let all = async move { store.revoke_sessions_of(user, None, at).await };
    assert_eq!(stage.lose_answer(all).await.unwrap(), [fourth.id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rooms_are_made_marked_and_removed_once() {
    let stage = Stage::set_up(DEADLINE).await;
    let ada = stage.store.create_user(person("ada")).await.unwrap().unwrap().user;
    let bob = stage.store.create_user(person("bob")).await.unwrap().unwrap().user;
    let room = NewRoom { members: vec![bob.id], ..new_room(ada.id, "one") };

    let (store, new) = (Arc::clone(&stage.store), room.clone());
    let made = stage.lose_answer(async move { store.create_room(new).await }).await;
    assert_eq!(made.unwrap().unwrap().room.head.seq, 3);

    let (store, id) = (Arc::clone(&stage.store), room.id);
    let marked = stage.lose_answer(async move { store.set_read_marker(id, ada.id, 9).await }).await;
    assert_eq!(marked.unwrap(), Some(3), "at most to the newest event");

    let invite = NewInvite {
        code: "code".to_owned(),
        room: room.id,
        creator: ada.id,
        at: at(),
        expires_at: Timestamp::from_millis(at().as_millis() + 1_000),
        max_uses: 1,
    };
    let store = Arc::clone(&stage.store);
    stage.lose_answer(async move { store.create_invite(invite).await }).await.unwrap().unwrap();

    let (store, id) = (Arc::clone(&stage.store), room.id);
    let deleted = async move { store.delete_room(id, ada.id, at()).await };
    stage.lose_answer(deleted).await.unwrap().unwrap();
    assert_eq!(stage.server.query("SELECT count(*) FROM events").trim(), "0");

    let two = stage.store.create_room(new_room(ada.id, "two")).await.unwrap().unwrap().room.id;
    let store = Arc::clone(&stage.store);
    let owned = async move { store.delete_rooms_owned_by(ada.id, None).await };
    assert_eq!(stage.lose_answer(owned).await.unwrap(), [two]);
}

#[tokio::test(flavor = "multi_thread")]
async fn bots_are_made_and_ended_once() {
    let stage = Stage::set_up(DEADLINE).await;
    let user = NewUser { kind: UserKind::Bot, ..person("guide") };
    let bot = BotRecord {
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
        created_at: at(),
    };

    let (store, id, new) = (Arc::clone(&stage.store), user.id, bot.clone());
    let made = stage.lose_answer(async move { store.create_bot(user, new).await }).await;
    assert_eq!(made.unwrap(), Ok(bot));

    let store = Arc::clone(&stage.store);
    let ended = stage.lose_answer(async move { store.delete_bot(id, at()).await }).await;
    assert!(ended.unwrap().is_some());
    assert!(stage.store.find_bot("guide").await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn outcome_that_stays_unknown_is_told_so() {
    let stage = Stage::set_up(Duration::from_secs(1)).await;
    let probe = stage.hold_commits().await;

    let made = stage.store.create_user(person("ada")).await;

    assert!(matches!(made, Err(StoreError::UnknownOutcome)), "{made:?}");
    stage.set_standby("");
    let direct = open(&stage.server.url()).await;
    let found = async {
        while direct.find_user_by_name("ada").await.unwrap().is_none() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    soon(found).await;
    soon(probe.join_all()).await;
}

/// What was committed on a server alone is confirmed only when the standby has it too.
#[tokio::test(flavor = "multi_thread")]
async fn repeated_work_is_confirmed_only_when_the_standby_has_it() {
    let stage = Stage::set_up(Duration::from_mins(1)).await;
    let probe = stage.hold_commits().await;
    let (store, ada) = (Arc::clone(&stage.store), person("ada"));
    let mut work = JoinSet::from_iter([async move { store.create_user(ada).await }]);
    stage.waits_for_standby(2).await;

    // Its wait is cut short: the row is there for everyone, and for no standby.
    stage.server.cut_connections();
    let repeated = async {
        let waiting = "SELECT count(*) FROM pg_stat_activity \
                       WHERE wait_event = 'SyncRep' AND query LIKE '%commit_log%'";
        while stage.server.query(waiting).trim() != "2" {
            sleep(Duration::from_millis(10)).await;
        }
    };
    soon(repeated).await;
    assert_eq!(stage.server.query("SELECT count(*) FROM users").trim(), "1");
    assert!(work.try_join_next().is_none(), "it is not confirmed");

    stage.set_standby("");
    soon(work.join_all()).await.remove(0).unwrap().unwrap();
    soon(probe.join_all()).await;
}

//! What one node does is found in the tail by another one, in case the bus does not tell it.

use std::time::Duration;

use parlor_protocol::http::Trigger;
use parlor_protocol::id::{RoomId, SessionId, UserId};
use parlor_protocol::room::RoomKind;
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::{UserKind, UserRef};
use parlor_store::record::{BotRecord, NewRoom, NewSession, NewUser, Rotated, Rotation};
use parlor_store::{
    Bots as _, Commit, PostgresStore, Rooms as _, Sessions as _, Tail as _, TailPosition,
    Users as _,
};
use uuid::Uuid;

use super::{at, database, open, person, server};

/// Two nodes, one of which only reads the tail.
struct Nodes {
    one: PostgresStore,
    other: PostgresStore,
    position: TailPosition,
}

impl Nodes {
    async fn start() -> Self {
        let (_, url) = database();
        let (one, other) = (open(&url).await, open(&url).await);
        let position = other.tail_start().await.unwrap();
        Self { one, other, position }
    }

    /// Returns what was done since the last call.
    async fn told(&mut self) -> Vec<Commit> {
        let page = self.other.read_tail(&self.position, 100).await.unwrap();
        assert!(!page.more);
        self.position = page.position;
        page.commits
    }

    async fn user(&self, username: &str) -> UserId {
        self.one.create_user(person(username)).await.unwrap().unwrap().user.id
    }

    async fn session(&self, user: UserId, token: u8, max_sessions: u32) -> SessionId {
        let at = at().as_millis() + i64::from(token);
        let session = NewSession {
            id: SessionId(Uuid::new_v4()),
            user,
            client: "test/1".to_owned(),
            refresh_hash: [token; 32],
            at: Timestamp::from_millis(at),
            idle_until: Timestamp::from_millis(at + 1_000_000),
            absolute_until: Timestamp::from_millis(at + 9_000_000),
            max_sessions,
        };
        let id = session.id;
        self.one.create_session(session).await.unwrap();
        id
    }

    async fn room(&self, creator: UserId, members: &[UserId]) -> RoomId {
        let id = RoomId(Uuid::new_v4());
        let room = NewRoom {
            id,
            slug: format!("room-{}", id.0.simple()),
            name: "Room".to_owned(),
            kind: RoomKind::Public,
            topic: String::new(),
            creator,
            members: members.to_vec(),
            at: at(),
            client_id: None,
            max_owned: 10,
        };
        self.one.create_room(room).await.unwrap().unwrap();
        id
    }
}

fn sessions(sessions: &[SessionId]) -> Commit {
    Commit { sessions: sessions.to_vec(), ..Commit::default() }
}

#[tokio::test]
async fn ended_logins_are_told() {
    let mut nodes = Nodes::start().await;
    let ada = nodes.user("ada").await;
    let first = nodes.session(ada, 1, 2).await;
    let second = nodes.session(ada, 2, 2).await;
    assert_eq!(nodes.told().await, [], "a login that begins concerns nobody");

    let third = nodes.session(ada, 3, 2).await;
    assert_eq!(nodes.told().await, [sessions(&[first])], "the oldest made room");

    assert!(nodes.one.revoke_session(second, at()).await.unwrap());
    assert!(!nodes.one.revoke_session(second, at()).await.unwrap());
    assert_eq!(nodes.told().await, [sessions(&[second])]);

    nodes.one.revoke_sessions_of(ada, None, at()).await.unwrap();
    assert_eq!(nodes.told().await, [sessions(&[third])]);
}

#[tokio::test]
async fn stolen_token_that_ends_a_login_is_told() {
    let mut nodes = Nodes::start().await;
    let ada = nodes.user("ada").await;
    let session = nodes.session(ada, 1, 2).await;
    let rotation = Rotation {
        presented: [1; 32],
        successor: [2; 32],
        at: Timestamp::from_millis(at().as_millis() + 10),
        grace_ms: 10,
        idle_until: Timestamp::from_millis(at().as_millis() + 1_000_000),
    };
    nodes.one.rotate_refresh_token(rotation.clone()).await.unwrap();
    assert_eq!(nodes.told().await, []);

    let late = Rotation { at: Timestamp::from_millis(at().as_millis() + 500), ..rotation };
    let reused = nodes.one.rotate_refresh_token(late).await.unwrap();

    assert!(matches!(reused, Rotated::Reused(_)), "{reused:?}");
    assert_eq!(nodes.told().await, [sessions(&[session])]);
}

#[tokio::test]
async fn user_who_is_switched_off_is_told_with_all_logins() {
    let mut nodes = Nodes::start().await;
    let ada = nodes.user("ada").await;
    let session = nodes.session(ada, 1, 2).await;

    nodes.one.set_user_access(ada, Some(false), None, at()).await.unwrap().unwrap().unwrap();

    let told = nodes.told().await;
    assert_eq!(told, [Commit { users: vec![ada], ..sessions(&[session]) }]);
    nodes.one.set_user_access(ada, Some(true), None, at()).await.unwrap().unwrap().unwrap();
    assert_eq!(nodes.told().await, []);
}

#[tokio::test]
async fn rooms_that_begin_and_end_are_told() {
    let mut nodes = Nodes::start().await;
    let (ada, bob) = (nodes.user("ada").await, nodes.user("bob").await);

    let one = nodes.room(ada, &[bob]).await;
    let two = nodes.room(ada, &[]).await;
    let grown = |rooms: &[(RoomId, u64)]| Commit { rooms: rooms.to_vec(), ..Commit::default() };
    assert_eq!(nodes.told().await, [grown(&[(one, 3)]), grown(&[(two, 2)])]);

    nodes.one.delete_room(one, ada, at()).await.unwrap().unwrap();
    let gone = |room| Commit { deleted_rooms: vec![room], ..Commit::default() };
    assert_eq!(nodes.told().await, [gone(one)]);

    nodes.one.delete_rooms_owned_by(ada, None).await.unwrap();
    assert_eq!(nodes.told().await, [gone(two)]);
}

#[tokio::test]
async fn bot_that_ends_is_told_in_each_of_its_rooms() {
    let mut nodes = Nodes::start().await;
    let ada = nodes.user("ada").await;
    let user = NewUser { kind: UserKind::Bot, ..person("guide") };
    let id = user.id;
    let bot = BotRecord {
        user: UserRef {
            id,
            username: "guide".to_owned(),
            display_name: "guide".to_owned(),
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
    nodes.one.create_bot(user, bot).await.unwrap().unwrap();
    let (one, two) = (nodes.room(ada, &[id]).await, nodes.room(ada, &[id]).await);
    nodes.told().await;

    let events = nodes.one.delete_bot(id, at()).await.unwrap().unwrap();

    assert_eq!(events.len(), 2);
    let told = nodes.told().await;
    assert_eq!(told.len(), 1, "one transaction is one row: {told:?}");
    let mut rooms = told[0].rooms.clone();
    rooms.sort_unstable();
    let mut expected = [(one, 4), (two, 4)];
    expected.sort_unstable();
    assert_eq!(rooms, expected);
}

/// A process that ends while it removes the log of a room leaves the rest to others.
#[tokio::test]
async fn removal_of_a_log_is_finished_by_whoever_looks_after_the_tail() {
    let (name, url) = database();
    let store = open(&url).await;
    let ada = store.create_user(person("ada")).await.unwrap().unwrap().user.id;
    let room = Uuid::new_v4();
    server().sql(
        &name,
        &format!(
            "INSERT INTO purges VALUES ('{room}'); \
             INSERT INTO events SELECT '{room}', n, 0, 'message.created', '{ada}', NULL, NULL, '' \
             FROM generate_series(1, 12000) n; \
             INSERT INTO reactions SELECT '{room}', n, '+', '{ada}', n \
             FROM generate_series(1, 3) n"
        ),
    );

    store.prune_tail(Duration::from_mins(10)).await.unwrap();

    let left = "SELECT (SELECT count(*) FROM events) + (SELECT count(*) FROM reactions) \
                + (SELECT count(*) FROM purges)";
    assert_eq!(server().sql(&name, left).trim(), "0");
}

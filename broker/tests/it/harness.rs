//! A node under test, and clients that talk to it over real sockets.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use parlor_auth::NewAccess;
use parlor_broker::node::Node;
use parlor_broker::start::{Backends, Broker};
use parlor_bus::LocalBus;
use parlor_cluster::{LocalLimits, LocalPresence, LocalTickets};
use parlor_files::{Objects, Place};
use parlor_llm::Providers;
use parlor_protocol::id::{RoomId, RoomRef, SessionId, UserId};
use parlor_protocol::room::RoomKind;
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::{ServerRole, UserKind};
use parlor_runtime::{Config, Lifecycle, SystemClock};
use parlor_store::record::{NewRoom, NewSession, NewUser};
use parlor_store::{Append, Intent, Store};
use prometheus::Registry;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

#[path = "harness/stores.rs"]
mod stores;

/// Longer than any healthy step.
const PATIENCE: Duration = Duration::from_secs(30);

/// A node with its own data folder.
pub(crate) struct TestNode {
    pub(crate) broker: Option<Broker>,
    pub(crate) lifecycle: Lifecycle,
    _folder: TempDir,
}

/// Someone with a login.
#[derive(Debug, Clone)]
pub(crate) struct TestUser {
    pub(crate) id: UserId,
    pub(crate) session: SessionId,
    pub(crate) token: String,
}

impl TestNode {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        Self::start_on(None, change).await
    }

    /// Starts a node on a store that others use too; on one of its own when there is none.
    pub(crate) async fn start_on(
        store: Option<Arc<dyn Store>>,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let swap = |backends: &mut Backends| {
            if let Some(store) = store {
                backends.store = store;
            }
        };
        Self::start_as(change, swap).await
    }

    /// Starts a node on other backends than its own.
    pub(crate) async fn start_as(
        change: impl FnOnce(&mut Config),
        swap: impl FnOnce(&mut Backends),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::embedded(folder.path());
        config.server.listen = "127.0.0.1:0".parse().unwrap();
        config.limits.enabled = false;
        config.auth.argon2_memory = parlor_runtime::config::ByteSize::kib(64);
        change(&mut config);
        let mut backends = Backends {
            store: stores::open(folder.path()).await,
            bus: Arc::new(LocalBus::new()),
            presence: Arc::new(LocalPresence::new(Duration::from_mins(5))),
            tickets: Arc::new(LocalTickets::new(100)),
            limits: Arc::new(LocalLimits::default()),
            providers: Arc::new(Providers::demo()),
            objects: Objects::open(Place::Folder(folder.path().join("files"))).unwrap(),
            clock: Arc::new(SystemClock),
            registry: Registry::new(),
        };
        swap(&mut backends);
        let lifecycle = Lifecycle::new((&config.lifecycle).into());
        let secret = [7; 32];
        let broker = Broker::start(config, &secret, backends, &lifecycle, "be kind").await.unwrap();
        Self { broker: Some(broker), lifecycle, _folder: folder }
    }

    pub(crate) fn node(&self) -> &Arc<Node> {
        self.broker.as_ref().unwrap().node()
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/v1/ws", self.broker.as_ref().unwrap().address())
    }

    pub(crate) async fn user(&self, name: &str) -> TestUser {
        let node = self.node();
        let id = UserId(node.clock.new_id());
        let account = NewUser {
            id,
            username: name.to_owned(),
            display_name: name.to_owned(),
            kind: UserKind::User,
            email: None,
            password_hash: None,
            role: ServerRole::User,
            at: node.now(),
        };
        node.store.create_user(account).await.unwrap().unwrap();
        self.login(id, Duration::from_mins(15)).await
    }

    pub(crate) async fn login(&self, id: UserId, life: Duration) -> TestUser {
        let node = self.node();
        let session = SessionId(node.clock.new_id());
        let until = Timestamp::from_millis(node.now().as_millis() + 3_600_000);
        let mut refresh_hash = [0; 32];
        refresh_hash[..16].copy_from_slice(session.0.as_bytes());
        let login = NewSession {
            id: session,
            user: id,
            client: "test".into(),
            refresh_hash,
            at: node.now(),
            idle_until: until,
            absolute_until: until,
            max_sessions: 10,
        };
        node.store.create_session(login).await.unwrap();
        let access =
            NewAccess { user: id, session, role: ServerRole::User, id: node.clock.new_id() };
        let (token, _) = node.access_tokens.issue(access, node.clock.now(), life);
        TestUser { id, session, token }
    }

    pub(crate) async fn room(&self, slug: &str, members: &[&TestUser]) -> RoomId {
        let node = self.node();
        let (creator, rest) = members.split_first().unwrap();
        let room = NewRoom {
            id: RoomId(node.clock.new_id()),
            slug: slug.to_owned(),
            name: slug.to_owned(),
            kind: RoomKind::Private,
            topic: String::new(),
            creator: creator.id,
            members: rest.iter().map(|user| user.id).collect(),
            at: node.now(),
            client_id: None,
            max_owned: 1_000,
        };
        let created = node.store.create_room(room).await.unwrap().unwrap();
        node.bus.publish_events(created.events);
        created.room.id
    }

    pub(crate) async fn append(&self, actor: &TestUser, room: RoomId, intent: Intent) {
        let node = self.node();
        let append = Append { room, actor: actor.id, at: node.now(), intent };
        node.committer.append(append).await.unwrap();
    }

    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.node().store
    }

    pub(crate) async fn connect(&self, user: &TestUser) -> TestClient {
        let mut request = self.url().into_client_request().unwrap();
        let bearer = format!("Bearer {}", user.token).parse().unwrap();
        request.headers_mut().insert("authorization", bearer);
        let mut client = TestClient::open(request).await;
        let welcome = client.next().await;
        assert_eq!(welcome["op"], "welcome", "{welcome}");
        client
    }

    pub(crate) async fn anonymous(&self) -> TestClient {
        TestClient::open(self.url().into_client_request().unwrap()).await
    }

    /// Stops the node and returns how that went.
    pub(crate) async fn stop(mut self) -> parlor_runtime::Stopped {
        let stopped = self.lifecycle.shut_down().await;
        self.broker.take().unwrap().close().await;
        stopped
    }
}

/// One WebSocket.
pub(crate) struct TestClient {
    pub(crate) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    commands: u64,
}

impl TestClient {
    pub(crate) async fn open(
        request: tokio_tungstenite::tungstenite::handshake::client::Request,
    ) -> Self {
        let (socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
        Self::on(socket)
    }

    /// Talks on a WebSocket that is open.
    pub(crate) fn on(socket: WebSocketStream<MaybeTlsStream<TcpStream>>) -> Self {
        Self { socket, commands: 0 }
    }

    pub(crate) async fn send(&mut self, frame: Value) {
        self.socket.send(Message::text(frame.to_string())).await.unwrap();
    }

    /// Waits for the next frame of the contract.
    #[track_caller]
    pub(crate) fn next(&mut self) -> impl Future<Output = Value> {
        let caller = std::panic::Location::caller();
        async move {
            loop {
                let message = tokio::time::timeout(PATIENCE, self.socket.next()).await;
                let message = message.unwrap_or_else(|_| panic!("no frame in time at {caller}"));
                match message {
                    Some(Ok(Message::Text(text))) => {
                        return serde_json::from_str(text.as_str()).unwrap();
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    other => panic!("instead of a frame: {other:?} at {caller}"),
                }
            }
        }
    }

    /// Waits for a frame that does not tell who is there, which comes whenever it is ready.
    pub(crate) async fn next_told(&mut self) -> Value {
        loop {
            let frame = self.next().await;
            if frame["type"] != "presence" {
                return frame;
            }
        }
    }

    /// Waits for a frame that is not a signal.
    pub(crate) async fn next_durable(&mut self) -> Value {
        loop {
            let frame = self.next().await;
            if frame["op"] != "signal" {
                return frame;
            }
        }
    }

    /// Sends a command and waits for its answer, passing over everything else.
    pub(crate) async fn request(&mut self, mut command: Value) -> Value {
        self.commands += 1;
        let id = format!("c{}", self.commands);
        command["id"] = json!(id);
        self.send(command).await;
        loop {
            let frame = self.next().await;
            if frame["re"] == id.as_str() {
                return frame;
            }
        }
    }

    pub(crate) async fn subscribe(&mut self, room: RoomId, since: Option<Value>) -> Value {
        let mut command = json!({"op": "subscribe", "room": room});
        if let Some(since) = since {
            command["since"] = since;
        }
        self.request(command).await
    }

    pub(crate) async fn publish(&mut self, room: RoomId, body: &str) -> Value {
        self.request(json!({"op": "publish", "room": room, "body": body})).await
    }

    /// Waits for the close frame, passing over what comes before it.
    pub(crate) async fn closed(&mut self) -> (u16, String) {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.socket.next()).await;
            match message.expect("not closed in time") {
                Some(Ok(Message::Close(Some(CloseFrame { code, reason })))) => {
                    return (code.into(), reason.to_string());
                }
                Some(Ok(_)) => {}
                other => panic!("instead of a close frame: {other:?}"),
            }
        }
    }
}

/// The seqs of the events among frames.
pub(crate) fn seqs(frames: &[Value]) -> Vec<u64> {
    frames.iter().filter_map(|frame| frame["seq"].as_u64()).collect()
}

/// A room as a client may name it.
pub(crate) fn by_slug(slug: &str) -> RoomRef {
    RoomRef::from(slug)
}

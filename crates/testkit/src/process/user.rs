//! Someone with an account: HTTP calls, sockets and a feed.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use parlor_client::{Feed, Http, MemoryTokens, MessageQuery, TokenStore, Updates};
use parlor_protocol::{
    command::Position,
    event::Event,
    frame::Frame,
    http::{CreateRoomRequest, PublishRequest, PutMemberRequest, RegisterRequest},
    id::UserId,
    message::Message,
    room::{Room, RoomKind},
};
use tokio::time::timeout;

use super::client_config;
use crate::socket::Socket;

/// The password of every account of the tests.
pub const PASSWORD: &str = "tangerine-orbit-42-violin";

/// Someone who is logged in.
#[derive(Debug, Clone)]
pub struct User {
    /// The user name.
    pub name: String,
    /// The id.
    pub id: UserId,
    /// Typed HTTP calls.
    pub http: Http,
    tokens: Arc<MemoryTokens>,
    addr: SocketAddr,
}

impl User {
    /// Makes an account.
    pub async fn register(addr: SocketAddr, name: &str) -> Self {
        let (http, tokens) = calls(addr);
        let request = RegisterRequest {
            username: name.to_owned(),
            password: PASSWORD.to_owned(),
            email: None,
            display_name: None,
            invite: None,
        };
        let user = http.register(&request).await;
        let user = user.unwrap_or_else(|error| panic!("register {name}: {error:?}"));
        Self { name: user.username, id: user.id, http, tokens, addr }
    }

    /// Logs in to an account that exists. Each login is a session of its own.
    pub async fn log_in(addr: SocketAddr, name: &str) -> Self {
        let (http, tokens) = calls(addr);
        let user = http.log_in(name, PASSWORD).await;
        let user = user.unwrap_or_else(|error| panic!("log {name} in: {error:?}"));
        Self { name: user.username, id: user.id, http, tokens, addr }
    }

    /// Returns the same login at another address, such as a proxy's.
    #[must_use]
    pub fn through(&self, addr: SocketAddr) -> Self {
        let tokens = Arc::clone(&self.tokens);
        let store: Arc<dyn TokenStore> = Arc::<MemoryTokens>::clone(&tokens);
        let http = Http::with_tokens(client_config(addr), store).unwrap();
        Self { http, tokens, addr, ..self.clone() }
    }

    /// Returns the server's address.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns the access token.
    pub async fn token(&self) -> String {
        self.http.access_token().await.unwrap()
    }

    /// Returns the refresh token.
    pub fn refresh_token(&self) -> String {
        self.tokens.load().unwrap().unwrap().refresh_token
    }

    /// Opens a WebSocket.
    pub async fn socket(&self) -> Socket {
        let token = self.token().await;
        Socket::open(self.addr, &token).await
    }

    /// Starts a feed, which reconnects by itself.
    pub fn feed(&self) -> (Feed, Updates) {
        Feed::start(self.http.clone())
    }

    /// Makes a public room.
    pub async fn create_room(&self, slug: &str, bots: &[&str]) -> Room {
        let request = CreateRoomRequest {
            name: slug.to_owned(),
            slug: Some(slug.to_owned()),
            kind: RoomKind::Public,
            topic: None,
            members: Vec::new(),
            bots: bots.iter().map(|&bot| bot.to_owned()).collect(),
            client_id: None,
        };
        let room = self.http.create_room(&request).await;
        room.unwrap_or_else(|error| panic!("create the room {slug}: {error:?}"))
    }

    /// Joins a public room.
    pub async fn join(&self, room: &str) {
        let joined = self.http.put_member(room, &self.name, &PutMemberRequest::default()).await;
        joined.unwrap_or_else(|error| panic!("{} joins {room}: {error:?}", self.name));
    }

    /// Writes a message over HTTP.
    pub async fn say(&self, room: &str, body: &str) -> Message {
        let said = self.http.publish(room, &draft(body, None)).await;
        said.unwrap_or_else(|error| panic!("{} writes to {room}: {error:?}", self.name))
    }

    /// Returns a room's whole log, read by a fresh connection.
    ///
    /// # Panics
    /// When the server does not replay so much; `PARLOR_LIMITS__REPLAY_EVENTS` says how much.
    pub async fn log(&self, room: &str) -> Vec<Event> {
        let epoch = self.http.room(room).await.unwrap().epoch;
        let mut socket = self.socket().await;
        let again = socket.subscribe(room, Some(Position { epoch, seq: 0 })).await.unwrap();
        assert!(again.resumed, "the server replays less than {} events", again.seq);
        let mut events = Vec::new();
        while events.last().map_or(0, |event: &Event| event.seq) < again.seq {
            if let Frame::Event(event) = socket.next_frame().await {
                events.push(*event);
            }
        }
        events
    }

    /// Returns a room's whole log, or nothing when it does not come in time.
    pub async fn log_within(&self, room: &str, patience: Duration) -> Option<Vec<Event>> {
        timeout(patience, self.log(room)).await.ok()
    }

    /// Returns all messages of a room, oldest first.
    pub async fn history(&self, room: &str) -> Vec<Message> {
        let (mut all, mut after) = (Vec::new(), 0);
        loop {
            let query =
                MessageQuery { after: Some(after), limit: Some(200), ..MessageQuery::default() };
            let page = self.http.messages(room, &query).await;
            let page = page.unwrap_or_else(|error| panic!("history of {room}: {error:?}"));
            let Some(last) = page.items.last() else { return all };
            after = last.seq;
            all.extend(page.items);
        }
    }
}

/// Returns a message to write.
pub fn draft(body: &str, client_id: Option<&str>) -> PublishRequest {
    PublishRequest {
        body: body.to_owned(),
        client_id: client_id.map(str::to_owned),
        reply_to: None,
        thread: None,
        attachments: Vec::new(),
    }
}

fn calls(addr: SocketAddr) -> (Http, Arc<MemoryTokens>) {
    let tokens = Arc::new(MemoryTokens::default());
    let store: Arc<dyn TokenStore> = Arc::<MemoryTokens>::clone(&tokens);
    (Http::with_tokens(client_config(addr), store).unwrap(), tokens)
}

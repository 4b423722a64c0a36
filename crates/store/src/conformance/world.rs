//! A small world to write tests in: people, bots, rooms and a clock that only moves forward.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use parlor_protocol::event::Event;
use parlor_protocol::http::Trigger;
use parlor_protocol::id::{JobId, MessageId, RoomId, RoomRef, SessionId, UserId};
use parlor_protocol::message::{Message, MessageStatus, Usage};
use parlor_protocol::room::{Role, RoomKind};
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::{ServerRole, UserKind, UserRef};
use uuid::Uuid;

use super::{Factory, Opened};
use crate::append::{Append, AppendRefused, Appended, Intent, NewMessage, QueuedJob, ReplyEnd};
use crate::contract::Store;
use crate::record::{
    BotRecord, ClaimedJob, MemberRecord, NewRoom, NewSession, NewUser, RoomListing, Window,
};

/// A store with a clock.
pub struct World {
    opened: Box<dyn Opened>,
    store: Arc<dyn Store>,
    clock: AtomicI64,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").finish_non_exhaustive()
    }
}

/// Longer than a test lasts.
pub const LEASE: Duration = Duration::from_mins(10);
/// The start of time in the world.
const START: i64 = 1_800_000_000_000;

impl World {
    /// Opens an empty one.
    pub async fn open(factory: &dyn Factory) -> Self {
        let opened = factory.open().await;
        let store = opened.store();
        Self { opened, store, clock: AtomicI64::new(START) }
    }

    /// Returns the store.
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// Returns the store, for a task of its own.
    pub fn shared(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    /// Returns a time after all earlier ones.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.clock.fetch_add(1, Ordering::Relaxed))
    }

    /// Lets time pass.
    pub fn advance(&self, millis: i64) -> Timestamp {
        self.clock.fetch_add(millis, Ordering::Relaxed);
        self.now()
    }

    /// Returns a time so long after now.
    pub fn later(&self, millis: i64) -> Timestamp {
        Timestamp::from_millis(self.now().as_millis() + millis)
    }

    /// Replaces the documents of events as versions wrote them that kept names in them.
    pub async fn write_names(&self, events: &[Event]) {
        for event in events {
            let body = serde_json::to_value(&event.body).unwrap();
            let document = body["data"].to_string();
            self.opened.replace_document(event.room, event.seq, &document).await;
        }
    }

    /// Closes the store and returns every byte that it has left behind.
    pub async fn remains(&self) -> Vec<u8> {
        self.opened.remains().await
    }

    /// Describes a person.
    pub fn new_user(&self, username: &str) -> NewUser {
        NewUser {
            id: UserId(Uuid::new_v4()),
            username: username.to_owned(),
            display_name: username.to_uppercase(),
            kind: UserKind::User,
            email: Some(format!("{username}@example.org")),
            password_hash: Some(format!("hash of {username}")),
            role: ServerRole::User,
            at: self.now(),
        }
    }

    /// Makes a person.
    pub async fn user(&self, username: &str) -> UserRef {
        let user = self.new_user(username);
        self.store.create_user(user).await.unwrap().unwrap().user.to_ref()
    }

    /// Describes a bot.
    pub fn new_bot(&self, username: &str, trigger: Trigger) -> (NewUser, BotRecord) {
        let user = NewUser {
            kind: UserKind::Bot,
            email: None,
            password_hash: None,
            ..self.new_user(username)
        };
        let bot = BotRecord {
            user: UserRef {
                id: user.id,
                username: user.username.clone(),
                display_name: user.display_name.clone(),
                kind: UserKind::Bot,
            },
            provider: Some("demo".to_owned()),
            model: None,
            system_prompt: "be kind".to_owned(),
            trigger,
            temperature: Some(0.5),
            max_tokens: Some(100),
            context_messages: 20,
            memory_ttl_seconds: 3600,
            owner: None,
            created_at: user.at,
        };
        (user, bot)
    }

    /// Makes a bot.
    pub async fn bot(&self, username: &str, trigger: Trigger) -> UserRef {
        let (user, bot) = self.new_bot(username, trigger);
        self.store.create_bot(user, bot).await.unwrap().unwrap().user
    }

    /// Describes a room.
    pub fn new_room(&self, kind: RoomKind, creator: &UserRef, members: &[&UserRef]) -> NewRoom {
        let id = RoomId(Uuid::new_v4());
        NewRoom {
            id,
            slug: format!("room-{}", id.0.simple()),
            name: "Room".to_owned(),
            kind,
            topic: "about it".to_owned(),
            creator: creator.id,
            members: members.iter().map(|member| member.id).collect(),
            at: self.now(),
            client_id: None,
            max_owned: 100,
        }
    }

    /// Makes a room.
    pub async fn room(&self, kind: RoomKind, creator: &UserRef, members: &[&UserRef]) -> RoomId {
        let room = self.new_room(kind, creator, members);
        self.store.create_room(room).await.unwrap().unwrap().room.id
    }

    /// Makes a public room.
    pub async fn public(&self, creator: &UserRef, members: &[&UserRef]) -> RoomId {
        self.room(RoomKind::Public, creator, members).await
    }

    /// Describes a login.
    pub fn new_session(&self, user: &UserRef, token: u8) -> NewSession {
        let at = self.now();
        NewSession {
            id: SessionId(Uuid::new_v4()),
            user: user.id,
            client: "test/1".to_owned(),
            refresh_hash: [token; 32],
            at,
            idle_until: Timestamp::from_millis(at.as_millis() + 1_000_000),
            absolute_until: Timestamp::from_millis(at.as_millis() + 9_000_000),
            max_sessions: 10,
        }
    }

    /// Describes an intent.
    pub fn wish(&self, room: RoomId, actor: &UserRef, intent: Intent) -> Append {
        Append { room, actor: actor.id, at: self.now(), intent }
    }

    /// Carries out one intent.
    pub async fn append(
        &self,
        room: RoomId,
        actor: &UserRef,
        intent: Intent,
    ) -> Result<Appended, AppendRefused> {
        let batch = vec![self.wish(room, actor, intent)];
        self.store.append(batch).await.unwrap().pop().unwrap()
    }

    /// Carries out one intent that must add events.
    pub async fn add(&self, room: RoomId, actor: &UserRef, intent: Intent) -> Vec<Event> {
        match self.append(room, actor, intent).await {
            Ok(Appended::New { events, .. }) => events,
            other => panic!("nothing was added: {other:?}"),
        }
    }

    /// Writes a message and returns its id and the jobs.
    pub async fn say(
        &self,
        room: RoomId,
        author: &UserRef,
        body: &str,
    ) -> (MessageId, Vec<QueuedJob>) {
        let message = text(body);
        let id = message.id;
        match self.append(room, author, Intent::Publish(message)).await {
            Ok(Appended::New { jobs, .. }) => (id, jobs),
            other => panic!("nothing was written: {other:?}"),
        }
    }

    /// Writes a message and returns its id.
    pub async fn said(&self, room: RoomId, author: &UserRef, body: &str) -> MessageId {
        self.say(room, author, body).await.0
    }

    /// Reads the whole log that is left.
    pub async fn events(&self, room: RoomId) -> Vec<Event> {
        self.store.read_events(room, 0, 100_000).await.unwrap()
    }

    /// Reads all messages.
    pub async fn messages(&self, room: RoomId) -> Vec<Message> {
        self.store.list_messages(room, Window::Before(None), 100_000).await.unwrap()
    }

    /// Finds a message that must be there.
    pub async fn message(&self, room: RoomId, message: MessageId) -> Message {
        self.store.find_message(room, message).await.unwrap().unwrap()
    }

    /// Returns the newest position.
    pub async fn seq(&self, room: RoomId) -> u64 {
        self.store.find_head(room).await.unwrap().unwrap().seq
    }

    /// Returns the room as a user sees it.
    pub async fn listing(&self, room: RoomId, user: &UserRef) -> RoomListing {
        self.store.find_room_listing(room, user.id).await.unwrap().unwrap()
    }

    /// Returns a user's role in a room.
    pub async fn role(&self, room: RoomId, user: &UserRef) -> Option<Role> {
        let access = self.store.find_room(&RoomRef::from(room), user.id).await.unwrap().unwrap();
        access.membership.map(|membership| membership.role)
    }

    /// Returns a member's row.
    pub async fn member(&self, room: RoomId, user: &UserRef) -> Option<MemberRecord> {
        let members = self.store.list_members(room, None, 1000).await.unwrap();
        members.into_iter().find(|member| member.user.id == user.id)
    }

    /// Claims a job for longer than a test lasts.
    pub async fn claim(&self) -> Option<ClaimedJob> {
        self.claim_for(LEASE).await
    }

    /// Claims a job; one without length is due again at once.
    pub async fn claim_for(&self, lease: Duration) -> Option<ClaimedJob> {
        self.store.claim_job(Uuid::new_v4(), lease, &[]).await.unwrap()
    }
}

/// Describes a message.
pub fn text(body: &str) -> NewMessage {
    NewMessage {
        id: MessageId(Uuid::new_v4()),
        client_id: None,
        body: body.to_owned(),
        reply_to: None,
        thread: None,
        attachments: Vec::new(),
    }
}

/// Describes a message with the author's own id.
pub fn text_as(client_id: &str, body: &str) -> NewMessage {
    NewMessage { client_id: Some(client_id.to_owned()), ..text(body) }
}

/// Describes the beginning of a reply.
pub fn start(job: JobId, generation: u32, message: MessageId) -> Intent {
    Intent::StartReply {
        job,
        generation,
        message,
        provider: "demo".to_owned(),
        model: "demo-1".to_owned(),
    }
}

/// Describes the end of a reply.
pub fn complete(
    job: JobId,
    generation: u32,
    message: MessageId,
    status: MessageStatus,
    body: &str,
) -> Intent {
    Intent::CompleteReply {
        job,
        generation,
        message,
        end: ReplyEnd {
            status,
            body: body.to_owned(),
            usage: Usage { prompt_tokens: 7, completion_tokens: 3, estimated: false },
            error: None,
            provider: "demo".to_owned(),
            model: "demo-1".to_owned(),
        },
    }
}

/// Checks that events are numbered 1, 2, 3 … from `first`.
pub fn assert_dense(events: &[Event], first: u64) {
    for (event, seq) in events.iter().zip(first..) {
        assert_eq!(event.seq, seq, "the log has a hole or a double");
    }
}

//! A connection that is kept up: it reconnects, resumes, and repeats what was not acknowledged.
//!
//! - Each event of a followed room is delivered once, in order. A hole is never passed on: the room
//!   is subscribed again from the last delivered event, and when the server cannot continue there,
//!   [`Update::Resynced`] says so.
//! - A publish is sent again, with the same `client_id`, until the server has answered it. Publishes
//!   to one room are written in the order they were made; the next one is sent when the one before
//!   is answered.
//! - Pauses between attempts have full jitter, and obey `drain`, `retry_after_ms` and close codes.
//!
//! [`Updates`] must be read while publishes are awaited: when its queue is full, the network is not
//! read, and answers stand in the same line as events.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parlor_protocol::code::Code;
use parlor_protocol::command::{Command, Position, Since};
use parlor_protocol::event::Event;
use parlor_protocol::frame::{Accepted, StreamingReply, Welcome};
use parlor_protocol::id::{FileId, MessageId, RoomId, RoomRef};
use parlor_protocol::signal::Signal;
use serde_json::Value;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::error::{ClientError, Ended};
use crate::http::Http;
use outbox::Entry;
use supervisor::Supervisor;

mod outbox;
mod rooms;
mod supervisor;

/// What a feed tells.
#[derive(Debug)]
pub enum Update {
    /// The connection is up; the rooms are being subscribed.
    Connected(Box<Welcome>),
    /// The connection is down; the next attempt follows by itself.
    Disconnected {
        /// Why.
        error: ClientError,
        /// When the next attempt is made.
        retry_in: Duration,
    },
    /// There will be no further attempt, and this is the last update.
    Ended(ClientError),
    /// A room is being followed, for the first time or again.
    Subscribed {
        /// The room's id.
        room: RoomId,
        /// Its short name.
        slug: String,
        /// Everything up to here is behind; events after it come next.
        position: Position,
        /// The newest event of the room at that time.
        head: u64,
        /// Replies that are being written, with their text so far.
        streaming: Vec<StreamingReply>,
    },
    /// A room cannot be followed, and is not tried again.
    Refused {
        /// The room as it was asked for.
        room: RoomRef,
        /// The stable code.
        code: Code,
        /// What helps.
        detail: String,
    },
    /// Events between the last one and `from` are not delivered: forget the room's messages and
    /// read its history. Events after `from` come next.
    Resynced {
        /// The room.
        room: RoomId,
        /// The position of the history to read.
        from: u64,
        /// Why, as the server says.
        reason: String,
    },
    /// The next event of a room.
    Event(Box<Event>),
    /// A signal.
    Signal(Box<Signal>),
}

/// A message to write.
#[derive(Debug, Clone)]
pub struct Publish {
    /// The room.
    pub room: RoomRef,
    /// The text.
    pub body: String,
    /// The author's own id: the same one is one message.
    pub client_id: String,
    /// The message it answers.
    pub reply_to: Option<MessageId>,
    /// The message whose thread it belongs to.
    pub thread: Option<MessageId>,
    /// The author's finished uploads that belong to it.
    pub attachments: Vec<FileId>,
}

impl Publish {
    /// Creates a message with a fresh `client_id`.
    pub fn new(room: impl Into<RoomRef>, body: impl Into<String>) -> Self {
        Self {
            room: room.into(),
            body: body.into(),
            client_id: Uuid::new_v4().to_string(),
            reply_to: None,
            thread: None,
            attachments: Vec::new(),
        }
    }
}

/// What the supervisor is asked for.
#[derive(Debug)]
enum Ask {
    Subscribe {
        room: RoomRef,
        since: Option<Since>,
    },
    Resubscribe {
        room: RoomId,
    },
    Unsubscribe {
        room: RoomRef,
    },
    /// Kept until it is answered.
    Deliver(Entry),
    /// Sent when connected, dropped otherwise.
    Tell(Command),
    Close {
        done: oneshot::Sender<()>,
    },
}

/// The asking side of a feed. Clones share it; it ends when the last one is dropped.
#[derive(Clone)]
pub struct Feed {
    shared: Arc<Shared>,
}

struct Shared {
    asks: mpsc::Sender<Ask>,
    /// One for each command that waits for its answer.
    slots: Arc<Semaphore>,
    /// Ends the supervisor when the feed is dropped.
    _task: JoinSet<()>,
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").finish_non_exhaustive()
    }
}

/// The telling side of a feed.
#[derive(Debug)]
pub struct Updates {
    updates: mpsc::Receiver<Update>,
}

impl Updates {
    /// Returns the next update; `None` when the feed has ended.
    ///
    /// # Cancel safety
    /// No update is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Update> {
        self.updates.recv().await
    }
}

impl Feed {
    /// Starts to connect as whoever is logged in to `http`.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(http: Http) -> (Self, Updates) {
        let config = http.config().clone();
        let (asks, asked) = mpsc::channel(config.queued_commands);
        let (deliver, updates) = mpsc::channel(config.queued_frames);
        let slots = Arc::new(Semaphore::new(config.queued_commands));
        let mut task = JoinSet::new();
        task.spawn(Supervisor::new(http, asked, deliver).run());
        (Self { shared: Arc::new(Shared { asks, slots, _task: task }) }, Updates { updates })
    }

    /// Follows a room, from `since` or from the present. The outcome comes as an update.
    ///
    /// # Errors
    /// [`ClientError::Ended`] when the feed has ended; so for all that follows.
    pub async fn subscribe(
        &self,
        room: impl Into<RoomRef>,
        since: Option<Since>,
    ) -> Result<(), ClientError> {
        self.ask(Ask::Subscribe { room: room.into(), since }).await
    }

    /// Subscribes again from the last delivered event, to get the texts so far of its replies.
    pub async fn resubscribe(&self, room: RoomId) -> Result<(), ClientError> {
        self.ask(Ask::Resubscribe { room }).await
    }

    /// Stops following a room.
    pub async fn unsubscribe(&self, room: impl Into<RoomRef>) -> Result<(), ClientError> {
        self.ask(Ask::Unsubscribe { room: room.into() }).await
    }

    /// Writes a message and waits until it is durable, through as many connections as it takes.
    ///
    /// # Errors
    /// [`ClientError::Problem`] when the server refuses it for good.
    ///
    /// # Cancel safety
    /// When the future is dropped the message may or may not be written.
    pub async fn publish(
        &self,
        room: impl Into<RoomRef>,
        body: impl Into<String>,
    ) -> Result<Accepted, ClientError> {
        self.publish_as(Publish::new(room, body)).await
    }

    /// Writes a message with all its parts, as [`Feed::publish`].
    pub async fn publish_as(&self, publish: Publish) -> Result<Accepted, ClientError> {
        let Publish { room, body, client_id, reply_to, thread, attachments } = publish;
        let (id, client_id) = (None, Some(client_id));
        let command = Command::Publish { id, room, client_id, body, reply_to, thread, attachments };
        self.deliver(command).await
    }

    /// Stops a bot's reply.
    pub async fn cancel(
        &self,
        room: impl Into<RoomRef>,
        message: MessageId,
    ) -> Result<Accepted, ClientError> {
        self.deliver(Command::Cancel { id: None, room: room.into(), message }).await
    }

    /// Moves the read marker.
    pub async fn read(&self, room: impl Into<RoomRef>, seq: u64) -> Result<Accepted, ClientError> {
        self.deliver(Command::Read { id: None, room: room.into(), seq }).await
    }

    /// Tells whether the user writes; forgotten when there is no connection.
    pub async fn typing(&self, room: impl Into<RoomRef>, on: bool) -> Result<(), ClientError> {
        self.ask(Ask::Tell(Command::Typing { id: None, room: room.into(), on })).await
    }

    /// Sends a signal of the client's own; forgotten when there is no connection.
    pub async fn signal(&self, room: impl Into<RoomRef>, data: Value) -> Result<(), ClientError> {
        self.ask(Ask::Tell(Command::Signal { id: None, room: room.into(), data })).await
    }

    /// Closes the connection politely and ends the feed.
    pub async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.ask(Ask::Close { done }).await.is_ok() {
            // The supervisor drops its end when it is done.
            closed.await.ok();
        }
    }

    async fn deliver(&self, command: Command) -> Result<Accepted, ClientError> {
        let slots = Arc::clone(&self.shared.slots);
        let slot = slots.acquire_owned().await.map_err(|_| ClientError::Ended(Ended::Here))?;
        let (answer, answered) = oneshot::channel();
        self.ask(Ask::Deliver(Entry::new(command, answer, slot))).await?;
        answered.await.unwrap_or(Err(ClientError::Ended(Ended::Here)))
    }

    async fn ask(&self, ask: Ask) -> Result<(), ClientError> {
        self.shared.asks.send(ask).await.map_err(|_| ClientError::Ended(Ended::Here))
    }
}

#[cfg(test)]
mod tests;

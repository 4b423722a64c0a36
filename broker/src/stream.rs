//! A room followed from an HTTP request: for server-sent events and for `?wait=reply`.
//!
//! The shard pushes, the request's task pulls. The queue has the same byte bound as a session's
//! outbox and is shed in the same way; a reader that falls behind too far is cut and can resume.

use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use parlor_protocol::command::Since;
use parlor_protocol::frame::{Frame, Subscribed};
use parlor_protocol::id::{RoomRef, SessionId};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::node::Caller;
use crate::refusal::{Outcome, Refusal};
use crate::shard::intents::Intents;
use crate::shard::outbox::{Batch, Class, Outbox, SlowConsumer};

/// Asks a shard from any thread. Handlers get it as a request extension.
#[derive(Debug, Clone)]
pub struct ShardHandle {
    pub(crate) requests: mpsc::Sender<OpenStream>,
}

/// A wish to follow a room.
#[derive(Debug)]
pub(crate) struct OpenStream {
    pub(crate) caller: Caller,
    pub(crate) room: RoomRef,
    pub(crate) since: Option<Since>,
    pub(crate) intents: Intents,
    pub(crate) answer: oneshot::Sender<Outcome<RoomStream>>,
}

impl ShardHandle {
    /// Follows a room: first what `subscribe` would answer, then every frame. A `resync` frame
    /// comes in place of events when the position cannot be continued.
    pub(crate) async fn open_stream(
        &self,
        caller: &Caller,
        room: RoomRef,
        since: Option<Since>,
        intents: Intents,
    ) -> Outcome<RoomStream> {
        let (answer, opened) = oneshot::channel();
        let request = OpenStream { caller: caller.clone(), room, since, intents, answer };
        let busy = || Refusal::unavailable("The server has too much to do; try again in a moment.");
        self.requests.try_send(request).map_err(|_| busy())?;
        opened.await.map_err(|_| busy())?
    }
}

/// The reading end. Dropping it ends the subscription.
#[derive(Debug)]
pub struct RoomStream {
    /// What `subscribe` would answer.
    pub subscribed: Subscribed,
    pub(crate) queue: Arc<StreamQueue>,
}

impl RoomStream {
    /// Waits for the next frame, as JSON. `None` when the subscription has ended: the reader fell
    /// behind, left the room, or the node is going away.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a frame leaves the queue only in the poll that returns it.
    pub async fn next(&mut self) -> Option<Bytes> {
        loop {
            let ready = self.queue.ready.notified();
            {
                let mut state = self.queue.lock();
                if let Some(frame) = state.outbox.pop() {
                    self.queue.drained.notify_one();
                    return Some(frame);
                }
                if state.ended {
                    return None;
                }
            }
            ready.await;
        }
    }
}

impl Drop for RoomStream {
    fn drop(&mut self) {
        self.queue.end();
    }
}

/// What waits for one stream.
#[derive(Debug)]
pub(crate) struct StreamQueue {
    session: SessionId,
    intents: Intents,
    state: Mutex<State>,
    ready: Notify,
    drained: Notify,
}

#[derive(Debug)]
struct State {
    outbox: Outbox,
    ended: bool,
}

impl StreamQueue {
    pub(crate) fn new(max_bytes: usize, session: SessionId, intents: Intents) -> Self {
        let state = Mutex::new(State { outbox: Outbox::new(max_bytes), ended: false });
        Self { session, intents, state, ready: Notify::new(), drained: Notify::new() }
    }

    /// Returns the families of signals that the reader wants.
    pub(crate) fn intents(&self) -> Intents {
        self.intents
    }

    /// Returns the login of the reader.
    pub(crate) fn session(&self) -> SessionId {
        self.session
    }

    pub(crate) fn push(&self, class: Class, json: Bytes) -> Result<(), SlowConsumer> {
        let mut state = self.lock();
        if state.ended {
            return Ok(());
        }
        let pushed = state.outbox.push(Batch::one(class, json));
        state.ended |= pushed.is_err();
        drop(state);
        self.ready.notify_one();
        pushed.map(|_| ())
    }

    /// Takes the first frame if it is `subscribed`.
    pub(crate) fn take_subscribed(&self) -> Option<Subscribed> {
        let json = self.lock().outbox.pop()?;
        match serde_json::from_slice(&json) {
            Ok(Frame::Subscribed(subscribed)) => Some(*subscribed),
            _ => None,
        }
    }

    /// Ends the stream after what is queued.
    pub(crate) fn end(&self) {
        self.lock().ended = true;
        self.ready.notify_one();
        self.drained.notify_one();
    }

    pub(crate) fn queued_bytes(&self) -> usize {
        self.lock().outbox.bytes()
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.lock().ended
    }

    /// Waits until at most `bytes` wait, or the stream has ended.
    pub(crate) async fn wait_until_below(&self, bytes: usize) {
        loop {
            let drained = self.drained.notified();
            {
                let state = self.lock();
                if state.ended || state.outbox.bytes() <= bytes {
                    return;
                }
            }
            drained.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

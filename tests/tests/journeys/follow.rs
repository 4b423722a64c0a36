//! Following a room with a plain socket and noting everything in a history.

use std::sync::{Arc, Mutex};

use parlor_protocol::{
    command::Position,
    event::{Event, EventBody, MessageCompleted},
    frame::Frame,
    id::MessageId,
    message::MessageStatus,
    signal::{MessageDelta, SignalBody},
};
use parlor_testkit::{
    history::{History, ReaderId},
    process::User,
    socket::{Ended, Failure, Incoming, Options, Socket},
};
use tokio::time::Instant;

/// A history that several tasks write.
pub(crate) type SharedHistory = Arc<Mutex<History>>;

/// One client of one room that remembers where it was.
pub(crate) struct Follower {
    user: User,
    room: String,
    history: SharedHistory,
    reader: ReaderId,
    epoch: Option<String>,
    socket: Option<Socket>,
}

/// What a follower saw.
#[derive(Debug)]
pub(crate) enum Seen {
    Event(Box<Event>),
    Delta(MessageDelta),
    Other,
    Ended(Ended),
}

impl Follower {
    pub(crate) fn new(user: &User, room: &str, history: &SharedHistory, name: &str) -> Self {
        let reader = history.lock().unwrap().reader(name);
        let (user, room, history) = (user.clone(), room.to_owned(), Arc::clone(history));
        Self { user, room, history, reader, epoch: None, socket: None }
    }

    /// Connects and continues where it was; the first time, at the present.
    pub(crate) async fn start(
        user: &User,
        room: &str,
        history: &SharedHistory,
        name: &str,
    ) -> Self {
        let mut follower = Self::new(user, room, history, name);
        follower.connect().await.unwrap();
        follower
    }

    pub(crate) async fn connect(&mut self) -> Result<(), Failure> {
        let token = self.user.token().await;
        let socket = Socket::try_open(self.user.addr(), &token, &Options::default()).await;
        let mut socket = socket.map_err(Failure::Ended)?;
        let seq = self.position();
        let since = self.epoch.clone().zip(seq).map(|(epoch, seq)| Position { epoch, seq });
        let subscribed = socket.subscribe(&self.room, since).await?;
        self.epoch = Some(subscribed.epoch.clone());
        self.history.lock().unwrap().subscribed(self.reader, seq, &subscribed);
        self.socket = Some(socket);
        Ok(())
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.socket.is_some()
    }

    pub(crate) fn position(&self) -> Option<u64> {
        self.history.lock().unwrap().position(self.reader)
    }

    pub(crate) fn socket(&mut self) -> &mut Socket {
        self.socket.as_mut().expect("connected")
    }

    /// Takes the socket away, to end it in some way.
    pub(crate) fn disconnect(&mut self) -> Socket {
        self.socket.take().expect("connected")
    }

    /// Returns what comes next, or nothing when nothing comes in time.
    pub(crate) async fn next_before(&mut self, deadline: Instant) -> Option<Seen> {
        let incoming = self.socket().next_before(deadline).await?;
        let frame = match incoming {
            Incoming::Frame(frame) => *frame,
            Incoming::Ended(ended) => {
                self.socket = None;
                return Some(Seen::Ended(ended));
            }
        };
        let mut history = self.history.lock().unwrap();
        Some(match frame {
            Frame::Event(event) => {
                history.event(self.reader, &event);
                Seen::Event(event)
            }
            Frame::Signal(signal) => match signal.body {
                SignalBody::MessageDelta(delta) => {
                    history.delta(self.reader, &delta);
                    Seen::Delta(delta)
                }
                _ => Seen::Other,
            },
            // A reader that had much to catch up with is then told the texts so far.
            Frame::Subscribed(subscribed) => {
                let position = history.position(self.reader);
                history.subscribed(self.reader, position, &subscribed);
                Seen::Other
            }
            _ => Seen::Other,
        })
    }

    /// Returns what comes next.
    pub(crate) async fn next(&mut self) -> Seen {
        let deadline = Instant::now() + parlor_testkit::socket::PATIENCE;
        let seen = self.next_before(deadline).await;
        seen.unwrap_or_else(|| panic!("nothing came for {:?}", parlor_testkit::socket::PATIENCE))
    }

    /// Reads until a position has been reached.
    pub(crate) async fn read_to(&mut self, seq: u64) {
        while self.position().unwrap_or(0) < seq {
            if let Seen::Ended(ended) = self.next().await {
                panic!("the connection ended at {:?}: {ended:?}", self.position());
            }
        }
    }

    /// Reads until a bot's reply begins, and returns it.
    pub(crate) async fn reply_begins(&mut self) -> MessageId {
        loop {
            if let Seen::Event(event) = self.next().await
                && let EventBody::MessageCreated(message) = event.body
                && message.status == MessageStatus::Streaming
            {
                return message.id;
            }
        }
    }

    /// Reads until a piece with this number, or a later one, and returns it.
    pub(crate) async fn piece(&mut self, chunk: u32) -> MessageDelta {
        loop {
            match self.next().await {
                Seen::Delta(delta) if delta.chunk >= chunk => return delta,
                Seen::Ended(ended) => panic!("the connection ended: {ended:?}"),
                _ => {}
            }
        }
    }

    /// Reads until a reply has ended, and returns how.
    pub(crate) async fn reply_ends(&mut self) -> (u64, MessageCompleted) {
        loop {
            match self.next().await {
                Seen::Event(event) => {
                    if let EventBody::MessageCompleted(completed) = event.body {
                        return (event.seq, completed);
                    }
                }
                Seen::Ended(ended) => panic!("the connection ended: {ended:?}"),
                _ => {}
            }
        }
    }
}

/// Returns a history that several tasks can write.
pub(crate) fn shared_history() -> SharedHistory {
    Arc::new(Mutex::new(History::new()))
}

/// Compares what was seen with what is stored; `reader` may be anyone in the room.
pub(crate) async fn settle(
    history: SharedHistory,
    reader: &User,
    room: &str,
) -> parlor_testkit::history::Summary {
    let (log, list) = (reader.log(room).await, reader.history(room).await);
    let mut history = std::mem::take(&mut *history.lock().unwrap());
    for event in &log {
        history.stored(event);
    }
    for message in &list {
        history.listed(message);
    }
    history.must_hold()
}

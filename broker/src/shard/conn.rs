//! One WebSocket connection on its shard: the socket, what waits for it, and why it ends.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::rc::Rc;

use parlor_protocol::close::CloseCode;
use parlor_protocol::command::Deltas;
use parlor_protocol::frame::Frame;
use parlor_protocol::id::RoomId;
use parlor_protocol::signal::SignalFamily;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::intents::Intents;
use super::outbox::{Batch, Class, Outbox};
use super::traffic::Traffic;
use super::transport::Transport;
use super::wake::Wake;
use super::wheel::Step;
use super::wire::{self, Encoding};
use crate::node::Caller;

/// Frames in one write.
const SLICES: usize = 64;

/// Names a member (a session or a stream) within its shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct MemberId(pub(crate) u64);

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CloseReason {
    /// With one of the contract's codes.
    Contract(CloseCode),
    /// The client broke RFC 6455: 1002, or 1007 for text that is not UTF-8.
    Protocol(u16),
    /// The client said goodbye, and was answered.
    Client,
    /// The connection was lost.
    Lost,
}

impl CloseReason {
    /// Returns the metric's label.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Contract(code) => code.reason(),
            Self::Protocol(_) => "protocol_error",
            Self::Client => "client",
            Self::Lost => "lost",
        }
    }
}

/// What a client chose for its connection.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ConnOptions {
    pub(crate) encoding: Encoding,
    pub(crate) deltas: Deltas,
    pub(crate) intents: Intents,
}

impl ConnOptions {
    /// Returns the families of signals that come.
    pub(crate) fn wanted(self) -> Intents {
        match self.deltas {
            Deltas::None => self.intents.without(SignalFamily::Deltas),
            Deltas::Gathered | Deltas::Live => self.intents,
        }
    }

    /// Tells whether pieces of replies are to come at once.
    pub(crate) fn wants_live(self) -> bool {
        self.deltas == Deltas::Live && self.intents.has(SignalFamily::Deltas)
    }
}

/// State of one connection, shared by its session task and the hub of its shard.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) socket: Transport,
    closing: Cell<Option<CloseReason>>,
    /// Is on its shard's list of connections to write.
    pub(crate) is_dirty: Cell<bool>,
    /// Pieces of replies were dropped, and of some room the texts so far have not been told since.
    missed_deltas: Cell<bool>,
    pub(crate) options: Cell<ConnOptions>,
    /// The socket takes nothing more for now.
    blocked_since: Cell<Option<Instant>>,
    traffic: Rc<Traffic>,
    outbox: RefCell<Outbox>,
    pub(crate) rooms: RefCell<HashMap<RoomId, Subscription>>,
    pub(crate) id: MemberId,
    /// Who it is, once known.
    pub(crate) caller: RefCell<Option<Caller>>,
    /// Wakes the session task: something is left to write, or the connection is to end.
    pub(crate) wake: Wake,
    /// Wakes whoever waits for the outbox to empty.
    pub(crate) drained: Notify,
    /// Is to end once the answers that are owed have been given.
    finishing: Cell<Option<CloseReason>>,
    pub(crate) pinged_at: Cell<Option<Instant>>,
    /// When the shard looks at the connection next.
    pub(crate) timer: Cell<Option<Step>>,
    pub(crate) heard_at: Cell<Instant>,
    pub(crate) opened_at: Instant,
}

/// What a connection knows of a room that it follows.
#[derive(Debug, Clone)]
pub(crate) struct Subscription {
    pub(crate) slug: String,
    /// Pieces of the room's replies may have been dropped since the reader was last told the texts.
    pub(crate) missed_deltas: bool,
}

impl Conn {
    pub(crate) fn new(
        id: MemberId,
        socket: Transport,
        options: ConnOptions,
        outbox: usize,
        traffic: Rc<Traffic>,
    ) -> Self {
        let now = Instant::now();
        Self {
            id,
            socket,
            options: Cell::new(options),
            caller: RefCell::new(None),
            outbox: RefCell::new(Outbox::new(outbox)),
            missed_deltas: Cell::new(false),
            wake: Wake::default(),
            drained: Notify::new(),
            closing: Cell::new(None),
            finishing: Cell::new(None),
            pinged_at: Cell::new(None),
            timer: Cell::new(None),
            blocked_since: Cell::new(None),
            is_dirty: Cell::new(false),
            heard_at: Cell::new(now),
            opened_at: now,
            rooms: RefCell::default(),
            traffic,
        }
    }

    /// Queues frames. A connection that is too far behind is told to end.
    pub(crate) fn push(&self, batch: Batch) {
        if self.closing.get().is_some() {
            return;
        }
        // A burst within one tick is not the reader's fault: what the socket takes makes room.
        if !self.is_blocked() && !self.outbox.borrow().has_room(batch.bytes.len()) {
            match self.flush() {
                Ok(true) => {}
                Ok(false) => self.wake.notify_one(),
                Err(_) => return self.close(CloseReason::Lost),
            }
        }
        let before = self.queued_bytes();
        let pushed = self.outbox.borrow_mut().push(batch);
        self.traffic.outbox_changed(before, self.queued_bytes());
        match pushed {
            Ok(shed) if shed.frames > 0 => {
                self.traffic.shed(shed.frames);
                if shed.deltas {
                    for room in self.rooms.borrow_mut().values_mut() {
                        room.missed_deltas = true;
                    }
                    self.missed_deltas.set(true);
                }
            }
            Ok(_) => {}
            Err(_) => self.close(CloseReason::Contract(CloseCode::SlowConsumer)),
        }
    }

    /// Writes frames at once when nothing waits before them, and queues what the socket does not
    /// take.
    pub(crate) fn write(&self, batch: &Batch) {
        if self.closing.get().is_some() {
            return;
        }
        if self.is_blocked() || !self.outbox.borrow().is_empty() {
            return self.push(batch.clone());
        }
        let written = match self.socket.try_write(&batch.bytes) {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => return self.close(CloseReason::Lost),
        };
        if written == batch.bytes.len() {
            self.traffic.sent(u64::from(batch.frames), written);
            // Encrypted, and not taken by the socket.
            if self.socket.is_pending() {
                self.note_blocked();
                self.wake.notify_one();
            }
            return;
        }
        self.traffic.sent(0, written);
        self.outbox.borrow_mut().push_rest(batch, written);
        self.traffic.outbox_changed(0, self.queued_bytes());
        self.blocked_since.set(Some(Instant::now()));
        self.wake.notify_one();
    }

    /// Tells, once for each room, whether pieces of its replies may have been dropped and the reader
    /// has caught up since: it is to be told the texts so far.
    pub(crate) fn take_missed_deltas(&self, room: RoomId) -> bool {
        if !self.missed_deltas.get() || !self.outbox.borrow().is_empty() {
            return false;
        }
        let mut rooms = self.rooms.borrow_mut();
        let missed =
            rooms.get_mut(&room).is_some_and(|room| std::mem::take(&mut room.missed_deltas));
        self.missed_deltas.set(rooms.values().any(|room| room.missed_deltas));
        missed
    }

    /// Queues a frame of the contract for this connection alone.
    pub(crate) fn send(&self, frame: &Frame) {
        self.send_json(Class::Durable, &wire::json(frame));
    }

    /// Queues a frame that is encoded as JSON.
    pub(crate) fn send_json(&self, class: Class, json: &[u8]) {
        self.push(Batch::one(class, wire::frame(self.options.get().encoding, json)));
    }

    /// Asks the connection to end; the first reason counts. What waits is kept, except for a slow
    /// consumer, whose memory is given back at once.
    pub(crate) fn close(&self, reason: CloseReason) {
        if self.closing.get().is_some() {
            return;
        }
        self.closing.set(Some(reason));
        let before = self.queued_bytes();
        {
            let mut outbox = self.outbox.borrow_mut();
            if self.is_blocked() || reason == CloseReason::Contract(CloseCode::SlowConsumer) {
                outbox.clear();
            }
            match reason {
                CloseReason::Contract(code) => outbox.push_last(wire::close_with(code)),
                CloseReason::Protocol(code) => outbox.push_last(wire::close(code, "")),
                CloseReason::Client | CloseReason::Lost => {}
            }
        }
        self.traffic.outbox_changed(before, self.queued_bytes());
        self.wake.notify_one();
        self.drained.notify_waiters();
    }

    /// Asks the connection to end after the answers that are owed; nothing more is read.
    pub(crate) fn finish_and_close(&self, reason: CloseReason) {
        if self.finishing.get().is_none() {
            self.finishing.set(Some(reason));
            self.wake.notify_one();
        }
    }

    pub(crate) fn finishing(&self) -> Option<CloseReason> {
        self.finishing.get()
    }

    pub(crate) fn closing(&self) -> Option<CloseReason> {
        self.closing.get()
    }

    pub(crate) fn queued_bytes(&self) -> usize {
        self.outbox.borrow().bytes()
    }

    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked_since.get().is_some()
    }

    pub(crate) fn blocked_since(&self) -> Option<Instant> {
        self.blocked_since.get()
    }

    fn note_blocked(&self) {
        if !self.is_blocked() {
            self.blocked_since.set(Some(Instant::now()));
        }
    }

    /// Writes what waits, as far as the socket takes it. `Ok(true)` when nothing is left.
    pub(crate) fn flush(&self) -> io::Result<bool> {
        let before = self.queued_bytes();
        let result = self.flush_some();
        self.traffic.outbox_changed(before, self.queued_bytes());
        result
    }

    fn flush_some(&self) -> io::Result<bool> {
        let mut outbox = self.outbox.borrow_mut();
        let flushed = self.socket.flush()?;
        if flushed.taken > 0 && self.is_blocked() {
            self.blocked_since.set(Some(Instant::now()));
        }
        if !flushed.is_done {
            self.note_blocked();
            return Ok(false);
        }
        while !outbox.is_empty() {
            let written = if let Some(bytes) = outbox.only() {
                self.socket.try_write(bytes)
            } else {
                let mut slices = [IoSlice::new(&[]); SLICES];
                let count = outbox.peek(&mut slices);
                let (slices, _) = slices.split_at(count);
                self.socket.try_write_vectored(slices)
            };
            match written {
                Ok(written) => {
                    let frames = outbox.advance(written);
                    self.traffic.sent(frames, written);
                    // Progress: a slow reader is not a stalled one.
                    if self.is_blocked() {
                        self.blocked_since.set(Some(Instant::now()));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.note_blocked();
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        // What was encrypted counts as written; nothing waits once the socket has it.
        if self.socket.is_pending() {
            self.note_blocked();
            return Ok(false);
        }
        self.blocked_since.set(None);
        self.drained.notify_waiters();
        Ok(true)
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        self.traffic.outbox_changed(self.queued_bytes(), 0);
    }
}

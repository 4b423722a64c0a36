//! One WebSocket connection on its shard: the socket, what waits for it, and why it ends.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::time::Duration;

use bytes::Bytes;
use parlor_protocol::close::CloseCode;
use parlor_protocol::frame::Frame;
use parlor_protocol::id::RoomId;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::outbox::{Class, Outbox};
use super::wire;
use crate::metrics::WsMetrics;
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

/// State of one connection, shared by its session task and the hub of its shard.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) id: MemberId,
    pub(crate) socket: TcpStream,
    /// Who it is, once known.
    pub(crate) caller: RefCell<Option<Caller>>,
    outbox: RefCell<Outbox>,
    /// Wakes the session task: something is left to write, or the connection is to end.
    pub(crate) wake: Notify,
    /// Wakes whoever waits for the outbox to empty.
    pub(crate) drained: Notify,
    closing: Cell<Option<CloseReason>>,
    /// Is to end once the answers that are owed have been given.
    finishing: Cell<Option<CloseReason>>,
    pinged_at: Cell<Option<Instant>>,
    /// The socket takes nothing more for now.
    blocked_since: Cell<Option<Instant>>,
    /// Is on its shard's list of connections to write.
    pub(crate) is_dirty: Cell<bool>,
    pub(crate) heard_at: Cell<Instant>,
    pub(crate) opened_at: Instant,
    pub(crate) rooms: RefCell<HashMap<RoomId, Subscription>>,
    metrics: WsMetrics,
}

/// What a connection knows of a room that it follows.
#[derive(Debug, Clone)]
pub(crate) struct Subscription {
    pub(crate) slug: String,
}

impl Conn {
    pub(crate) fn new(id: MemberId, socket: TcpStream, outbox: usize, metrics: WsMetrics) -> Self {
        let now = Instant::now();
        Self {
            id,
            socket,
            caller: RefCell::new(None),
            outbox: RefCell::new(Outbox::new(outbox)),
            wake: Notify::new(),
            drained: Notify::new(),
            closing: Cell::new(None),
            finishing: Cell::new(None),
            pinged_at: Cell::new(None),
            blocked_since: Cell::new(None),
            is_dirty: Cell::new(false),
            heard_at: Cell::new(now),
            opened_at: now,
            rooms: RefCell::default(),
            metrics,
        }
    }

    /// Queues a frame. A connection that is too far behind is told to end.
    pub(crate) fn push(&self, class: Class, frame: Bytes) {
        if self.closing.get().is_some() {
            return;
        }
        // A burst within one tick is not the reader's fault: what the socket takes makes room.
        if !self.is_blocked() && !self.outbox.borrow().has_room(frame.len()) {
            match self.flush() {
                Ok(true) => {}
                Ok(false) => self.wake.notify_one(),
                Err(_) => return self.close(CloseReason::Lost),
            }
        }
        let before = self.queued_bytes();
        let pushed = self.outbox.borrow_mut().push(class, frame);
        self.count_bytes(before);
        match pushed {
            Ok(0) => {}
            Ok(shed) => {
                self.metrics.frames_dropped.with_label_values(&["signal"]).inc_by(shed as u64);
            }
            Err(_) => self.close(CloseReason::Contract(CloseCode::SlowConsumer)),
        }
    }

    /// Queues a frame of the contract for this connection alone.
    pub(crate) fn send(&self, frame: &Frame) {
        self.push(Class::Durable, wire::text(&wire::json(frame)));
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
        self.count_bytes(before);
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

    /// Notes a ping, unless one was sent within `interval`; tells whether it was.
    pub(crate) fn was_pinged(&self, now: Instant, interval: Duration) -> bool {
        let recently =
            self.pinged_at.get().is_some_and(|pinged| now.duration_since(pinged) < interval);
        if !recently {
            self.pinged_at.set(Some(now));
        }
        recently
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

    /// Writes what waits, as far as the socket takes it. `Ok(true)` when nothing is left.
    pub(crate) fn flush(&self) -> io::Result<bool> {
        let before = self.queued_bytes();
        let result = self.flush_some();
        self.count_bytes(before);
        result
    }

    fn flush_some(&self) -> io::Result<bool> {
        let mut outbox = self.outbox.borrow_mut();
        while !outbox.is_empty() {
            let written = {
                let mut slices = [IoSlice::new(&[]); SLICES];
                let count = outbox.peek(&mut slices);
                let (slices, _) = slices.split_at(count);
                self.socket.try_write_vectored(slices)
            };
            match written {
                Ok(written) => {
                    let frames = outbox.advance(written);
                    self.metrics.sent_bytes.inc_by(written as u64);
                    self.metrics.frames_sent.inc_by(frames as u64);
                    // Progress: a slow reader is not a stalled one.
                    if self.is_blocked() {
                        self.blocked_since.set(Some(Instant::now()));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !self.is_blocked() {
                        self.blocked_since.set(Some(Instant::now()));
                    }
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        self.blocked_since.set(None);
        self.drained.notify_waiters();
        Ok(true)
    }

    fn count_bytes(&self, before: usize) {
        let (before, after) = (signed(before), signed(self.queued_bytes()));
        self.metrics.outbox_bytes.add(after - before);
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        self.metrics.outbox_bytes.sub(signed(self.queued_bytes()));
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

//! What a session reads and works on, and what comes next for it.

use std::task::{Context, Poll};

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use parlor_protocol::frame::Frame;

use super::context::Work;
use super::socket::Reader;
use crate::shard::conn::Conn;
use crate::shard::transport::Transport;

/// What a session does next.
pub(super) enum Next {
    /// Write what waits.
    Write,
    /// Give the answer to something that was committed.
    Committed(Option<Frame>),
    /// Give the answer to what had to be done in order.
    Done(Option<Frame>),
    /// Read.
    Read,
    /// End.
    Lost,
}

/// What a session reads, and works on.
pub(super) struct Reading {
    pub(super) reader: Reader,
    /// There may be more to read than was read. Bytes that came with the request are in the reader,
    /// or decrypted: the socket need not be readable.
    pub(super) more: bool,
    /// Publishes: many at a time, answered as they are committed. Gone when all are.
    pub(super) commits: Option<FuturesUnordered<Work>>,
    /// What must be done in order: the next frame is read when it is done.
    pub(super) serial: Option<Work>,
}

impl Reading {
    pub(super) fn new(begun: &[u8], source: &Transport, max_message: usize) -> Self {
        let reader = Reader::new(begun, max_message);
        let more = !begun.is_empty() || source.may_hold_bytes();
        Self { reader, more, commits: None, serial: None }
    }

    /// Waits for what comes next. Nothing of it is kept while waiting: a session that waits holds no
    /// future for each thing that might happen.
    pub(super) fn poll(
        &mut self,
        conn: &Conn,
        may_read: bool,
        task: &mut Context<'_>,
    ) -> Poll<Next> {
        if conn.wake.poll(task).is_ready() {
            return Poll::Ready(Next::Write);
        }
        if let Some(commits) = &mut self.commits
            && let Poll::Ready(answer) = commits.poll_next_unpin(task)
        {
            self.commits.take_if(|commits| commits.is_empty());
            return Poll::Ready(Next::Committed(answer.flatten()));
        }
        if let Some(serial) = &mut self.serial
            && let Poll::Ready(answer) = serial.poll_unpin(task)
        {
            self.serial = None;
            return Poll::Ready(Next::Done(answer));
        }
        if conn.is_blocked() && conn.socket.tcp().poll_write_ready(task).is_ready() {
            return Poll::Ready(Next::Write);
        }
        if may_read && let Poll::Ready(ready) = conn.socket.tcp().poll_read_ready(task) {
            return Poll::Ready(if ready.is_ok() { Next::Read } else { Next::Lost });
        }
        Poll::Pending
    }

    pub(super) fn is_idle(&self) -> bool {
        self.commits.is_none() && self.serial.is_none()
    }

    pub(super) fn may_read(&self, in_flight: usize) -> bool {
        self.serial.is_none()
            && self.commits.as_ref().is_none_or(|commits| commits.len() < in_flight)
    }
}

//! Bots' replies while they are being written: the rules of turns and chunks, without I/O.
//!
//! The pieces of a reply are signals and may be lost. A lost piece shows as a hole in the numbers;
//! subscribing again then brings the text so far. What [`StreamTracker`] says to show is always the
//! beginning of one turn's text, and `message.completed` has the last word.

use std::collections::{BTreeMap, VecDeque};

use parlor_protocol::event::MessageCompleted;
use parlor_protocol::frame::StreamingReply;
use parlor_protocol::id::MessageId;
use parlor_protocol::message::{Message, MessageStatus};
use parlor_protocol::signal::MessageDelta;

/// Replies that are tracked at once; the oldest is forgotten first.
const OPEN_MAX: usize = 1_024;
/// Finished replies that are remembered, so that late pieces do not open them again.
const ENDED_MAX: usize = 256;

/// What to do with the text on the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Streamed {
    /// Nothing: it was seen before, belongs to an older turn, or to a reply that is not open.
    Nothing,
    /// Add this.
    Appended(String),
    /// Drop what is there and show this: a new turn has begun.
    Restarted(String),
    /// A piece is missing: subscribe to the room again. Said once for each hole.
    Lost,
}

/// A reply as far as it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// Which attempt.
    pub turn: u32,
    /// The last piece in `text`.
    pub chunk: u32,
    /// The text so far.
    pub text: String,
    /// A hole was reported and not yet filled.
    lost: bool,
}

/// Follows the replies of one room.
#[derive(Debug, Clone, Default)]
pub struct StreamTracker {
    open: BTreeMap<MessageId, Written>,
    ended: VecDeque<MessageId>,
}

impl StreamTracker {
    /// Creates a tracker that follows nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the replies that are being written, oldest first.
    pub fn open(&self) -> impl DoubleEndedIterator<Item = (MessageId, &Written)> {
        self.open.iter().map(|(id, written)| (*id, written))
    }

    /// Takes `message.created`, or a message of the history.
    pub fn created(&mut self, message: &Message) {
        if message.status == MessageStatus::Streaming {
            self.begin(message.id);
        } else {
            self.end(message.id);
        }
    }

    /// Takes a piece.
    pub fn delta(&mut self, delta: &MessageDelta) -> Streamed {
        let Some(written) = self.open.get_mut(&delta.message) else {
            return Streamed::Nothing;
        };
        if (delta.turn, delta.chunk) <= (written.turn, written.chunk) {
            return Streamed::Nothing;
        }
        let next = if delta.turn == written.turn { written.chunk + 1 } else { 1 };
        if delta.chunk == next {
            written.lost = false;
            let restarts = delta.turn != written.turn && !written.text.is_empty();
            if restarts {
                written.text.clear();
            }
            written.turn = delta.turn;
            written.chunk = delta.chunk;
            written.text.push_str(&delta.text);
            let text = delta.text.clone();
            return if restarts { Streamed::Restarted(text) } else { Streamed::Appended(text) };
        }
        if std::mem::replace(&mut written.lost, true) { Streamed::Nothing } else { Streamed::Lost }
    }

    /// Takes the texts so far that come with `subscribed`.
    pub fn subscribed(&mut self, streaming: &[StreamingReply]) -> Vec<(MessageId, Streamed)> {
        // A hole that the server could not fill yet is reported again at the next piece.
        for written in self.open.values_mut() {
            written.lost = false;
        }
        streaming.iter().map(|reply| (reply.message, self.snapshot(reply))).collect()
    }

    fn snapshot(&mut self, reply: &StreamingReply) -> Streamed {
        let Some(written) = self.begin(reply.message) else {
            return Streamed::Nothing;
        };
        if (reply.turn, reply.chunk) <= (written.turn, written.chunk) {
            return Streamed::Nothing;
        }
        let same = reply.turn == written.turn || written.text.is_empty();
        let more = reply.text.strip_prefix(written.text.as_str()).filter(|_| same);
        let streamed = match more {
            Some(more) => Streamed::Appended(more.to_owned()),
            None => Streamed::Restarted(reply.text.clone()),
        };
        written.turn = reply.turn;
        written.chunk = reply.chunk;
        written.text.clone_from(&reply.text);
        streamed
    }

    /// Takes `message.completed`. Returns what was shown so far, so that the rest can be shown.
    pub fn completed(&mut self, completed: &MessageCompleted) -> Option<Written> {
        let written = self.open.remove(&completed.message);
        self.end(completed.message);
        written
    }

    /// Forgets a reply that was redacted.
    pub fn redacted(&mut self, message: MessageId) {
        self.end(message);
    }

    /// Forgets everything, after a `resync` or a reset of the history.
    pub fn clear(&mut self) {
        self.open.clear();
    }

    fn begin(&mut self, id: MessageId) -> Option<&mut Written> {
        if self.ended.contains(&id) {
            return None;
        }
        while self.open.len() >= OPEN_MAX && !self.open.contains_key(&id) {
            self.open.pop_first();
        }
        Some(self.open.entry(id).or_default())
    }

    fn end(&mut self, id: MessageId) {
        self.open.remove(&id);
        if !self.ended.contains(&id) {
            if self.ended.len() == ENDED_MAX {
                self.ended.pop_front();
            }
            self.ended.push_back(id);
        }
    }
}

#[cfg(test)]
mod tests;

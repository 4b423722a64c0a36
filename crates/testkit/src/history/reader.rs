//! What one client saw, over all its connections.

use std::collections::BTreeMap;

use parlor_protocol::{
    event::{Event, EventBody, MessageCompleted},
    frame::Subscribed,
    id::MessageId,
    message::MessageStatus,
    signal::MessageDelta,
};

use super::Violation;

/// A reader's place, and the replies that it sees growing.
#[derive(Debug)]
pub(super) struct Reader {
    name: String,
    epoch: Option<String>,
    position: Option<u64>,
    replies: BTreeMap<MessageId, Growing>,
}

/// A reply as far as a reader has it.
#[derive(Debug, Default)]
struct Growing {
    turn: u32,
    chunk: u32,
    text: String,
    /// Nothing of it came on the present connection. When the server was lost with the end of the
    /// text, the ending may have less.
    is_from_before: bool,
}

impl Reader {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), epoch: None, position: None, replies: BTreeMap::new() }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn position(&self) -> Option<u64> {
        self.position
    }

    pub(super) fn subscribed(
        &mut self,
        since: Option<u64>,
        subscribed: &Subscribed,
        found: &mut Vec<Violation>,
    ) {
        if self.epoch.replace(subscribed.epoch.clone()).is_some_and(|old| old != subscribed.epoch) {
            found.push(Violation::EpochChanged { reader: self.name.clone() });
        }
        let start = since.filter(|_| subscribed.resumed);
        if let Some(position) = self.position.or(since)
            && start != Some(position)
        {
            found.push(Violation::NotResumed { reader: self.name.clone(), position });
        }
        self.position = Some(start.unwrap_or(subscribed.seq));
        // Pieces that were lost with the connection are in the texts so far. A reply without one
        // goes on where it was, or in a new turn.
        for reply in self.replies.values_mut() {
            reply.is_from_before = true;
        }
        for reply in &subscribed.streaming {
            let (turn, chunk, text) = (reply.turn, reply.chunk, reply.text.clone());
            let growing = Growing { turn, chunk, text, is_from_before: false };
            self.replies.insert(reply.message, growing);
        }
    }

    pub(super) fn event(&mut self, event: &Event, found: &mut Vec<Violation>) {
        let after = self.position.unwrap_or(0);
        if self.position.is_none() || event.seq != after + 1 {
            let reader = self.name.clone();
            found.push(Violation::NotNext { reader, after, seq: event.seq });
        }
        self.position = Some(event.seq.max(after));
        match &event.body {
            EventBody::MessageCreated(message) if message.status == MessageStatus::Streaming => {
                // A replay may bring the beginning of a reply whose text so far came before it.
                self.replies.entry(message.id).or_default();
            }
            EventBody::MessageCompleted(completed) => self.completed(completed, found),
            _ => {}
        }
    }

    pub(super) fn delta(&mut self, delta: &MessageDelta, found: &mut Vec<Violation>) {
        let Some(reply) = self.replies.get_mut(&delta.message) else {
            let reader = self.name.clone();
            found.push(Violation::PieceOfNothing { reader, reply: delta.message });
            return;
        };
        let (came, after) = ((delta.turn, delta.chunk), (reply.turn, reply.chunk));
        let is_next = if delta.turn == reply.turn {
            delta.chunk == reply.chunk + 1
        } else {
            delta.turn > reply.turn && delta.chunk == 1
        };
        if !is_next {
            found.push(Violation::PieceNotNext { reader: self.name.clone(), came, after });
        }
        if delta.turn != reply.turn {
            reply.text.clear();
        }
        reply.is_from_before = false;
        reply.turn = delta.turn;
        reply.chunk = delta.chunk;
        reply.text.push_str(&delta.text);
    }

    fn completed(&mut self, completed: &MessageCompleted, found: &mut Vec<Violation>) {
        let Some(reply) = self.replies.remove(&completed.message) else { return };
        // A reader that saw no piece, because the reply ended before it came, has nothing to join.
        let saw_pieces = reply.chunk > 0 && !reply.is_from_before;
        if saw_pieces && reply.text != completed.body {
            let reader = self.name.clone();
            found.push(Violation::TextDiffers { reader, reply: completed.message });
        }
    }
}

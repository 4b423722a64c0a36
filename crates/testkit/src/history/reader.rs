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

/// Whether every piece of a reply reaches its readers.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signals {
    #[default]
    AllArrive,
    MayBeLost,
}

/// A reader's place, and the replies that it sees growing.
#[derive(Debug)]
pub(super) struct Reader {
    name: String,
    username: Option<String>,
    signals: Signals,
    epoch: Option<String>,
    position: Option<u64>,
    asked_at: u64,
    has_left: bool,
    subscriptions: Vec<Subscription>,
    replies: BTreeMap<MessageId, Growing>,
}

/// One time that a reader followed the room.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subscription {
    /// The newest event when it began.
    pub(super) head: u64,
    /// The last event that it brought, or where it began.
    pub(super) end: u64,
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
    /// A piece was lost, so there is no text to compare.
    has_gap: bool,
}

impl Reader {
    pub(super) fn new(name: &str, signals: Signals) -> Self {
        Self {
            name: name.to_owned(),
            username: None,
            signals,
            epoch: None,
            position: None,
            asked_at: 0,
            has_left: false,
            subscriptions: Vec::new(),
            replies: BTreeMap::new(),
        }
    }

    pub(super) fn of_member(username: &str, signals: Signals) -> Self {
        Self { username: Some(username.to_owned()), ..Self::new(username, signals) }
    }

    pub(super) fn username(&self) -> Option<&str> {
        self.username.as_deref()
    }

    pub(super) fn subscriptions(&self) -> &[Subscription] {
        &self.subscriptions
    }

    /// Returns when it last asked to follow the room.
    pub(super) fn asked_at(&self) -> u64 {
        self.asked_at
    }

    pub(super) fn subscribing(&mut self, now: u64) {
        self.asked_at = now;
    }

    pub(super) fn leave(&mut self) {
        self.has_left = true;
    }

    pub(super) fn has_left(&self) -> bool {
        self.has_left
    }

    /// Begins anew, because the server said so.
    pub(super) fn forget(&mut self) {
        self.epoch = None;
        self.position = None;
        self.replies.clear();
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
        self.subscriptions.push(Subscription { head: subscribed.seq, end: subscribed.seq });
        // Pieces that were lost with the connection are in the texts so far. A reply without one
        // goes on where it was, or in a new turn.
        for reply in self.replies.values_mut() {
            reply.is_from_before = true;
        }
        for reply in &subscribed.streaming {
            let (turn, chunk, text) = (reply.turn, reply.chunk, reply.text.clone());
            let growing = Growing { turn, chunk, text, is_from_before: false, has_gap: false };
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
        if let Some(subscription) = self.subscriptions.last_mut() {
            subscription.end = subscription.end.max(event.seq);
        }
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
            if self.signals == Signals::MayBeLost {
                // The event that begins the reply was lost on its way and comes from the store.
                return;
            }
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
        if !is_next && self.signals == Signals::MayBeLost && came > after {
            reply.has_gap = true;
        } else if !is_next {
            found.push(Violation::PieceNotNext { reader: self.name.clone(), came, after });
        }
        if delta.turn != reply.turn {
            reply.text.clear();
            reply.has_gap = delta.chunk != 1;
        }
        reply.is_from_before = false;
        reply.turn = delta.turn;
        reply.chunk = delta.chunk;
        reply.text.push_str(&delta.text);
    }

    fn completed(&mut self, completed: &MessageCompleted, found: &mut Vec<Violation>) {
        let Some(reply) = self.replies.remove(&completed.message) else { return };
        // A reader that saw no piece, because the reply ended before it came, has nothing to join.
        let saw_pieces = reply.chunk > 0 && !reply.is_from_before && !reply.has_gap;
        let is_same = match self.signals {
            Signals::AllArrive => reply.text == completed.body,
            // The last pieces may be lost.
            Signals::MayBeLost => completed.body.starts_with(&reply.text),
        };
        let is_redacted = self.signals == Signals::MayBeLost && completed.body.is_empty();
        if saw_pieces && !is_same && !is_redacted {
            let reader = self.name.clone();
            found.push(Violation::TextDiffers { reader, reply: completed.message });
        }
    }
}

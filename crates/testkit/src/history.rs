//! Checks what clients saw of one room against what the server promises.
//!
//! Tests tell what was written, what was acknowledged, what each reader received, and in the end
//! what the server stores. The rules, as far as one room can break them:
//!
//! - **I1** what was acknowledged is stored, at the position that was acknowledged;
//! - **I2** nothing is stored twice, and every attempt at one message got the same answer;
//! - **I3** nothing is stored or delivered that nobody wrote;
//! - **I4** positions are 1, 2, 3 … in the store and on each connection, and all agree on them;
//! - **I5** a message that was written after another was acknowledged comes after it;
//! - **I6** what was acknowledged can be read at once, from any node;
//! - **I7** a reader that resumes gets what it missed, once;
//! - **I8** in the end every reader has everything, soon after the last fault;
//! - **I9** each message that calls a bot has one reply with one ending, and the pieces of the last
//!   turn, joined, are its text;
//! - **I10** who was removed gets nothing from after the removal and writes nothing;
//! - **I11** a text that was redacted is in nothing that was asked for after the redaction;
//! - **I12** what was refused for good is never stored;
//! - **I14** nothing of one room shows up in another.
//!
//! I13 is about people and not about rooms; those who check it add [`Violation`]s of their own.
//!
//! Pure and streaming: memory grows with the log and the number of subscriptions, not with that of
//! deliveries.

use std::collections::{BTreeMap, BTreeSet};

use parlor_protocol::{
    event::{Event, EventBody},
    frame::{Accepted, Subscribed},
    id::MessageId,
    message::{Message, MessageStatus},
    signal::MessageDelta,
    user::UserKind,
};

mod changes;
mod members;
mod reader;
mod violation;

pub use changes::{canary, foreign_canary};
pub use violation::Violation;

use changes::Changes;
use reader::{Reader, Signals};

/// Names one reader of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReaderId(usize);

/// What happened in one room.
#[derive(Debug, Default)]
pub struct History {
    written: BTreeMap<String, Written>,
    /// The newest position that was acknowledged so far.
    acknowledged: u64,
    /// Each event as it was first seen.
    log: BTreeMap<u64, Event>,
    readers: Vec<Reader>,
    stored: u64,
    stored_ids: BTreeMap<String, u64>,
    replies: BTreeMap<MessageId, Reply>,
    changes: Changes,
    refused: BTreeSet<String>,
    canary: Option<String>,
    signals: Signals,
    violations: Vec<Violation>,
}

/// A message that a test wrote, perhaps several times.
#[derive(Debug)]
struct Written {
    body: String,
    calls_bot: bool,
    /// The newest position that was acknowledged before it was first written.
    after: u64,
    answer: Option<(u64, MessageId)>,
}

/// A bot's reply in the store.
#[derive(Debug)]
struct Reply {
    trigger: MessageId,
    endings: u32,
}

/// What a history that holds consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Messages that were acknowledged.
    pub acknowledged: usize,
    /// Events in the store.
    pub events: u64,
    /// Replies of bots.
    pub replies: usize,
}

impl History {
    /// Creates a history in which nothing has happened.
    pub fn new() -> Self {
        Self::default()
    }

    /// Expects that pieces of replies may be lost on their way, as signals may in a cluster. What
    /// comes has to be in order all the same.
    #[must_use]
    pub fn with_lost_signals(self) -> Self {
        Self { signals: Signals::MayBeLost, ..self }
    }

    /// Says that every text written in this room has this [`canary`].
    #[must_use]
    pub fn with_canary(self, canary: &str) -> Self {
        Self { canary: Some(canary.to_owned()), ..self }
    }

    /// Adds what somebody else found out.
    pub fn broken(&mut self, violation: Violation) {
        self.violations.push(violation);
    }

    /// Notes an attempt to write a message. Further attempts have the same `client_id` and text.
    pub fn wrote(&mut self, client_id: &str, body: &str, calls_bot: bool) {
        let after = self.acknowledged;
        let new = || Written { body: body.to_owned(), calls_bot, after, answer: None };
        self.written.entry(client_id.to_owned()).or_insert_with(new);
    }

    /// Notes that an attempt was acknowledged.
    pub fn accepted(&mut self, client_id: &str, accepted: &Accepted) {
        let (Some(seq), Some(message)) = (accepted.seq, accepted.message) else {
            self.violations.push(Violation::AnswerWithoutPosition(client_id.to_owned()));
            return;
        };
        self.acknowledged_at(client_id, seq, message);
    }

    /// Notes that an attempt was acknowledged at a position.
    pub fn acknowledged_at(&mut self, client_id: &str, seq: u64, message: MessageId) {
        let Some(written) = self.written.get_mut(client_id) else {
            self.violations.push(Violation::Phantom { seq, client_id: client_id.to_owned() });
            return;
        };
        if *written.answer.get_or_insert((seq, message)) != (seq, message) {
            self.violations.push(Violation::AnswersDiffer(client_id.to_owned()));
        }
        if seq <= written.after {
            self.violations.push(Violation::OutOfRealTime { seq, after: written.after });
        }
        self.acknowledged = self.acknowledged.max(seq);
    }

    /// Notes that an attempt was refused for good, and that there will be no other.
    pub fn refused(&mut self, client_id: &str) {
        self.refused.insert(client_id.to_owned());
    }

    /// Notes what a reading of the history found at the position of an acknowledged message.
    pub fn read_back(&mut self, client_id: &str, found: Option<&Message>) {
        let Some((seq, id)) = self.written.get(client_id).and_then(|written| written.answer) else {
            return;
        };
        if found.is_none_or(|found| found.id != id || found.seq != seq) {
            self.violations.push(Violation::NotReadable { client_id: client_id.to_owned(), seq });
        }
    }

    /// Adds a reader.
    pub fn reader(&mut self, name: &str) -> ReaderId {
        self.readers.push(Reader::new(name, self.signals));
        ReaderId(self.readers.len() - 1)
    }

    /// Adds a reader that is a member with this user name, and may stop to be one.
    pub fn member(&mut self, username: &str) -> ReaderId {
        self.readers.push(Reader::of_member(username, self.signals));
        ReaderId(self.readers.len() - 1)
    }

    /// Notes that a reader asks to follow the room, before it does so.
    pub fn subscribing(&mut self, reader: ReaderId) {
        let now = self.changes.tick();
        self.with_reader(reader, |reader, _| reader.subscribing(now));
    }

    /// Notes that a reader has left and needs nothing more.
    pub fn left(&mut self, reader: ReaderId) {
        self.with_reader(reader, |reader, _| reader.leave());
    }

    /// Notes that a reader was told to read the history again and will follow from the present.
    pub fn resync(&mut self, reader: ReaderId) {
        self.with_reader(reader, |reader, _| reader.forget());
    }

    /// Returns the last position that a reader has; nothing before its first subscription.
    pub fn position(&self, reader: ReaderId) -> Option<u64> {
        self.readers.get(reader.0).and_then(Reader::position)
    }

    /// Notes that a reader began to follow the room, or does so again on a new connection.
    ///
    /// `since` is the position that it asked to continue from.
    pub fn subscribed(&mut self, reader: ReaderId, since: Option<u64>, subscribed: &Subscribed) {
        self.with_reader(reader, |reader, found| reader.subscribed(since, subscribed, found));
    }

    /// Notes an event that a reader received.
    pub fn event(&mut self, reader: ReaderId, event: &Event) {
        self.with_reader(reader, |reader, found| reader.event(event, found));
        let asked_at = self.readers.get(reader.0).map_or(0, Reader::asked_at);
        self.check_text(event, asked_at);
        self.agree(event);
    }

    /// Notes a piece of a reply that a reader received.
    pub fn delta(&mut self, reader: ReaderId, delta: &MessageDelta) {
        self.with_reader(reader, |reader, found| reader.delta(delta, found));
    }

    /// Notes an event of the store, read from the beginning in order.
    pub fn stored(&mut self, event: &Event) {
        if event.seq != self.stored + 1 {
            self.violations.push(Violation::StoreHole { after: self.stored, seq: event.seq });
        }
        self.stored = event.seq;
        let now = self.changes.tick();
        self.check_text(event, now);
        self.agree(event);
        self.changes.stored(event);
        match &event.body {
            EventBody::MessageCreated(message) => self.stored_message(event.seq, message),
            EventBody::MessageCompleted(completed) => {
                match self.replies.get_mut(&completed.message) {
                    Some(reply) => {
                        reply.endings += 1;
                        if completed.status == MessageStatus::Streaming {
                            self.violations.push(Violation::EndingThatGoesOn(completed.message));
                        }
                    }
                    None => self.violations.push(Violation::EndingWithoutReply(completed.message)),
                }
            }
            _ => {}
        }
    }

    /// Checks a message of the history over HTTP against the stored events.
    pub fn listed(&mut self, message: &Message) {
        let created = self.log.get(&message.seq).map(|event| &event.body);
        let is_same =
            matches!(created, Some(EventBody::MessageCreated(created)) if created.id == message.id);
        if !is_same {
            self.violations.push(Violation::ListedElsewhere { seq: message.seq });
        }
        let ended = self.log.values().find_map(|event| match &event.body {
            EventBody::MessageCompleted(completed) if completed.message == message.id => {
                Some(completed)
            }
            _ => None,
        });
        let is_redacted = message.redacted_at.is_some() && message.body.is_empty();
        let differs = ended.is_some_and(|ended| {
            (ended.body != message.body && !is_redacted) || ended.status != message.status
        });
        if differs || (ended.is_none() && message.status == MessageStatus::Streaming) {
            self.violations.push(Violation::ListedDifferently(message.id));
        }
    }

    /// Checks what can only be said at the end: everything is stored, every reader has everything
    /// and every call has its reply.
    pub fn finish(mut self) -> Result<Summary, Vec<Violation>> {
        for reader in &self.readers {
            let behind = reader.position().filter(|position| *position < self.stored);
            if let Some(position) = behind.filter(|_| !reader.has_left()) {
                let (reader, head) = (reader.name().to_owned(), self.stored);
                self.violations.push(Violation::Behind { reader, position, head });
            }
        }
        if let Some((&seq, _)) = self.log.range(self.stored + 1..).next() {
            self.violations.push(Violation::DeliveredButNotStored { seq });
        }
        let mut acknowledged = 0;
        for (client_id, written) in &self.written {
            let at = self.stored_ids.get(client_id).copied();
            if let Some((seq, _)) = written.answer {
                acknowledged += 1;
                if at != Some(seq) {
                    let client_id = client_id.clone();
                    self.violations.push(Violation::Lost { client_id, seq, found: at });
                }
            }
            if let Some(at) = at.filter(|_| written.calls_bot) {
                self.violations.extend(self.check_reply(at));
            }
            if let Some(seq) = at.filter(|_| self.refused.contains(client_id)) {
                let client_id = client_id.clone();
                self.violations.push(Violation::RefusedButStored { client_id, seq });
            }
        }
        self.violations.extend(self.changes.finish());
        self.violations.extend(members::check(&self.log, &self.readers));
        for (id, reply) in &self.replies {
            if reply.endings != 1 {
                self.violations.push(Violation::Endings { reply: *id, count: reply.endings });
            }
        }
        let replies = self.replies.len();
        if self.violations.is_empty() {
            return Ok(Summary { acknowledged, events: self.stored, replies });
        }
        Err(self.violations)
    }

    /// Checks the end as [`Self::finish`] and fails the test when a promise was broken.
    pub fn must_hold(self) -> Summary {
        self.finish().unwrap_or_else(|violations| {
            let shown: Vec<_> = violations.iter().take(20).map(ToString::to_string).collect();
            panic!("{} promises broken:\n{}", violations.len(), shown.join("\n"))
        })
    }

    fn check_reply(&self, at: u64) -> Option<Violation> {
        let trigger = match &self.log.get(&at)?.body {
            EventBody::MessageCreated(message) => message.id,
            _ => return None,
        };
        let count = self.replies.values().filter(|reply| reply.trigger == trigger).count();
        // Nobody needs an answer to what is gone.
        let is_enough = count == 1 || (count == 0 && self.changes.is_redacted(trigger));
        (!is_enough).then_some(Violation::Replies { trigger, count })
    }

    fn stored_message(&mut self, seq: u64, message: &Message) {
        if let Some(bot) = &message.bot {
            let reply = Reply { trigger: bot.trigger, endings: 0 };
            if self.replies.insert(message.id, reply).is_some() {
                self.violations.push(Violation::StoredTwice { seq, name: message.id.to_string() });
            }
            return;
        }
        let client_id = message.client_id.clone().unwrap_or_default();
        if let Some(written) = self.written.get(&client_id)
            && let Some(answer) = written.answer
            && answer != (seq, message.id)
        {
            let found = Some(seq);
            let client_id = client_id.clone();
            self.violations.push(Violation::Lost { client_id, seq: answer.0, found });
        }
        if self.stored_ids.insert(client_id.clone(), seq).is_some() {
            self.violations.push(Violation::StoredTwice { seq, name: client_id });
        }
    }

    /// Checks that an event that was asked for at a time has no text that it must not have.
    fn check_text(&mut self, event: &Event, asked_at: u64) {
        self.violations.extend(self.changes.check(event, asked_at));
        if let Some(own) = &self.canary
            && let Some((_, text)) = changes::text(&event.body)
            && let Some(canary) = foreign_canary(text, own)
        {
            self.violations.push(Violation::FromAnotherRoom { seq: event.seq, canary });
        }
    }

    /// Compares an event with how it was first seen, by whomever.
    fn agree(&mut self, event: &Event) {
        if let Some(seen) = self.log.get(&event.seq) {
            if seen == event {
                return;
            }
            // A redaction takes the text out of the events before it.
            match changes::without_text(seen, event) {
                Some(message) => self.changes.seen_without_text(message, event.seq),
                None => self.violations.push(Violation::Disagree { seq: event.seq }),
            }
            return;
        }
        if let EventBody::MessageCreated(message) = &event.body
            && message.sender.kind != UserKind::Bot
        {
            let client_id = message.client_id.clone().unwrap_or_default();
            let is_known = self
                .written
                .get(&client_id)
                .is_some_and(|written| written.body == message.body || message.body.is_empty());
            if message.body.is_empty() && is_known {
                self.changes.seen_without_text(message.id, event.seq);
            }
            if !is_known {
                self.violations.push(Violation::Phantom { seq: event.seq, client_id });
            }
        }
        self.log.insert(event.seq, event.clone());
    }

    fn with_reader(
        &mut self,
        reader: ReaderId,
        check: impl FnOnce(&mut Reader, &mut Vec<Violation>),
    ) {
        let reader = self.readers.get_mut(reader.0).expect("a reader of this history");
        check(reader, &mut self.violations);
    }
}

#[cfg(test)]
mod rules_tests;
#[cfg(test)]
mod tests;

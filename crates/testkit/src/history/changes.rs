//! Edits and redactions: what was asked for, what was acknowledged, and what may still be seen.

use std::collections::{BTreeMap, BTreeSet};

use parlor_protocol::{
    event::{Event, EventBody},
    id::MessageId,
};

use super::{History, Violation};

const CANARY: &str = "canary-";

/// Returns a word that stands in every text of one room and nowhere else.
pub fn canary(tag: &str) -> String {
    format!("{CANARY}{tag}")
}

/// Returns a canary in a text that is not the room's own.
pub fn foreign_canary(text: &str, own: &str) -> Option<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    words.filter(|word| word.starts_with(CANARY)).find(|word| *word != own).map(str::to_owned)
}

/// What is known of edits and redactions in one room.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Orders what was asked for and what was acknowledged.
    now: u64,
    edits: BTreeMap<(MessageId, String), Edit>,
    asked: BTreeSet<MessageId>,
    /// When each redaction was acknowledged.
    acknowledged: BTreeMap<MessageId, u64>,
    stored: BTreeSet<MessageId>,
    without_text: BTreeMap<MessageId, u64>,
}

#[derive(Debug, Default)]
struct Edit {
    is_asked: bool,
    is_acknowledged: bool,
    is_stored: bool,
}

impl History {
    /// Notes an attempt to change a text.
    pub fn edits(&mut self, message: MessageId, body: &str) {
        let edit = self.changes.edits.entry((message, body.to_owned())).or_default();
        edit.is_asked = true;
    }

    /// Notes that an edit was acknowledged.
    pub fn edited(&mut self, message: MessageId, body: &str) {
        let edit = self.changes.edits.entry((message, body.to_owned())).or_default();
        edit.is_acknowledged = true;
    }

    /// Notes an attempt to remove a text.
    pub fn redacts(&mut self, message: MessageId) {
        self.changes.asked.insert(message);
    }

    /// Notes that a redaction was acknowledged. What is asked for from now on is without the text.
    pub fn redacted(&mut self, message: MessageId) {
        let now = self.changes.tick();
        self.changes.acknowledged.entry(message).or_insert(now);
    }
}

impl Changes {
    /// Returns a moment after all before.
    pub(super) fn tick(&mut self) -> u64 {
        self.now += 1;
        self.now
    }

    /// Checks that an event that was asked for at a moment has no text that was redacted before.
    pub(super) fn check(&self, event: &Event, asked_at: u64) -> Option<Violation> {
        let (message, body) = text(&event.body)?;
        let is_redacted = self.acknowledged.get(&message).is_some_and(|at| *at < asked_at);
        (is_redacted && !body.is_empty())
            .then_some(Violation::RedactedText { message, seq: event.seq })
    }

    /// Notes that a message was seen without its text.
    pub(super) fn seen_without_text(&mut self, message: MessageId, seq: u64) {
        self.without_text.entry(message).or_insert(seq);
    }

    /// Notes an event of the store.
    pub(super) fn stored(&mut self, event: &Event) {
        match &event.body {
            EventBody::MessageEdited(edited) => {
                let key = (edited.message, edited.body.clone());
                self.edits.entry(key).or_default().is_stored = true;
            }
            EventBody::MessageRedacted(redacted) => {
                self.stored.insert(redacted.message);
            }
            _ => {}
        }
    }

    /// Tells whether a message has lost its text.
    pub(super) fn is_redacted(&self, message: MessageId) -> bool {
        self.stored.contains(&message)
    }

    /// Checks what can only be said at the end.
    pub(super) fn finish(&self) -> Vec<Violation> {
        let lost_edits = self.edits.iter().filter_map(|((message, _), edit)| {
            let is_lost = edit.is_acknowledged && !edit.is_stored && !self.is_redacted(*message);
            is_lost.then_some(Violation::EditLost(*message))
        });
        let unasked_edits = self.edits.iter().filter_map(|((message, body), edit)| {
            // A redaction takes the text out of an edit, too.
            let is_unasked = edit.is_stored && !edit.is_asked && !body.is_empty();
            is_unasked.then_some(Violation::EditUnasked(*message))
        });
        let lost = self.acknowledged.keys().filter(|message| !self.is_redacted(**message));
        let lost = lost.map(|message| Violation::RedactionLost(*message));
        let unasked = self.stored.iter().filter(|message| !self.asked.contains(message));
        let unasked = unasked.map(|message| Violation::RedactionUnasked(*message));
        let missing = self.without_text.iter().filter(|(message, _)| !self.is_redacted(**message));
        let missing = missing.map(|(_, seq)| Violation::Disagree { seq: *seq });
        lost_edits.chain(unasked_edits).chain(lost).chain(unasked).chain(missing).collect()
    }
}

/// Returns the text of an event and the message that it belongs to.
pub(super) fn text(body: &EventBody) -> Option<(MessageId, &str)> {
    match body {
        EventBody::MessageCreated(message) => Some((message.id, &message.body)),
        EventBody::MessageEdited(edited) => Some((edited.message, &edited.body)),
        EventBody::MessageCompleted(completed) => Some((completed.message, &completed.body)),
        _ => None,
    }
}

/// Returns the message when two views of one event differ only in that one has no text.
pub(super) fn without_text(one: &Event, other: &Event) -> Option<MessageId> {
    let (message, first) = text(&one.body)?;
    let (_, second) = text(&other.body)?;
    if !first.is_empty() && !second.is_empty() {
        return None;
    }
    (emptied(one) == emptied(other)).then_some(message)
}

fn emptied(event: &Event) -> Event {
    let mut event = event.clone();
    match &mut event.body {
        EventBody::MessageCreated(message) => message.body.clear(),
        EventBody::MessageEdited(edited) => edited.body.clear(),
        EventBody::MessageCompleted(completed) => completed.body.clear(),
        _ => {}
    }
    event
}

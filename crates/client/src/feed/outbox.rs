//! Commands that are kept until they are answered. State only, no I/O.

use std::collections::VecDeque;
use std::time::Duration;

use parlor_protocol::command::Command;
use parlor_protocol::frame::{Accepted, Refused};
use parlor_protocol::id::RoomRef;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::Instant;

use crate::connection::with_id;
use crate::error::ClientError;

/// The pause before a refused command is repeated, when the server names none.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause that a server may ask for.
const RETRY_PAUSE_MAX: Duration = Duration::from_mins(2);

/// One command and who waits for its answer.
#[derive(Debug)]
pub(super) struct Entry {
    id: String,
    command: Command,
    answer: oneshot::Sender<Result<Accepted, ClientError>>,
    state: State,
    /// Bounds how many entries there are.
    _slot: OwnedSemaphorePermit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Was never sent.
    New,
    /// Was sent before, and may have happened.
    Again { not_before: Option<Instant> },
    /// Was sent on this connection.
    Sent { at: Instant },
}

impl Entry {
    pub(super) fn new(
        command: Command,
        answer: oneshot::Sender<Result<Accepted, ClientError>>,
        slot: OwnedSemaphorePermit,
    ) -> Self {
        Self { id: String::new(), command, answer, state: State::New, _slot: slot }
    }

    fn room(&self) -> Option<&RoomRef> {
        match &self.command {
            Command::Publish { room, .. } => Some(room),
            _ => None,
        }
    }
}

/// All commands that are not answered yet, oldest first.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    entries: VecDeque<Entry>,
    last_id: u64,
}

impl Outbox {
    pub(super) fn push(&mut self, mut entry: Entry) {
        self.last_id += 1;
        entry.id = format!("c{}", self.last_id);
        self.entries.push_back(entry);
    }

    /// Returns the next command to send, and takes it as sent.
    pub(super) fn next_ready(&mut self, now: Instant) -> Option<Command> {
        // Whoever has stopped waiting for something that was never sent does not want it any more.
        self.entries.retain(|entry| entry.state != State::New || !entry.answer.is_closed());
        let ready = (0..self.entries.len()).find(|&index| {
            let entry = &self.entries[index];
            let due = match entry.state {
                State::New => true,
                State::Again { not_before } => not_before.is_none_or(|at| at <= now),
                State::Sent { .. } => false,
            };
            let first = || {
                let earlier = self.entries.iter().take(index);
                entry.room().is_none_or(|room| earlier.map(Entry::room).all(|r| r != Some(room)))
            };
            due && first()
        })?;
        let entry = &mut self.entries[ready];
        entry.state = State::Sent { at: now };
        Some(with_id(entry.command.clone(), entry.id.clone()))
    }

    /// Returns when to ask for the next command, or when an answer is overdue.
    pub(super) fn wake_at(&self, patience: Duration) -> Option<Instant> {
        let wake = |entry: &Entry| match entry.state {
            State::New => None,
            State::Again { not_before } => not_before,
            State::Sent { at } => Some(at + patience),
        };
        self.entries.iter().filter_map(wake).min()
    }

    /// Tells whether an answer is overdue, so that the connection cannot be trusted any more.
    pub(super) fn is_overdue(&self, now: Instant, patience: Duration) -> bool {
        let late =
            |entry: &Entry| matches!(entry.state, State::Sent { at } if at + patience <= now);
        self.entries.iter().any(late)
    }

    /// Takes an answer. Returns false when it is not for a command from here.
    pub(super) fn accepted(&mut self, accepted: Accepted) -> bool {
        let Some(index) = self.find(accepted.re.as_deref()) else { return false };
        if let Some(entry) = self.entries.remove(index) {
            drop(entry.answer.send(Ok(accepted)));
        }
        true
    }

    /// Takes a refusal: one that passes is repeated later, any other is passed on.
    pub(super) fn refused(&mut self, refused: Refused, now: Instant) -> Option<Refused> {
        let Some(index) = self.find(refused.re.as_deref()) else { return Some(refused) };
        if refused.code.is_retryable() {
            let pause = refused.retry_after_ms.map_or(RETRY_PAUSE, Duration::from_millis);
            let not_before = Some(now + pause.min(RETRY_PAUSE_MAX));
            self.entries[index].state = State::Again { not_before };
        } else if let Some(entry) = self.entries.remove(index) {
            drop(entry.answer.send(Err(refused.into())));
        }
        None
    }

    /// Gives up one command that cannot be sent at all.
    pub(super) fn fail(&mut self, id: Option<&str>, error: ClientError) {
        if let Some(entry) = self.find(id).and_then(|index| self.entries.remove(index)) {
            drop(entry.answer.send(Err(error)));
        }
    }

    /// Makes everything without an answer wait for the next connection.
    pub(super) fn disconnected(&mut self) {
        for entry in &mut self.entries {
            if matches!(entry.state, State::Sent { .. }) {
                entry.state = State::Again { not_before: None };
            }
        }
    }

    fn find(&self, id: Option<&str>) -> Option<usize> {
        let id = id?;
        self.entries.iter().position(|entry| entry.id == id)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parlor_protocol::code::Code;
    use tokio::sync::Semaphore;

    use super::*;

    type Answer = oneshot::Receiver<Result<Accepted, ClientError>>;

    fn publish(room: &str, body: &str) -> (Entry, Answer) {
        let slot = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let command = Command::Publish {
            id: None,
            room: room.into(),
            client_id: Some(body.to_owned()),
            body: body.to_owned(),
            reply_to: None,
            thread: None,
            attachments: Vec::new(),
        };
        let (answer, answered) = oneshot::channel();
        (Entry::new(command, answer, slot), answered)
    }

    fn ready(outbox: &mut Outbox, now: Instant) -> Vec<(String, String)> {
        std::iter::from_fn(|| outbox.next_ready(now))
            .map(|command| match command {
                Command::Publish { id, body, .. } => (id.unwrap(), body),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    fn ok(id: &str) -> Accepted {
        Accepted {
            re: Some(id.to_owned()),
            seq: Some(1),
            message: None,
            duplicate: false,
            answer: None,
        }
    }

    #[test]
    fn one_room_keeps_its_order_and_others_do_not_wait() {
        let now = Instant::now();
        let mut outbox = Outbox::default();
        let answers: Vec<_> = [("a", "1"), ("a", "2"), ("b", "3")]
            .map(|(room, body)| publish(room, body))
            .into_iter()
            .map(|(entry, answer)| {
                outbox.push(entry);
                answer
            })
            .collect();
        let sent = ready(&mut outbox, now);
        assert_eq!(sent.iter().map(|(_, body)| body.as_str()).collect::<Vec<_>>(), ["1", "3"]);
        assert!(outbox.accepted(ok(&sent[0].0)));
        assert_eq!(ready(&mut outbox, now)[0].1, "2");
        drop(answers);
    }

    #[test]
    fn unanswered_command_is_sent_again_on_the_next_connection() {
        let now = Instant::now();
        let mut outbox = Outbox::default();
        let (entry, mut answer) = publish("a", "1");
        outbox.push(entry);
        let first = ready(&mut outbox, now);
        assert!(ready(&mut outbox, now).is_empty());
        outbox.disconnected();
        assert_eq!(ready(&mut outbox, now), first);
        assert!(outbox.accepted(ok(&first[0].0)));
        assert_eq!(answer.try_recv().unwrap().unwrap().seq, Some(1));
    }

    #[test]
    fn passing_refusal_is_repeated_after_the_pause_and_keeps_its_place() {
        let now = Instant::now();
        let mut outbox = Outbox::default();
        let (first, _keep) = publish("a", "1");
        let (second, _keep_too) = publish("a", "2");
        outbox.push(first);
        outbox.push(second);
        let id = ready(&mut outbox, now)[0].0.clone();
        let refused = Refused {
            re: Some(id),
            code: Code::RateLimited,
            detail: String::new(),
            retry_after_ms: Some(700),
        };
        assert!(outbox.refused(refused, now).is_none());
        assert!(ready(&mut outbox, now).is_empty(), "neither early nor out of turn");
        let later = now + Duration::from_millis(700);
        assert_eq!(outbox.wake_at(Duration::from_secs(9)), Some(later));
        assert_eq!(ready(&mut outbox, later)[0].1, "1");
    }

    #[test]
    fn final_refusal_reaches_the_one_who_asked() {
        let now = Instant::now();
        let mut outbox = Outbox::default();
        let (entry, mut answer) = publish("a", "1");
        outbox.push(entry);
        let id = ready(&mut outbox, now)[0].0.clone();
        let refused = Refused {
            re: Some(id),
            code: Code::NotAMember,
            detail: "no".to_owned(),
            retry_after_ms: None,
        };
        assert!(outbox.refused(refused, now).is_none());
        assert_eq!(answer.try_recv().unwrap().unwrap_err().code(), Some(Code::NotAMember));
    }

    #[test]
    fn what_nobody_waits_for_is_not_sent_unless_it_may_have_happened() {
        let now = Instant::now();
        let mut outbox = Outbox::default();
        let (entry, answer) = publish("a", "never sent");
        outbox.push(entry);
        drop(answer);
        assert!(ready(&mut outbox, now).is_empty());
        let (entry, answer) = publish("a", "sent once");
        outbox.push(entry);
        assert_eq!(ready(&mut outbox, now).len(), 1);
        drop(answer);
        outbox.disconnected();
        assert_eq!(ready(&mut outbox, now).len(), 1);
    }

    #[test]
    fn overdue_answer_is_noticed() {
        let now = Instant::now();
        let patience = Duration::from_secs(15);
        let mut outbox = Outbox::default();
        let (entry, _answer) = publish("a", "1");
        outbox.push(entry);
        assert!(!outbox.is_overdue(now + patience, patience));
        ready(&mut outbox, now);
        assert!(!outbox.is_overdue(now, patience));
        assert!(outbox.is_overdue(now + patience, patience));
    }
}

//! Questions to other processes, and who waits for the answers.
//!
//! A question goes out behind all changes of subscriptions that were made before it, on the same
//! connection. So whoever has an answer knows that the server has those subscriptions.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use parlor_protocol::frame::StreamingReply;
use parlor_protocol::id::RoomId;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use super::wire::Answer;

/// How long an answer may take.
pub(super) const PATIENCE: Duration = Duration::from_millis(150);
/// How long other processes have for their answers after one has answered.
const QUIET: Duration = Duration::from_millis(10);
/// Questions that may wait for their answers. Whoever comes on top goes without.
const QUESTIONS_MAX: usize = 10_000;
/// Questions that may wait to be sent. Whoever comes on top waits for a place.
const ORDERS_MAX: usize = 1_024;
/// Parts of answers to one question that may wait.
const PARTS_MAX: usize = 256;

/// A question to send.
#[derive(Debug, Clone, Copy)]
pub(super) enum Order {
    /// What is being written in this room?
    Ask { room: RoomId, token: u64 },
    /// Is the server there?
    Probe { token: u64 },
}

/// What comes back.
#[derive(Debug)]
pub(super) enum Heard {
    /// A part of an answer.
    Part(Answer),
    /// Nobody listens, says the server.
    Nobody,
}

/// Sends questions and keeps who waits.
#[derive(Debug)]
pub(super) struct Questions {
    orders: mpsc::Sender<Order>,
    next: AtomicU64,
    waiting: Mutex<HashMap<u64, mpsc::Sender<Heard>>>,
}

impl Questions {
    /// Creates the place and the end from which questions are taken to be sent.
    pub(super) fn new() -> (Self, mpsc::Receiver<Order>) {
        let (orders, taken) = mpsc::channel(ORDERS_MAX);
        (Self { orders, next: AtomicU64::new(1), waiting: Mutex::default() }, taken)
    }

    /// Asks what is being written in a room, and gathers the answers for a short time.
    pub(super) async fn ask(&self, room: RoomId) -> Vec<StreamingReply> {
        let mut replies = Vec::new();
        let Some(mut waiter) = self.open() else { return replies };
        let deadline = Instant::now() + PATIENCE;
        let order = Order::Ask { room, token: waiter.token };
        if !matches!(timeout_at(deadline, self.orders.send(order)).await, Ok(Ok(()))) {
            return replies;
        }
        let mut until = deadline;
        while let Ok(Some(Heard::Part(part))) = timeout_at(until, waiter.heard.recv()).await {
            replies.extend(part.reply);
            until = if part.left == 0 { deadline.min(Instant::now() + QUIET) } else { deadline };
        }
        replies
    }

    /// Waits for a round trip to the server behind all that was asked for before. `false` when it
    /// did not answer in time.
    pub(super) async fn probe(&self, patience: Duration) -> bool {
        let Some(mut waiter) = self.open() else { return false };
        let token = waiter.token;
        let answered = async {
            self.orders.send(Order::Probe { token }).await.is_ok()
                && waiter.heard.recv().await.is_some()
        };
        timeout(patience, answered).await == Ok(true)
    }

    /// Opens a place for answers. `None` when too many wait already.
    pub(super) fn open(&self) -> Option<Waiter<'_>> {
        let token = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, heard) = mpsc::channel(PARTS_MAX);
        let mut waiting = self.waiting();
        if waiting.len() >= QUESTIONS_MAX {
            return None;
        }
        waiting.insert(token, sender);
        Some(Waiter { questions: self, token, heard })
    }

    /// Passes on what came back. Nobody may wait for it any more.
    pub(super) fn hear(&self, token: u64, heard: Heard) {
        if let Some(waiter) = self.waiting().get(&token) {
            // Nobody answers in more parts than there is place for.
            waiter.try_send(heard).unwrap_or_default();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, mpsc::Sender<Heard>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who waits for an answer. Dropping it ends the waiting.
#[derive(Debug)]
pub(super) struct Waiter<'a> {
    questions: &'a Questions,
    pub(super) token: u64,
    heard: mpsc::Receiver<Heard>,
}

impl Waiter<'_> {
    /// Waits for anything to come back.
    pub(super) async fn answered(&mut self, patience: Duration) -> bool {
        matches!(timeout(patience, self.heard.recv()).await, Ok(Some(_)))
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.questions.waiting().remove(&self.token);
    }
}

#[cfg(test)]
mod tests {
    use parlor_protocol::id::MessageId;
    use uuid::Uuid;

    use super::*;

    fn room() -> RoomId {
        RoomId(Uuid::from_u128(1))
    }

    fn part(n: u128, left: usize) -> Heard {
        let message = MessageId(Uuid::from_u128(n));
        let reply = StreamingReply { message, turn: 1, chunk: 1, text: "a".into() };
        Heard::Part(Answer { left, reply: Some(reply) })
    }

    /// Asks, and gives what comes back as soon as the question is sent.
    async fn ask(come_back: Vec<Heard>) -> (usize, Duration) {
        let (questions, mut orders) = Questions::new();
        let started = Instant::now();
        let answer = async {
            let Some(Order::Ask { token, .. }) = orders.recv().await else { panic!("a question") };
            for heard in come_back {
                questions.hear(token, heard);
            }
        };
        let (replies, ()) = tokio::join!(questions.ask(room()), answer);
        assert!(questions.waiting().is_empty());
        (replies.len(), started.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn question_is_waited_for_no_longer_than_it_makes_sense() {
        assert_eq!(ask(vec![Heard::Nobody]).await, (0, Duration::ZERO), "nobody is there");
        assert_eq!(ask(vec![]).await.1, PATIENCE, "no answer");
        let (replies, took) = ask(vec![part(1, 1), part(2, 0)]).await;
        assert_eq!((replies, took), (2, QUIET), "a whole answer");
        let (replies, took) = ask(vec![part(1, 1)]).await;
        assert_eq!((replies, took), (1, PATIENCE), "half an answer");
    }

    #[tokio::test(start_paused = true)]
    async fn parts_of_an_answer_are_bounded() {
        let many = (0..PARTS_MAX + 50).map(|n| part(n as u128, 0)).collect();
        assert_eq!(ask(many).await.0, PARTS_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn questions_that_cannot_be_sent_are_given_up() {
        let (questions, _orders) = Questions::new();
        for token in 0..ORDERS_MAX as u64 {
            questions.orders.try_send(Order::Probe { token }).unwrap();
        }
        let started = Instant::now();
        assert!(questions.ask(room()).await.is_empty());
        assert!(!questions.probe(PATIENCE).await);
        assert_eq!(started.elapsed(), 2 * PATIENCE);
    }

    #[test]
    fn questions_without_an_answer_are_bounded() {
        let (questions, _orders) = Questions::new();
        let waiters: Vec<_> = (0..QUESTIONS_MAX).map_while(|_| questions.open()).collect();
        assert_eq!(waiters.len(), QUESTIONS_MAX);
        assert!(questions.open().is_none());
        drop(waiters);
        assert!(questions.open().is_some());
    }
}

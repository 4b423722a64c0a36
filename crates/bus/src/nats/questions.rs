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

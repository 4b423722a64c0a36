//! One call to the store for all who ask in the same moment.
//!
//! Whoever asks when nothing is going on is answered by a call of their own, at once. What is asked
//! while calls are under way, or after many calls in a short time, gathers and becomes one call.
//!
//! An answer is never from a call that began before the question was asked, so whatever was
//! acknowledged before is seen. Nothing is remembered.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use parlor_store::StoreError;
use prometheus::Histogram;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use crate::refusal::{Outcome, Refusal};

/// Questions of one kind that may wait. More are refused with `unavailable`.
const QUESTIONS_MAX: usize = 32_768;
/// Calls of one kind at the same time, so that one which takes long does not keep all waiting.
const AT_ONCE: usize = 2;
/// The share of a second's calls that may be made at once after a pause.
const BURST: u32 = 4;

/// Answers many questions, in their order.
pub(crate) type Call<K, V> =
    Arc<dyn Fn(Vec<K>) -> BoxFuture<'static, Result<Vec<V>, StoreError>> + Send + Sync>;

/// Asks one question of a store that answers many at once.
#[derive(Debug)]
pub(crate) struct Batched<K, V> {
    questions: mpsc::Sender<Question<K, V>>,
}

#[derive(Debug)]
struct Question<K, V> {
    key: K,
    answer: oneshot::Sender<Outcome<V>>,
}

impl<K, V> Batched<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + 'static,
{
    /// Creates the questions and the worker that has them answered: at most `most` different ones
    /// by one call, with at most so many calls in a second over time. `size` is told how many each
    /// call answers.
    pub(crate) fn new(
        call: Call<K, V>,
        most: usize,
        per_second: u32,
        size: Histogram,
    ) -> (Self, BatchWorker<K, V>) {
        let (sender, questions) = mpsc::channel(QUESTIONS_MAX);
        let pace = Pace::new(per_second, Instant::now());
        (Self { questions: sender }, BatchWorker { questions, call, most, pace, size })
    }

    /// Asks, and waits for the answer.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: others who share the call get their answers.
    pub(crate) async fn ask(&self, key: K) -> Outcome<V> {
        let (answer, answered) = oneshot::channel();
        self.questions.try_send(Question { key, answer }).map_err(|_| {
            Refusal::unavailable("The server has too much to do; try again in a moment.")
        })?;
        answered.await.unwrap_or_else(|_| Err(Refusal::unavailable("The server is stopping.")))
    }
}

/// The one task that makes the calls of one kind.
pub(crate) struct BatchWorker<K, V> {
    questions: mpsc::Receiver<Question<K, V>>,
    call: Call<K, V>,
    most: usize,
    pace: Pace,
    size: Histogram,
}

/// Calls that have begun.
type UnderWay = FuturesUnordered<BoxFuture<'static, ()>>;

impl<K, V> BatchWorker<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + 'static,
{
    /// Answers until nobody can ask any more.
    pub(crate) async fn run(mut self) {
        let mut under_way = UnderWay::new();
        loop {
            while under_way.len() >= AT_ONCE {
                under_way.next().await;
            }
            let Some(first) = beside(&mut under_way, self.questions.recv()).await else { break };
            let begins = self.pace.next(Instant::now());
            if begins > Instant::now() {
                beside(&mut under_way, sleep_until(begins)).await;
            }
            let waiting = self.gather(first);
            if !waiting.is_empty() {
                under_way.push(answer(Arc::clone(&self.call), waiting));
            }
        }
        while under_way.next().await.is_some() {}
    }

    /// Takes what has gathered, each key once, without those who have gone.
    fn gather(&mut self, first: Question<K, V>) -> HashMap<K, Vec<oneshot::Sender<Outcome<V>>>> {
        let mut waiting: HashMap<K, Vec<_>> = HashMap::new();
        let (mut next, mut questions) = (Some(first), 0_u32);
        while let Some(Question { key, answer }) = next {
            if !answer.is_closed() {
                waiting.entry(key).or_default().push(answer);
                questions += 1;
            }
            next = (waiting.len() < self.most).then(|| self.questions.try_recv().ok()).flatten();
        }
        if questions > 0 {
            self.size.observe(questions.into());
        }
        waiting
    }
}

/// Makes one call and answers all who wait for it.
fn answer<K, V>(
    call: Call<K, V>,
    waiting: HashMap<K, Vec<oneshot::Sender<Outcome<V>>>>,
) -> BoxFuture<'static, ()>
where
    K: Send + 'static,
    V: Clone + Send + 'static,
{
    let (keys, waiting): (Vec<K>, Vec<Vec<_>>) = waiting.into_iter().unzip();
    Box::pin(async move {
        // The refusal logs its cause, once for all.
        let answered = call(keys).await.map_err(Refusal::from);
        let mut values = answered.map(Vec::into_iter);
        for waiting in waiting {
            let value = match &mut values {
                Ok(values) => values.next().ok_or_else(missing),
                Err(refusal) => Err(refusal.clone()),
            };
            for one in waiting {
                // Whoever has gone needs no answer.
                drop(one.send(value.clone()));
            }
        }
    })
}

/// A store that gives fewer answers than it was asked for breaks its contract.
fn missing() -> Refusal {
    Refusal::unavailable("The server could not find out; try again in a moment.")
}

/// Waits for something while calls go on.
async fn beside<T>(under_way: &mut UnderWay, something: impl Future<Output = T>) -> T {
    tokio::pin!(something);
    loop {
        tokio::select! {
            biased;
            Some(()) = under_way.next(), if !under_way.is_empty() => {}
            done = &mut something => return done,
        }
    }
}

/// How often calls may begin: a share of a second's at once, and the rest evenly.
#[derive(Debug)]
struct Pace {
    interval: Duration,
    slack: Duration,
    /// When the next call would begin if all came evenly.
    due: Instant,
}

impl Pace {
    fn new(per_second: u32, now: Instant) -> Self {
        let per_second = per_second.max(1);
        let interval = Duration::from_secs(1) / per_second;
        let slack = interval * (per_second / BURST).saturating_sub(1);
        Self { interval, slack, due: now }
    }

    /// Returns when the next call may begin, and counts on it.
    fn next(&mut self, now: Instant) -> Instant {
        let begins = self.due.checked_sub(self.slack).map_or(now, |earliest| earliest.max(now));
        self.due = self.due.max(begins) + self.interval;
        begins
    }
}

#[cfg(test)]
mod tests;

//! Whether what is remembered is still true: one small question to the store for all who ask in the
//! same moment.
//!
//! A check begins after the question that it is made for. It tells all that was acknowledged before,
//! on whichever node, so what is left in memory after it is as true as what the store would answer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use parlor_store::{ChangePosition, Store};
use prometheus::Histogram;
use tokio::time::{Instant, timeout};

use super::batch::{BatchWorker, Batched, Call};
use super::known::Known;
use crate::metrics::CacheMetrics;

/// A store that does not answer for so long is asked for the things themselves.
const PATIENCE: Duration = Duration::from_secs(1);
/// For how long nothing is remembered after a check has failed.
const REST: Duration = Duration::from_secs(1);

/// Checks the memory of one node.
#[derive(Debug)]
pub(super) struct Checks {
    questions: Batched<(), bool>,
    /// Until when there are no checks.
    resting: Arc<Resting>,
}

/// The task behind [`Checks`].
pub(super) type CheckWorker = BatchWorker<(), bool>;

impl Checks {
    /// Creates the checks, so many in a second over time. `size` is told how many questions each
    /// check is for.
    pub(super) fn new(
        store: &Arc<dyn Store>,
        known: &Arc<Known>,
        per_second: u32,
        size: Histogram,
        metrics: CacheMetrics,
    ) -> (Self, CheckWorker) {
        let resting = Arc::new(Resting::default());
        let check = Check {
            store: Arc::clone(store),
            known: Arc::clone(known),
            resting: Arc::clone(&resting),
            metrics,
            position: tokio::sync::Mutex::new(None),
        };
        let check = Arc::new(check);
        let call: Call<(), bool> = Arc::new(move |asked| {
            let check = Arc::clone(&check);
            Box::pin(async move {
                let good = check.make().await;
                Ok(asked.iter().map(|()| good).collect())
            })
        });
        // There is but one question, so no call is ever full.
        let (questions, worker) = Batched::new(call, 2, per_second, size);
        (Self { questions, resting }, worker)
    }

    /// Has everything forgotten that was changed before now. `false`: nothing that is remembered can
    /// be trusted.
    pub(super) async fn check(&self) -> bool {
        !self.resting.is_on() && self.questions.ask(()).await.unwrap_or(false)
    }
}

struct Check {
    store: Arc<dyn Store>,
    known: Arc<Known>,
    resting: Arc<Resting>,
    metrics: CacheMetrics,
    /// How far changes were heard; held through a check, so that they are heard in order.
    position: tokio::sync::Mutex<Option<ChangePosition>>,
}

impl Check {
    async fn make(&self) -> bool {
        let mut position = self.position.lock().await;
        if self.resting.is_on() {
            return false;
        }
        // Whoever drops this half way leaves nothing that could be used: it is read again.
        let since = position.take();
        let read = timeout(PATIENCE, self.store.read_changes(since.as_ref())).await;
        let good = match read {
            Ok(Ok(page)) => {
                self.known.hear(&page);
                *position = Some(page.position);
                true
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "changes cannot be read: nothing is remembered");
                false
            }
            Err(_) => false,
        };
        if !good {
            self.known.forget_all();
            self.resting.begin();
        }
        let outcome = if good { "ok" } else { "failed" };
        self.metrics.checks.with_label_values(&[outcome]).inc();
        good
    }
}

/// A pause after a failure, in which the store is asked for the things themselves.
#[derive(Debug, Default)]
struct Resting(Mutex<Option<Instant>>);

impl Resting {
    fn begin(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + REST);
    }

    fn is_on(&self) -> bool {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }
}

#[cfg(test)]
mod tests;

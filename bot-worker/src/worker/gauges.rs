//! Reads from time to time how many jobs wait, and for how long.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Future;
use futures_util::future::{Fuse, FusedFuture as _, FutureExt as _};
use parlor_store::StoreError;
use tokio::time::{Instant, timeout};

use crate::shared::Shared;

/// How long the store may take to count.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the store knows of the jobs of all rooms.
#[derive(Debug)]
pub(super) struct Counts {
    waiting: u64,
    held: u64,
    oldest: Option<Duration>,
}

/// `None`: the store did not answer in time.
pub(super) type Counted = Option<Result<Counts, StoreError>>;
type Read = Pin<Box<dyn Future<Output = Counted> + Send>>;

/// The gauges of the store's jobs. Every worker shows the same numbers.
pub(super) struct Gauges {
    shared: Arc<Shared>,
    pub(super) read: Fuse<Read>,
    pub(super) due: Instant,
}

impl Gauges {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, read: Fuse::terminated(), due: Instant::now() }
    }

    /// Tells whether the next reading may begin at its time.
    pub(super) fn is_idle(&self) -> bool {
        self.read.is_terminated()
    }

    /// Begins a reading.
    pub(super) fn read(&mut self) {
        self.due = Instant::now() + self.shared.config.count_every;
        let store = Arc::clone(&self.shared.store);
        let counts = async move {
            let (waiting, held) = store.count_jobs().await?;
            Ok(Counts { waiting, held, oldest: store.find_longest_wait().await? })
        };
        let read: Read = Box::pin(async move { timeout(PATIENCE, counts).await.ok() });
        self.read = read.fuse();
    }

    /// Shows what was read. What cannot be read stays as it was.
    pub(super) fn show(&self, counted: Counted) {
        let metrics = &self.shared.metrics;
        match counted {
            Some(Ok(Counts { waiting, held, oldest })) => {
                metrics.jobs_waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
                metrics.jobs_held.set(i64::try_from(held).unwrap_or(i64::MAX));
                metrics.oldest_waiting.set(oldest.unwrap_or_default().as_secs_f64());
            }
            Some(Err(error)) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "jobs were not counted");
            }
            None => tracing::debug!("jobs were not counted in time"),
        }
    }
}

//! What all turns of a worker share.

use std::sync::Arc;
use std::time::Duration;

use parlor_bus::Bus;
use parlor_llm::Providers;
use parlor_protocol::id::JobId;
use parlor_protocol::time::Timestamp;
use parlor_runtime::clock::Clock;
use parlor_store::Store;
use uuid::Uuid;

use crate::config::BotWorkerConfig;
use crate::metrics::Metrics;
use crate::pairs::PairLimit;

/// What all turns of a worker share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: BotWorkerConfig,
    pub(crate) worker: Uuid,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) providers: Arc<Providers>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Metrics,
    pub(crate) pairs: PairLimit,
}

impl Shared {
    /// Returns the present time.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now().into()
    }

    /// Gives a job back, due after `delay`.
    pub(crate) async fn release(&self, job: JobId, generation: u32, delay: Duration) {
        if let Err(error) = self.store.release_job(job, generation, delay).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "job could not be given back, it is due when its lease ends"
            );
        }
    }
}

//! What all turns of a worker share.

use std::sync::Arc;
use std::time::Duration;

use parlor_bus::{Bus, Control};
use parlor_llm::Providers;
use parlor_protocol::id::JobId;
use parlor_protocol::time::Timestamp;
use parlor_runtime::clock::Clock;
use parlor_store::{Store, StoreError};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::config::BotWorkerConfig;
use crate::metrics::Metrics;

/// The longest time before the end of a lease at which its holder falls silent.
const LEASE_MARGIN: Duration = Duration::from_secs(1);
/// How long giving a job away may take.
const PART_PATIENCE: Duration = Duration::from_millis(2_500);

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
}

impl Shared {
    /// Returns the present time.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now().into()
    }

    /// Returns until when whoever asked for a lease at `asked_at` may act on it. The lease of the
    /// store begins later, so it ends later, however the clocks are set; the margin is for clocks
    /// that run unevenly and for the way to the room.
    pub(crate) fn held_until(&self, asked_at: Instant) -> Instant {
        #[cfg(feature = "planted-bugs")]
        if parlor_domain::planted::is("fence-ignored") {
            return asked_at + Duration::from_hours(1);
        }
        let lease = self.config.lease;
        asked_at + lease - (lease / 10).min(LEASE_MARGIN)
    }

    /// Gives a job back that failed here, due after `delay`.
    pub(crate) async fn release(&self, job: JobId, generation: u32, delay: Duration) {
        self.part(self.store.release_job(job, generation, delay)).await;
    }

    /// Hands a job over to whichever worker is next, because this one stops.
    pub(crate) async fn hand_over(&self, job: JobId, generation: u32) {
        if self.part(self.store.hand_over_job(job, generation)).await {
            self.bus.publish_control(Control::JobQueued);
        }
    }

    /// Carries out how a job is given away; without the store it waits until its lease ends.
    async fn part(&self, call: impl Future<Output = Result<(), StoreError>>) -> bool {
        match timeout(PART_PATIENCE, call).await {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "job could not be given away, it is due when its lease ends"
            ),
            Err(_) => {
                tracing::warn!("job was not given away in time, it is due when its lease ends");
            }
        }
        false
    }
}

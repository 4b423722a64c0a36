//! Asks the store for jobs: one question at a time, and patiently while the store is away.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Future;
use futures_util::future::{Fuse, FusedFuture as _, FutureExt as _};
use parlor_protocol::id::JobId;
use parlor_store::StoreError;
use parlor_store::record::ClaimedJob;
use tokio::time::{Instant, timeout};

use crate::shared::Shared;

/// Cancels that are remembered while a claim is under way.
const EARLY_CANCELS: usize = 64;
/// Waits after claims that failed double from the first to the second.
const WAITS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// Turns beyond the limit that only end what was stopped before it began; they call no provider.
const SPARE: usize = 1;

/// A claim that was answered or given up, with the time at which it was asked for.
pub(super) type Claimed = (Instant, Result<Option<ClaimedJob>, ClaimFailed>);
type Claim = Pin<Box<dyn Future<Output = Claimed> + Send>>;

/// Why a claim brought nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClaimFailed {
    /// The store answered with a failure.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// What it might have claimed would be lost by now.
    #[error("the store did not answer within the lease")]
    TooLate,
}

/// When the next job is asked for, and which.
pub(super) struct Claims {
    shared: Arc<Shared>,
    pub(super) asked: Fuse<Claim>,
    /// Whether there may be a job that was not seen yet.
    look: bool,
    /// Whether there may be one that was stopped, although there is no room for others.
    sweep: bool,
    failures: u32,
    /// No claim is made before.
    pub(super) not_before: Instant,
    early_cancels: Vec<JobId>,
}

impl Claims {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            asked: Fuse::terminated(),
            look: true,
            sweep: false,
            failures: 0,
            not_before: Instant::now(),
            early_cancels: Vec::new(),
        }
    }

    /// Notes that there may be a job.
    pub(super) fn look(&mut self) {
        self.look = true;
    }

    /// Notes that a job may have been stopped while it waited.
    pub(super) fn sweep(&mut self) {
        self.look = true;
        self.sweep = true;
    }

    /// Notes a cancel of a job that may be the one that is being claimed.
    pub(super) fn note_cancel(&mut self, job: JobId) {
        if !self.asked.is_terminated() && self.early_cancels.len() < EARLY_CANCELS {
            self.early_cancels.push(job);
        }
        // One that waits is ended by whoever claims it.
        self.sweep();
    }

    /// Tells whether it waits because the store has failed.
    pub(super) fn is_waiting(&self) -> bool {
        self.failures > 0 && self.look && self.asked.is_terminated()
    }

    /// Asks for a job if there may be one and there is room for it. `running` counts the turns of
    /// each provider.
    pub(super) fn ask(&mut self, turns: usize, running: &HashMap<String, usize>) {
        if !self.asked.is_terminated() || Instant::now() < self.not_before {
            return;
        }
        let config = &self.shared.config;
        let busy = if turns < config.concurrency {
            if !self.look {
                return;
            }
            self.look = false;
            self.busy_providers(running)
        } else {
            if !self.sweep || turns >= config.concurrency + SPARE {
                return;
            }
            self.all_providers()
        };
        self.sweep = false;
        let (shared, lease) = (Arc::clone(&self.shared), config.lease);
        let claim: Claim = Box::pin(async move {
            let asked_at = Instant::now();
            let claimed = shared.store.claim_job(shared.worker, lease, &busy);
            let claimed = match timeout(lease, claimed).await {
                Ok(claimed) => claimed.map_err(ClaimFailed::from),
                Err(_) => Err(ClaimFailed::TooLate),
            };
            (asked_at, claimed)
        });
        self.asked = claim.fuse();
    }

    /// Takes the answer; returns the job and whether it was cancelled meanwhile.
    pub(super) fn take(
        &mut self,
        claimed: Result<Option<ClaimedJob>, ClaimFailed>,
    ) -> Option<(ClaimedJob, bool)> {
        let early_cancels = std::mem::take(&mut self.early_cancels);
        match claimed {
            Ok(job) => {
                self.failures = 0;
                let job = job?;
                // There may be more where it came from.
                self.sweep();
                let cancelled = early_cancels.contains(&job.id);
                Some((job, cancelled))
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                self.not_before = Instant::now() + wait_after(self.failures, rand::random());
                self.look = true;
                self.shared.metrics.claim_failures.inc();
                tracing::warn!(error = &error as &dyn std::error::Error, "no job can be claimed");
                None
            }
        }
    }

    /// Returns the providers that have as many turns as they may.
    fn busy_providers(&self, running: &HashMap<String, usize>) -> Vec<String> {
        let limit = self.shared.config.provider_concurrency;
        if limit == 0 {
            return Vec::new();
        }
        let full = running.iter().filter(|(_, turns)| **turns >= limit);
        let mut busy: Vec<String> = full.map(|(provider, _)| provider.clone()).collect();
        let default = self.shared.providers.default_provider();
        if busy.iter().any(|provider| provider == default.name()) {
            busy.push(UNNAMED.to_owned());
        }
        busy
    }

    fn all_providers(&self) -> Vec<String> {
        let named = self.shared.providers.iter().map(|provider| provider.name().to_owned());
        named.chain([UNNAMED.to_owned()]).collect()
    }
}

/// What the store calls the provider of bots that name none.
const UNNAMED: &str = "";

/// Returns how long to wait after so many failures; `jitter` in `0.0..1.0` keeps workers apart.
fn wait_after(failures: u32, jitter: f64) -> Duration {
    let doubled = WAITS.0.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
    doubled.min(WAITS.1).mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_a_bound_and_are_not_the_same_for_all() {
        let full = |failures| wait_after(failures, 1.0).as_millis();
        assert_eq!([full(1), full(2), full(3), full(9), full(99)], [100, 200, 400, 2_000, 2_000]);
        assert_eq!(wait_after(2, 0.0).as_millis(), 100);
    }
}

//! The worker: claims jobs while it has room, and runs a turn for each.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Future;
use futures_util::future::{Fuse, FusedFuture as _, FutureExt as _};
use parlor_bus::{Bus, Control, Delivery, Mailbox};
use parlor_llm::Providers;
use parlor_protocol::id::JobId;
use parlor_runtime::clock::Clock;
use parlor_store::record::ClaimedJob;
use parlor_store::{Store, StoreError};
use prometheus::Registry;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::config::BotWorkerConfig;
use crate::metrics::{Metrics, Outcome};
use crate::pairs::PairLimit;
use crate::shared::Shared;
use crate::turn::{Tokens, Turn};

/// Controls that may wait. More are lost; then jobs are found by looking, cancels by renewing.
const MAILBOX: usize = 1_024;
/// Deliveries taken at once.
const BATCH: usize = 64;
/// Cancels that are remembered while a claim is under way.
const EARLY_CANCELS: usize = 64;
/// How long turns may take to give their jobs back when the worker has to stop now.
const ABORT_PATIENCE: Duration = Duration::from_secs(2);

/// Why a worker cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BotWorkerError {
    /// The bus has as many subscribers as it may have.
    #[error("the bus has no place for another subscriber")]
    BusFull,
    /// The registry has metrics of the same names.
    #[error("the metrics cannot be registered")]
    Metrics(#[from] prometheus::Error),
}

/// Claims jobs and writes replies until it is told to stop.
#[derive(Debug)]
pub struct BotWorker {
    shared: Arc<Shared>,
    mailbox: Mailbox,
}

type Claim =
    Pin<Box<dyn Future<Output = (Instant, Result<Option<ClaimedJob>, StoreError>)> + Send>>;

/// A turn that runs.
#[derive(Debug)]
struct Running {
    job: JobId,
    generation: u32,
    attempt: u32,
    cancel: CancellationToken,
}

/// What the worker does at the moment.
struct Work {
    shared: Arc<Shared>,
    turns: JoinSet<Outcome>,
    running: HashMap<Id, Running>,
    claim: Fuse<Claim>,
    /// Whether there may be a job that was not seen yet.
    look: bool,
    early_cancels: Vec<JobId>,
    stopping: bool,
    abort: CancellationToken,
}

impl BotWorker {
    /// Creates a worker and subscribes it to the bus.
    ///
    /// # Errors
    ///
    /// Fails when the bus has no place or the registry has a worker's metrics already.
    pub fn new(
        config: BotWorkerConfig,
        store: Arc<dyn Store>,
        bus: Arc<dyn Bus>,
        providers: Arc<Providers>,
        clock: Arc<dyn Clock>,
        registry: &Registry,
    ) -> Result<Self, BotWorkerError> {
        let metrics = Metrics::register(registry)?;
        let mailbox = bus.subscribe(MAILBOX).ok_or(BotWorkerError::BusFull)?;
        let config = config.coherent();
        let pairs = PairLimit::new(config.pair_limit_per_minute);
        let worker = clock.new_id();
        let shared = Shared { config, worker, store, bus, providers, clock, metrics, pairs };
        Ok(Self { shared: Arc::new(shared), mailbox })
    }

    /// Works until `stop` and then until the running replies have ended, or until `abort`: then
    /// the jobs are given back at once, for another worker or the next start.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future is safe and is what a crash looks like: turns end at their next await
    /// point, and their jobs are due again when the leases end.
    pub async fn run(mut self, stop: CancellationToken, abort: CancellationToken) {
        let mut poll = interval(self.shared.config.poll_every);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut work = Work::new(Arc::clone(&self.shared), abort.clone());
        let mut deliveries = Vec::with_capacity(BATCH);
        let mut connected = true;
        tracing::info!(worker.id = %self.shared.worker, "bot worker started");
        while !work.is_done() {
            work.claim_next();
            tokio::select! {
                biased;
                () = abort.cancelled() => break,
                () = stop.cancelled(), if !work.stopping => work.stopping = true,
                received = self.mailbox.receive(&mut deliveries, BATCH), if connected => {
                    connected = received > 0;
                    work.take_deliveries(&mut deliveries);
                    work.look |= self.mailbox.take_overflow();
                }
                Some(ended) = work.turns.join_next_with_id() => work.take_ended(ended).await,
                (asked_at, claimed) = &mut work.claim => work.take_claim(asked_at, claimed).await,
                _ = poll.tick() => work.look = true,
            }
        }
        work.finish().await;
        tracing::info!(worker.id = %self.shared.worker, "bot worker stopped");
    }
}

impl Work {
    fn new(shared: Arc<Shared>, abort: CancellationToken) -> Self {
        Self {
            shared,
            turns: JoinSet::new(),
            running: HashMap::new(),
            claim: Fuse::terminated(),
            look: true,
            early_cancels: Vec::new(),
            stopping: false,
            abort,
        }
    }

    fn is_done(&self) -> bool {
        self.stopping && self.turns.is_empty() && self.claim.is_terminated()
    }

    /// Asks for a job if there may be one and there is room for it.
    fn claim_next(&mut self) {
        let room = self.turns.len() < self.shared.config.concurrency;
        if !self.look || !room || self.stopping || !self.claim.is_terminated() {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let claim: Claim = Box::pin(async move {
            let asked_at = Instant::now();
            let claimed = shared.store.claim_job(shared.worker, shared.config.lease, &[]).await;
            (asked_at, claimed)
        });
        self.look = false;
        self.claim = claim.fuse();
    }

    async fn take_claim(
        &mut self,
        asked_at: Instant,
        claimed: Result<Option<ClaimedJob>, StoreError>,
    ) {
        let early_cancels = std::mem::take(&mut self.early_cancels);
        match claimed {
            Ok(Some(job)) if self.stopping => {
                let shared = Arc::clone(&self.shared);
                shared.release(job.id, job.generation, Duration::ZERO).await;
            }
            Ok(Some(job)) => {
                self.look = true;
                let cancelled = early_cancels.contains(&job.id);
                self.start(job, cancelled, asked_at);
            }
            Ok(None) => {}
            Err(error) => {
                // The next poll tries again.
                tracing::warn!(error = &error as &dyn std::error::Error, "no job can be claimed");
            }
        }
    }

    fn start(&mut self, job: ClaimedJob, cancelled: bool, asked_at: Instant) {
        let cancel = CancellationToken::new();
        if cancelled {
            cancel.cancel();
        }
        let span = tracing::info_span!(
            "bot.turn",
            job.id = %job.id,
            room.id = %job.room,
            bot.id = %job.bot.user.id,
            generation = job.generation,
        );
        let running = Running {
            job: job.id,
            generation: job.generation,
            attempt: job.attempt,
            cancel: cancel.clone(),
        };
        let tokens = Tokens { cancel, abort: self.abort.clone() };
        let turn = Turn::new(Arc::clone(&self.shared), job, tokens, asked_at);
        let handle = self.turns.spawn(turn.run().instrument(span));
        self.running.insert(handle.id(), running);
        self.count_running();
    }

    fn take_deliveries(&mut self, deliveries: &mut Vec<Delivery>) {
        for delivery in deliveries.drain(..) {
            match delivery {
                Delivery::Control(Control::JobQueued) => self.look = true,
                Delivery::Control(Control::CancelReply(job)) => self.cancel(job),
                Delivery::Control(
                    Control::SessionRevoked(_)
                    | Control::UserRevoked(_)
                    | Control::RoomDeleted(_)
                    | Control::StoreMayBeAhead,
                )
                | Delivery::Event { .. }
                | Delivery::Signal { .. }
                | Delivery::Ahead { .. } => {}
            }
        }
    }

    fn cancel(&mut self, job: JobId) {
        if let Some(running) = self.running.values().find(|running| running.job == job) {
            running.cancel.cancel();
        } else if !self.claim.is_terminated() && self.early_cancels.len() < EARLY_CANCELS {
            self.early_cancels.push(job);
        }
        // A job that waits is ended by whoever claims it.
        self.look = true;
    }

    async fn take_ended(&mut self, ended: Result<(Id, Outcome), JoinError>) {
        self.look = true;
        let (id, outcome) = match ended {
            Ok(ended) => ended,
            Err(error) => (error.id(), Outcome::Panicked),
        };
        self.shared.metrics.count_turn(outcome);
        let running = self.running.remove(&id);
        self.count_running();
        if let (Some(running), Outcome::Panicked) = (running, outcome) {
            tracing::error!(job.id = %running.job, "turn panicked");
            let wait = Duration::from_millis(500 << running.attempt.min(6));
            Arc::clone(&self.shared).release(running.job, running.generation, wait).await;
        }
    }

    /// Waits for the turns, which have been told to give their jobs back.
    async fn finish(mut self) {
        self.stopping = true;
        let all = async {
            if !self.claim.is_terminated() {
                let (asked_at, claimed) = (&mut self.claim).await;
                self.take_claim(asked_at, claimed).await;
            }
            while let Some(ended) = self.turns.join_next_with_id().await {
                self.take_ended(ended).await;
            }
        };
        if timeout(ABORT_PATIENCE, all).await.is_err() {
            tracing::warn!(jobs = self.turns.len(), "jobs were not given back in time");
        }
        self.turns.shutdown().await;
        self.shared.metrics.running.set(0);
    }

    fn count_running(&self) {
        let running = i64::try_from(self.running.len()).unwrap_or(i64::MAX);
        self.shared.metrics.running.set(running);
    }
}

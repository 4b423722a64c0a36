//! The worker: claims jobs while it has room, and runs a turn for each.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::FusedFuture as _;
use parlor_bus::{Bus, Control, Delivery, Mailbox};
use parlor_llm::Providers;
use parlor_protocol::id::{JobId, RoomId};
use parlor_runtime::clock::Clock;
use parlor_store::Store;
use parlor_store::record::ClaimedJob;
use prometheus::Registry;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::config::BotWorkerConfig;
use crate::metrics::{Metrics, Outcome};
use crate::shared::Shared;
use crate::turn::{Tokens, Turn};

mod claims;
mod gauges;
mod positions;

use claims::{Claimed, Claims};
use gauges::Gauges;
use positions::Positions;

/// Controls that may wait. More are lost; then jobs are found by looking, cancels by renewing.
const MAILBOX: usize = 1_024;
/// Deliveries taken at once.
const BATCH: usize = 64;
/// How long turns may take to hand their jobs over when the worker has to stop now.
const ABORT_PATIENCE: Duration = Duration::from_secs(4);

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

/// A turn that runs.
#[derive(Debug)]
struct Running {
    job: JobId,
    room: RoomId,
    generation: u32,
    attempt: u32,
    provider: String,
    cancel: CancellationToken,
}

/// What the worker does at the moment.
struct Work {
    shared: Arc<Shared>,
    turns: JoinSet<Outcome>,
    running: HashMap<Id, Running>,
    /// The number of turns by provider.
    by_provider: HashMap<String, usize>,
    claims: Claims,
    positions: Positions,
    gauges: Gauges,
    next_poll: Instant,
    /// When running turns are handed over; set when the worker was asked to stop.
    drain_until: Option<Instant>,
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
        let worker = clock.new_id();
        let shared = Shared { config, worker, store, bus, providers, clock, metrics };
        Ok(Self { shared: Arc::new(shared), mailbox })
    }

    /// Works until `stop`, then claims nothing more and lets the running replies end, for at most
    /// [`BotWorkerConfig::drain`]. What is left then, or at `abort`, is handed over: its text so far
    /// is stored, and the jobs are due at once for another worker or the next start.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future is safe and is what a crash looks like: turns end at their next await
    /// point, and their jobs are due again when the leases end.
    pub async fn run(mut self, stop: CancellationToken, abort: CancellationToken) {
        let mut work = Work::new(Arc::clone(&self.shared), abort.child_token());
        let mut deliveries = Vec::with_capacity(BATCH);
        let mut connected = true;
        tracing::info!(worker.id = %self.shared.worker, "bot worker started");
        while !work.is_done() {
            work.ask();
            let drain_until = work.drain_until.unwrap_or_else(Instant::now);
            tokio::select! {
                biased;
                () = abort.cancelled() => break,
                () = stop.cancelled(), if !work.is_stopping() => work.stop(),
                () = sleep_until(drain_until), if work.is_stopping() => break,
                received = self.mailbox.receive(&mut deliveries, BATCH), if connected => {
                    connected = received > 0;
                    work.take_deliveries(&mut deliveries);
                    if self.mailbox.take_overflow() {
                        work.claims.sweep();
                    }
                }
                Some(ended) = work.turns.join_next_with_id() => work.take_ended(ended).await,
                claimed = &mut work.claims.asked => work.take_claim(claimed).await,
                () = sleep_until(work.claims.not_before), if work.claims.is_waiting() => {}
                (room, queue) = &mut work.positions.read => work.positions.tell(room, queue),
                counts = &mut work.gauges.read => work.gauges.show(counts),
                () = sleep_until(work.gauges.due), if work.gauges.is_idle() => work.gauges.read(),
                () = sleep_until(work.next_poll) => work.poll(),
            }
        }
        work.finish().await;
        tracing::info!(worker.id = %self.shared.worker, "bot worker stopped");
    }
}

impl Work {
    fn new(shared: Arc<Shared>, abort: CancellationToken) -> Self {
        Self {
            turns: JoinSet::new(),
            running: HashMap::new(),
            by_provider: HashMap::new(),
            claims: Claims::new(Arc::clone(&shared)),
            positions: Positions::new(Arc::clone(&shared)),
            gauges: Gauges::new(Arc::clone(&shared)),
            next_poll: Instant::now(),
            drain_until: None,
            abort,
            shared,
        }
    }

    fn is_stopping(&self) -> bool {
        self.drain_until.is_some()
    }

    fn is_done(&self) -> bool {
        self.is_stopping() && self.turns.is_empty() && self.claims.asked.is_terminated()
    }

    /// Takes no new jobs from now on.
    fn stop(&mut self) {
        self.drain_until = Some(Instant::now() + self.shared.config.drain);
        tracing::info!(turns = self.turns.len(), "bot worker finishes what it has");
    }

    /// Asks the store whatever there is to ask.
    fn ask(&mut self) {
        if !self.is_stopping() {
            self.claims.ask(self.turns.len(), &self.by_provider);
        }
        // Once nothing more is to be claimed: what was claimed at once had no place in a queue.
        if self.claims.asked.is_terminated() {
            self.positions.read_next();
        }
    }

    /// Looks for what nobody told of.
    fn poll(&mut self) {
        self.claims.sweep();
        // Not all workers at the same moment.
        let every = self.shared.config.poll_every;
        self.next_poll = Instant::now() + every.mul_f64(0.75 + rand::random::<f64>() / 2.0);
    }

    async fn take_claim(&mut self, (asked_at, claimed): Claimed) {
        match self.claims.take(claimed) {
            Some((job, _)) if self.is_stopping() => {
                self.shared.hand_over(job.id, job.generation).await;
            }
            Some((job, cancelled)) => self.start(job, cancelled, asked_at),
            None => {}
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
        let provider = match &job.bot.provider {
            Some(name) => name.clone(),
            None => self.shared.providers.default_provider().name().to_owned(),
        };
        *self.by_provider.entry(provider.clone()).or_default() += 1;
        let running = Running {
            job: job.id,
            room: job.room,
            generation: job.generation,
            attempt: job.attempt,
            provider,
            cancel: cancel.clone(),
        };
        if job.generation > 1 {
            self.shared.metrics.take_overs.inc();
        }
        // One that was stopped is gone in a moment and changes nobody's place until then.
        if !job.cancel_requested {
            self.positions.note(job.room);
        }
        let tokens = Tokens { cancel, abort: self.abort.clone() };
        let turn = Turn::new(Arc::clone(&self.shared), job, tokens, asked_at);
        let handle = self.turns.spawn(turn.run().instrument(span));
        self.running.insert(handle.id(), running);
        self.count_running();
    }

    fn take_deliveries(&mut self, deliveries: &mut Vec<Delivery>) {
        for delivery in deliveries.drain(..) {
            match delivery {
                Delivery::Control(Control::JobQueued) => self.claims.look(),
                Delivery::Control(Control::CancelReply(job)) => self.cancel(job),
                // The bus was away: whatever it should have told is to be looked for.
                Delivery::Control(Control::StoreMayBeAhead) => self.claims.sweep(),
                Delivery::Control(
                    Control::SessionRevoked(_) | Control::UserRevoked(_) | Control::RoomDeleted(_),
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
        } else {
            self.claims.note_cancel(job);
        }
    }

    async fn take_ended(&mut self, ended: Result<(Id, Outcome), JoinError>) {
        let (id, outcome) = match ended {
            Ok(ended) => ended,
            Err(error) => (error.id(), Outcome::Panicked),
        };
        self.claims.look();
        let Some(running) = self.running.remove(&id) else { return };
        self.shared.metrics.count_turn(outcome, running.attempt);
        self.count_running();
        if let Some(turns) = self.by_provider.get_mut(&running.provider) {
            *turns -= 1;
            if *turns == 0 {
                self.by_provider.remove(&running.provider);
            }
        }
        self.positions.note(running.room);
        if outcome == Outcome::Panicked {
            tracing::error!(job.id = %running.job, "turn panicked");
            let wait = Duration::from_millis(500 << running.attempt.min(6));
            self.shared.release(running.job, running.generation, wait).await;
        }
    }

    /// Has the turns hand their jobs over, and waits for them.
    async fn finish(mut self) {
        self.drain_until = Some(Instant::now());
        self.abort.cancel();
        let all = async {
            if !self.claims.asked.is_terminated() {
                let claimed = (&mut self.claims.asked).await;
                self.take_claim(claimed).await;
            }
            while let Some(ended) = self.turns.join_next_with_id().await {
                self.take_ended(ended).await;
            }
        };
        if timeout(ABORT_PATIENCE, all).await.is_err() {
            tracing::warn!(jobs = self.turns.len(), "jobs were not handed over in time");
        }
        self.turns.shutdown().await;
        self.shared.metrics.running.set(0);
    }

    fn count_running(&self) {
        let running = i64::try_from(self.running.len()).unwrap_or(i64::MAX);
        self.shared.metrics.running.set(running);
    }
}

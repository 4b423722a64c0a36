//! Group commit: whatever has gathered while the last batch was committing is the next batch.
//!
//! Callers queue in the order in which they call, and a room's events keep that order. The answer
//! comes only after the commit; then the events go to the bus, in the order of their `seq`.

use std::sync::Arc;
use std::time::Duration;

use parlor_bus::{Bus, Control};
use parlor_domain::permission::Refused as RuleRefused;
use parlor_protocol::event::Event;
use parlor_protocol::id::{RoomId, UserId};
use parlor_protocol::signal::{BotState, BotStatus, Signal, SignalBody};
use parlor_store::{Append, AppendRefused, Appended, QueuedJob, Store};
use tokio::sync::{mpsc, oneshot};

use crate::metrics::CommitterMetrics;
use crate::refusal::{Outcome, Refusal};

/// How often the store is asked whether it works again after a write that failed.
const DOUBT_PAUSE: Duration = Duration::from_secs(1);

/// Queues writes to rooms' logs. Clones share the queues.
///
/// A room always has the same lane, so its writes keep their order; a slow commit of one lane does
/// not hold up the others.
#[derive(Debug, Clone)]
pub struct Committer {
    store: Arc<dyn Store>,
    lanes: Arc<[mpsc::Sender<Entry>]>,
}

/// How much is committed at once.
#[derive(Debug, Clone, Copy)]
pub struct CommitterOptions {
    /// Batches that commit at the same time.
    pub lanes: usize,
    /// Writes that may wait, in all lanes together.
    pub queue: usize,
    /// Writes in one batch.
    pub batch: usize,
}

#[derive(Debug)]
struct Entry {
    append: Append,
    answer: oneshot::Sender<Result<Appended, Undone>>,
}

/// Why a write was not done.
#[derive(Debug)]
enum Undone {
    /// The store refused it.
    Refused(AppendRefused),
    /// It could not be carried out.
    Failed(Refusal),
}

/// The answer to a queued write, after its commit.
///
/// Dropping it does not take the write back.
#[derive(Debug)]
pub struct Pending {
    answer: oneshot::Receiver<Result<Appended, Undone>>,
    store: Arc<dyn Store>,
    room: RoomId,
    actor: UserId,
}

impl Pending {
    /// Waits for the commit.
    pub async fn wait(self) -> Outcome<Appended> {
        let Ok(answer) = self.answer.await else {
            return Err(Refusal::unavailable(
                "Whether this was done is unknown; repeat it with the same client_id.",
            ));
        };
        match answer {
            Ok(appended) => Ok(appended),
            Err(Undone::Failed(refusal)) => Err(refusal),
            Err(Undone::Refused(refused)) => {
                let muted = matches!(refused, AppendRefused::Rule(RuleRefused::Muted { .. }));
                let refusal = Refusal::from(refused);
                if !muted {
                    return Err(refusal);
                }
                // Read here, where only the one who is muted waits for it.
                let reason = self.store.find_mute_reason(self.room, self.actor).await;
                Err(refusal.because(reason.ok().flatten().as_deref()))
            }
        }
    }
}

impl Committer {
    /// Creates a committer and the workers that serve it, one for each lane.
    pub fn new(
        store: &Arc<dyn Store>,
        bus: &Arc<dyn Bus>,
        options: CommitterOptions,
        metrics: &CommitterMetrics,
    ) -> (Self, Vec<CommitterWorker>) {
        let lanes = options.lanes.max(1);
        let (senders, workers): (Vec<_>, Vec<_>) = (0..lanes)
            .map(|_| {
                let (sender, receiver) = mpsc::channel((options.queue / lanes).max(1));
                let worker = CommitterWorker {
                    store: Arc::clone(store),
                    bus: Arc::clone(bus),
                    receiver,
                    batch: options.batch,
                    metrics: metrics.clone(),
                };
                (sender, worker)
            })
            .unzip();
        (Self { store: Arc::clone(store), lanes: senders.into() }, workers)
    }

    /// Queues a write without waiting; refused with `unavailable` when the queue is full.
    pub fn enqueue(&self, append: Append) -> Outcome<Pending> {
        let (answer, pending) = oneshot::channel();
        let (room, actor) = (append.room, append.actor);
        // Ids are random in their last bits; the first ones are the time.
        let lane = usize::from(append.room.0.as_bytes()[15]) % self.lanes.len();
        match self.lanes[lane].try_send(Entry { append, answer }) {
            Ok(()) => Ok(Pending { answer: pending, store: Arc::clone(&self.store), room, actor }),
            Err(_) => {
                Err(Refusal::unavailable("The server has too much to do; try again in a moment."))
            }
        }
    }

    /// Queues a write and waits for its commit.
    pub async fn append(&self, append: Append) -> Outcome<Appended> {
        self.enqueue(append)?.wait().await
    }
}

/// The one task that commits a lane.
#[derive(Debug)]
pub struct CommitterWorker {
    store: Arc<dyn Store>,
    bus: Arc<dyn Bus>,
    receiver: mpsc::Receiver<Entry>,
    batch: usize,
    metrics: CommitterMetrics,
}

impl CommitterWorker {
    /// Commits until every [`Committer`] is dropped, and then what is left.
    pub async fn run(mut self) {
        let mut entries = Vec::with_capacity(self.batch);
        let mut in_doubt = false;
        loop {
            let received = self.receiver.recv_many(&mut entries, self.batch);
            let received = if in_doubt {
                let Ok(received) = tokio::time::timeout(DOUBT_PAUSE, received).await else {
                    if self.store.check_health().await.is_ok() {
                        self.settle_doubt();
                        in_doubt = false;
                    }
                    continue;
                };
                received
            } else {
                received.await
            };
            if received == 0 {
                return;
            }
            self.metrics.batch.observe(metric(entries.len()));
            let (appends, answers): (Vec<_>, Vec<_>) =
                entries.drain(..).map(|entry| (entry.append, entry.answer)).unzip();
            let rooms: Vec<RoomId> = appends.iter().map(|append| append.room).collect();
            let timer = self.metrics.duration.start_timer();
            let results = self.store.append(appends).await;
            timer.observe_duration();
            match results {
                Ok(results) => {
                    if std::mem::take(&mut in_doubt) {
                        self.settle_doubt();
                    }
                    self.conclude(rooms, answers, results);
                }
                Err(error) => {
                    in_doubt = true;
                    let refusal = Refusal::from(error);
                    for answer in answers {
                        // A caller that gave up is not an error.
                        drop(answer.send(Err(Undone::Failed(refusal.clone()))));
                    }
                }
            }
        }
    }

    /// After a write whose outcome is not known, when the store works again: has this node compare
    /// with it, because what was committed then was told to nobody. Others find it in the tail.
    fn settle_doubt(&self) {
        self.bus.deliver_control(Control::StoreMayBeAhead);
    }

    fn conclude(
        &self,
        rooms: Vec<RoomId>,
        answers: Vec<oneshot::Sender<Result<Appended, Undone>>>,
        results: Vec<Result<Appended, AppendRefused>>,
    ) {
        let mut events: Vec<Event> = Vec::new();
        let mut queued: Vec<(RoomId, QueuedJob)> = Vec::new();
        for ((room, answer), result) in rooms.into_iter().zip(answers).zip(results) {
            #[cfg(feature = "planted-bugs")]
            if parlor_domain::planted::shows("stored-but-refused") {
                drop(answer.send(Err(Undone::Refused(AppendRefused::NoSuchRoom))));
                continue;
            }
            if let Ok(Appended::New { events: new, jobs }) = &result {
                events.extend(new.iter().cloned());
                queued.extend(jobs.iter().cloned().map(|job| (room, job)));
            } else if let Ok(Appended::Repeat { event }) = &result {
                // The first attempt may have been committed without anyone being told; whoever was
                // told drops it.
                events.push(event.clone());
            }
            drop(answer.send(result.map_err(Undone::Refused)));
        }
        self.metrics.events.inc_by(events.len() as u64);
        self.bus.publish_events(events);
        if queued.is_empty() {
            return;
        }
        for (room, job) in queued {
            self.bus.publish_signal(Signal {
                room,
                body: SignalBody::BotStatus(BotStatus {
                    bot: job.bot,
                    message: None,
                    state: BotState::Queued,
                    position: Some(job.position),
                    detail: None,
                }),
            });
        }
        self.bus.publish_control(Control::JobQueued);
    }
}

#[expect(clippy::cast_precision_loss, reason = "a batch is far below 2^52")]
fn metric(count: usize) -> f64 {
    count as f64
}

//! The life of the connection: sessions, one after the other, with pauses in between.

use std::sync::Arc;
use std::time::Duration;

use async_nats::connection::State;
use rand::seq::SliceRandom as _;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::error::NatsError;
use super::incoming::Incoming;
use super::outgoing::{self, Queues};
use super::questions::Order;
use super::server::{self, Link, Server};
use super::shared::Shared;
use super::subscriptions::{DriverEnded, Subscriptions};
use crate::contract::BusStatus;

/// New subscriptions that may wait to be listened to.
const ADDED_MAX: usize = 64;
/// The driver reports a lost connection; should the report be lost, its state is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// The first pause before another attempt, and the longest.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// A connection that lasted so long was a good one: the pauses begin anew.
const GOOD: Duration = Duration::from_secs(5);
/// How often a failure is logged while it goes on.
const LOG_EVERY: Duration = Duration::from_secs(30);

/// What only one connection at a time may take from.
#[derive(Debug)]
pub(super) struct Inlets {
    queues: Mutex<Queues>,
    orders: Mutex<mpsc::Receiver<Order>>,
}

impl Inlets {
    pub(super) fn new(queues: Queues, orders: mpsc::Receiver<Order>) -> Self {
        Self { queues: Mutex::new(queues), orders: Mutex::new(orders) }
    }
}

/// A connection that carries messages.
#[derive(Debug)]
pub(super) struct Session {
    link: Link,
    tasks: JoinSet<()>,
    since: Instant,
}

/// Connects to the first server that lets us, in random order. Returns the last error.
pub(super) async fn connect(
    shared: &Arc<Shared>,
    inlets: &Arc<Inlets>,
    servers: &[Server],
) -> Result<Session, NatsError> {
    let mut servers: Vec<&Server> = servers.iter().collect();
    servers.shuffle(&mut rand::rng());
    let mut last = NatsError::Address;
    for server in servers {
        let session = match server::connect(server, shared).await {
            Ok(link) => Session::start(shared, inlets, link).await,
            Err(error) => Err(error),
        };
        match session {
            Ok(session) => return Ok(session),
            Err(error) => last = error,
        }
    }
    Err(last)
}

impl Session {
    /// Subscribes to everything that is wanted, and waits until the server has it all.
    async fn start(
        shared: &Arc<Shared>,
        inlets: &Arc<Inlets>,
        link: Link,
    ) -> Result<Self, NatsError> {
        let mut tasks = JoinSet::new();
        let patience = shared.options.connect_timeout;
        let started = timeout(patience, Self::subscribe(shared, &link, &mut tasks)).await;
        if let Some(denied) = link.state.denied() {
            return Err(NatsError::Forbidden { server: link.server, denied });
        }
        let Ok(Some(subscriptions)) = started else {
            return Err(NatsError::Silent { server: link.server });
        };
        tasks.spawn({
            let inlets = Arc::clone(inlets);
            async move {
                let DriverEnded = subscriptions.run(&mut *inlets.orders.lock().await).await;
            }
        });
        tasks.spawn({
            let (shared, client) = (Arc::clone(shared), link.client.clone());
            let inlets = Arc::clone(inlets);
            async move { outgoing::write(&shared, &client, &mut *inlets.queues.lock().await).await }
        });
        shared.set_status(BusStatus::Connected);
        tracing::info!(server = link.server, "connected to NATS");
        Ok(Self { link, tasks, since: Instant::now() })
    }

    /// `None` when the connection was lost meanwhile.
    async fn subscribe(
        shared: &Arc<Shared>,
        link: &Link,
        tasks: &mut JoinSet<()>,
    ) -> Option<Subscriptions> {
        let controls = link.client.subscribe(shared.subjects.controls()).await.ok()?;
        let answers = link.client.subscribe(shared.subjects.answers()).await.ok()?;
        let (added, listened) = mpsc::channel(ADDED_MAX);
        tasks.spawn(Incoming::new(Arc::clone(shared), controls, answers, listened).run());
        let client = link.client.clone();
        let mut subscriptions = Subscriptions::new(Arc::clone(shared), client, added);
        shared.interest().start_over();
        let rooms = subscriptions.apply_changes().await.ok()?;
        // Behind the subscriptions: with the answer the server has them. The second time, its
        // refusals have been noted as well.
        for _ in 0..2 {
            let mut waiter = shared.questions.open()?;
            subscriptions.send(Order::Probe { token: waiter.token }).await.ok()?;
            if !waiter.answered(shared.options.connect_timeout).await {
                return None;
            }
        }
        shared.interest().confirm(rooms);
        Some(subscriptions)
    }

    /// Waits until the connection is lost.
    async fn wait(&mut self) {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.link.state.lost.cancelled() => return,
                // Every task ends only with the driver, or by a panic.
                _ = self.tasks.join_next() => return,
                _ = look.tick() => {
                    if self.link.client.connection_state() == State::Disconnected {
                        return;
                    }
                }
            }
        }
    }

    async fn end(mut self) {
        self.tasks.shutdown().await;
    }
}

/// Keeps a connection for ever.
pub(super) async fn run(
    shared: Arc<Shared>,
    inlets: Arc<Inlets>,
    servers: Vec<Server>,
    first: Option<Session>,
) {
    let mut session = first;
    let mut attempts = 0;
    loop {
        if let Some(mut open) = session.take() {
            open.wait().await;
            shared.set_status(BusStatus::Away);
            // Ends of replies may be missed from now on.
            shared.local.memory.forget_received();
            tracing::warn!(server = open.link.server, "connection to NATS is lost");
            if open.since.elapsed() >= GOOD {
                attempts = 0;
            }
            open.end().await;
            shared.missed.notify_one();
        }
        session = Some(reconnect(&shared, &inlets, &servers, &mut attempts).await);
        shared.metrics.reconnects.inc();
        shared.missed.notify_one();
    }
}

async fn reconnect(
    shared: &Arc<Shared>,
    inlets: &Arc<Inlets>,
    servers: &[Server],
    attempts: &mut u32,
) -> Session {
    let mut logged: Option<Instant> = None;
    loop {
        tokio::time::sleep(pause(*attempts)).await;
        *attempts = attempts.saturating_add(1);
        match connect(shared, inlets, servers).await {
            Ok(session) => return session,
            Err(error) => {
                if logged.is_none_or(|at| at.elapsed() >= LOG_EVERY) {
                    logged = Some(Instant::now());
                    tracing::warn!(error = &error as &dyn std::error::Error, "NATS is away");
                }
            }
        }
    }
}

/// A random time up to a bound that doubles, so that nodes do not come back all at once.
fn pause(attempts: u32) -> Duration {
    let bound = PAUSE.saturating_mul(1 << attempts.min(16)).min(PAUSE_MAX);
    bound.mul_f64(rand::random())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_differ() {
        for (attempts, bound) in [(0, PAUSE), (1, 2 * PAUSE), (10, PAUSE_MAX), (99, PAUSE_MAX)] {
            let pauses: Vec<_> = (0..200).map(|_| pause(attempts)).collect();
            assert!(pauses.iter().all(|pause| *pause <= bound));
            assert!(pauses.iter().any(|pause| *pause > bound / 2));
            assert!(pauses.iter().any(|pause| *pause < bound / 2));
        }
    }
}

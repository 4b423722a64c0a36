//! Which subjects are subscribed to on one connection, and the questions that go out behind them.

use std::collections::HashMap;
use std::sync::Arc;

use async_nats::{Client, Subject};
use bytes::Bytes;
use futures_util::StreamExt as _;
use parlor_protocol::id::RoomId;
use tokio::sync::{mpsc, oneshot};

use super::incoming::{Added, Feed};
use super::interest::Wants;
use super::questions::Order;
use super::shared::Shared;

/// Questions that are sent before changes are looked for again.
const ORDERS_AT_ONCE: usize = 64;

/// The driver has ended.
#[derive(Debug)]
pub(super) struct DriverEnded;

/// Keeps what is subscribed to in step with what is wanted.
#[derive(Debug)]
pub(super) struct Subscriptions {
    shared: Arc<Shared>,
    client: Client,
    added: mpsc::Sender<Added>,
    rooms: HashMap<RoomId, Subscribed>,
}

/// The subjects of one room that are subscribed to. A subscription ends when its sender is dropped.
#[derive(Debug, Default)]
struct Subscribed {
    events: Option<oneshot::Sender<()>>,
    signals: Option<oneshot::Sender<()>>,
    questions: Option<oneshot::Sender<()>>,
}

impl Subscribed {
    fn count(&self) -> i64 {
        [&self.events, &self.signals, &self.questions].into_iter().flatten().map(|_| 1).sum()
    }
}

impl Subscriptions {
    pub(super) fn new(shared: Arc<Shared>, client: Client, added: mpsc::Sender<Added>) -> Self {
        Self { shared, client, added, rooms: HashMap::new() }
    }

    /// Follows all changes and sends all questions until the driver has ended.
    pub(super) async fn run(mut self, orders: &mut mpsc::Receiver<Order>) -> DriverEnded {
        let mut batch = Vec::with_capacity(ORDERS_AT_ONCE);
        loop {
            let shared = Arc::clone(&self.shared);
            tokio::select! {
                () = shared.interest_changed.notified() => {}
                _ = orders.recv_many(&mut batch, ORDERS_AT_ONCE) => {}
            }
            // Before the questions: whoever follows a room and then asks has the subscription.
            if let Err(ended) = self.apply_changes().await {
                return ended;
            }
            for order in batch.drain(..) {
                if let Err(ended) = self.send(order).await {
                    return ended;
                }
            }
        }
    }

    /// Subscribes to what is wanted since the last call, and gives up what is not any more. Returns
    /// the rooms that it was about.
    pub(super) async fn apply_changes(&mut self) -> Result<Vec<RoomId>, DriverEnded> {
        let changed = self.shared.interest().take_changed();
        for (room, wants) in &changed {
            self.apply(*room, *wants).await?;
        }
        Ok(changed.into_iter().map(|(room, _)| room).collect())
    }

    /// Sends one question.
    pub(super) async fn send(&self, order: Order) -> Result<(), DriverEnded> {
        let subjects = &self.shared.subjects;
        let (subject, token) = match order {
            Order::Ask { room, token } => (subjects.questions(room), token),
            Order::Probe { token } => (subjects.probes(), token),
        };
        let sent = self.client.publish_with_reply(subject, subjects.answer(token), Bytes::new());
        sent.await.map_err(|_| DriverEnded)
    }

    async fn apply(&mut self, room: RoomId, wants: Wants) -> Result<(), DriverEnded> {
        let subjects = self.shared.subjects.clone();
        let mut subscribed = self.rooms.remove(&room).unwrap_or_default();
        let subscriptions = self.shared.metrics.subscriptions.clone();
        subscriptions.sub(subscribed.count());
        if !wants.events {
            subscribed.events = None;
        } else if subscribed.events.is_none() {
            let (feed, end) = self.subscribe(subjects.events(room), room).await?;
            subscribed.events = Some(end);
            self.add(Added::Events(feed)).await?;
        }
        if !wants.signals {
            subscribed.signals = None;
        } else if subscribed.signals.is_none() {
            let (feed, end) = self.subscribe(subjects.signals(room), room).await?;
            subscribed.signals = Some(end);
            self.add(Added::Signals(feed)).await?;
        }
        if !wants.questions {
            subscribed.questions = None;
        } else if subscribed.questions.is_none() {
            let (feed, end) = self.subscribe(subjects.questions(room), room).await?;
            subscribed.questions = Some(end);
            self.add(Added::Questions(feed)).await?;
        }
        let count = subscribed.count();
        if count > 0 {
            subscriptions.add(count);
            self.rooms.insert(room, subscribed);
        }
        Ok(())
    }

    async fn subscribe(
        &self,
        subject: Subject,
        room: RoomId,
    ) -> Result<(Feed, oneshot::Sender<()>), DriverEnded> {
        let subscriber = self.client.subscribe(subject).await.map_err(|_| DriverEnded)?;
        let (end, ended) = oneshot::channel::<()>();
        let feed = subscriber.map(move |message| (room, message)).take_until(ended).boxed();
        Ok((feed, end))
    }

    async fn add(&self, added: Added) -> Result<(), DriverEnded> {
        self.added.send(added).await.map_err(|_| DriverEnded)
    }
}

impl Drop for Subscriptions {
    fn drop(&mut self) {
        let count: i64 = self.rooms.values().map(Subscribed::count).sum();
        self.shared.metrics.subscriptions.sub(count);
    }
}

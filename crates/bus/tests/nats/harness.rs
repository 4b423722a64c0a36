//! Nodes on a bus, and ears that hear what is delivered.

use std::collections::VecDeque;
use std::future::Future;
use std::time::Duration;

use parlor_bus::{Bus, BusStatus, Control, Delivery, Mailbox, NatsBus, NatsOptions};
use parlor_protocol::id::RoomId;
use parlor_protocol::signal::SignalBody;
use parlor_testkit::services::Nats;
use prometheus::Registry;
use tokio::time::timeout;

/// Nothing that is awaited takes so long unless it is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A process on the bus, with one mailbox.
pub(crate) struct Node {
    pub(crate) bus: NatsBus,
    registry: Registry,
    mailbox: Mailbox,
    waiting: VecDeque<Delivery>,
}

/// Options that release soon, and take no slow machine for an outage.
pub(crate) fn options(nats: &Nats) -> NatsOptions {
    NatsOptions {
        url: nats.url(),
        release_after: Duration::from_millis(200),
        ping_interval: PATIENCE,
        connect_timeout: Duration::from_secs(3),
        ..NatsOptions::default()
    }
}

impl Node {
    pub(crate) async fn start(nats: &Nats) -> Self {
        Self::with(options(nats)).await
    }

    pub(crate) async fn with(options: NatsOptions) -> Self {
        let registry = Registry::new();
        let bus = NatsBus::connect(options, &registry).await.unwrap();
        let mailbox = bus.subscribe(100_000).unwrap();
        Self { bus, registry, mailbox, waiting: VecDeque::new() }
    }

    /// Follows a room and waits until it hears what others publish.
    pub(crate) async fn follow(&self, room: RoomId) {
        self.bus.follow(self.mailbox.id, room);
        self.bus.wait_followed(room).await;
    }

    pub(crate) fn unfollow(&self, room: RoomId) {
        self.bus.unfollow(self.mailbox.id, room);
    }

    /// Waits for the next delivery.
    pub(crate) async fn hear(&mut self) -> Delivery {
        if self.waiting.is_empty() {
            let mut batch = Vec::new();
            let received = timeout(PATIENCE, self.mailbox.receive(&mut batch, 1_000)).await;
            assert_ne!(received.expect("something is delivered"), 0, "the bus is gone");
            self.waiting.extend(batch);
        }
        self.waiting.pop_front().unwrap()
    }

    /// Waits for the next event and returns its position.
    pub(crate) async fn hear_event(&mut self) -> u64 {
        loop {
            if let Delivery::Event { event, .. } = self.hear().await {
                return event.seq;
            }
        }
    }

    /// Waits for a piece of a reply.
    pub(crate) async fn hear_chunk(&mut self, chunk: u32) {
        loop {
            if let Delivery::Signal { signal, .. } = self.hear().await
                && let SignalBody::MessageDelta(delta) = &signal.body
                && delta.chunk == chunk
            {
                return;
            }
        }
    }

    /// Waits for a control.
    pub(crate) async fn hear_control(&mut self, wanted: Control) {
        loop {
            if let Delivery::Control(control) = self.hear().await
                && control == wanted
            {
                return;
            }
        }
    }

    /// Returns what is delivered already.
    pub(crate) fn heard(&mut self) -> Vec<Delivery> {
        use futures_util::FutureExt as _;

        let mut batch = Vec::new();
        while self.mailbox.receive(&mut batch, 1_000).now_or_never().is_some() {}
        self.waiting.drain(..).chain(batch).collect()
    }

    pub(crate) async fn wait_status(&self, wanted: BusStatus) {
        let mut status = self.bus.status();
        let reached = timeout(PATIENCE, status.wait_for(|status| *status == wanted)).await;
        reached.unwrap_or_else(|_| panic!("the bus becomes {wanted:?}")).map(drop).unwrap();
    }

    /// Returns the sum of a metric over those series that have these labels.
    pub(crate) fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let families = self.registry.gather();
        let series = families.iter().filter(|family| family.name() == name);
        series
            .flat_map(prometheus::proto::MetricFamily::get_metric)
            .filter(|series| {
                labels.iter().all(|(name, value)| {
                    series.get_label().iter().any(|l| l.name() == *name && l.value() == *value)
                })
            })
            .map(|series| series.get_counter().get_value() + series.get_gauge().get_value())
            .sum()
    }

    /// Waits until a metric has a value.
    pub(crate) async fn wait_metric(&self, name: &str, labels: &[(&str, &str)], wanted: f64) {
        until(async || (self.metric(name, labels) - wanted).abs() < 0.5).await;
    }
}

/// Waits until something is so that cannot be awaited.
pub(crate) async fn until<F: Future<Output = bool>>(is_so: impl Fn() -> F) {
    let waited = timeout(PATIENCE, async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.expect("it comes about");
}

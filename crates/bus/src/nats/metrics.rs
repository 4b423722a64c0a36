//! What the bus counts.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use crate::encode::Unreadable;

/// The metrics of a bus over NATS.
#[derive(Debug, Clone)]
pub(super) struct Metrics {
    /// By kind.
    pub(super) published: IntCounterVec,
    /// By kind.
    pub(super) received: IntCounterVec,
    /// By kind and reason.
    pub(super) dropped: IntCounterVec,
    /// By reason.
    pub(super) bad: IntCounterVec,
    /// By queue.
    pub(super) queue: IntGaugeVec,
    pub(super) subscriptions: IntGauge,
    pub(super) connected: IntGauge,
    pub(super) reconnects: IntCounter,
    pub(super) slow_consumer: IntCounter,
    pub(super) server_errors: IntCounter,
    pub(super) mailbox_dropped: IntCounter,
}

/// What is sent and received.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Event,
    Signal,
    Control,
    Answer,
}

impl Kind {
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Signal => "signal",
            Self::Control => "control",
            Self::Answer => "answer",
        }
    }
}

/// Why something is not sent.
#[derive(Debug, Clone, Copy)]
pub(super) enum Dropped {
    /// There is no connection.
    Away,
    /// Too much waits.
    Full,
    /// The connection does not take it in time.
    Slow,
    /// The server takes no message of this size.
    TooLarge,
}

impl Dropped {
    fn label(self) -> &'static str {
        match self {
            Self::Away => "away",
            Self::Full => "full",
            Self::Slow => "slow",
            Self::TooLarge => "too_large",
        }
    }
}

impl Metrics {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let register = Register(registry);
        Ok(Self {
            published: register.counters(
                "parlor_bus_published_total",
                "Messages handed to NATS.",
                &["kind"],
            )?,
            received: register.counters(
                "parlor_bus_received_total",
                "Messages from NATS.",
                &["kind"],
            )?,
            dropped: register.counters(
                "parlor_bus_dropped_total",
                "Messages that were not handed to NATS.",
                &["kind", "reason"],
            )?,
            bad: register.counters(
                "parlor_bus_bad_messages_total",
                "Messages from NATS that were not used.",
                &["reason"],
            )?,
            queue: register.gauges(
                "parlor_bus_queue_length",
                "Messages that wait to be handed to NATS.",
                &["queue"],
            )?,
            subscriptions: register
                .gauge("parlor_bus_subscriptions", "Subjects of rooms that are subscribed to.")?,
            connected: register.gauge(
                "parlor_bus_connected",
                "1 while messages reach other processes, 0 while they do not.",
            )?,
            reconnects: register
                .counter("parlor_bus_reconnects_total", "Connections to NATS after the first.")?,
            slow_consumer: register.counter(
                "parlor_bus_slow_consumer_total",
                "Times that messages from NATS were lost because too many waited.",
            )?,
            server_errors: register
                .counter("parlor_bus_server_errors_total", "Errors that NATS reported.")?,
            mailbox_dropped: register.counter(
                "parlor_bus_mailbox_dropped_total",
                "Deliveries that were lost because a mailbox of this process was full.",
            )?,
        })
    }

    pub(super) fn count_published(&self, kind: Kind) {
        self.published.with_label_values(&[kind.label()]).inc();
    }

    pub(super) fn count_received(&self, kind: Kind) {
        self.received.with_label_values(&[kind.label()]).inc();
    }

    pub(super) fn count_dropped(&self, kind: Kind, reason: Dropped) {
        self.dropped.with_label_values(&[kind.label(), reason.label()]).inc();
    }

    pub(super) fn count_bad(&self, reason: Bad) {
        let label = match reason {
            Bad::Unreadable(Unreadable::Version) => "version",
            Bad::Unreadable(Unreadable::Garbage) => "garbage",
            Bad::Room => "room",
            Bad::Subject => "subject",
        };
        self.bad.with_label_values(&[label]).inc();
    }
}

/// Why something received is not used.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bad {
    Unreadable(Unreadable),
    /// It is of another room than its subject.
    Room,
    /// Its answer is to go where no answer is awaited.
    Subject,
}

/// Makes and registers in one step.
struct Register<'a>(&'a Registry);

impl Register<'_> {
    fn add<C: prometheus::core::Collector + Clone + 'static>(
        &self,
        collector: C,
    ) -> prometheus::Result<C> {
        self.0.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        self.add(IntCounter::new(name, help)?)
    }

    fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<IntCounterVec> {
        self.add(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        self.add(IntGauge::new(name, help)?)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
        self.add(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }
}

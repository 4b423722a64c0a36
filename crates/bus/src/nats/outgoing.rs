//! What waits to be sent.
//!
//! Two queues: a flood of signals neither delays nor displaces events. A signal is never sent before
//! an event that was queued before it. Publishing never waits; what finds no place is dropped and
//! counted.

use std::time::Duration;

use async_nats::client::PublishErrorKind;
use async_nats::{Client, Subject};
use bytes::Bytes;
use parlor_protocol::id::RoomId;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::metrics::{Dropped, Kind};
use super::shared::Shared;
use crate::contract::Control;

/// How long the driver may take to take one message.
const WRITE_PATIENCE: Duration = Duration::from_secs(2);
/// Events, or signals, that are moved before the queues are looked at again.
const EVENTS_AT_ONCE: usize = 64;
const SIGNALS_AT_ONCE: usize = 16;

/// Something to send.
#[derive(Debug)]
pub(super) enum Item {
    Event {
        room: RoomId,
        wire: Bytes,
    },
    Signal {
        room: RoomId,
        wire: Bytes,
    },
    Control(Control),
    Answer {
        to: Subject,
        wire: Bytes,
    },
    /// Tells when all before it has been handed to the driver.
    Mark(oneshot::Sender<()>),
}

impl Item {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Event { .. } => Kind::Event,
            Self::Signal { .. } => Kind::Signal,
            Self::Control(_) | Self::Mark(_) => Kind::Control,
            Self::Answer { .. } => Kind::Answer,
        }
    }
}

/// The ends that things are put in.
#[derive(Debug)]
pub(super) struct Outgoing {
    durable: mpsc::Sender<Item>,
    signals: mpsc::Sender<Item>,
}

/// The ends that things are taken from.
#[derive(Debug)]
pub(super) struct Queues {
    durable: mpsc::Receiver<Item>,
    signals: mpsc::Receiver<Item>,
}

/// Creates both ends.
pub(super) fn queues(capacity: usize) -> (Outgoing, Queues) {
    let (durable_in, durable) = mpsc::channel(capacity.max(1));
    let (signals_in, signals) = mpsc::channel(capacity.max(1));
    (Outgoing { durable: durable_in, signals: signals_in }, Queues { durable, signals })
}

impl Outgoing {
    /// Queues an item; `false` when there is no place.
    pub(super) fn push(&self, item: Item) -> bool {
        let queue = if matches!(item, Item::Signal { .. }) { &self.signals } else { &self.durable };
        queue.try_send(item).is_ok()
    }

    /// Waits until all events and controls that are queued now are with the driver.
    pub(super) async fn flush(&self) {
        let (mark, reached) = oneshot::channel();
        if self.durable.send(Item::Mark(mark)).await.is_ok() {
            // An error means that the writer is gone, and with it what was queued.
            reached.await.unwrap_or_default();
        }
    }

    /// Returns how many events and controls, and how many signals wait.
    pub(super) fn lengths(&self) -> (usize, usize) {
        let length = |queue: &mpsc::Sender<Item>| queue.max_capacity() - queue.capacity();
        (length(&self.durable), length(&self.signals))
    }
}

impl Queues {
    /// Waits for something to send and puts it into two empty lists. The events are to be sent
    /// before the signals.
    async fn receive(&mut self, events: &mut Vec<Item>, signals: &mut Vec<Item>) {
        tokio::select! {
            biased;
            _ = self.durable.recv_many(events, EVENTS_AT_ONCE) => return,
            _ = self.signals.recv_many(signals, SIGNALS_AT_ONCE) => {}
        }
        // An event, and a signal behind it, may have come between the two looks.
        for _ in 0..self.durable.len() {
            match self.durable.try_recv() {
                Ok(event) => events.push(event),
                Err(_) => return,
            }
        }
    }
}

/// Hands to the driver what is queued, events first. Ends when the driver has.
pub(super) async fn write(shared: &Shared, client: &Client, queues: &mut Queues) {
    let mut events = Vec::with_capacity(EVENTS_AT_ONCE);
    let mut signals = Vec::with_capacity(SIGNALS_AT_ONCE);
    loop {
        queues.receive(&mut events, &mut signals).await;
        for item in events.drain(..).chain(signals.drain(..)) {
            if !hand_over(shared, client, item).await {
                return;
            }
        }
    }
}

/// Hands one item to the driver; `false` when the driver has ended.
async fn hand_over(shared: &Shared, client: &Client, item: Item) -> bool {
    let kind = item.kind();
    let subjects = &shared.subjects;
    let (subject, wire) = match item {
        Item::Event { room, wire } => (subjects.events(room), wire),
        Item::Signal { room, wire } => (subjects.signals(room), wire),
        Item::Control(control) => match super::wire::write_control(control) {
            Some(wire) => (subjects.controls(), wire),
            None => return true,
        },
        Item::Answer { to, wire } => (to, wire),
        Item::Mark(reached) => {
            // Whoever waited may have given up.
            reached.send(()).unwrap_or_default();
            return true;
        }
    };
    match timeout(WRITE_PATIENCE, client.publish(subject, wire)).await {
        Ok(Ok(())) => shared.metrics.count_published(kind),
        Ok(Err(error)) if error.kind() == PublishErrorKind::MaxPayloadExceeded => {
            shared.metrics.count_dropped(kind, Dropped::TooLarge);
        }
        Ok(Err(_)) => return false,
        Err(_) => shared.metrics.count_dropped(kind, Dropped::Slow),
    }
    true
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use parlor_protocol::id::RoomId;
    use uuid::Uuid;

    use super::{Item, queues};

    /// Enough that both are queued between two looks some hundred times.
    const PAIRS: u64 = 300_000;

    fn number(wire: &Bytes) -> u64 {
        u64::from_le_bytes(wire.as_ref().try_into().unwrap())
    }

    #[tokio::test]
    async fn no_signal_is_sent_before_an_event_that_was_queued_before_it() {
        let (outgoing, mut queues) = queues(64);
        let room = RoomId(Uuid::from_u128(1));
        let publisher = std::thread::spawn(move || {
            for n in 0..PAIRS {
                let wire = Bytes::copy_from_slice(&n.to_le_bytes());
                // A signal follows only what found a place.
                if outgoing.push(Item::Event { room, wire: wire.clone() }) {
                    outgoing.push(Item::Signal { room, wire });
                }
            }
        });

        let mut begun = None;
        let mut followed = 0;
        let (mut events, mut signals) = (Vec::new(), Vec::new());
        loop {
            queues.receive(&mut events, &mut signals).await;
            if events.is_empty() && signals.is_empty() {
                break;
            }
            for item in events.drain(..).chain(signals.drain(..)) {
                match item {
                    Item::Event { wire, .. } => begun = Some(number(&wire)),
                    Item::Signal { wire, .. } => {
                        assert!(Some(number(&wire)) <= begun, "a signal before its event");
                        followed += 1;
                    }
                    other => panic!("{other:?}"),
                }
            }
        }

        assert!(followed > 0, "there were signals");
        publisher.join().unwrap();
    }
}

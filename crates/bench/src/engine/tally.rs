//! What one thread of the generator counts while messages arrive.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::ledger::{Arrival, Ledger};
use super::payload;
use super::plan::Shared;
use crate::dialect::Incoming;
use crate::summary::Latency;

/// What a measurement counts between two moments.
#[derive(Debug, Clone, Default)]
pub(crate) struct Span {
    /// Messages that were due.
    pub(crate) published: u64,
    /// Deliveries that arrived.
    pub(crate) deliveries: u64,
    /// How long deliveries took of messages that were due.
    pub(crate) latency: Latency,
}

impl Span {
    pub(crate) fn add(&mut self, other: &Self) {
        self.published += other.published;
        self.deliveries += other.deliveries;
        self.latency.merge(&other.latency);
    }
}

/// What one read brought beside deliveries.
#[derive(Debug, Default)]
pub(crate) struct News {
    pub(crate) opened: bool,
    pub(crate) joined: bool,
    pub(crate) closed: Option<u16>,
    pub(crate) refused: Option<String>,
}

/// The books of one thread.
#[derive(Debug)]
pub(crate) struct Tally {
    shared: Arc<Shared>,
    /// One line for each connection of the thread and each sender of its room.
    pub(crate) ledger: Ledger,
    /// For each connection of the thread: its room, or `None` when it does not count.
    counted: Vec<Option<u32>>,
    /// Since the last time it was taken.
    pub(crate) span: Span,
    /// Deliveries that count, over the whole run.
    pub(crate) arrived: u64,
    /// Messages that reached a room they were not sent to.
    pub(crate) strays: u64,
    /// Tickets that are free again.
    pub(crate) done: Vec<u32>,
    /// Closed connections by code.
    pub(crate) closed: BTreeMap<u16, u64>,
    /// Refused commands by code.
    pub(crate) refused: BTreeMap<String, u64>,
    /// Deliveries that refused messages would have made.
    pub(crate) refused_deliveries: u64,
    /// When messages count that were due, in microseconds.
    pub(crate) due_from: u64,
    pub(crate) due_until: u64,
    /// Whether deliveries count now.
    pub(crate) is_open: bool,
}

impl Tally {
    pub(crate) fn new(shared: &Arc<Shared>, connections: &[usize]) -> Self {
        let (layout, places) = (&shared.layout, &shared.places);
        let counted = connections.iter().map(|number| {
            let room = u32::try_from(places[*number].room).ok();
            room.filter(|_| !layout.stalls[*number])
        });
        Self {
            shared: Arc::clone(shared),
            ledger: Ledger::new(connections.len() * layout.senders_per_room),
            counted: counted.collect(),
            span: Span::default(),
            arrived: 0,
            strays: 0,
            done: Vec::new(),
            closed: BTreeMap::new(),
            refused: BTreeMap::new(),
            refused_deliveries: 0,
            due_from: u64::MAX,
            due_until: u64::MAX,
            is_open: false,
        }
    }

    /// Takes note of what arrived at the `line`th connection of the thread.
    #[inline]
    pub(crate) fn take(&mut self, line: usize, incoming: Incoming<'_>, now: u64, news: &mut News) {
        match incoming {
            Incoming::Message(bytes) => {
                let length = self.shared.payload;
                payload::find(bytes, length, |stamp| self.deliver(line, stamp, now));
            }
            Incoming::Accepted(_) => {}
            Incoming::Opened => news.opened = true,
            Incoming::Joined => news.joined = true,
            Incoming::Closed(code) => news.closed = Some(code),
            Incoming::Refused { number, code } => self.refuse(number, code, news),
        }
    }

    #[inline]
    fn deliver(&mut self, line: usize, stamp: payload::Stamp, now: u64) {
        let Some(room) = self.counted[line] else { return };
        let per_room = self.shared.layout.senders_per_room;
        let sender = stamp.sender as usize;
        let first = room as usize * per_room;
        if sender < first || sender >= first + per_room {
            self.strays += 1;
            return;
        }
        if self.ledger.note(line * per_room + sender - first, stamp.number) == Arrival::Again {
            return;
        }
        self.arrived += 1;
        if self.is_open {
            self.span.deliveries += 1;
        }
        if stamp.due >= self.due_from && stamp.due < self.due_until {
            self.span.latency.record_micros(now.saturating_sub(stamp.due));
        }
        if self.shared.window.arrive(stamp.ticket) {
            self.done.push(stamp.ticket);
        }
    }

    #[cold]
    fn refuse(&mut self, number: Option<u64>, code: &str, news: &mut News) {
        news.refused = Some(code.to_owned());
        *self.refused.entry(code.to_owned()).or_default() += 1;
        let sender = number.and_then(|number| usize::try_from(number >> 32).ok());
        let room = sender.map_or(0, |sender| self.shared.layout.room_of(sender));
        let readers = self.shared.readers_of(room);
        self.refused_deliveries += readers;
        self.shared.refused_deliveries.fetch_add(readers, Ordering::Relaxed);
    }

    /// Returns the room of a connection of this thread, if it counts.
    pub(crate) fn room_of(&self, line: usize) -> Option<usize> {
        self.counted[line].map(|room| room as usize)
    }

    /// Returns what was sent to the readers of this thread and never arrived; `connections` are
    /// theirs.
    pub(crate) fn missing(&self, connections: &[usize]) -> u64 {
        let layout = &self.shared.layout;
        let mut missing = 0;
        for (line, number) in connections.iter().enumerate() {
            let Some(room) = self.counted[line] else { continue };
            for place in 0..layout.senders_per_room {
                let sender = room as usize * layout.senders_per_room + place;
                if layout.senders[sender] == *number && !self.shared.dialect.echoes() {
                    continue;
                }
                let sent = self.shared.sent[sender].load(Ordering::Acquire);
                missing += self.ledger.missing(line * layout.senders_per_room + place, sent);
            }
        }
        missing
    }
}

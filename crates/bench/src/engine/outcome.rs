//! What a run found, put together from what its threads counted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;

use super::plan::Shared;
use super::tally::{Span, Tally};
use super::timeline::Timeline;
use super::worker::SecondTold;
use crate::measurement::{DeliveryCheck, MemoryUse, as_float};
use crate::processes::Usage;

/// What a run found.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) connects_per_s: f64,
    /// One for each measurement: the second is the one with stalled readers.
    pub(crate) spans: Vec<Measured>,
    pub(crate) check: DeliveryCheck,
    pub(crate) memory: Option<MemoryUse>,
    /// Connections that the server closed, by code.
    pub(crate) closed: Vec<(u16, u64)>,
    /// Commands that it refused, by code.
    pub(crate) refused: Vec<(String, u64)>,
    /// Connections that stalled.
    pub(crate) stalled: u64,
    /// Messages that did not arrive everywhere in time, in a closed loop.
    pub(crate) overdue: u64,
    /// Messages that could not be written, because the server did not read.
    pub(crate) unsent: u64,
    /// Messages in rooms they were not sent to.
    pub(crate) strays: u64,
}

/// One measurement of a run.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    pub(crate) counts: Span,
    pub(crate) timeline: Timeline,
}

/// Takes what the threads have told so far.
pub(crate) fn gather(seconds: &Receiver<SecondTold>, spans: &mut [Measured]) {
    while let Ok(told) = seconds.try_recv() {
        if let Some(span) = spans.get_mut(told.span) {
            span.counts.add(&told.counts);
            span.timeline.count(told.second, &told.counts);
        }
    }
}

/// Puts together what was used before anyone connected, then, and at the end.
pub(crate) fn memory(
    shared: &Shared,
    moments: [Option<Usage>; 3],
    spans: &[Measured],
) -> Option<MemoryUse> {
    let [before, connected, after] = moments;
    let (before, connected) = before.zip(connected)?;
    let connections = as_float(shared.places.len() as u64);
    let each = |more: u64| as_float(more) / connections;
    let share = connected.pss.zip(before.pss).map(|(after, before)| after.saturating_sub(before));
    Some(MemoryUse {
        rss_before: Some(before.rss),
        rss_connected: Some(connected.rss),
        rss_after: after.map(|after| after.rss),
        rss_after_burst: None,
        rss_peak: spans.iter().filter_map(|span| span.timeline.peak()).max(),
        rss_per_connection: Some(each(connected.rss.saturating_sub(before.rss))),
        pss_per_connection: share.map(each),
    })
}

impl Outcome {
    /// Adds what each thread counted, and how many deliveries its readers miss.
    pub(crate) fn with_counts(mut self, shared: &Shared, tallies: Vec<(Tally, u64)>) -> Self {
        let mut closed = BTreeMap::<u16, u64>::new();
        let mut refused = BTreeMap::<String, u64>::new();
        let (mut missing, mut refused_deliveries) = (0_u64, 0);
        for (tally, lost) in tallies {
            missing += lost;
            refused_deliveries += tally.refused_deliveries;
            self.check.doubled += tally.ledger.doubled;
            self.check.out_of_order += tally.ledger.out_of_order;
            self.strays += tally.strays;
            for (code, count) in tally.closed {
                *closed.entry(code).or_default() += count;
            }
            for (code, count) in tally.refused {
                *refused.entry(code).or_default() += count;
            }
        }
        let load = |count: &AtomicU64| count.load(Ordering::Acquire);
        let sent = shared.sent.iter().map(|sent| u64::from(sent.load(Ordering::Acquire)));
        self.check.refused = refused.values().sum();
        self.check.published = sent.sum();
        self.check.expected = load(&shared.expected);
        self.check.arrived = load(&shared.arrived);
        self.check.lost = missing.saturating_sub(refused_deliveries);
        self.unsent = load(&shared.unsent);
        self.overdue = shared.window.retired();
        self.stalled = shared.layout.stalls.iter().filter(|stalls| **stalls).count() as u64;
        self.closed = closed.into_iter().collect();
        self.refused = refused.into_iter().collect();
        self
    }
}

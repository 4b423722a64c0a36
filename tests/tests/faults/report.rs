//! What a run did, in numbers.

use std::{
    collections::BTreeMap,
    fmt,
    sync::atomic::{AtomicUsize, Ordering},
};

use parlor_testkit::history::Summary;

use crate::scene::Converged;

/// Counts of what actors did.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) operations: AtomicUsize,
    pub(crate) acknowledged: AtomicUsize,
    pub(crate) failed: AtomicUsize,
    pub(crate) unknown: AtomicUsize,
    pub(crate) put_off: AtomicUsize,
    pub(crate) resumed: AtomicUsize,
    pub(crate) deliveries: AtomicUsize,
    pub(crate) edited: AtomicUsize,
    pub(crate) redacted: AtomicUsize,
    pub(crate) read_back: AtomicUsize,
    pub(crate) moved: AtomicUsize,
    pub(crate) calls: AtomicUsize,
    pub(crate) stops: AtomicUsize,
    pub(crate) resyncs: AtomicUsize,
}

/// Counts one more.
pub(crate) fn count(counter: &AtomicUsize) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// A run that held.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    pub(crate) seed: u64,
    pub(crate) counts: &'a Counts,
    pub(crate) faults: BTreeMap<String, usize>,
    pub(crate) summary: Summary,
    pub(crate) converged: Converged,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let get = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        let counts = self.counts;
        writeln!(f, "seed {}: 0 violations", self.seed)?;
        writeln!(
            f,
            "  operations {} · acknowledged {} · failed {} · unknown {} · put off {}",
            get(&counts.operations),
            get(&counts.acknowledged),
            get(&counts.failed),
            get(&counts.unknown),
            get(&counts.put_off),
        )?;
        writeln!(
            f,
            "  edited {} · redacted {} · read back {} · left and joined {} · bots called {} · \
             stopped {} · replies {}",
            get(&counts.edited),
            get(&counts.redacted),
            get(&counts.read_back),
            get(&counts.moved),
            get(&counts.calls),
            get(&counts.stops),
            self.summary.replies,
        )?;
        writeln!(
            f,
            "  events {} · deliveries {} · resumed {}",
            self.summary.events,
            get(&counts.deliveries),
            get(&counts.resumed),
        )?;
        writeln!(
            f,
            "  longest to converge after heal: events {:?} · replies {:?} · presence {:?}",
            self.converged.events, self.converged.replies, self.converged.presence,
        )?;
        let total: usize = self.faults.values().sum();
        let faults: Vec<_> =
            self.faults.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        write!(f, "  faults {total}: {}", faults.join(" · "))
    }
}

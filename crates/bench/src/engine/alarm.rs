//! Wakes a loop when its next message is due, more exactly than a socket's wait can: that one counts
//! in whole milliseconds, which would show in the latencies of an open loop.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::plan::{Shared, Stage};
use crate::pace::Pace;

/// Messages that are due within such a time go out together.
const GRAIN: Duration = Duration::from_micros(250);
/// How long an alarm sleeps at most, so that it notices the end.
const NAP: Duration = Duration::from_millis(100);

/// An alarm for one thread of the generator.
#[derive(Debug)]
pub(crate) struct Alarm {
    pub(crate) shared: Arc<Shared>,
    /// The thread that is woken.
    pub(crate) thread: usize,
}

impl Alarm {
    /// Wakes the thread whenever something is due by this pace, until `end`.
    pub(crate) fn start(self, pace: Pace, end: Instant) -> io::Result<()> {
        let name = format!("alarm-{}", self.thread);
        thread::Builder::new().name(name).spawn(move || self.run(pace, end)).map(drop)
    }

    fn run(self, mut pace: Pace, end: Instant) {
        loop {
            let now = Instant::now();
            let is_over = self.shared.stage.load(Ordering::Acquire) != Stage::Run as u8;
            if now >= end || is_over || self.shared.has_failed.load(Ordering::Acquire) {
                return;
            }
            let left = pace.next_due().into_std().saturating_duration_since(now);
            if left > NAP {
                thread::sleep(NAP);
                continue;
            }
            thread::sleep(left.max(GRAIN));
            let now = Instant::now().into();
            while pace.take(now).is_some() {}
            // A loop that cannot be woken wakes up by itself soon.
            drop(self.shared.inboxes[self.thread].waker.wake());
        }
    }
}

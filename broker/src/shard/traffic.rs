//! What a shard counts for each frame. Plain numbers of its thread, handed to the metrics once a
//! tick: a counter that all cores share would cost more than the rest of a delivery.

use std::cell::Cell;

use crate::metrics::WsMetrics;

/// Counts since they were last handed over, and what waits in all outboxes of the shard.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) sent_bytes: Cell<u64>,
    pub(crate) sent_frames: Cell<u64>,
    pub(crate) shed_frames: Cell<u64>,
    waiting: Cell<usize>,
    told_waiting: Cell<i64>,
}

impl Traffic {
    /// Returns the bytes that wait for all connections of the shard.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.get()
    }

    /// Notes that an outbox holds `after` bytes, and no more `before`.
    pub(crate) fn outbox_changed(&self, before: usize, after: usize) {
        self.waiting.set((self.waiting.get() + after).saturating_sub(before));
    }

    /// Notes frames that were written.
    pub(crate) fn sent(&self, frames: u64, bytes: usize) {
        self.sent_frames.set(self.sent_frames.get() + frames);
        self.sent_bytes.set(self.sent_bytes.get() + bytes as u64);
    }

    /// Notes frames that were dropped.
    pub(crate) fn shed(&self, frames: u64) {
        self.shed_frames.set(self.shed_frames.get() + frames);
    }

    /// Hands the counts to the metrics.
    pub(crate) fn hand_over(&self, metrics: &WsMetrics) {
        let (frames, bytes) = (self.sent_frames.take(), self.sent_bytes.take());
        if frames > 0 || bytes > 0 {
            metrics.frames_sent.inc_by(frames);
            metrics.sent_bytes.inc_by(bytes);
        }
        let shed = self.shed_frames.take();
        if shed > 0 {
            metrics.frames_dropped.with_label_values(&["signal"]).inc_by(shed);
        }
        let waiting = i64::try_from(self.waiting.get()).unwrap_or(i64::MAX);
        let told = self.told_waiting.replace(waiting);
        if waiting != told {
            metrics.outbox_bytes.add(waiting - told);
        }
    }
}

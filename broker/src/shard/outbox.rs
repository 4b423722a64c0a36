//! The bounded queue between the fan-out and one reader.
//!
//! Invariants: the bytes that wait never exceed the bound, except by a single batch that is larger
//! than the bound itself and waits alone; what must arrive is never dropped, it makes the reader a
//! slow consumer instead; a batch of which a part has been written stays.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf as _, Bytes};

/// How a frame may be treated when its reader falls behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Must arrive, or the reader must be cut and resume: events and answers.
    Durable,
    /// Worth nothing once late: typing, presence.
    Signal,
    /// A piece of a reply: may be dropped when the reader is told the text so far later.
    Delta,
}

/// Frames of one class that are written together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) class: Class,
    /// How many there are.
    pub(crate) frames: u32,
    /// All of them, ready for the socket.
    pub(crate) bytes: Bytes,
}

impl Batch {
    /// Wraps one frame.
    pub(crate) fn one(class: Class, bytes: Bytes) -> Self {
        Self { class, frames: 1, bytes }
    }
}

/// What was dropped to make room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Shed {
    /// Frames in all.
    pub(crate) frames: u64,
    /// Pieces of replies were among them.
    pub(crate) deltas: bool,
}

impl Shed {
    fn add(&mut self, batch: &Batch) {
        self.frames += u64::from(batch.frames);
        self.deltas |= batch.class == Class::Delta;
    }
}

/// The queue is full of frames that may not be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("outbox exceeded its bound")]
pub(crate) struct SlowConsumer;

/// Frames that wait for one reader, bounded by their size together.
#[derive(Debug)]
pub(crate) struct Outbox {
    batches: VecDeque<Batch>,
    bytes: usize,
    max_bytes: usize,
    /// A part of the first batch has been written.
    begun: bool,
}

impl Outbox {
    /// Creates an empty queue for at most `max_bytes`.
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { batches: VecDeque::new(), bytes: 0, max_bytes, begun: false }
    }

    /// Queues frames and returns what was dropped for them, themselves included.
    ///
    /// Signals and deltas that find no room are dropped; durable frames displace them, oldest first.
    pub(crate) fn push(&mut self, batch: Batch) -> Result<Shed, SlowConsumer> {
        let mut shed = Shed::default();
        let len = batch.bytes.len();
        if self.bytes + len > self.max_bytes {
            if batch.class != Class::Durable {
                shed.add(&batch);
                return Ok(shed);
            }
            shed = self.shed(self.max_bytes.saturating_sub(len));
            // What is above the bound goes out alone: a reader that keeps up is not slow.
            if self.bytes + len > self.max_bytes && !self.batches.is_empty() {
                return Err(SlowConsumer);
            }
        }
        self.bytes += len;
        self.batches.push_back(batch);
        Ok(shed)
    }

    /// Queues the rest of frames of which `written` bytes have been written. Nothing may wait yet.
    pub(crate) fn push_rest(&mut self, batch: &Batch, written: usize) {
        let mut batch = batch.clone();
        batch.bytes.advance(written);
        self.begun = written > 0;
        self.bytes += batch.bytes.len();
        self.batches.push_back(batch);
    }

    /// Tells whether as many bytes find room without anything being dropped.
    pub(crate) fn has_room(&self, len: usize) -> bool {
        self.bytes + len <= self.max_bytes
    }

    /// Returns the bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Tells whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Takes the first batch whole. For readers that take frames, not bytes.
    pub(crate) fn pop(&mut self) -> Option<Bytes> {
        let batch = self.batches.pop_front()?;
        self.bytes -= batch.bytes.len();
        Some(batch.bytes)
    }

    /// Returns what comes next, when it is all there is.
    pub(crate) fn only(&self) -> Option<&[u8]> {
        self.batches.front().filter(|_| self.batches.len() == 1).map(|batch| &batch.bytes[..])
    }

    /// Fills `slices` with what comes next and returns how many.
    pub(crate) fn peek<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        for (slot, batch) in slices.iter_mut().zip(&self.batches) {
            *slot = IoSlice::new(&batch.bytes);
            count += 1;
        }
        count
    }

    /// Removes `written` bytes from the front and returns how many frames that completed.
    pub(crate) fn advance(&mut self, mut written: usize) -> u64 {
        let mut completed = 0;
        while let Some(batch) = self.batches.front_mut() {
            if written < batch.bytes.len() {
                self.begun |= written > 0;
                self.bytes -= written;
                batch.bytes.advance(written);
                break;
            }
            written -= batch.bytes.len();
            self.bytes -= batch.bytes.len();
            completed += u64::from(batch.frames);
            self.batches.pop_front();
            self.begun = false;
        }
        // Most of the time nothing waits, so nothing is kept for it.
        if self.batches.is_empty() {
            self.batches = VecDeque::new();
        }
        completed
    }

    /// Drops everything but what has been begun, to make room for a farewell.
    pub(crate) fn clear(&mut self) {
        self.batches.truncate(usize::from(self.begun));
        self.bytes = self.batches.iter().map(|batch| batch.bytes.len()).sum();
    }

    /// Queues the farewell: a frame that comes last and does not count against the bound.
    pub(crate) fn push_last(&mut self, frame: Bytes) {
        self.bytes += frame.len();
        self.batches.push_back(Batch::one(Class::Durable, frame));
    }

    fn shed(&mut self, target: usize) -> Shed {
        let begun = self.begun;
        let Self { batches, bytes, .. } = self;
        let (mut shed, mut index) = (Shed::default(), 0);
        batches.retain(|batch| {
            let is_begun = begun && index == 0;
            index += 1;
            let keep = *bytes <= target || batch.class == Class::Durable || is_begun;
            if !keep {
                *bytes -= batch.bytes.len();
                shed.add(batch);
            }
            keep
        });
        shed
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn batch(class: Class, len: usize) -> Batch {
        Batch::one(class, Bytes::from(vec![b'x'; len]))
    }

    fn shed(frames: u64) -> Shed {
        Shed { frames, deltas: false }
    }

    #[test]
    fn durable_frame_displaces_only_as_many_signals_as_needed() {
        let mut outbox = Outbox::new(10);
        for len in [2, 3, 4] {
            outbox.push(batch(Class::Signal, len)).unwrap();
        }
        assert_eq!(outbox.push(batch(Class::Durable, 6)), Ok(shed(2)));
        assert_eq!(outbox.bytes(), 10);
    }

    #[test]
    fn every_frame_of_a_batch_that_is_dropped_counts() {
        let mut outbox = Outbox::new(10);
        let gathered =
            Batch { class: Class::Delta, frames: 3, bytes: Bytes::from_static(b"12345678") };
        outbox.push(gathered.clone()).unwrap();
        let displaced = outbox.push(batch(Class::Durable, 5)).unwrap();
        assert_eq!(displaced, Shed { frames: 3, deltas: true });
        assert_eq!(outbox.push(gathered), Ok(Shed { frames: 3, deltas: true }));
    }

    #[test]
    fn signal_never_displaces_what_is_queued() {
        let mut outbox = Outbox::new(10);
        outbox.push(batch(Class::Signal, 8)).unwrap();
        assert_eq!(outbox.push(batch(Class::Signal, 3)), Ok(shed(1)));
        assert_eq!(outbox.bytes(), 8);
    }

    #[test]
    fn durable_overflow_makes_a_slow_consumer() {
        let mut outbox = Outbox::new(10);
        outbox.push(batch(Class::Durable, 8)).unwrap();
        assert_eq!(outbox.push(batch(Class::Durable, 3)), Err(SlowConsumer));
        assert_eq!(outbox.bytes(), 8, "a refused frame is not kept");
    }

    #[test]
    fn frame_above_the_bound_goes_out_alone() {
        let mut outbox = Outbox::new(10);
        assert_eq!(outbox.push(batch(Class::Durable, 30)), Ok(shed(0)));
        assert_eq!(outbox.push(batch(Class::Durable, 1)), Err(SlowConsumer));
        outbox.advance(30);
        assert_eq!(outbox.push(batch(Class::Durable, 1)), Ok(shed(0)));
    }

    #[test]
    fn frame_that_was_begun_is_never_dropped() {
        let mut outbox = Outbox::new(10);
        outbox.push_rest(&batch(Class::Signal, 8), 3);
        assert_eq!(outbox.push(batch(Class::Durable, 6)), Err(SlowConsumer));
        outbox.clear();
        assert_eq!(outbox.bytes(), 5, "the rest of the begun frame stays");
        outbox.push_last(Bytes::from_static(b"last"));
        assert_eq!(outbox.advance(9), 2);
        assert!(outbox.is_empty());
    }

    #[test]
    fn advance_crosses_frames() {
        let mut outbox = Outbox::new(100);
        for len in [3, 4, 5] {
            outbox.push(batch(Class::Durable, len)).unwrap();
        }
        assert_eq!(outbox.advance(8), 2);
        let mut slices = [IoSlice::new(&[]); 4];
        assert_eq!(outbox.peek(&mut slices), 1);
        assert_eq!(slices.first().map(|slice| slice.len()), Some(4));
        assert_eq!(outbox.only().map(<[u8]>::len), Some(4));
    }

    proptest! {
        /// Whatever is pushed and written, the bound holds, the count is exact, and every durable
        /// frame that was accepted is written or waits.
        #[test]
        fn bound_holds_and_durable_frames_survive(
            steps in prop::collection::vec((0..3_u8, 1_usize..120, 0_usize..60), 0..80),
        ) {
            let mut outbox = Outbox::new(100);
            let (mut accepted, mut durable_bytes) = (0_usize, 0_usize);
            for (class, len, written) in steps {
                let class = [Class::Durable, Class::Signal, Class::Delta][usize::from(class)];
                if outbox.push(batch(class, len)).is_ok() && class == Class::Durable {
                    accepted += 1;
                    durable_bytes += len;
                }
                let counted: usize = outbox.batches.iter().map(|batch| batch.bytes.len()).sum();
                prop_assert_eq!(counted, outbox.bytes());
                prop_assert!(outbox.bytes() <= 100 || outbox.batches.len() == 1);
                let waiting: usize = outbox.batches.iter()
                    .filter(|batch| batch.class == Class::Durable)
                    .map(|batch| batch.bytes.len()).sum();
                prop_assert!(waiting <= durable_bytes && accepted <= 80);
                outbox.advance(written.min(outbox.bytes()));
            }
        }
    }
}

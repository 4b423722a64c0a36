//! The bounded queue between the fan-out and one reader.
//!
//! Invariants: the bytes that wait never exceed the bound, except by a single frame that is larger
//! than the bound itself and waits alone; what must arrive is never dropped, it makes the reader a slow consumer instead; a frame of which
//! a part has been written stays.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf as _, Bytes};

/// How a frame may be treated when its reader falls behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Must arrive, or the reader must be cut and resume: events and answers.
    Durable,
    /// Worth nothing once late: typing, presence, deltas of a reply.
    Signal,
}

/// The queue is full of frames that may not be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("outbox exceeded its bound")]
pub(crate) struct SlowConsumer;

/// Frames that wait for one reader, bounded by their size together.
#[derive(Debug)]
pub(crate) struct Outbox {
    frames: VecDeque<(Class, Bytes)>,
    bytes: usize,
    max_bytes: usize,
    /// A part of the first frame has been written.
    begun: bool,
}

impl Outbox {
    /// Creates an empty queue for at most `max_bytes`.
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { frames: VecDeque::new(), bytes: 0, max_bytes, begun: false }
    }

    /// Queues a frame and returns how many signals were dropped for it, itself included.
    ///
    /// A signal that finds no room is dropped; a durable frame displaces signals, oldest first.
    pub(crate) fn push(&mut self, class: Class, frame: Bytes) -> Result<usize, SlowConsumer> {
        let mut shed = 0;
        if self.bytes + frame.len() > self.max_bytes {
            if class == Class::Signal {
                return Ok(1);
            }
            shed = self.shed(self.max_bytes.saturating_sub(frame.len()));
            // A frame above the bound goes out alone: a reader that keeps up is not slow.
            if self.bytes + frame.len() > self.max_bytes && !self.frames.is_empty() {
                return Err(SlowConsumer);
            }
        }
        self.bytes += frame.len();
        self.frames.push_back((class, frame));
        Ok(shed)
    }

    /// Tells whether a frame finds room without anything being dropped.
    pub(crate) fn has_room(&self, len: usize) -> bool {
        self.bytes + len <= self.max_bytes
    }

    /// Returns the bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Tells whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Takes the first frame whole. For readers that take frames, not bytes.
    pub(crate) fn pop(&mut self) -> Option<Bytes> {
        let (_, frame) = self.frames.pop_front()?;
        self.bytes -= frame.len();
        Some(frame)
    }

    /// Fills `slices` with what comes next and returns how many.
    pub(crate) fn peek<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        for (slot, (_, frame)) in slices.iter_mut().zip(&self.frames) {
            *slot = IoSlice::new(frame);
            count += 1;
        }
        count
    }

    /// Removes `written` bytes from the front and returns how many frames that completed.
    pub(crate) fn advance(&mut self, mut written: usize) -> usize {
        let mut completed = 0;
        while let Some((_, frame)) = self.frames.front_mut() {
            if written < frame.len() {
                self.begun |= written > 0;
                self.bytes -= written;
                frame.advance(written);
                break;
            }
            written -= frame.len();
            self.bytes -= frame.len();
            self.frames.pop_front();
            self.begun = false;
            completed += 1;
        }
        // A burst must not be paid for ever.
        if self.frames.is_empty() && self.frames.capacity() > 32 {
            self.frames.shrink_to(0);
        }
        completed
    }

    /// Drops everything but a frame that has been begun, to make room for a farewell.
    pub(crate) fn clear(&mut self) {
        self.frames.truncate(usize::from(self.begun));
        self.bytes = self.frames.iter().map(|(_, frame)| frame.len()).sum();
    }

    /// Queues the farewell: a frame that comes last and does not count against the bound.
    pub(crate) fn push_last(&mut self, frame: Bytes) {
        self.bytes += frame.len();
        self.frames.push_back((Class::Durable, frame));
    }

    fn shed(&mut self, target: usize) -> usize {
        let begun = self.begun;
        let Self { frames, bytes, .. } = self;
        let (before, mut index) = (frames.len(), 0);
        frames.retain(|(class, frame)| {
            let is_begun = begun && index == 0;
            index += 1;
            let keep = *bytes <= target || *class == Class::Durable || is_begun;
            if !keep {
                *bytes -= frame.len();
            }
            keep
        });
        before - frames.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(len: usize) -> Bytes {
        Bytes::from(vec![b'x'; len])
    }

    #[test]
    fn durable_frame_displaces_only_as_many_signals_as_needed() {
        let mut outbox = Outbox::new(10);
        for len in [2, 3, 4] {
            outbox.push(Class::Signal, frame(len)).unwrap();
        }
        assert_eq!(outbox.push(Class::Durable, frame(6)), Ok(2));
        assert_eq!(outbox.bytes(), 10);
    }

    #[test]
    fn signal_never_displaces_what_is_queued() {
        let mut outbox = Outbox::new(10);
        outbox.push(Class::Signal, frame(8)).unwrap();
        assert_eq!(outbox.push(Class::Signal, frame(3)), Ok(1));
        assert_eq!(outbox.bytes(), 8);
    }

    #[test]
    fn durable_overflow_makes_a_slow_consumer() {
        let mut outbox = Outbox::new(10);
        outbox.push(Class::Durable, frame(8)).unwrap();
        assert_eq!(outbox.push(Class::Durable, frame(3)), Err(SlowConsumer));
        assert_eq!(outbox.bytes(), 8, "a refused frame is not kept");
    }

    #[test]
    fn frame_above_the_bound_goes_out_alone() {
        let mut outbox = Outbox::new(10);
        assert_eq!(outbox.push(Class::Durable, frame(30)), Ok(0));
        assert_eq!(outbox.push(Class::Durable, frame(1)), Err(SlowConsumer));
        outbox.advance(30);
        assert_eq!(outbox.push(Class::Durable, frame(1)), Ok(0));
    }

    #[test]
    fn frame_that_was_begun_is_never_dropped() {
        let mut outbox = Outbox::new(10);
        outbox.push(Class::Signal, frame(8)).unwrap();
        assert_eq!(outbox.advance(3), 0);
        assert_eq!(outbox.push(Class::Durable, frame(6)), Err(SlowConsumer));
        outbox.clear();
        assert_eq!(outbox.bytes(), 5, "the rest of the begun frame stays");
        outbox.push_last(frame(4));
        assert_eq!(outbox.advance(9), 2);
        assert!(outbox.is_empty());
    }

    #[test]
    fn advance_crosses_frames() {
        let mut outbox = Outbox::new(100);
        for len in [3, 4, 5] {
            outbox.push(Class::Durable, frame(len)).unwrap();
        }
        assert_eq!(outbox.advance(8), 2);
        let mut slices = [IoSlice::new(&[]); 4];
        assert_eq!(outbox.peek(&mut slices), 1);
        assert_eq!(slices.first().map(|slice| slice.len()), Some(4));
    }

    proptest! {
        /// Whatever is pushed and written, the bound holds, the count is exact, and every durable
        /// frame that was accepted is written or waits.
        #[test]
        fn bound_holds_and_durable_frames_survive(
            steps in prop::collection::vec((any::<bool>(), 1_usize..120, 0_usize..60), 0..80),
        ) {
            let mut outbox = Outbox::new(100);
            let (mut accepted, mut durable_bytes) = (0_usize, 0_usize);
            for (durable, len, written) in steps {
                let class = if durable { Class::Durable } else { Class::Signal };
                if outbox.push(class, frame(len)).is_ok() && durable {
                    accepted += 1;
                    durable_bytes += len;
                }
                let counted: usize = outbox.frames.iter().map(|(_, f)| f.len()).sum();
                prop_assert_eq!(counted, outbox.bytes());
                prop_assert!(outbox.bytes() <= 100 || outbox.frames.len() == 1);
                let waiting: usize = outbox.frames.iter()
                    .filter(|(class, _)| *class == Class::Durable).map(|(_, f)| f.len()).sum();
                prop_assert!(waiting <= durable_bytes && accepted <= 80);
                outbox.advance(written.min(outbox.bytes()));
            }
        }
    }
}

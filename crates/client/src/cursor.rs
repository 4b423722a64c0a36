//! Where a reader is in a room's log, and what an event means there.

use parlor_protocol::command::Position;

/// What to do with an event that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// It is the next one: deliver it.
    Next,
    /// It was delivered before: drop it.
    Seen,
    /// Events are missing before it: subscribe again from the cursor.
    Hole,
}

/// A reader's position: everything up to it was delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    epoch: String,
    seq: u64,
}

impl Cursor {
    /// Creates a cursor at a position.
    pub fn new(epoch: impl Into<String>, seq: u64) -> Self {
        Self { epoch: epoch.into(), seq }
    }

    /// Returns the position to resume from.
    pub fn position(&self) -> Position {
        Position { epoch: self.epoch.clone(), seq: self.seq }
    }

    /// Returns the last delivered event.
    pub const fn seq(&self) -> u64 {
        self.seq
    }

    /// Judges an event, and moves on when it is the next one.
    pub fn offer(&mut self, seq: u64) -> Arrival {
        if seq <= self.seq {
            Arrival::Seen
        } else if seq == self.seq + 1 {
            self.seq = seq;
            Arrival::Next
        } else {
            Arrival::Hole
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However the network repeats, drops and reorders, what is delivered is 1, 2, 3 …
        #[test]
        fn delivery_is_dense_and_single(arrivals in prop::collection::vec(1_u64..12, 0..200)) {
            let mut cursor = Cursor::new("a", 0);
            let mut delivered = Vec::new();
            for seq in arrivals {
                let before = cursor.seq();
                match cursor.offer(seq) {
                    Arrival::Next => delivered.push(seq),
                    Arrival::Seen => prop_assert!(seq <= before),
                    Arrival::Hole => prop_assert!(seq > before + 1),
                }
            }
            let expected: Vec<_> = (1..=cursor.seq()).collect();
            prop_assert_eq!(delivered, expected);
        }
    }
}

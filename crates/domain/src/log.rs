//! A room's log as a reader sees it: what to do with an event, and how to continue.

use parlor_protocol::command::Since;

/// What to do with an event that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// It is the next one: deliver it.
    Next,
    /// It was delivered before: drop it.
    Seen,
    /// Events are missing: read those after `after` up to and without this one first.
    Hole {
        /// The last event that was delivered.
        after: u64,
    },
}

/// Decides what to do with event `seq` after event `delivered` was delivered.
pub const fn classify(delivered: u64, seq: u64) -> Arrival {
    if seq <= delivered {
        Arrival::Seen
    } else if seq == delivered + 1 {
        Arrival::Next
    } else {
        Arrival::Hole { after: delivered }
    }
}

/// The state of a room's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The identity of the log.
    pub epoch: String,
    /// The last event that a reset removed; 0 when there was none.
    pub reset_through: u64,
    /// The newest event.
    pub seq: u64,
}

/// How a subscription starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the present: only what comes next.
    Live,
    /// First the events after `after`, up to the newest, then what comes next.
    Replay {
        /// The client's last event.
        after: u64,
    },
    /// The position cannot be continued; the reason is told to the client.
    Resync(&'static str),
}

/// Decides how a subscription with `since` starts. At most `max_replay` events are replayed.
pub fn start(since: Option<&Since>, head: &Head, max_replay: u64) -> Start {
    let seq = match since {
        None => return Start::Live,
        Some(Since::Seq(seq)) => *seq,
        Some(Since::Position(position)) => {
            if position.epoch != head.epoch {
                return Start::Resync("epoch_changed");
            }
            position.seq
        }
    };
    if seq > head.seq {
        Start::Resync("ahead_of_log")
    } else if seq < head.reset_through {
        Start::Resync("history_reset")
    } else if head.seq - seq > max_replay {
        Start::Resync("too_far_behind")
    } else {
        Start::Replay { after: seq }
    }
}

#[cfg(test)]
mod tests {
    use parlor_protocol::command::Position;
    use proptest::prelude::*;

    use super::*;

    fn head() -> Head {
        Head { epoch: "a1".into(), reset_through: 10, seq: 50 }
    }

    fn position(epoch: &str, seq: u64) -> Since {
        Since::Position(Position { epoch: epoch.into(), seq })
    }

    #[test]
    fn without_a_position_the_room_starts_at_the_present() {
        assert_eq!(start(None, &head(), 1000), Start::Live);
    }

    #[test]
    fn position_of_this_log_is_continued() {
        assert_eq!(start(Some(&position("a1", 41)), &head(), 1000), Start::Replay { after: 41 });
        assert_eq!(start(Some(&Since::Seq(50)), &head(), 1000), Start::Replay { after: 50 });
    }

    #[test]
    fn position_that_cannot_be_continued_is_told_why() {
        let start = |since| start(Some(&since), &head(), 30);
        assert_eq!(start(position("b2", 41)), Start::Resync("epoch_changed"));
        assert_eq!(start(position("a1", 51)), Start::Resync("ahead_of_log"));
        assert_eq!(start(position("a1", 9)), Start::Resync("history_reset"));
        assert_eq!(start(position("a1", 19)), Start::Resync("too_far_behind"));
        assert_eq!(start(position("a1", 20)), Start::Replay { after: 20 });
    }

    proptest! {
        /// Whatever is doubled, reordered or lost on the way, what is delivered is 1, 2, 3 …
        #[test]
        fn delivery_is_dense_whatever_arrives(arrivals in prop::collection::vec(1_u64..40, 0..200)) {
            let mut delivered = 0;
            let mut log = Vec::new();
            for seq in arrivals {
                match classify(delivered, seq) {
                    Arrival::Seen => {}
                    Arrival::Next => log.push(seq),
                    Arrival::Hole { after } => log.extend(after + 1..=seq),
                }
                delivered = log.last().copied().unwrap_or(0);
            }
            prop_assert_eq!(&log, &(1..=delivered).collect::<Vec<_>>());
        }
    }
}

//! What an actor does, and how often.

use std::ops::Range;

use rand::{Rng as _, rngs::StdRng};

/// One thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Publish,
    CallBot,
    StopBot,
    Edit,
    Redact,
    ReadBack,
    LookBack,
    Hop,
    LeaveAndJoin,
    Kick,
}

/// What an actor does, and how often.
#[derive(Debug, Clone)]
pub(crate) struct Habits {
    /// The pause between two operations, in milliseconds.
    pub(crate) pause_ms: Range<u64>,
    /// The log may begin anew, because the database lost its end.
    pub(crate) expects_resync: bool,
    weights: Vec<(Operation, u32)>,
}

impl Habits {
    /// Everything that people do.
    pub(crate) fn all() -> Self {
        let weights = vec![
            (Operation::Publish, 60),
            (Operation::CallBot, 3),
            (Operation::StopBot, 1),
            (Operation::Edit, 6),
            (Operation::Redact, 4),
            (Operation::ReadBack, 12),
            (Operation::LookBack, 3),
            (Operation::Hop, 4),
            (Operation::LeaveAndJoin, 2),
        ];
        Self { pause_ms: 20..200, expects_resync: false, weights }
    }

    /// Everything that people do, and removing others.
    pub(crate) fn of_owner() -> Self {
        let mut habits = Self::all();
        habits.weights.retain(|(operation, _)| *operation != Operation::LeaveAndJoin);
        habits.weights.push((Operation::Kick, 1));
        habits
    }

    /// Changes texts and moves about more often than people do.
    #[cfg(feature = "soak")]
    pub(crate) fn restless() -> Self {
        let weights = vec![
            (Operation::Publish, 40),
            (Operation::CallBot, 3),
            (Operation::Edit, 6),
            (Operation::Redact, 12),
            (Operation::ReadBack, 12),
            (Operation::LookBack, 10),
            (Operation::Hop, 20),
            (Operation::LeaveAndJoin, 4),
        ];
        Self { pause_ms: 10..80, expects_resync: false, weights }
    }

    /// Follows a log that may begin anew.
    #[cfg(feature = "soak")]
    pub(crate) fn that_expect_a_resync(self) -> Self {
        Self { expects_resync: true, ..self }
    }

    /// Calls the bot now and then.
    #[cfg(feature = "soak")]
    pub(crate) fn calling() -> Self {
        let weights = vec![(Operation::CallBot, 1)];
        Self { pause_ms: 3_000..4_000, expects_resync: false, weights }
    }

    /// Nothing but writing.
    pub(crate) fn writing(pause_ms: Range<u64>) -> Self {
        Self { pause_ms, expects_resync: false, weights: vec![(Operation::Publish, 1)] }
    }

    /// Nothing but reading.
    pub(crate) fn reading() -> Self {
        Self { pause_ms: 500..1_000, expects_resync: false, weights: Vec::new() }
    }

    pub(super) fn choose(&self, random: &mut StdRng) -> Option<Operation> {
        let total: u32 = self.weights.iter().map(|(_, weight)| weight).sum();
        if total == 0 {
            return None;
        }
        let mut place = random.random_range(0..total);
        for (operation, weight) in &self.weights {
            if place < *weight {
                return Some(*operation);
            }
            place -= weight;
        }
        None
    }
}

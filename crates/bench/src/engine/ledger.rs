//! Who got what: each reader expects 0, 1, 2 … of each sender.

use std::collections::HashMap;

/// What a delivery was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The one that was expected, or one after it.
    New,
    /// One that was passed over before.
    Late,
    /// One that had arrived before.
    Again,
}

/// What arrived at the readers of one thread. A reader and a sender together are one `line`.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// The number that each line expects next.
    next: Vec<u32>,
    /// What lines have passed over: ranges, the end not included. Empty unless something is wrong.
    gaps: HashMap<usize, Vec<(u32, u32)>>,
    /// What came again.
    pub(crate) doubled: u64,
    /// What came after a later one.
    pub(crate) out_of_order: u64,
}

impl Ledger {
    /// Creates a ledger of so many lines.
    pub(crate) fn new(lines: usize) -> Self {
        Self { next: vec![0; lines], ..Self::default() }
    }

    /// Takes note of a delivery.
    #[inline]
    pub(crate) fn note(&mut self, line: usize, number: u32) -> Arrival {
        let next = self.next[line];
        if number == next {
            self.next[line] = number + 1;
            return Arrival::New;
        }
        self.note_surprise(line, next, number)
    }

    #[cold]
    fn note_surprise(&mut self, line: usize, next: u32, number: u32) -> Arrival {
        if number > next {
            self.next[line] = number + 1;
            self.gaps.entry(line).or_default().push((next, number));
            return Arrival::New;
        }
        let gaps = self.gaps.entry(line).or_default();
        let Some(place) = gaps.iter().position(|(from, to)| (*from..*to).contains(&number)) else {
            self.doubled += 1;
            return Arrival::Again;
        };
        let (from, to) = gaps.swap_remove(place);
        gaps.extend([(from, number), (number + 1, to)].into_iter().filter(|(from, to)| from < to));
        self.out_of_order += 1;
        Arrival::Late
    }

    /// Returns how many of the `sent` messages of its sender a line did not get.
    pub(crate) fn missing(&self, line: usize, sent: u32) -> u64 {
        let passed_over = self
            .gaps
            .get(&line)
            .map_or(0, |gaps| gaps.iter().map(|(from, to)| u64::from(to - from)).sum());
        passed_over + u64::from(sent.saturating_sub(self.next[line]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(numbers: &[u32], sent: u32) -> (u64, u64, u64) {
        let mut ledger = Ledger::new(2);
        for number in numbers {
            ledger.note(1, *number);
        }
        assert_eq!(ledger.missing(0, sent), u64::from(sent), "lines are apart");
        (ledger.missing(1, sent), ledger.doubled, ledger.out_of_order)
    }

    #[test]
    fn nothing_is_wrong_when_each_comes_once_and_in_order() {
        assert_eq!(told(&[0, 1, 2, 3], 4), (0, 0, 0));
        assert_eq!(told(&[], 0), (0, 0, 0));
    }

    #[test]
    fn what_never_came_is_lost_in_the_middle_and_at_the_end() {
        assert_eq!(told(&[1, 2, 5], 8), (1 + 2 + 2, 0, 0));
        assert_eq!(told(&[], 8), (8, 0, 0));
    }

    #[test]
    fn what_comes_again_is_doubled_and_not_a_loss_less() {
        assert_eq!(told(&[0, 0, 2, 2, 0], 3), (1, 3, 0));
    }

    #[test]
    fn what_comes_late_is_out_of_order_once_and_doubled_after_that() {
        assert_eq!(told(&[0, 5, 3, 1, 2, 4, 3], 6), (0, 1, 4));
        assert_eq!(told(&[0, 5, 3], 6), (3, 0, 1));
    }
}

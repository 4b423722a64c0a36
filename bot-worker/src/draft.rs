//! The text of a reply while it is being written.

use parlor_llm::TokenMeter;

/// Bytes of text in one delta. With JSON's escapes it stays far below the smallest frame limit.
pub(crate) const DELTA_BYTES_MAX: usize = 8 * 1024;

/// A reply in the making: what has arrived, and how much of it the room was told.
///
/// Chunks are numbered 1, 2, 3 … and their texts joined are the draft's text. The text holds no
/// control character but tab and line break, and never exceeds its bound.
#[derive(Debug)]
pub(crate) struct Draft {
    text: String,
    told: usize,
    chunk: u32,
    max_bytes: usize,
    meter: TokenMeter,
}

/// A numbered piece of a draft.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Delta {
    pub(crate) chunk: u32,
    pub(crate) text: String,
}

impl Draft {
    /// Creates an empty draft that takes at most `max_bytes`.
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { text: String::new(), told: 0, chunk: 0, max_bytes, meter: TokenMeter::default() }
    }

    /// Adds text and returns whether all of it had room.
    pub(crate) fn push(&mut self, text: &str) -> bool {
        let before = self.text.len();
        let mut fits = true;
        for c in text.chars().filter(|&c| !c.is_control() || matches!(c, '\n' | '\t')) {
            if self.text.len() + c.len_utf8() > self.max_bytes {
                fits = false;
                break;
            }
            self.text.push(c);
        }
        self.meter.add(self.text.get(before..).unwrap_or_default());
        fits
    }

    /// Returns the next piece that the room was not told yet.
    pub(crate) fn take_delta(&mut self) -> Option<Delta> {
        let untold = self.text.get(self.told..).filter(|untold| !untold.is_empty())?;
        let end = untold.floor_char_boundary(DELTA_BYTES_MAX);
        let text = untold.get(..end)?.to_owned();
        self.told += end;
        self.chunk += 1;
        Some(Delta { chunk: self.chunk, text })
    }

    /// Counts a piece without text. It tells clients to drop the text of an earlier turn.
    pub(crate) fn empty_delta(&mut self) -> Delta {
        self.chunk += 1;
        Delta { chunk: self.chunk, text: String::new() }
    }

    /// Returns how many bytes the room was not told yet.
    pub(crate) fn untold_bytes(&self) -> usize {
        self.text.len() - self.told
    }

    /// Returns the number of the last piece, 0 when there was none.
    pub(crate) fn chunk(&self) -> u32 {
        self.chunk
    }

    /// Returns the text up to and with the last piece.
    pub(crate) fn told(&self) -> &str {
        self.text.get(..self.told).unwrap_or_default()
    }

    /// Returns the whole text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Returns about how many tokens the text has.
    pub(crate) fn tokens(&self) -> u32 {
        self.meter.tokens()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn drain(draft: &mut Draft) -> Vec<Delta> {
        std::iter::from_fn(|| draft.take_delta()).collect()
    }

    #[test]
    fn control_characters_of_a_model_are_left_out() {
        let mut draft = Draft::new(100);

        assert!(draft.push("a\0b\r\nc\td\u{1b}[31m\u{85}"));

        assert_eq!(draft.text(), "ab\nc\td[31m");
    }

    #[test]
    fn text_is_cut_at_the_bound_between_characters() {
        let mut draft = Draft::new(5);

        assert!(draft.push("éé"));
        assert!(!draft.push("éx"));

        assert_eq!(draft.text(), "éé");
    }

    #[test]
    fn huge_piece_becomes_several_deltas() {
        let mut draft = Draft::new(1 << 20);
        draft.push(&"é".repeat(DELTA_BYTES_MAX));

        let sizes: Vec<_> = drain(&mut draft).iter().map(|delta| delta.text.len()).collect();

        assert_eq!(sizes, [DELTA_BYTES_MAX, DELTA_BYTES_MAX]);
    }

    #[test]
    fn checkpoint_holds_only_what_the_room_was_told() {
        let mut draft = Draft::new(100);
        draft.push("one");
        draft.take_delta();
        draft.push(" two");

        assert_eq!((draft.told(), draft.chunk(), draft.untold_bytes()), ("one", 1, 4));
    }

    proptest! {
        /// However the model cuts its text and whenever the room is told.
        #[test]
        fn deltas_are_dense_and_joined_are_the_text(
            steps in prop::collection::vec(("\\PC{0,20}", any::<bool>()), 0..40),
            max in 0_usize..300,
        ) {
            let mut draft = Draft::new(max);
            let mut deltas = Vec::new();
            for (text, tell) in steps {
                draft.push(&text);
                if tell {
                    deltas.extend(drain(&mut draft));
                    prop_assert_eq!(draft.told(), draft.text());
                }
            }
            deltas.extend(drain(&mut draft));

            prop_assert!(draft.text().len() <= max);
            let joined: String = deltas.iter().map(|delta| delta.text.as_str()).collect();
            prop_assert_eq!(joined, draft.text());
            for (index, delta) in (1..).zip(&deltas) {
                prop_assert_eq!(delta.chunk, index);
            }
        }
    }
}

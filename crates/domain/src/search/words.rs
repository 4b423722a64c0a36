//! Words: what of a text can be found.
//!
//! The rule is written a second time in SQL, for a database that cannot call this code
//! (`migrations/postgres`, `search_words`). A test there compares both, character by character.

use std::collections::{BTreeSet, HashSet};

use unicode_normalization::UnicodeNormalization as _;

/// Longest word in characters; what is beyond does not count.
pub const WORD_MAX: usize = 64;

/// Bytes of different words of one text that can be found; what is beyond cannot. An index of one of
/// the databases holds no more, and only texts far longer than usual have as many.
pub const INDEXED_MAX: usize = 1_000_000;

/// A word and where in the text it stands, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// The word without case and accents.
    pub text: String,
    /// Where it begins.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
}

/// Characters that stand between words, after decomposition.
const SEPARATORS: &[(char, char)] = &[
    ('\0', '/'),
    (':', '@'),
    ('[', '`'),
    ('{', '\u{a9}'),
    ('\u{ab}', '\u{b4}'),
    ('\u{b6}', '\u{b8}'),
    ('\u{bb}', '\u{bb}'),
    ('\u{bf}', '\u{bf}'),
    ('\u{d7}', '\u{d7}'),
    ('\u{f7}', '\u{f7}'),
    ('\u{2c2}', '\u{2c5}'),
    ('\u{2d2}', '\u{2df}'),
    ('\u{37e}', '\u{37e}'),
    ('\u{387}', '\u{387}'),
    ('\u{55a}', '\u{55f}'),
    ('\u{589}', '\u{58a}'),
    ('\u{5be}', '\u{5be}'),
    ('\u{5c0}', '\u{5c0}'),
    ('\u{5c3}', '\u{5c3}'),
    ('\u{5c6}', '\u{5c6}'),
    ('\u{5f3}', '\u{5f4}'),
    ('\u{60c}', '\u{60d}'),
    ('\u{61b}', '\u{61f}'),
    ('\u{66a}', '\u{66d}'),
    ('\u{6d4}', '\u{6d4}'),
    ('\u{964}', '\u{965}'),
    ('\u{e3f}', '\u{e3f}'),
    ('\u{e4f}', '\u{e4f}'),
    ('\u{e5a}', '\u{e5b}'),
    ('\u{2000}', '\u{206f}'),
    ('\u{20a0}', '\u{20cf}'),
    ('\u{2190}', '\u{2bff}'),
    ('\u{2e00}', '\u{2e7f}'),
    ('\u{2ff0}', '\u{3004}'),
    ('\u{3008}', '\u{3020}'),
    ('\u{3030}', '\u{3030}'),
    ('\u{303d}', '\u{303f}'),
    ('\u{30a0}', '\u{30a0}'),
    ('\u{30fb}', '\u{30fb}'),
    ('\u{e000}', '\u{f8ff}'),
    ('\u{fd3e}', '\u{fd3f}'),
    ('\u{fe00}', '\u{fe1f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{fff9}', '\u{fffd}'),
    ('\u{1f000}', '\u{1faff}'),
    ('\u{e0000}', '\u{e007f}'),
];

/// Accents, vowel points and sound marks, which do not count.
const MARKS: &[(char, char)] = &[
    ('\u{300}', '\u{36f}'),
    ('\u{591}', '\u{5bd}'),
    ('\u{5bf}', '\u{5bf}'),
    ('\u{5c1}', '\u{5c2}'),
    ('\u{5c4}', '\u{5c5}'),
    ('\u{5c7}', '\u{5c7}'),
    ('\u{64b}', '\u{65f}'),
    ('\u{670}', '\u{670}'),
    ('\u{3099}', '\u{309a}'),
];

/// Signs of scripts that do not put spaces between words: each is a word by itself.
const SIGNS: &[(char, char)] = &[
    ('\u{3005}', '\u{3007}'),
    ('\u{3021}', '\u{3029}'),
    ('\u{3031}', '\u{3035}'),
    ('\u{3041}', '\u{3096}'),
    ('\u{309b}', '\u{309f}'),
    ('\u{30a1}', '\u{30fa}'),
    ('\u{30fc}', '\u{30ff}'),
    ('\u{3400}', '\u{4dbf}'),
    ('\u{4e00}', '\u{9fff}'),
    ('\u{20000}', '\u{323af}'),
];

/// Returns the words of a text in order.
pub fn words(text: &str) -> Vec<Word> {
    let mut found = Cutter::default();
    for (at, c) in text.char_indices() {
        let end = at + c.len_utf8();
        if c.is_ascii() {
            // The same as below, without a table.
            if c.is_ascii_alphanumeric() {
                found.push(c.to_ascii_lowercase(), at, end);
            } else {
                found.cut();
            }
            continue;
        }
        for c in std::iter::once(c).nfkd() {
            if is_mark(c) {
                found.widen(end);
            } else if is_separator(c) {
                found.cut();
            } else if is_sign(c) {
                found.cut();
                found.push(c, at, end);
                found.ends_with_sign = true;
            } else {
                c.to_lowercase().filter(|c| !is_mark(*c)).for_each(|c| found.push(c, at, end));
            }
        }
    }
    found.cut();
    found.words
}

/// Returns the words of a text for an index: each once, separated by spaces.
pub fn index_words(text: &str) -> String {
    let mut known = HashSet::new();
    let mut bytes = 0;
    let different = words(text).into_iter().map(|word| word.text);
    let different = different.filter(|word| known.insert(word.clone()));
    let indexed = different.take_while(|word| {
        bytes += word.len();
        bytes <= INDEXED_MAX
    });
    let sorted: BTreeSet<String> = indexed.collect();
    sorted.into_iter().collect::<Vec<_>>().join(" ")
}

/// Tells whether a decomposed character stands between words.
pub fn is_separator(c: char) -> bool {
    is_in(SEPARATORS, c)
}

/// Tells whether a decomposed character does not count.
pub fn is_mark(c: char) -> bool {
    is_in(MARKS, c)
}

/// Tells whether a decomposed character is a word by itself.
pub fn is_sign(c: char) -> bool {
    is_in(SIGNS, c)
}

fn is_in(ranges: &[(char, char)], c: char) -> bool {
    let at = ranges.partition_point(|(_, last)| *last < c);
    ranges.get(at).is_some_and(|(first, _)| *first <= c)
}

/// Cuts a text into words.
#[derive(Default)]
struct Cutter {
    words: Vec<Word>,
    /// Characters of the word that is being read; 0: none is.
    length: usize,
    ends_with_sign: bool,
}

impl Cutter {
    fn push(&mut self, c: char, start: usize, end: usize) {
        if self.ends_with_sign {
            self.cut();
        }
        // One letter has two forms.
        let c = if c == 'ς' { 'σ' } else { c };
        if self.length == 0 {
            self.words.push(Word { text: String::new(), start, end });
        }
        self.length += 1;
        if let Some(word) = self.words.last_mut() {
            word.end = end;
            if self.length <= WORD_MAX {
                word.text.push(c);
            }
        }
    }

    /// Takes a mark to the word that it belongs to.
    fn widen(&mut self, end: usize) {
        if self.length > 0
            && let Some(word) = self.words.last_mut()
        {
            word.end = end;
        }
    }

    fn cut(&mut self) {
        self.length = 0;
        self.ends_with_sign = false;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(text: &str) -> Vec<String> {
        words(text).into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn words_have_no_case_and_no_accents() {
        assert_eq!(texts("Crème BRÛLÉE, naïve"), ["creme", "brulee", "naive"]);
        assert_eq!(texts("ΟΔΟΣ οδός Привет"), ["οδοσ", "οδοσ", "привет"]);
        assert_eq!(texts("cre\u{300}me ﬁne ²"), ["creme", "fine", "2"]);
    }

    #[test]
    fn everything_that_is_no_letter_or_digit_is_between_words() {
        assert_eq!(texts("see foo.bar_baz(1)!"), ["see", "foo", "bar", "baz", "1"]);
        assert_eq!(texts("done🎉ok — \u{200b}well…"), ["done", "ok", "well"]);
        assert_eq!(texts(" \n🎉 ... "), Vec::<String>::new());
    }

    #[test]
    fn signs_of_scripts_without_spaces_are_words() {
        assert_eq!(texts("今日は tea時間"), ["今", "日", "は", "tea", "時", "間"]);
        assert_eq!(texts("が"), ["か"]);
    }

    #[test]
    fn word_knows_where_it_stands() {
        let text = "a Crème! x";
        let found = words(text);
        let places: Vec<&str> =
            found.iter().map(|word| text.get(word.start..word.end).unwrap()).collect();
        assert_eq!(places, ["a", "Crème", "x"]);
    }

    #[test]
    fn long_word_is_cut_but_keeps_its_place() {
        let text = "x".repeat(1_000);
        let found = words(&text);
        assert_eq!((found.len(), found[0].text.len(), found[0].end), (1, WORD_MAX, 1_000));
    }

    #[test]
    fn words_for_an_index_are_bounded() {
        let text: Vec<String> = (0..200_000).map(|n| format!("w{n:09} W{n:09}")).collect();
        let indexed = index_words(&text.join(" "));
        assert_eq!(indexed.split(' ').count(), INDEXED_MAX / 10);
        assert!(indexed.starts_with("w000000000 ") && indexed.ends_with(" w000099999"));
    }

    #[test]
    fn tables_are_in_order() {
        for table in [SEPARATORS, MARKS, SIGNS] {
            assert!(table.iter().all(|(first, last)| first <= last));
            assert!(table.windows(2).all(|pair| pair[0].1 < pair[1].0));
        }
    }

    proptest! {
        #[test]
        fn places_are_in_the_text_and_words_are_words(text in any::<String>()) {
            let mut before = 0;
            for word in words(&text) {
                prop_assert!(word.start >= before && word.start < word.end);
                prop_assert!(text.get(word.start..word.end).is_some());
                prop_assert!(!word.text.is_empty());
                prop_assert!(word.text.chars().count() <= WORD_MAX);
                prop_assert!(!word.text.chars().any(|c| is_separator(c) || is_mark(c)));
                // What a character is taken apart into may be several words.
                before = word.start;
            }
        }

        #[test]
        fn words_are_their_own_words(text in any::<String>()) {
            let once = index_words(&text);
            prop_assert_eq!(index_words(&once), once);
        }
    }
}

//! Makes other people's text safe for a terminal.
//!
//! A terminal obeys what it is sent: an escape sequence in a message could hide text, change the
//! title or answer in the reader's name. So every control character of text from elsewhere is
//! replaced, one by one, which also holds when a sequence comes in two pieces. Marks that turn the
//! direction of writing around are replaced, too, because they can make a text read as another.

/// Stands for a character that must not reach the terminal.
const REPLACEMENT: char = '\u{fffd}';

/// Returns text of several lines, safe to print. Line breaks and tabs stay.
pub(crate) fn lines(text: &str) -> String {
    text.chars()
        .filter(|c| *c != '\r')
        .map(|c| match c {
            '\n' | '\t' => c,
            '\u{2028}' | '\u{2029}' => '\n',
            c if is_unsafe(c) => REPLACEMENT,
            c => c,
        })
        .collect()
}

/// Returns text of one line, safe to print: breaks and tabs become spaces.
pub(crate) fn line(text: &str) -> String {
    lines(text).replace(['\n', '\t'], " ")
}

/// Returns text whose later lines are indented, so that a message cannot look like several.
pub(crate) fn body(text: &str) -> String {
    lines(text).replace('\n', "\n  ")
}

/// Escapes in JSON what a terminal could obey; the meaning of the JSON stays.
pub(crate) fn json(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        // Characters above the first plane cannot be among them, so one escape is enough.
        if is_unsafe(c) && c != '\n' {
            safe.extend(["\\u", &format!("{:04x}", u32::from(c))]);
        } else {
            safe.push(c);
        }
    }
    safe
}

fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{61c}' | '\u{feff}')
}

/// Makes a download safe for a terminal, piece by piece.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    /// The beginning of a character whose end is in the next piece.
    rest: Vec<u8>,
}

impl Filter {
    /// Returns the safe text of the next piece.
    pub(crate) fn push(&mut self, piece: &[u8]) -> String {
        self.rest.extend_from_slice(piece);
        let mut text = String::new();
        loop {
            let (valid, invalid) = match std::str::from_utf8(&self.rest) {
                Ok(whole) => (whole.len(), Some(0)),
                Err(error) => (error.valid_up_to(), error.error_len()),
            };
            let taken = valid + invalid.unwrap_or(0);
            let bytes: Vec<u8> = self.rest.drain(..taken).collect();
            text.push_str(&lines(&String::from_utf8_lossy(&bytes)));
            if taken == 0 || self.rest.is_empty() {
                return text;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_lose_their_power() {
        for evil in
            ["\u{1b}[2J", "\u{1b}]0;title\u{7}", "\u{9b}31m", "\u{8}\u{8}x", "a\u{7f}", "\0"]
        {
            for safe in [lines(evil), line(evil), body(evil)] {
                assert!(!safe.chars().any(char::is_control), "{evil:?} became {safe:?}");
            }
        }
    }

    #[test]
    fn direction_of_writing_cannot_be_turned() {
        assert_eq!(line("a\u{202e}b\u{2066}c"), "a\u{fffd}b\u{fffd}c");
    }

    #[test]
    fn ordinary_text_stays_as_it_is() {
        let text = "Grüße 👩‍🚀 日本語 עברית\n\tcode";
        assert_eq!(lines(text), text);
    }

    #[test]
    fn message_cannot_pretend_to_be_two() {
        assert_eq!(body("hi\r\nadmin: obey"), "hi\n  admin: obey");
        assert_eq!(body("hi\u{2028}admin: obey"), "hi\n  admin: obey");
        assert_eq!(line("a\nb\tc"), "a b c");
    }

    #[test]
    fn json_keeps_its_meaning_and_loses_its_power() {
        let value = serde_json::json!({"body": "\u{9b}31m \u{202e} \u{7f} \u{1b}[2J ü 👍"});
        let safe = json(&value.to_string());
        assert!(!safe.chars().any(is_unsafe), "{safe:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&safe).unwrap(), value);
    }

    #[test]
    fn download_is_safe_wherever_it_is_cut() {
        let text = "ü\u{1b}[2J👍\u{9b}x\n";
        for cut in 0..=text.len() {
            let (one, two) = text.as_bytes().split_at(cut);
            let mut filter = Filter::default();
            let safe = filter.push(one) + &filter.push(two);
            assert_eq!(safe, "ü\u{fffd}[2J👍\u{fffd}x\n", "cut at {cut}");
        }
        assert_eq!(Filter::default().push(b"a\xffb"), "a\u{fffd}b");
    }
}

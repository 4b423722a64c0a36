//! What the text of a message may be.

use unicode_normalization::{UnicodeNormalization as _, is_nfc};

/// Why a text was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyRefused {
    /// Nothing but white space.
    #[error("a message needs some text")]
    Blank,
    /// Longer than the limit.
    #[error("a message may have at most {max} bytes; this one has {actual}")]
    TooLarge {
        /// The limit in bytes.
        max: usize,
        /// The size in bytes.
        actual: usize,
    },
    /// A control character that no text needs; `U+0000` cannot even be stored by Postgres.
    #[error("a message may not contain the control character U+{0:04X}")]
    Control(u32),
}

/// Returns the text in normal form NFC, so that equal texts are equal bytes.
///
/// # Errors
///
/// Refuses blank texts, texts above `max` bytes, and control characters other than tab and line
/// break.
pub fn check_body(text: &str, max: usize) -> Result<String, BodyRefused> {
    if text.len() > max {
        return Err(BodyRefused::TooLarge { max, actual: text.len() });
    }
    let text = text.replace("\r\n", "\n");
    let text = if is_nfc(&text) { text } else { text.nfc().collect() };
    if text.len() > max {
        return Err(BodyRefused::TooLarge { max, actual: text.len() });
    }
    if let Some(control) = text.chars().find(|&c| c.is_control() && !matches!(c, '\n' | '\t')) {
        return Err(BodyRefused::Control(u32::from(control)));
    }
    if text.chars().all(is_invisible) {
        return Err(BodyRefused::Blank);
    }
    Ok(text)
}

/// Returns the text of a message that has files; it may be blank.
///
/// # Errors
///
/// Those of [`check_body`] but for blank texts.
pub fn check_caption(text: &str, max: usize) -> Result<String, BodyRefused> {
    match check_body(text, max) {
        Err(BodyRefused::Blank) => Ok(String::new()),
        checked => checked,
    }
}

/// White space and the characters that show nothing by themselves.
fn is_invisible(c: char) -> bool {
    c.is_whitespace()
        || matches!(c, '\u{200B}'..='\u{200F}' | '\u{2060}'..='\u{2064}' | '\u{FEFF}' | '\u{00AD}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_text_is_kept() {
        assert_eq!(check_body("hi\n\tthere 👋", 100).unwrap(), "hi\n\tthere 👋");
    }

    #[test]
    fn blank_text_is_refused_whatever_it_is_made_of() {
        for text in ["", " ", "\n\t", "\u{200B}\u{FEFF} ", "\u{3000}"] {
            assert_eq!(check_body(text, 100), Err(BodyRefused::Blank), "{text:?}");
        }
    }

    #[test]
    fn text_beside_files_may_be_blank() {
        assert_eq!(check_caption(" \n", 100).unwrap(), "");
        assert_eq!(check_caption("look", 100).unwrap(), "look");
        assert!(check_caption("a\0b", 100).is_err());
        assert!(check_caption("look", 3).is_err());
    }

    #[test]
    fn limit_counts_bytes_and_is_inclusive() {
        assert!(check_body("éé", 4).is_ok());
        assert_eq!(check_body("ééx", 4), Err(BodyRefused::TooLarge { max: 4, actual: 5 }));
    }

    #[test]
    fn control_characters_are_refused() {
        assert_eq!(check_body("a\0b", 100), Err(BodyRefused::Control(0)));
        assert_eq!(check_body("a\u{1b}[31m", 100), Err(BodyRefused::Control(0x1b)));
        assert_eq!(check_body("a\rb", 100), Err(BodyRefused::Control(0x0d)));
    }

    #[test]
    fn decomposed_text_becomes_composed() {
        assert_eq!(check_body("e\u{301}", 100).unwrap(), "é");
    }
}

//! What people show of themselves.

use parlor_domain::naming::looks::{Misleading, find_misleading};
use unicode_normalization::UnicodeNormalization as _;

/// Most characters of a display name.
const MAX: usize = 64;
/// Most bytes that are looked at; NFC can make a text shorter, but not by this much.
const BYTES_MAX: usize = 16 * MAX;

/// Why a display name was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DisplayNameRefused {
    /// Empty or too long.
    #[error("must have 1 to {MAX} characters")]
    Length,
    /// Something that cannot be seen or changes how others are read.
    #[error("must be one line of visible text")]
    Characters,
    /// Letters of different alphabets that look alike, in one word.
    #[error("may not mix alphabets whose letters look alike in one word")]
    LookAlike,
}

/// Returns the name as it is stored: trimmed and in NFC.
pub fn check_display_name(text: &str) -> Result<String, DisplayNameRefused> {
    if text.len() > BYTES_MAX {
        return Err(DisplayNameRefused::Length);
    }
    let name: String = text.trim().nfc().collect();
    if !(1..=MAX).contains(&name.chars().count()) {
        return Err(DisplayNameRefused::Length);
    }
    match find_misleading(&name) {
        None => Ok(name),
        Some(Misleading::Invisible) => Err(DisplayNameRefused::Characters),
        Some(Misleading::LookAlike) => Err(DisplayNameRefused::LookAlike),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_all_scripts_are_kept() {
        for (text, name) in [
            (" Ada Lovelace ", "Ada Lovelace"),
            ("Jo\u{0308}rg", "Jörg"),
            ("عمر", "عمر"),
            ("山田太郎", "山田太郎"),
            ("👩\u{200D}💻", "👩\u{200D}💻"),
        ] {
            assert_eq!(check_display_name(text).as_deref(), Ok(name));
        }
    }

    #[test]
    fn names_that_mislead_or_do_not_show_are_refused() {
        use DisplayNameRefused::{Characters, Length, LookAlike};
        for (text, reason) in [
            ("", Length),
            ("   ", Length),
            (&*"a".repeat(65), Length),
            (&*"a".repeat(1 << 20), Length),
            ("ada\nbob", Characters),
            ("ada\0", Characters),
            ("ada\u{202E}nimda", Characters),
            ("ada\u{2028}bob", Characters),
            ("\u{200B}\u{200B}", Characters),
            ("\u{3164}", Characters),
            ("ada\u{200B}", Characters),
            ("\u{0430}da", LookAlike),
        ] {
            assert_eq!(check_display_name(text), Err(reason), "{text:?}");
        }
    }
}

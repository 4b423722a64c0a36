//! What people show of themselves.

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
    if name.chars().any(|c| c.is_control() || changes_reading(c)) || !name.chars().any(is_visible) {
        return Err(DisplayNameRefused::Characters);
    }
    Ok(name)
}

/// Line separators, and marks that turn the direction of the text around them.
fn changes_reading(c: char) -> bool {
    matches!(c, '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Joiners and selectors are part of emoji and scripts, but are nothing by themselves.
fn is_visible(c: char) -> bool {
    let nothing = matches!(
        c,
        '\u{00AD}'
            | '\u{115F}'
            | '\u{1160}'
            | '\u{180E}'
            | '\u{200B}'..='\u{200F}'
            | '\u{2060}'..='\u{2064}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{FE00}'..='\u{FE0F}'
            | '\u{FEFF}'
            | '\u{FFA0}'
            | '\u{E0000}'..='\u{E0FFF}'
    );
    !c.is_whitespace() && !nothing
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
        use DisplayNameRefused::{Characters, Length};
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
        ] {
            assert_eq!(check_display_name(text), Err(reason), "{text:?}");
        }
    }
}

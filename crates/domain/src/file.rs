//! Names of files, and where the pictures of users are.

use unicode_normalization::UnicodeNormalization as _;

use crate::naming::NameRefused;

/// Longest name of a file, in bytes: what file systems take.
pub const FILE_NAME_MAX: usize = 255;

/// What file systems, shells and web addresses take for something else.
const SPECIAL: &str = "/\\:*?\"<>|";

/// Returns a file's name, trimmed and in NFC.
///
/// # Errors
///
/// Refuses names that no file system would take, and invisible characters, which make one name look
/// like another: `cat\u{202e}gpj.exe` is shown as `catexe.jpg`.
pub fn check_file_name(text: &str) -> Result<String, NameRefused> {
    let name: String = text.trim().nfc().collect();
    if name.is_empty() || name.len() > FILE_NAME_MAX {
        return Err(NameRefused::Length { min: 1, max: FILE_NAME_MAX });
    }
    if name.chars().any(|c| c.is_control() || is_invisible(c) || SPECIAL.contains(c)) {
        return Err(NameRefused::Characters("visible characters other than / \\ : * ? \" < > |"));
    }
    if name.chars().all(|c| c == '.') {
        return Err(NameRefused::Reserved);
    }
    Ok(name)
}

/// Marks of direction, joiners, and characters that show nothing. The joiner of emojis shows.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
            | '\u{180B}'..='\u{180F}' | '\u{200B}' | '\u{200C}' | '\u{200E}' | '\u{200F}'
            | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FEFF}'
            | '\u{FFA0}' | '\u{E0000}'..='\u{E007F}'
    )
}

/// Returns the path of a user's picture. It names the version, so that it changes with the picture.
pub fn avatar_path(username: &str, version: &str) -> String {
    format!("/v1/users/{username}/avatar?version={version}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_are_kept() {
        for name in
            ["cat.jpg", "Überblick 2026 (neu).pdf", "фото.png", ".profile", "a..b", "👩‍🚀.gif"]
        {
            assert_eq!(check_file_name(name).as_deref(), Ok(name));
        }
        assert_eq!(check_file_name(" e\u{301}.txt ").unwrap(), "é.txt");
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in ["", " ", ".", "..", "a/b", "..\\x", "c:x", "a\nb", "a\0", "a\"b", "<x>"] {
            assert!(check_file_name(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn names_that_look_like_others_are_refused() {
        for name in ["cat\u{202e}gpj.exe", "a\u{200b}.txt", "\u{feff}a", "a\u{2066}b", "\u{3164}"] {
            assert!(check_file_name(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn length_counts_bytes() {
        assert!(check_file_name(&"x".repeat(FILE_NAME_MAX)).is_ok());
        assert!(check_file_name(&"x".repeat(FILE_NAME_MAX + 1)).is_err());
        assert!(check_file_name(&"é".repeat(FILE_NAME_MAX / 2 + 1)).is_err());
    }
}

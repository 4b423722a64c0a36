//! Names and slugs of rooms, topics, reactions and client ids.

pub mod looks;

use unicode_normalization::UnicodeNormalization as _;

use self::looks::{Misleading, find_misleading};

/// Why a name was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameRefused {
    /// Too short or too long.
    #[error("must have {min} to {max} characters")]
    Length {
        /// Fewest characters.
        min: usize,
        /// Most characters.
        max: usize,
    },
    /// Characters that are not allowed.
    #[error("may only contain {0}")]
    Characters(&'static str),
    /// Letters of different alphabets that look alike, in one word.
    #[error("may not mix alphabets whose letters look alike in one word")]
    LookAlike,
    /// A word with a meaning of its own in paths.
    #[error("is reserved")]
    Reserved,
}

/// Longest room name in characters.
const NAME_MAX: usize = 80;
/// Longest topic in characters.
const TOPIC_MAX: usize = 500;
/// Longest reason of a kick, ban or mute in characters.
const REASON_MAX: usize = 500;
/// Longest slug in characters.
const SLUG_MAX: usize = 64;

/// Returns the room's name, trimmed and in NFC.
pub fn check_room_name(text: &str) -> Result<String, NameRefused> {
    one_line(text, 1, NAME_MAX)
}

/// Returns the topic, trimmed and in NFC; it may be empty.
pub fn check_topic(text: &str) -> Result<String, NameRefused> {
    one_line(text, 0, TOPIC_MAX)
}

/// Returns the reason of a kick, ban or mute, trimmed and in NFC; `None` when it is empty.
pub fn check_reason(text: &str) -> Result<Option<String>, NameRefused> {
    let reason = one_line(text, 0, REASON_MAX)?;
    Ok(Some(reason).filter(|reason| !reason.is_empty()))
}

/// Checks a slug: lower-case letters, digits and single hyphens, and not the form of an id.
pub fn check_slug(slug: &str) -> Result<(), NameRefused> {
    if slug.is_empty() || slug.len() > SLUG_MAX {
        return Err(NameRefused::Length { min: 1, max: SLUG_MAX });
    }
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !slug.chars().all(allowed) || slug.starts_with('-') || slug.ends_with('-') {
        return Err(NameRefused::Characters("lower-case letters, digits and hyphens between them"));
    }
    // A slug that reads as an id would hide the room with that id.
    if slug.len() >= 32 && slug.chars().all(|c| c.is_ascii_hexdigit() || c == '-') {
        return Err(NameRefused::Reserved);
    }
    Ok(())
}

/// Makes a slug from a name; `None` when nothing usable is left.
pub fn slug_from(name: &str) -> Option<String> {
    let mut slug = String::new();
    for c in name.nfkd() {
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if (c.is_whitespace() || c.is_ascii_punctuation())
            && !slug.is_empty()
            && !slug.ends_with('-')
        {
            slug.push('-');
        }
        if slug.len() >= SLUG_MAX {
            break;
        }
    }
    let slug = slug.trim_end_matches('-').to_owned();
    check_slug(&slug).is_ok().then_some(slug)
}

/// Checks a reaction: something short and visible.
pub fn check_emoji(emoji: &str) -> Result<(), NameRefused> {
    let max = parlor_protocol::limits::EMOJI_MAX;
    if emoji.is_empty() || emoji.len() > max {
        return Err(NameRefused::Length { min: 1, max });
    }
    if emoji.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(NameRefused::Characters("an emoji or a short word"));
    }
    Ok(())
}

/// Checks a client's own id for a write.
pub fn check_client_id(id: &str) -> Result<(), NameRefused> {
    let max = parlor_protocol::limits::CLIENT_ID_MAX;
    if id.is_empty() || id.len() > max {
        return Err(NameRefused::Length { min: 1, max });
    }
    if id.chars().any(|c| !c.is_ascii_graphic()) {
        return Err(NameRefused::Characters("visible ASCII characters"));
    }
    Ok(())
}

fn one_line(text: &str, min: usize, max: usize) -> Result<String, NameRefused> {
    let text: String = text.trim().nfc().collect();
    let length = text.chars().count();
    if length < min || length > max {
        return Err(NameRefused::Length { min, max });
    }
    match find_misleading(&text) {
        None => Ok(text),
        Some(Misleading::Invisible) => Err(NameRefused::Characters("one line of visible text")),
        Some(Misleading::LookAlike) => Err(NameRefused::LookAlike),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slug_is_made_from_a_name() {
        assert_eq!(slug_from("  Café & Tea, 2nd room! ").as_deref(), Some("cafe-tea-2nd-room"));
        assert_eq!(slug_from("部屋"), None);
    }

    #[test]
    fn slug_cannot_look_like_an_id() {
        assert_eq!(check_slug("018f2f3e-7b1c-7000-8000-000000000000"), Err(NameRefused::Reserved));
    }

    #[test]
    fn slug_allows_only_safe_characters() {
        assert!(check_slug("room-2").is_ok());
        for slug in ["", "-a", "a-", "Room", "a b", "a/b", "ä", ".."] {
            assert!(check_slug(slug).is_err(), "{slug:?}");
        }
    }

    #[test]
    fn reason_is_one_line_or_none() {
        assert_eq!(check_reason("  cafe\u{301} spam "), Ok(Some("caf\u{e9} spam".to_owned())));
        assert_eq!(check_reason(" \t "), Ok(None));
        assert_eq!(check_reason(&"x".repeat(REASON_MAX)), Ok(Some("x".repeat(REASON_MAX))));
        for text in [&*"x".repeat(REASON_MAX + 1), "a\nb", "a\u{200B}b", "sp\u{0430}m"] {
            assert!(check_reason(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn room_name_may_not_mislead() {
        assert!(check_room_name("abc\u{202E}def").is_err());
        assert_eq!(check_room_name("gener\u{0430}l"), Err(NameRefused::LookAlike));
        assert!(check_room_name("a\nb").is_err());
        assert_eq!(check_room_name("  General ").unwrap(), "General");
    }
}

//! User names: what stands after the `@`.

/// Fewest characters.
const MIN: usize = 3;
/// Most characters.
const MAX: usize = 32;

/// Names with a meaning of their own in paths, mentions or the display.
const RESERVED: [&str; 14] = [
    "me",
    "all",
    "everyone",
    "here",
    "channel",
    "room",
    "system",
    "parlor",
    "bot",
    "bots",
    "deleted",
    "anonymous",
    "unknown",
    "null",
];

/// What the names of erased accounts begin with: nobody can have one, nor log in with it.
pub const ERASED_PREFIX: &str = "deleted-";

/// Why a user name was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UsernameRefused {
    /// Too short or too long.
    #[error("must have {MIN} to {MAX} characters")]
    Length,
    /// Characters that are not allowed.
    #[error("may only contain letters a to z, digits, hyphens, dots and underscores")]
    Characters,
    /// It begins or ends with a sign that belongs to the sentence around it.
    #[error("must begin with a letter or digit and must not end with a dot or hyphen")]
    Edge,
    /// It has a meaning of its own.
    #[error("is reserved")]
    Reserved,
}

/// Returns the name as it is stored, in lower case. Names that differ in case are one name.
pub fn check_username(text: &str) -> Result<String, UsernameRefused> {
    let name = text.trim().to_ascii_lowercase();
    if !(MIN..=MAX).contains(&name.chars().count()) {
        // `me` is too short as well, but that is not why.
        let reserved = RESERVED.contains(&name.as_str());
        return Err(if reserved { UsernameRefused::Reserved } else { UsernameRefused::Length });
    }
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._".contains(c);
    if !name.chars().all(allowed) {
        return Err(UsernameRefused::Characters);
    }
    if name.starts_with(['-', '.', '_']) || name.ends_with(['-', '.']) {
        return Err(UsernameRefused::Edge);
    }
    if RESERVED.contains(&name.as_str()) || name.starts_with(ERASED_PREFIX) {
        return Err(UsernameRefused::Reserved);
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_stored_in_lower_case() {
        for (text, name) in [
            ("Ada", "ada"),
            (" bob_2 ", "bob_2"),
            ("a.b-c", "a.b-c"),
            ("007", "007"),
            ("admin", "admin"),
        ] {
            assert_eq!(check_username(text).as_deref(), Ok(name));
        }
        assert!(check_username(&"a".repeat(32)).is_ok());
    }

    #[test]
    fn other_names_are_refused_with_their_reason() {
        use UsernameRefused::{Characters, Edge, Length, Reserved};
        for (text, reason) in [
            ("", Length),
            ("ab", Length),
            (&*"a".repeat(33), Length),
            ("me", Reserved),
            ("Everyone", Reserved),
            ("system", Reserved),
            ("deleted-4f2a", Reserved),
            ("ada lovelace", Characters),
            ("ädä", Characters),
            // A Cyrillic letter that looks like a Latin one.
            ("\u{0430}da", Characters),
            ("ada@home", Characters),
            ("ada/..", Characters),
            ("ada\0", Characters),
            ("...", Edge),
            (".ada", Edge),
            ("_ada", Edge),
            ("ada.", Edge),
            ("ada-", Edge),
        ] {
            assert_eq!(check_username(text), Err(reason), "{text:?}");
        }
    }
}

//! Refresh tokens: opaque, single use, each with one successor.
//!
//! Only the SHA-256 of a token is stored. A token's successor is derived from it with a secret key,
//! so a client whose answer was lost can be given the same successor again, although nobody has
//! kept it. Without the key, a token says nothing about its successor.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use rand::Rng as _;
use sha2::{Digest as _, Sha256};

use crate::key::{KeyTooShort, derive, mac};

/// Characters of a token: 256 bits in base64url.
const TOKEN_LENGTH: usize = 43;

/// Makes refresh tokens and their successors.
#[derive(Clone)]
pub struct RefreshTokens {
    key: [u8; 32],
}

impl RefreshTokens {
    /// Creates the maker for a secret key.
    pub fn new(secret: &[u8]) -> Result<Self, KeyTooShort> {
        Ok(Self { key: derive(secret, "parlor refresh token successor")? })
    }

    /// Returns the first token of a login.
    pub fn issue(&self) -> String {
        URL_SAFE_NO_PAD.encode(rand::rng().random::<[u8; 32]>())
    }

    /// Returns the one successor of a token.
    pub fn successor(&self, token: &str) -> String {
        URL_SAFE_NO_PAD.encode(mac(&self.key, token.as_bytes()))
    }

    /// Returns what is stored of a token.
    pub fn hash(token: &str) -> [u8; 32] {
        Sha256::digest(token.as_bytes()).into()
    }

    /// Returns whether a text has the form of a token, so that others need not be looked up.
    pub fn is_well_formed(text: &str) -> bool {
        text.len() == TOKEN_LENGTH && URL_SAFE_NO_PAD.decode(text).is_ok()
    }
}

impl fmt::Debug for RefreshTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshTokens").finish_non_exhaustive()
    }
}

/// What is stored of the presented token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presented {
    /// It is the login's present token.
    Current,
    /// It was exchanged at this time; `successor_current` says that its successor is the login's
    /// present token.
    Spent {
        /// When it was exchanged.
        at: Timestamp,
        /// Whether its successor is still unspent.
        successor_current: bool,
    },
}

/// What is stored of the login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Family {
    /// When it ends unless it is refreshed.
    pub idle_until: Timestamp,
    /// When it ends in any case.
    pub absolute_until: Timestamp,
    /// Whether it was ended.
    pub revoked: bool,
}

/// What to do with a presented token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Exchange it for its successor.
    Rotate,
    /// Give its successor once more; the first answer may have been lost.
    SameSuccessor,
    /// It was used before: end the login, because one of the two users is a thief.
    Reuse,
    /// The login is over.
    Ended,
}

/// Decides about a presented token.
///
/// Within `grace` of its exchange a spent token gives the same successor, as long as that one is
/// unspent: then its holder has the answer already, and whoever presents the older token is someone
/// else.
pub fn decide(
    now: Timestamp,
    presented: Presented,
    family: &Family,
    grace: SignedDuration,
) -> Decision {
    if family.revoked || now >= family.idle_until || now >= family.absolute_until {
        return Decision::Ended;
    }
    match presented {
        Presented::Current => Decision::Rotate,
        Presented::Spent { at, successor_current: true } if now.duration_since(at) <= grace => {
            Decision::SameSuccessor
        }
        Presented::Spent { .. } => Decision::Reuse,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"a secret of exactly 32 bytes....";
    const GRACE: SignedDuration = SignedDuration::from_secs(30);

    fn at(second: i64) -> Timestamp {
        Timestamp::constant(1_767_225_600 + second, 0)
    }

    fn family() -> Family {
        Family { idle_until: at(1_000), absolute_until: at(5_000), revoked: false }
    }

    fn spent(second: i64) -> Presented {
        Presented::Spent { at: at(second), successor_current: true }
    }

    #[test]
    fn every_login_gets_its_own_token() {
        let tokens = RefreshTokens::new(SECRET).unwrap();
        let (one, other) = (tokens.issue(), tokens.issue());

        assert_ne!(one, other);
        assert!(RefreshTokens::is_well_formed(&one));
        assert!(RefreshTokens::is_well_formed(&tokens.successor(&one)));
        for text in ["", "abc", &"!".repeat(TOKEN_LENGTH), &"A".repeat(TOKEN_LENGTH + 1)] {
            assert!(!RefreshTokens::is_well_formed(text), "{text}");
        }
    }

    #[test]
    fn successor_is_the_same_each_time_and_needs_the_key() {
        let tokens = RefreshTokens::new(SECRET).unwrap();
        let others = RefreshTokens::new(b"another secret, also of 32 bytes").unwrap();
        let token = tokens.issue();

        assert_eq!(tokens.successor(&token), tokens.successor(&token));
        assert_ne!(tokens.successor(&token), others.successor(&token));
        assert_ne!(tokens.successor(&token), token);
        assert_ne!(RefreshTokens::hash(&token), RefreshTokens::hash(&tokens.successor(&token)));
    }

    #[test]
    fn present_token_is_exchanged() {
        assert_eq!(decide(at(0), Presented::Current, &family(), GRACE), Decision::Rotate);
    }

    #[test]
    fn spent_token_gives_the_same_successor_only_within_the_grace() {
        assert_eq!(decide(at(130), spent(100), &family(), GRACE), Decision::SameSuccessor);
        assert_eq!(decide(at(131), spent(100), &family(), GRACE), Decision::Reuse);
    }

    #[test]
    fn spent_token_is_reuse_once_its_successor_was_used() {
        let presented = Presented::Spent { at: at(100), successor_current: false };

        assert_eq!(decide(at(101), presented, &family(), GRACE), Decision::Reuse);
    }

    #[test]
    fn no_token_survives_the_end_of_its_login() {
        let revoked = Family { revoked: true, ..family() };
        let absolute = Family { idle_until: at(9_000), ..family() };
        for presented in [Presented::Current, spent(999)] {
            assert_eq!(decide(at(1_000), presented, &family(), GRACE), Decision::Ended);
            assert_eq!(decide(at(5_000), presented, &absolute, GRACE), Decision::Ended);
            assert_eq!(decide(at(0), presented, &revoked, GRACE), Decision::Ended);
        }
    }

    #[test]
    fn key_is_not_shown() {
        assert_eq!(format!("{:?}", RefreshTokens::new(SECRET).unwrap()), "RefreshTokens { .. }");
    }
}

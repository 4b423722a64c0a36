//! Secrets of programs that say what they are, so that a leaked one is recognized: a mark, random
//! letters, and a checksum by which a mistyped one is told without asking the store.

use std::fmt;

use rand::Rng as _;
use sha2::{Digest as _, Sha256};

/// Random letters of a secret: 178 bits.
const RANDOM: usize = 30;
/// Letters of the checksum: 32 bits.
const CHECK: usize = 6;
/// Letters after the mark by which the owner knows a secret.
const SHOWN: usize = 6;

const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A new secret, and what is kept of it.
#[derive(Clone)]
pub struct Issued {
    /// The secret, told once.
    pub secret: String,
    /// Its beginning, by which its owner knows it.
    pub prefix: String,
    /// What is stored of it.
    pub hash: [u8; 32],
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// What a secret is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// A personal access token.
    PersonalToken,
    /// The address of an incoming webhook.
    Integration,
}

impl Mark {
    /// Returns how such a secret begins.
    pub const fn text(self) -> &'static str {
        match self {
            Self::PersonalToken => "parlor_pat_",
            Self::Integration => "parlor_hook_",
        }
    }

    /// Makes a new secret.
    pub fn issue(self) -> Issued {
        let mut rng = rand::rng();
        let letters = (0..RANDOM).map(|_| letter(rng.random_range(0..LETTERS.len())));
        let body: String = self.text().chars().chain(letters).collect();
        let prefix = body.chars().take(self.text().len() + SHOWN).collect();
        let check = checksum(&body);
        let secret = body + &check;
        let hash = Sha256::digest(secret.as_bytes()).into();
        Issued { secret, prefix, hash }
    }

    /// Tells whether a text bears this mark, whatever follows it.
    pub fn is_on(self, text: &str) -> bool {
        text.starts_with(self.text())
    }

    /// Returns what is stored of a secret; `None` when it cannot be one.
    pub fn hash(self, secret: &str) -> Option<[u8; 32]> {
        let length = self.text().len() + RANDOM + CHECK;
        if !self.is_on(secret) || secret.len() != length || !secret.is_ascii() {
            return None;
        }
        let (body, check) = secret.split_at(length - CHECK);
        (checksum(body) == check).then(|| Sha256::digest(secret.as_bytes()).into())
    }
}

fn letter(index: usize) -> char {
    LETTERS.get(index).map_or('0', |letter| char::from(*letter))
}

fn checksum(body: &str) -> String {
    let digest = Sha256::digest(body.as_bytes());
    let first = digest.iter().take(4).fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
    let digits = (0..CHECK).scan(first, |rest, _| {
        let digit = *rest % LETTERS.len();
        *rest /= LETTERS.len();
        Some(letter(digit))
    });
    digits.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_is_recognized_and_a_changed_one_is_not() {
        let Issued { secret, hash, .. } = Mark::PersonalToken.issue();
        assert!(secret.starts_with("parlor_pat_"));
        assert_ne!(secret, Mark::PersonalToken.issue().secret);
        assert_eq!(Mark::PersonalToken.hash(&secret), Some(hash));
        assert!(Mark::Integration.hash(&secret).is_none());
        for index in 0..secret.len() {
            let mut changed = secret.clone().into_bytes();
            changed[index] = if changed[index] == b'x' { b'y' } else { b'x' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(Mark::PersonalToken.hash(&changed), None, "{index}");
        }
        for text in ["", "parlor_pat_", &format!("x{secret}"), &format!("{secret}x")] {
            assert_eq!(Mark::PersonalToken.hash(text), None, "{text}");
        }
    }

    #[test]
    fn prefix_shows_little() {
        let issued = Mark::Integration.issue();
        assert!(issued.secret.starts_with(&issued.prefix));
        assert_eq!(issued.prefix.len(), "parlor_hook_".len() + SHOWN);
        assert!(!format!("{issued:?}").contains(&issued.secret));
    }
}

//! Random texts that prove something once: WebSocket tickets, setup tokens, invite codes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::Rng as _;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// Returns a text with 128 random bits, safe in addresses.
pub fn random() -> String {
    URL_SAFE_NO_PAD.encode(rand::rng().random::<[u8; 16]>())
}

/// Returns what is stored of such a text that must outlive a restart.
pub fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// Compares two texts without telling by the time how much of them agrees.
pub fn same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_differ_and_are_safe_in_addresses() {
        let texts: std::collections::HashSet<_> = (0..1_000).map(|_| random()).collect();

        assert_eq!(texts.len(), 1_000);
        let safe = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        assert!(texts.iter().all(|text| text.len() == 22 && text.chars().all(safe)));
    }

    #[test]
    fn only_equal_texts_are_the_same() {
        let ticket = random();

        assert!(same(&ticket, &ticket.clone()));
        assert!(!same(&ticket, &random()));
        assert!(!same(&ticket, ""));
        assert!(!same(&ticket, &format!("{ticket}x")));
    }
}

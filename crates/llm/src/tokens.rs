//! A rough count of tokens where no tokenizer is at hand.
//!
//! It serves for trimming a conversation to a budget and for usage that a provider does not
//! report. The rule: four bytes of text make a token, one Chinese, Japanese or Korean character
//! makes a token, and every message costs four more for its framing. English comes out within
//! about a fifth of what common tokenizers count; languages in other scripts are overestimated.

use crate::{ChatRequest, Usage};

/// Tokens that one message costs besides its text.
const TOKENS_PER_MESSAGE: u32 = 4;

/// Bytes of non-CJK text that make one token.
const BYTES_PER_TOKEN: u64 = 4;

/// Counts the tokens of a text that arrives in pieces.
///
/// The pieces give the same count as the whole text.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokenMeter {
    wide_chars: u64,
    other_bytes: u64,
}

impl TokenMeter {
    /// Adds the next piece.
    pub fn add(&mut self, text: &str) {
        for c in text.chars() {
            if is_wide(c) {
                self.wide_chars += 1;
            } else {
                self.other_bytes += c.len_utf8() as u64;
            }
        }
    }

    /// Returns the estimate for all pieces so far.
    pub fn tokens(&self) -> u32 {
        let tokens = self.wide_chars + self.other_bytes.div_ceil(BYTES_PER_TOKEN);
        u32::try_from(tokens).unwrap_or(u32::MAX)
    }

    /// Returns the usage of a reply with this text, marked as estimated.
    pub fn usage(&self, prompt_tokens: u32) -> Usage {
        Usage { prompt_tokens, completion_tokens: self.tokens(), estimated: true }
    }
}

/// Returns about how many tokens a text has.
pub fn estimate_tokens(text: &str) -> u32 {
    let mut meter = TokenMeter::default();
    meter.add(text);
    meter.tokens()
}

/// Returns about how many prompt tokens a request costs, with the framing of its messages.
pub fn estimate_request_tokens(request: &ChatRequest) -> u32 {
    request
        .messages
        .iter()
        .map(|message| estimate_tokens(&message.content).saturating_add(TOKENS_PER_MESSAGE))
        .fold(0, u32::saturating_add)
}

/// Returns whether tokenizers usually spend a whole token on the character.
fn is_wide(c: char) -> bool {
    matches!(u32::from(c),
        0x1100..=0x11FF          // Hangul Jamo
        | 0x2E80..=0x9FFF        // radicals, kana, unified ideographs
        | 0xA960..=0xA97F | 0xAC00..=0xD7FF // Hangul
        | 0xF900..=0xFAFF        // compatibility ideographs
        | 0xFF66..=0xFFDC        // half-width kana and Hangul
        | 0x1_F300..=0x1_FAFF    // pictographs
        | 0x2_0000..=0x3_FFFF    // further ideographs
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{ChatMessage, Role};

    #[test]
    fn latin_text_counts_four_bytes_a_token_and_cjk_one_per_character() {
        assert_eq!(estimate_tokens(""), 0);
        assert_eq!(estimate_tokens("a"), 1);
        assert_eq!(estimate_tokens("abcdefgh"), 2);
        assert_eq!(estimate_tokens("日本語"), 3);
        assert_eq!(estimate_tokens("日本語 abc"), 4);
    }

    #[test]
    fn every_message_of_a_request_costs_its_framing() {
        let messages =
            vec![ChatMessage::new(Role::System, "abcd"), ChatMessage::new(Role::User, "")];
        let request =
            ChatRequest { model: String::new(), messages, temperature: None, max_tokens: None };

        assert_eq!(estimate_request_tokens(&request), 9);
    }

    proptest! {
        #[test]
        fn pieces_count_like_the_whole(pieces in prop::collection::vec(".{0,12}", 0..12)) {
            let mut meter = TokenMeter::default();
            for piece in &pieces {
                meter.add(piece);
            }

            prop_assert_eq!(meter.tokens(), estimate_tokens(&pieces.concat()));
        }
    }
}

//! Which passwords are accepted: long enough, and not among the first that an attacker would try.
//!
//! Characters are counted after NFC. There is no rule about kinds of characters, as NIST SP 800-63B
//! recommends. A password that needs at most a million guesses (zxcvbn's scores 0 and 1) is
//! refused, however long it is: `aaaaaaaaaaaaaaaaaaaaaaaa` is long, too.

use unicode_normalization::UnicodeNormalization as _;
use zxcvbn::{Score, zxcvbn};

/// The bounds on the length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordRule {
    /// Fewest characters.
    pub min: usize,
    /// Most characters.
    pub max: usize,
}

impl Default for PasswordRule {
    fn default() -> Self {
        Self { min: 8, max: 128 }
    }
}

/// What an attacker would try first, because it is known of the user.
///
/// The texts have passed their own checks before, so they are short.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The user name.
    pub username: String,
    /// The e-mail address.
    pub email: Option<String>,
    /// The name to show.
    pub display_name: Option<String>,
}

/// Why a password was refused, as a sentence for its author.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordRefused {
    /// Too few characters.
    #[error("The password needs at least {min} characters.")]
    TooShort {
        /// Fewest characters.
        min: usize,
    },
    /// Too many characters.
    #[error("The password can have at most {max} characters.")]
    TooLong {
        /// Most characters.
        max: usize,
    },
    /// Easily guessed.
    #[error("{why} {suggestion}")]
    Guessable {
        /// What makes it so, as a sentence.
        why: String,
        /// What to do instead, as a sentence.
        suggestion: String,
    },
}

impl PasswordRule {
    /// Checks a password.
    ///
    /// Long passwords take tens of milliseconds, so a server uses
    /// [`PasswordHasher::hash_new`](crate::PasswordHasher::hash_new), which does both on its threads.
    pub fn check(&self, password: &str, known: &Known) -> Result<(), PasswordRefused> {
        // A character has at most four bytes, and NFC does not make a text three times shorter.
        if password.len() > 16 * self.max {
            return Err(PasswordRefused::TooLong { max: self.max });
        }
        let password: String = password.nfc().collect();
        let length = password.chars().count();
        if length < self.min {
            return Err(PasswordRefused::TooShort { min: self.min });
        }
        if length > self.max {
            return Err(PasswordRefused::TooLong { max: self.max });
        }
        let words = known.words();
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let strength = zxcvbn(&password, &words);
        if strength.score() >= Score::Two {
            return Ok(());
        }
        let feedback = strength.feedback();
        let why = feedback.and_then(zxcvbn::feedback::Feedback::warning).map_or_else(
            || "The password is easy to guess.".to_owned(),
            |warning| {
                format!("The password is easy to guess: {}", lower_first(&warning.to_string()))
            },
        );
        let suggestion = feedback
            .and_then(|feedback| feedback.suggestions().first())
            .map_or_else(|| "Use a few uncommon words.".to_owned(), ToString::to_string);
        Err(PasswordRefused::Guessable { why, suggestion })
    }
}

impl Known {
    /// The whole texts and their parts, in lower case.
    fn words(&self) -> Vec<String> {
        let texts = [
            Some(self.username.as_str()),
            self.email.as_deref(),
            self.display_name.as_deref(),
            Some("parlor"),
        ];
        let mut words = Vec::new();
        for text in texts.into_iter().flatten() {
            let text = text.to_lowercase();
            // One letter would match everywhere and say nothing.
            words.extend(
                text.split(|c: char| !c.is_alphanumeric())
                    .filter(|part| part.chars().count() > 1)
                    .map(str::to_owned),
            );
            words.push(text);
        }
        words
    }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(password: &str) -> Result<(), PasswordRefused> {
        let known = Known {
            username: "adalovelace".to_owned(),
            email: Some("countess@example.com".to_owned()),
            display_name: Some("Augusta King".to_owned()),
        };
        PasswordRule::default().check(password, &known)
    }

    #[test]
    fn uncommon_passwords_are_accepted() {
        for password in ["correct-horse-battery", "tr0mbone quietly", "gX7#pk2!", "дом у моря 42"]
        {
            assert_eq!(check(password), Ok(()), "{password}");
        }
    }

    #[test]
    fn length_is_counted_in_characters() {
        assert_eq!(check("gX7#pk2"), Err(PasswordRefused::TooShort { min: 8 }));
        // Seven characters in fourteen bytes.
        assert_eq!(check("жцэдлпю"), Err(PasswordRefused::TooShort { min: 8 }));
        // Eight code points, but seven characters once composed.
        assert_eq!(check("gX7#pku\u{0308}"), Err(PasswordRefused::TooShort { min: 8 }));
        let long = "q7 lamp ocean; ".repeat(9);
        assert_eq!(check(&long), Err(PasswordRefused::TooLong { max: 128 }));
        assert_eq!(check(&"a".repeat(1 << 20)), Err(PasswordRefused::TooLong { max: 128 }));
    }

    #[test]
    fn common_and_repetitive_passwords_are_refused() {
        for password in [
            "password",
            "Passw0rd",
            "12345678",
            "qwertyuiop",
            "iloveyou1",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "abcabcabcabc",
            "letmein123",
        ] {
            assert!(
                matches!(check(password), Err(PasswordRefused::Guessable { .. })),
                "{password}"
            );
        }
    }

    #[test]
    fn what_is_known_of_the_user_is_refused() {
        for password in
            ["adalovelace", "ADALOVELACE1", "countess@example.com", "augusta king", "parlor123"]
        {
            assert!(
                matches!(check(password), Err(PasswordRefused::Guessable { .. })),
                "{password}"
            );
        }
        let nobody = Known::default();
        assert_eq!(PasswordRule::default().check("adalovelace", &nobody), Ok(()));
    }

    #[test]
    fn refusal_says_why_and_what_to_do() {
        let sentence = check("password1").unwrap_err().to_string();

        assert_eq!(
            sentence,
            "The password is easy to guess: this is a very common password. \
             Add another word or two. Uncommon words are better."
        );
    }

    #[test]
    fn refusal_never_repeats_the_password() {
        for password in ["iloveyou1", "adalovelace", "zxcvbnm,", "11111111"] {
            let sentence = check(password).unwrap_err().to_string();
            assert!(!sentence.contains(password), "{sentence}");
        }
    }
}

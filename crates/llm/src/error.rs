//! What can go wrong with a provider, typed by what a caller can do about it.
//!
//! No variant holds text from the provider, an address or a key, so that every form of an error
//! (`Debug`, `Display`, [`ProviderError::public_message`]) is safe to show and to log.

use std::time::Duration;

/// The wait that took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimeoutStage {
    /// Opening the connection.
    Connect,
    /// From the request to the first text.
    FirstToken,
    /// From one piece of text to the next.
    BetweenTokens,
    /// The whole reply.
    Total,
}

impl TimeoutStage {
    fn phrase(self) -> &'static str {
        match self {
            Self::Connect => "connecting",
            Self::FirstToken => "waiting for the first token",
            Self::BetweenTokens => "waiting for the next token",
            Self::Total => "waiting for the end of the reply",
        }
    }
}

/// A failed call to a provider.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// The key is missing, wrong or lacks a permission. Someone has to change the settings.
    #[error("provider refused the key")]
    Unauthorized,
    /// Too many requests. Try again later.
    #[error("provider limits the rate")]
    RateLimited {
        /// The wait that the provider asked for.
        retry_after: Option<Duration>,
    },
    /// The account has no credit left. Someone has to pay.
    #[error("provider account has no quota left")]
    QuotaExhausted,
    /// The provider is too busy. Try again later.
    #[error("provider is overloaded")]
    Overloaded {
        /// The wait that the provider asked for.
        retry_after: Option<Duration>,
    },
    /// The provider failed. Trying again may help.
    #[error("provider failed with status {status}")]
    ServerError {
        /// The HTTP status.
        status: u16,
    },
    /// The provider broke off with an error of its own while replying.
    #[error("provider reported an error within the reply")]
    ErrorInStream,
    /// The request itself is at fault, for instance too long for the model.
    #[error("provider rejected the request with status {status}")]
    Rejected {
        /// The HTTP status.
        status: u16,
    },
    /// The provider does not have the model.
    #[error("provider does not have the model")]
    ModelNotFound,
    /// No connection.
    #[error("provider is unreachable ({cause})")]
    Unreachable {
        /// A fixed phrase, such as `connection refused`.
        cause: &'static str,
    },
    /// The provider took too long.
    #[error("provider timed out while {}", stage.phrase())]
    TimedOut {
        /// The wait that took too long.
        stage: TimeoutStage,
    },
    /// The connection or the stream ended before the reply did.
    #[error("provider ended the reply early")]
    Truncated,
    /// The answer is not of the expected protocol.
    #[error("provider sent a malformed answer")]
    Malformed,
}

impl ProviderError {
    /// Returns whether the same call may succeed later without anyone changing anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::RateLimited { .. }
            | Self::Overloaded { .. }
            | Self::ServerError { .. }
            | Self::ErrorInStream
            | Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::Truncated => true,
            Self::Unauthorized
            | Self::QuotaExhausted
            | Self::Rejected { .. }
            | Self::ModelNotFound
            | Self::Malformed => false,
        }
    }

    /// Returns the wait that the provider asked for.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after } | Self::Overloaded { retry_after } => *retry_after,
            _ => None,
        }
    }

    /// Returns one plain sentence for the people in the room.
    ///
    /// It names no host, key or model and quotes nothing from the provider.
    pub fn public_message(&self) -> String {
        match self {
            Self::Unauthorized => {
                "The model provider refused the configured key; an administrator has to check it."
            }
            Self::RateLimited { .. } => {
                "The model provider is limiting requests right now; please try again in a moment."
            }
            Self::QuotaExhausted => {
                "The account at the model provider has no credit left; an administrator has to \
                 check it."
            }
            Self::Overloaded { .. } => {
                "The model provider is overloaded right now; please try again in a moment."
            }
            Self::ServerError { .. } => {
                "The model provider had an internal problem; please try again."
            }
            Self::ErrorInStream => {
                "The model provider reported a problem while replying; please try again."
            }
            Self::Rejected { .. } => {
                "The model provider did not accept the request; the conversation may be too long \
                 for the model."
            }
            Self::ModelNotFound => "The model of this bot is not available at its provider.",
            Self::Unreachable { .. } | Self::TimedOut { stage: TimeoutStage::Connect } => {
                "The model provider cannot be reached right now."
            }
            Self::TimedOut { stage: TimeoutStage::FirstToken } => {
                "The model provider did not answer in time."
            }
            Self::TimedOut { stage: TimeoutStage::BetweenTokens } => {
                "The model provider stopped sending in the middle of the reply."
            }
            Self::TimedOut { stage: TimeoutStage::Total } => "The reply took too long.",
            Self::Truncated => "The connection to the model provider broke during the reply.",
            Self::Malformed => "The model provider sent an answer that could not be understood.",
        }
        .to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_public_message_is_one_sentence_without_internals() {
        let stages = [
            TimeoutStage::Connect,
            TimeoutStage::FirstToken,
            TimeoutStage::BetweenTokens,
            TimeoutStage::Total,
        ];
        let mut errors = vec![
            ProviderError::Unauthorized,
            ProviderError::RateLimited { retry_after: None },
            ProviderError::QuotaExhausted,
            ProviderError::Overloaded { retry_after: None },
            ProviderError::ServerError { status: 500 },
            ProviderError::ErrorInStream,
            ProviderError::Rejected { status: 400 },
            ProviderError::ModelNotFound,
            ProviderError::Unreachable { cause: "connection refused" },
            ProviderError::Truncated,
            ProviderError::Malformed,
        ];
        errors.extend(stages.map(|stage| ProviderError::TimedOut { stage }));

        for error in errors {
            let message = error.public_message();
            assert!(message.ends_with('.') && message.starts_with("The "), "{message}");
            assert_eq!(message.matches('.').count(), 1, "{message}");
            assert!(!message.contains("http") && !message.contains(char::is_numeric), "{message}");
        }
    }
}

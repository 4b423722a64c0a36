//! How a reply ends, decided from what stopped it.

use parlor_llm::{FinishReason, ProviderError, TimeoutStage};
use parlor_protocol::code::Code;
use parlor_protocol::message::{MessageStatus, ReplyError};

/// What stopped a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The model finished.
    Finished(FinishReason),
    /// The reply reached the longest that is stored.
    Full,
    /// Someone asked for it, or the message that called the bot is gone.
    Cancelled,
    /// The provider failed.
    Provider(ProviderError),
    /// The bot names a provider that this server does not have.
    UnknownProvider,
    /// Earlier attempts were lost, and there have been enough.
    WornOut,
    /// The two bots talk to each other too often.
    PairLimit,
    /// The room does not let the bot write.
    Refused,
}

/// The ending of a reply that holds `text`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) status: MessageStatus,
    pub(crate) error: Option<ReplyError>,
}

impl Stop {
    /// Decides the ending of a reply with this text.
    pub(crate) fn ending(&self, text: &str) -> Ending {
        let blank = text.trim().is_empty();
        match self {
            Self::Finished(FinishReason::ContentFilter) if blank => {
                failed(Code::ProviderError, "The model provider withheld the reply.")
            }
            Self::Finished(_) if blank => {
                failed(Code::ProviderError, "The model gave an empty answer; please try again.")
            }
            Self::Finished(_) | Self::Full => {
                Ending { status: MessageStatus::Completed, error: None }
            }
            Self::Cancelled => Ending { status: MessageStatus::Cancelled, error: None },
            Self::Provider(error) => {
                let ending = failed(code_of(error), &error.public_message());
                if !blank && is_break(error) { interrupted(ending) } else { ending }
            }
            Self::UnknownProvider => failed(
                Code::ProviderUnavailable,
                "The model provider of this bot is not set up on this server; an administrator \
                 has to check it.",
            ),
            Self::WornOut => {
                let ending = failed(
                    Code::Internal,
                    "The reply was lost several times while it was being written; please ask again.",
                );
                if blank { ending } else { interrupted(ending) }
            }
            Self::PairLimit => failed(
                Code::RateLimited,
                "These bots have answered each other too often; a person has to ask again.",
            ),
            Self::Refused => failed(Code::Forbidden, "This bot may not write in this room."),
        }
    }
}

fn failed(code: Code, detail: &str) -> Ending {
    let error = ReplyError { code, detail: detail.to_owned() };
    Ending { status: MessageStatus::Failed, error: Some(error) }
}

fn interrupted(ending: Ending) -> Ending {
    Ending { status: MessageStatus::Interrupted, ..ending }
}

/// Tells whether the provider just stopped, so that what it had written stands.
fn is_break(error: &ProviderError) -> bool {
    matches!(
        error,
        ProviderError::Truncated
            | ProviderError::Unreachable { .. }
            | ProviderError::TimedOut { stage: TimeoutStage::BetweenTokens | TimeoutStage::Total }
    )
}

/// Returns the code for the people in the room: is the provider away, or did it fail?
fn code_of(error: &ProviderError) -> Code {
    match error {
        ProviderError::RateLimited { .. }
        | ProviderError::Overloaded { .. }
        | ProviderError::Unreachable { .. }
        | ProviderError::TimedOut { stage: TimeoutStage::Connect | TimeoutStage::FirstToken } => {
            Code::ProviderUnavailable
        }
        _ => Code::ProviderError,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(stop: &Stop, text: &str) -> (MessageStatus, Option<Code>) {
        let ending = stop.ending(text);
        (ending.status, ending.error.map(|error| error.code))
    }

    #[test]
    fn finished_text_is_completed_and_an_empty_answer_is_a_failure() {
        let stop = Stop::Finished(FinishReason::Stop);
        assert_eq!(end(&stop, "hi"), (MessageStatus::Completed, None));
        assert_eq!(end(&stop, " \n"), (MessageStatus::Failed, Some(Code::ProviderError)));
        assert_eq!(end(&Stop::Full, "hi"), (MessageStatus::Completed, None));
        assert_eq!(end(&Stop::Cancelled, ""), (MessageStatus::Cancelled, None));
    }

    #[test]
    fn provider_that_breaks_off_interrupts_what_it_had_begun() {
        let between = ProviderError::TimedOut { stage: TimeoutStage::BetweenTokens };
        for error in [ProviderError::Truncated, between] {
            let stop = Stop::Provider(error);
            assert_eq!(
                end(&stop, "so far"),
                (MessageStatus::Interrupted, Some(Code::ProviderError))
            );
            assert_eq!(end(&stop, ""), (MessageStatus::Failed, Some(Code::ProviderError)));
        }
    }

    #[test]
    fn provider_that_fails_is_told_from_one_that_is_away() {
        let away = [
            ProviderError::RateLimited { retry_after: None },
            ProviderError::Overloaded { retry_after: None },
            ProviderError::Unreachable { cause: "connection refused" },
            ProviderError::TimedOut { stage: TimeoutStage::FirstToken },
        ];
        for error in away {
            let end = end(&Stop::Provider(error), "");
            assert_eq!(end, (MessageStatus::Failed, Some(Code::ProviderUnavailable)));
        }
        for error in [ProviderError::Unauthorized, ProviderError::ServerError { status: 500 }] {
            let end = end(&Stop::Provider(error), "");
            assert_eq!(end, (MessageStatus::Failed, Some(Code::ProviderError)));
        }
    }

    #[test]
    fn worn_out_reply_keeps_its_checkpoint() {
        assert_eq!(end(&Stop::WornOut, "half").0, MessageStatus::Interrupted);
        assert_eq!(end(&Stop::WornOut, "").0, MessageStatus::Failed);
    }

    #[test]
    fn every_failure_is_a_sentence() {
        let stops = [Stop::UnknownProvider, Stop::WornOut, Stop::PairLimit, Stop::Refused];
        for stop in stops {
            let detail = stop.ending("").error.unwrap().detail;
            assert!(detail.ends_with('.') && detail.len() < 200, "{detail}");
        }
    }
}

//! Why a request or a command was not carried out: one type for HTTP and WebSocket.
//!
//! The `code` is the contract. Causes of server faults are logged here, once, and never reach a
//! client.

use std::time::Duration;

use parlor_domain::body::BodyRefused;
use parlor_domain::naming::NameRefused;
use parlor_domain::permission::Refused as RuleRefused;
use parlor_protocol::code::{Code, FieldError, Problem};
use parlor_protocol::frame;
use parlor_protocol::limits::PINS_MAX;
use parlor_protocol::time::Timestamp;
use parlor_store::people::{FORMER_NAME_HELD, FORMER_NAMES_MAX, LastAdmin};
use parlor_store::record::{RoomConflict, UserConflict};
use parlor_store::{AppendRefused, StoreError};

/// How long a client should wait when something that is needed is away.
const UNAVAILABLE_RETRY: Duration = Duration::from_secs(1);

/// A refusal, with everything that a client is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    /// The stable code.
    pub code: Code,
    /// What is wrong and what helps.
    pub detail: String,
    /// The fields at fault.
    pub errors: Vec<FieldError>,
    /// When a retry makes sense.
    pub retry_after: Option<Duration>,
    /// For a rate of the server: its name.
    pub rule: Option<&'static str>,
}

/// The result of a request or command.
pub type Outcome<T> = Result<T, Refusal>;

impl Refusal {
    /// Makes a refusal from its code and a sentence.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let retry_after = matches!(code, Code::Unavailable | Code::ProviderUnavailable)
            .then_some(UNAVAILABLE_RETRY);
        Self { code, detail: detail.into(), errors: Vec::new(), retry_after, rule: None }
    }

    /// A room, user, message or bot that is not there, or that the caller may not know of.
    pub fn not_found(what: &str) -> Self {
        Self::new(Code::NotFound, format!("There is no such {what}."))
    }

    /// Too many requests.
    pub fn rate_limited(retry_after: Duration) -> Self {
        let mut refusal =
            Self::new(Code::RateLimited, "Too many requests; try again after the given time.");
        refusal.retry_after = Some(retry_after.max(Duration::from_millis(1)));
        refusal
    }

    /// Something that is needed is away for the moment.
    pub fn unavailable(detail: &str) -> Self {
        Self::new(Code::Unavailable, detail)
    }

    /// One field has a value that is not allowed.
    pub fn field(field: &str, code: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let error = FieldError { field: field.to_owned(), code: code.to_owned(), detail };
        let mut refusal = Self::new(Code::ValidationFailed, format!("`{field}` {}.", error.detail));
        refusal.errors.push(error);
        refusal
    }

    /// A name that the rules refuse.
    pub fn name(field: &str, refused: NameRefused) -> Self {
        let code = match refused {
            NameRefused::Length { .. } => "length",
            NameRefused::Characters(_) => "characters",
            NameRefused::LookAlike => "look_alike",
            NameRefused::Reserved => "reserved",
        };
        Self::field(field, code, refused.to_string())
    }

    /// Adds the reason that a moderator gave, if any.
    #[must_use]
    pub fn because(mut self, reason: Option<&str>) -> Self {
        if let Some(reason) = reason {
            self.detail.push_str(" The reason given: \"");
            self.detail.push_str(reason);
            self.detail.push_str("\".");
        }
        self
    }

    /// A fault of the server; the cause goes to the log.
    pub fn internal(cause: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = cause, "request failed");
        Self::new(Code::Internal, "Something went wrong on the server; it was logged.")
    }

    /// Turns it into the body of an HTTP answer.
    pub fn into_problem(self, request_id: String) -> Problem {
        let mut problem = Problem::new(self.code, self.detail);
        problem.errors = self.errors;
        problem.request_id = request_id;
        problem.retry_after_ms = self.retry_after.map(millis);
        problem
    }

    /// Turns it into the answer to a WebSocket command.
    pub fn into_frame(self, re: Option<String>) -> frame::Frame {
        frame::Frame::Error(frame::Refused {
            re,
            code: self.code,
            detail: self.detail,
            retry_after_ms: self.retry_after.map(millis),
        })
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Overloaded => {
                Self::unavailable("The server has too much to do; try again in a moment.")
            }
            StoreError::UnknownOutcome => Self::unavailable(
                "Whether this was done is unknown; repeat it with the same client_id.",
            ),
            StoreError::Unavailable(_) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "store is unavailable");
                Self::unavailable("The history cannot be reached; try again in a moment.")
            }
            StoreError::ReadOnly(_) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "store cannot write");
                Self::unavailable("Nothing can be written at the moment; reading works.")
            }
            _ => Self::internal(&error),
        }
    }
}

impl From<RuleRefused> for Refusal {
    fn from(refused: RuleRefused) -> Self {
        match refused {
            RuleRefused::NotAMember => {
                Self::new(Code::NotAMember, "Only members of the room may do this; join it first.")
            }
            RuleRefused::Hidden => Self::not_found("room"),
            RuleRefused::Role(role) => {
                Self::new(Code::Forbidden, format!("This needs the role {role} in the room."))
            }
            RuleRefused::Muted { until } => {
                // A mute without a time has the last one that there is.
                let detail = if until == Timestamp::from_millis(i64::MAX) {
                    "You may not write in this room until a moderator lifts that.".to_owned()
                } else {
                    format!("You may not write in this room until {until}.")
                };
                Self::new(Code::Forbidden, detail)
            }
            RuleRefused::Archived => {
                Self::new(Code::Forbidden, "The room is archived; nothing new can be written.")
            }
            RuleRefused::Direct => {
                Self::new(Code::Forbidden, "A direct room keeps its participants.")
            }
            RuleRefused::NoSignals => {
                Self::new(Code::Forbidden, "Clients send no signals of their own in this room.")
            }
            RuleRefused::SlowMode { wait_ms } => {
                let detail = "The room is in slow mode; write again after the given time.";
                Self {
                    detail: detail.to_owned(),
                    ..Self::rate_limited(Duration::from_millis(wait_ms))
                }
            }
        }
    }
}

impl From<AppendRefused> for Refusal {
    fn from(refused: AppendRefused) -> Self {
        match refused {
            AppendRefused::NoSuchRoom => Self::not_found("room"),
            AppendRefused::Rule(rule) => rule.into(),
            AppendRefused::NoSuchMessage => Self::not_found("message"),
            AppendRefused::NotChangeable => Self::new(
                Code::Forbidden,
                "This message cannot be changed: it is not yours, it was removed, or it is being written.",
            ),
            AppendRefused::NoSuchUser => Self::not_found("user"),
            AppendRefused::NoSuchSpeaker => {
                Self::new(Code::Forbidden, "The program behind the command was removed.")
            }
            AppendRefused::Banned { until, reason } => Self::new(
                Code::Forbidden,
                until.map_or_else(
                    || "Banned from this room.".to_owned(),
                    |until| format!("Banned from this room until {until}."),
                ),
            )
            .because(reason.as_deref()),
            AppendRefused::InvalidInvite => {
                Self::new(Code::Forbidden, "The invite is unknown, used up or expired.")
            }
            AppendRefused::RoomFull => {
                Self::new(Code::RoomFull, "The room has as many members as it may have.")
            }
            AppendRefused::NotAnOwner => Self::new(
                Code::Conflict,
                "Only another person, whose account is not deactivated, can become the owner of the \
                 room.",
            ),
            AppendRefused::Deserted => {
                Self::new(Code::Conflict, "Nobody else is in the room: delete it.")
            }
            AppendRefused::LastOwner => Self::new(
                Code::Conflict,
                "A room needs an owner: make someone else owner first, or delete the room.",
            ),
            AppendRefused::TooManyReactions => {
                Self::new(Code::Conflict, "The message has as many reactions as it may have.")
            }
            AppendRefused::TooManyPins => Self::new(
                Code::Conflict,
                format!("A room has at most {PINS_MAX} pinned messages; unpin another one first."),
            ),
            AppendRefused::NoSuchUpload => Self::field(
                "attachments",
                "unknown",
                "names a file that is not a finished upload of yours, or that a message has",
            ),
            AppendRefused::NotStorable => Self::new(
                Code::ValidationFailed,
                "There is something in it that cannot be stored, such as a zero byte.",
            ),
            AppendRefused::StaleGeneration => {
                Self::new(Code::Conflict, "Another turn has taken this reply over.")
            }
        }
    }
}

impl From<LastAdmin> for Refusal {
    fn from(_: LastAdmin) -> Self {
        let detail = "The last administrator stays: make someone else administrator first.";
        Self::new(Code::Conflict, detail)
    }
}

impl From<UserConflict> for Refusal {
    fn from(conflict: UserConflict) -> Self {
        let field = match conflict {
            UserConflict::Username => "username",
            UserConflict::Email => "email",
            UserConflict::TooManyNames => {
                let days = FORMER_NAME_HELD.as_secs() / 86_400;
                let detail = format!(
                    "may change {FORMER_NAMES_MAX} times within {days} days: each former name is \
                     held for its owner"
                );
                let mut refusal = Self::field("username", "too_often", detail);
                refusal.code = Code::Conflict;
                return refusal;
            }
            UserConflict::AdminExists => {
                return Self::new(Code::Conflict, "The first administrator exists already.");
            }
        };
        let mut refusal = Self::field(field, "taken", "is taken");
        refusal.code = Code::Conflict;
        refusal
    }
}

impl From<RoomConflict> for Refusal {
    fn from(conflict: RoomConflict) -> Self {
        match conflict {
            RoomConflict::Slug => {
                let mut refusal = Self::field("slug", "taken", "is taken");
                refusal.code = Code::Conflict;
                refusal
            }
            RoomConflict::NoSuchUser => Self::not_found("user"),
            RoomConflict::TooMany => {
                Self::new(Code::Conflict, "You own as many rooms as one user may.")
            }
        }
    }
}

impl From<BodyRefused> for Refusal {
    fn from(refused: BodyRefused) -> Self {
        let (code, name) = match refused {
            BodyRefused::Blank => (Code::ValidationFailed, "blank"),
            BodyRefused::TooLarge { .. } => (Code::PayloadTooLarge, "too_large"),
            BodyRefused::Control(_) => (Code::ValidationFailed, "control_character"),
        };
        let detail = format!("Refused: {refused}.");
        let error =
            FieldError { field: "body".to_owned(), code: name.to_owned(), detail: detail.clone() };
        Self { errors: vec![error], ..Self::new(code, detail) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cause_of_a_server_fault_does_not_reach_the_client() {
        let secret = std::io::Error::other("disk /var/secret is broken");
        let refusal = Refusal::from(StoreError::Inconsistent {
            what: "events.seq".to_owned(),
            source: Some(Box::new(secret)),
        });
        assert_eq!(refusal.code, Code::Internal);
        let problem = serde_json::to_string(&refusal.into_problem("r1".into())).unwrap();
        assert!(!problem.contains("secret") && !problem.contains("events"), "{problem}");
    }

    #[test]
    fn what_may_be_retried_says_when() {
        for error in [StoreError::Overloaded, StoreError::UnknownOutcome] {
            assert!(Refusal::from(error).retry_after.is_some());
        }
        assert!(Refusal::rate_limited(Duration::ZERO).retry_after.is_some());
    }
}

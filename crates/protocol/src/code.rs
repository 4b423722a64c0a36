//! The one table of error codes, shared by HTTP and WebSocket.
//!
//! Append-only: clients branch on these names. A code that is no longer sent stays in the table.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What went wrong, in a word that never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The request cannot be read.
    BadRequest,
    /// There is no valid proof of who is asking.
    Unauthenticated,
    /// The access token has expired; refresh it.
    TokenExpired,
    /// The caller is known and may not do this.
    Forbidden,
    /// It does not exist, or the caller may not know that it does.
    NotFound,
    /// It contradicts what exists.
    Conflict,
    /// The request, frame or body is larger than the limit.
    PayloadTooLarge,
    /// This version does not do that.
    Unsupported,
    /// A field has a value that is not allowed.
    ValidationFailed,
    /// Too many requests; try again after the given time.
    RateLimited,
    /// The budget for model tokens is spent.
    BudgetExhausted,
    /// The room has as many members as it may have.
    RoomFull,
    /// Only members may do this.
    NotAMember,
    /// The position cannot be continued; read the history again.
    ResyncRequired,
    /// The model provider failed.
    ProviderError,
    /// The model provider cannot be reached.
    ProviderUnavailable,
    /// Something that is needed is away for the moment; try again.
    Unavailable,
    /// A fault of the server.
    Internal,
}

impl Code {
    /// Every code, in the order of the table.
    pub const ALL: [Self; 18] = [
        Self::BadRequest,
        Self::Unauthenticated,
        Self::TokenExpired,
        Self::Forbidden,
        Self::NotFound,
        Self::Conflict,
        Self::PayloadTooLarge,
        Self::Unsupported,
        Self::ValidationFailed,
        Self::RateLimited,
        Self::BudgetExhausted,
        Self::RoomFull,
        Self::NotAMember,
        Self::ResyncRequired,
        Self::ProviderError,
        Self::ProviderUnavailable,
        Self::Unavailable,
        Self::Internal,
    ];

    /// Returns the name on the wire, the HTTP status and a short title.
    pub const fn row(self) -> (&'static str, u16, &'static str) {
        match self {
            Self::BadRequest => ("bad_request", 400, "Bad request"),
            Self::Unauthenticated => ("unauthenticated", 401, "Not logged in"),
            Self::TokenExpired => ("token_expired", 401, "Access token expired"),
            Self::Forbidden => ("forbidden", 403, "Not allowed"),
            Self::NotFound => ("not_found", 404, "Not found"),
            Self::Conflict => ("conflict", 409, "Conflict"),
            Self::PayloadTooLarge => ("payload_too_large", 413, "Too large"),
            Self::Unsupported => ("unsupported", 415, "Not supported"),
            Self::ValidationFailed => ("validation_failed", 422, "Invalid value"),
            Self::RateLimited => ("rate_limited", 429, "Too many requests"),
            Self::BudgetExhausted => ("budget_exhausted", 429, "Budget spent"),
            Self::RoomFull => ("room_full", 409, "Room is full"),
            Self::NotAMember => ("not_a_member", 403, "Not a member"),
            Self::ResyncRequired => ("resync_required", 410, "History must be read again"),
            Self::ProviderError => ("provider_error", 502, "Model provider failed"),
            Self::ProviderUnavailable => ("provider_unavailable", 503, "Model provider away"),
            Self::Unavailable => ("unavailable", 503, "Temporarily unavailable"),
            Self::Internal => ("internal", 500, "Internal error"),
        }
    }

    /// Returns the name on the wire.
    pub const fn as_str(self) -> &'static str {
        self.row().0
    }

    /// Returns the HTTP status that goes with it.
    pub const fn status(self) -> u16 {
        self.row().1
    }

    /// Returns a short title for people.
    pub const fn title(self) -> &'static str {
        self.row().2
    }

    /// Tells whether the same request may succeed later without a change.
    pub const fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::RateLimited | Self::ProviderUnavailable | Self::Unavailable | Self::TokenExpired
        )
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One field of a request that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FieldError {
    /// The field's name.
    pub field: String,
    /// What is wrong, in a word.
    pub code: String,
    /// What is wrong and what is allowed, in a sentence.
    pub detail: String,
}

/// An RFC 9457 problem document: the body of every HTTP error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// A stable URI reference such as `/problems/rate-limited`.
    #[serde(rename = "type")]
    pub kind: String,
    /// A short title.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What went wrong in this case and what helps.
    pub detail: String,
    /// The stable code.
    pub code: Code,
    /// The id of the request, as in the server's log.
    #[serde(default)]
    pub request_id: String,
    /// The fields at fault.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// When a retry makes sense: milliseconds from now, as in the `Retry-After` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl Problem {
    /// Makes a problem document from its code and a sentence.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("/problems/{}", code.as_str().replace('_', "-")),
            title: code.title().to_owned(),
            status: code.status(),
            detail: detail.into(),
            code,
            request_id: String::new(),
            errors: Vec::new(),
            retry_after_ms: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_written_as_in_the_table() {
        for code in Code::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
    }
}

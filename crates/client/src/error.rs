//! What can go wrong, by what the caller can do about it.

use std::io;
use std::time::Duration;

use parlor_protocol::close::may_reconnect;
use parlor_protocol::code::{Code, Problem};
use parlor_protocol::frame::Refused;

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The server understood and refused.
    #[error("{}", .0.detail)]
    Problem(Box<Problem>),
    /// Nobody is logged in, or the login has ended.
    #[error("not logged in")]
    NotLoggedIn,
    /// The server, or what stands before it, cannot be reached.
    #[error("server cannot be reached")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// There was no answer in time. What was asked may have happened.
    #[error("no answer in time")]
    Timeout,
    /// The answer is not one of a Parlor server of this version.
    #[error("unexpected answer: {0}")]
    Malformed(String),
    /// Something other than a Parlor server answered with this status.
    #[error("unexpected HTTP status {status}")]
    Status {
        /// The HTTP status.
        status: u16,
        /// When a retry makes sense.
        retry_after: Option<Duration>,
    },
    /// The connection has ended.
    #[error(transparent)]
    Ended(Ended),
    /// The address is not an `http` or `https` address without credentials.
    #[error("address must be such as http://127.0.0.1:7777")]
    Address,
    /// The file to upload cannot be read.
    #[error("the file cannot be read")]
    File(#[source] io::Error),
    /// The tokens could not be read or kept.
    #[error("login cannot be stored")]
    TokenStore(#[source] io::Error),
}

impl ClientError {
    /// Returns the server's code, when the server refused.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Problem(problem) => Some(problem.code),
            Self::NotLoggedIn => Some(Code::Unauthenticated),
            _ => None,
        }
    }

    /// Returns when a retry makes sense, where the server said so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Problem(problem) => problem.retry_after_ms.map(Duration::from_millis),
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Tells whether the same call may succeed later without a change.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Problem(problem) => problem.code.is_retryable(),
            Self::Unreachable(_) | Self::Timeout => true,
            Self::Status { status, .. } => matches!(status, 429 | 502 | 503 | 504),
            Self::Ended(ended) => ended.may_reconnect(),
            Self::NotLoggedIn
            | Self::Malformed(_)
            | Self::Address
            | Self::File(_)
            | Self::TokenStore(_) => false,
        }
    }

    /// Tells whether a fresh access token may help.
    pub(crate) fn wants_fresh_token(&self) -> bool {
        matches!(
            self,
            Self::Problem(problem)
                if matches!(problem.code, Code::TokenExpired | Code::Unauthenticated)
        ) || matches!(self, Self::Status { status: 401, .. })
    }
}

/// A refused command reads like a refused call.
impl From<Refused> for ClientError {
    fn from(refused: Refused) -> Self {
        let mut problem = Problem::new(refused.code, refused.detail);
        problem.retry_after_ms = refused.retry_after_ms;
        problem.into()
    }
}

impl From<Problem> for ClientError {
    fn from(problem: Problem) -> Self {
        Self::Problem(Box::new(problem))
    }
}

impl From<reqwest::Error> for ClientError {
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            Self::Timeout
        } else if error.is_decode() {
            Self::Malformed("broken encoding".to_owned())
        } else {
            // Addresses may hold ids; they are not part of the message.
            Self::Unreachable(error.without_url().into())
        }
    }
}

/// How a WebSocket connection ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// The server closed it and said why.
    #[error("the server closed the connection with {code} {reason}")]
    Closed {
        /// The close code.
        code: u16,
        /// The reason, as sent.
        reason: String,
    },
    /// The network ended it.
    #[error("connection lost: {0}")]
    Lost(String),
    /// The server was silent for too long, or took nothing for too long.
    #[error("the server is silent")]
    Silent,
    /// The server sent something that is not of this protocol.
    #[error("unexpected frame: {0}")]
    Malformed(String),
    /// This side closed it.
    #[error("the connection was closed here")]
    Here,
}

impl Ended {
    /// Tells whether to reconnect and resume.
    pub fn may_reconnect(&self) -> bool {
        match self {
            Self::Closed { code, .. } => may_reconnect(*code),
            Self::Lost(_) | Self::Silent | Self::Malformed(_) => true,
            Self::Here => false,
        }
    }
}

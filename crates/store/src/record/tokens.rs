//! Personal access tokens, as the store holds them.

use parlor_protocol::http::Scopes;
use parlor_protocol::id::{TokenId, UserId};
use parlor_protocol::time::Timestamp;

/// A new personal access token.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Its id.
    pub id: TokenId,
    /// Whose.
    pub user: UserId,
    /// What it is for, checked.
    pub name: String,
    /// What it may be used for.
    pub scopes: Scopes,
    /// The beginning of the secret.
    pub prefix: String,
    /// SHA-256 of the secret.
    pub hash: [u8; 32],
    /// When it is made.
    pub at: Timestamp,
    /// When it stops working.
    pub expires_at: Timestamp,
    /// How many tokens the user may have.
    pub max_tokens: u32,
}

/// Why a token was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenConflict {
    /// The user has as many as one may.
    #[error("the user has as many tokens as one may")]
    TooMany,
    /// There is no such user, or they may not log in.
    #[error("there is no such user")]
    NoSuchUser,
}

/// A personal access token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRecord {
    /// Its id.
    pub id: TokenId,
    /// Whose.
    pub user: UserId,
    /// What it is for.
    pub name: String,
    /// What it may be used for.
    pub scopes: Scopes,
    /// The beginning of the secret.
    pub prefix: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Timestamp,
    /// When it was last used.
    pub last_used_at: Option<Timestamp>,
}

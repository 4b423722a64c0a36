//! Accounts, logins and tokens. Nothing here shows a secret in its `Debug` form.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::SessionId;
use crate::time::Timestamp;
use crate::user::User;

/// A new account.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterRequest {
    /// 3–32 characters: letters, digits, `_`, `-`, `.`.
    pub username: String,
    /// 8–128 characters; refused when common or easy to guess.
    pub password: String,
    /// Optional and unique.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The name to show; the user name when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// An invite code, where registration asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invite: Option<String>,
}

/// The first administrator, by the one-time link printed at first start.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetupRequest {
    /// The token of the link.
    pub token: String,
    /// The administrator's user name.
    pub username: String,
    /// The administrator's password.
    pub password: String,
}

/// A login. As JSON, or as an OAuth2 password form (`grant_type` and `scope` are accepted).
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// The user name.
    pub username: String,
    /// The password.
    pub password: String,
    /// `password`, where given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant_type: Option<String>,
    /// Ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
}

/// A new pair of tokens for a refresh token.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshRequest {
    /// The refresh token; it is spent by this call.
    pub refresh_token: String,
}

/// A pair of tokens.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct TokenResponse {
    /// Whose.
    pub user: User,
    /// Sent as `Authorization: Bearer …`.
    pub access_token: String,
    /// Always `bearer`.
    pub token_type: String,
    /// Seconds until the access token expires.
    pub expires_in: u64,
    /// Opaque, single use.
    pub refresh_token: String,
}

/// The caller's login.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SessionResponse {
    /// Who is logged in.
    pub user: User,
    /// The login.
    pub session: Session,
}

/// A login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Session {
    /// The id.
    pub id: SessionId,
    /// When it began.
    pub created_at: Timestamp,
    /// When it ends unless it is refreshed.
    pub expires_at: Timestamp,
    /// The client's name, as far as it was told.
    pub client: String,
}

/// A single-use ticket for the WebSocket upgrade.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct WsTicket {
    /// For `?ticket=`.
    pub ticket: String,
    /// Seconds until it expires.
    pub expires_in: u64,
}

/// A new password.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PutPasswordRequest {
    /// The present password.
    pub current_password: String,
    /// The new one.
    pub new_password: String,
}

macro_rules! redacted_debug {
    ($($name:ident),*) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )*};
}
redacted_debug!(
    RegisterRequest,
    SetupRequest,
    TokenRequest,
    RefreshRequest,
    TokenResponse,
    PutPasswordRequest,
    WsTicket
);

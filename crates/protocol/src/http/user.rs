//! Profiles, as their owners and administrators change them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time::Timestamp;
use crate::user::{PresenceStatus, ServerRole, User, Visibility};

/// Changes of one's own profile.
#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PatchMeRequest {
    /// A new user name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The present password: needed for a new user name, and for nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// A new name to show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// A new text about oneself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bio: Option<String>,
    /// Who may see the bio.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visibility: Option<Visibility>,
}

/// Deactivates one's own account.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeactivateRequest {
    /// The present password.
    pub password: String,
}

/// Erases one's own account.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EraseRequest {
    /// The present password.
    pub password: String,
    /// What becomes of one's messages.
    pub messages: ErasedMessages,
}

/// Erases another's account.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EraseUserRequest {
    /// What becomes of their messages.
    pub messages: ErasedMessages,
}

/// What becomes of the messages of an erased account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErasedMessages {
    /// They stay, by "Deleted user".
    Keep,
    /// Their texts are removed, in every room.
    Redact,
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

redacted_debug!(PatchMeRequest, DeactivateRequest, EraseRequest);

/// Whether someone is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PresenceResponse {
    /// Online, idle or offline.
    pub status: PresenceStatus,
    /// When they were last seen.
    pub last_seen: Option<Timestamp>,
    /// How many connections they have.
    pub connections: u32,
}

/// A user as administrators see them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AdminUser {
    /// The profile.
    #[serde(flatten)]
    pub user: User,
    /// Whether they may log in.
    pub active: bool,
}

/// Changes of a user by an administrator.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PatchUserRequest {
    /// Whether they may log in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
    /// The server-wide role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<ServerRole>,
}

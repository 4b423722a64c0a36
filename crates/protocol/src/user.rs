//! People, bots and their public shape.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::UserId;
use crate::time::Timestamp;

/// What kind of participant it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UserKind {
    /// A person.
    User,
    /// A language model that takes part.
    Bot,
    /// Another program.
    Integration,
}

/// The short form of a participant, as it stands in messages, events and signals.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct UserRef {
    /// The id.
    pub id: UserId,
    /// The unique name, as in a mention.
    pub username: String,
    /// The name to show.
    pub display_name: String,
    /// Person, bot or integration.
    pub kind: UserKind,
}

/// A server-wide role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ServerRole {
    /// May administer the server.
    Admin,
    /// Everyone else.
    User,
}

/// Who may see a profile's bio.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Everyone who is logged in.
    Public,
    /// Only the user.
    Private,
}

/// A profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct User {
    /// The id.
    pub id: UserId,
    /// The unique name.
    pub username: String,
    /// The name to show.
    pub display_name: String,
    /// Person, bot or integration.
    pub kind: UserKind,
    /// What the user says about themselves; empty when hidden.
    #[serde(default)]
    pub bio: String,
    /// Who may see the bio.
    pub visibility: Visibility,
    /// The server-wide role.
    pub role: ServerRole,
    /// The e-mail address; only in one's own profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The path of the picture, which changes with it; absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar: Option<String>,
    /// When the account was made.
    pub created_at: Timestamp,
}

impl User {
    /// Returns the short form.
    pub fn to_ref(&self) -> UserRef {
        UserRef {
            id: self.id,
            username: self.username.clone(),
            display_name: self.display_name.clone(),
            kind: self.kind,
        }
    }
}

/// Whether someone is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PresenceStatus {
    /// Connected and active.
    Online,
    /// Connected, but nothing was done for a while.
    Idle,
    /// Not connected.
    Offline,
}

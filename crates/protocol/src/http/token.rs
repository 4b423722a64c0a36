//! Personal access tokens: what a script shows instead of a login.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::TokenId;
use crate::time::Timestamp;

/// What a personal access token may be used for. Each stands for itself; none includes another.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Rooms, members, messages, profiles and events: everything that only looks.
    Read,
    /// Writing: messages and changes of them, reactions, typing, signals, read markers, commands,
    /// stopping replies.
    Write,
    /// Rooms and memberships: making, changing and deleting rooms, joining, leaving, bringing people
    /// in, invite links, integrations and webhooks.
    Rooms,
    /// Order: removing, banning and muting members, giving roles, resetting the history.
    Moderate,
    /// One's own profile.
    Profile,
    /// Bots: making, changing and deleting them.
    Bots,
    /// What administrators do, for tokens of administrators.
    Admin,
}

impl Scope {
    /// Every scope, in the order of the documentation.
    pub const ALL: [Self; 7] = [
        Self::Read,
        Self::Write,
        Self::Rooms,
        Self::Moderate,
        Self::Profile,
        Self::Bots,
        Self::Admin,
    ];

    /// Returns the name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Rooms => "rooms",
            Self::Moderate => "moderate",
            Self::Profile => "profile",
            Self::Bots => "bots",
            Self::Admin => "admin",
        }
    }

    /// Reads the name on the wire.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Scopes, each at most once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Scopes(u8);

impl Scopes {
    /// Tells whether a scope is among them.
    pub const fn contains(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u8) != 0
    }

    /// Tells whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns them in the order of the documentation.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.contains(*scope))
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |all, scope| all | 1 << scope as u8))
    }
}

/// A new personal access token.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateTokenRequest {
    /// What it is for, in the owner's words.
    pub name: String,
    /// What it may be used for; at least one.
    pub scopes: Vec<Scope>,
    /// Its life in seconds; a year when absent, which is also the longest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<u64>,
}

/// A personal access token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PersonalToken {
    /// The id.
    pub id: TokenId,
    /// What it is for, in the owner's words.
    pub name: String,
    /// The beginning of the secret, by which its owner knows it.
    pub prefix: String,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
}

/// A personal access token that was just made. Its secret is told this one time.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct NewPersonalToken {
    /// The token.
    #[serde(flatten)]
    pub token: PersonalToken,
    /// What is sent as `Authorization: Bearer`.
    pub secret: String,
}

impl fmt::Debug for NewPersonalToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewPersonalToken").field("token", &self.token).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scope_is_written_as_it_is_read() {
        for scope in Scope::ALL {
            assert_eq!(serde_json::to_value(scope).unwrap(), scope.as_str());
            assert_eq!(Scope::from_name(scope.as_str()), Some(scope));
        }
        assert_eq!(Scope::from_name("all"), None);
    }

    #[test]
    fn scopes_hold_only_what_was_given() {
        let scopes: Scopes = [Scope::Read, Scope::Admin, Scope::Read].into_iter().collect();
        assert_eq!(scopes.iter().collect::<Vec<_>>(), [Scope::Read, Scope::Admin]);
        assert!(!scopes.contains(Scope::Write));
        assert!(Scopes::default().is_empty());
    }

    #[test]
    fn secret_does_not_show_itself() {
        let token = PersonalToken {
            id: TokenId(uuid::Uuid::nil()),
            name: "ci".into(),
            prefix: "parlor_pat_ab".into(),
            scopes: vec![],
            created_at: Timestamp::from_millis(0),
            expires_at: Timestamp::from_millis(1),
            last_used_at: None,
        };
        let new = NewPersonalToken { token, secret: "s3cret".into() };
        assert!(!format!("{new:?}").contains("s3cret"));
    }
}

//! Ids: `UUIDv7` strings on the wire, one type for each kind of thing.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
            JsonSchema,
        )]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
    };
}

id!(
    /// A person, a bot or an integration.
    UserId
);
id!(
    /// A room.
    RoomId
);
id!(
    /// A message.
    MessageId
);
id!(
    /// A login: what a refresh token family, its access tokens and its connections belong to.
    SessionId
);
id!(
    /// A personal access token. Connections that it opened are those of a login with the same id.
    TokenId
);
id!(
    /// An outgoing webhook.
    WebhookId
);
id!(
    /// A registered command.
    CommandId
);
id!(
    /// The durable duty of one bot to answer one message.
    JobId
);
id!(
    /// A file, from its upload to its end.
    FileId
);

/// A room as a client names it: by id or by slug.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct RoomRef(pub String);

impl RoomRef {
    /// Returns the id when the room is named by id.
    pub fn id(&self) -> Option<RoomId> {
        self.0.parse().ok()
    }
}

impl From<RoomId> for RoomRef {
    fn from(id: RoomId) -> Self {
        Self(id.to_string())
    }
}

impl From<&str> for RoomRef {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for RoomRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

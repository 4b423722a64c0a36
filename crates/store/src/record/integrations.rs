//! Integrations and registered commands, as the store holds them.

use parlor_protocol::id::{CommandId, RoomId, UserId};
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::UserRef;

use super::NewUser;

/// A new integration: a user that posts into one room for another program.
#[derive(Debug, Clone)]
pub struct NewIntegration {
    /// Its user.
    pub user: NewUser,
    /// The room.
    pub room: RoomId,
    /// Who makes it.
    pub creator: UserId,
    /// The secret of its address; `None` for one that only speaks for a command.
    pub secret: Option<IntegrationSecret>,
    /// How many a room may have.
    pub max: u32,
}

/// What is kept of the secret of an address.
#[derive(Clone)]
pub struct IntegrationSecret {
    /// Its beginning.
    pub prefix: String,
    /// Its SHA-256.
    pub hash: [u8; 32],
}

impl std::fmt::Debug for IntegrationSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IntegrationSecret").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// Why an integration, a command or a webhook was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProgramConflict {
    /// The room has as many as it may.
    #[error("the room has as many as it may")]
    TooMany,
    /// The name is taken in this room.
    #[error("the name is taken")]
    Name,
    /// There is no such room.
    #[error("there is no such room")]
    NoSuchRoom,
}

/// An integration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntegrationRecord {
    /// Its user.
    pub user: UserRef,
    /// The room.
    pub room: RoomId,
    /// Who made it.
    pub creator: UserRef,
    /// The beginning of its secret; `None` for one that only speaks for a command.
    pub prefix: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its address was last used.
    pub last_used_at: Option<Timestamp>,
}

/// A new registered command.
#[derive(Debug, Clone)]
pub struct NewCommand {
    /// Its id.
    pub id: CommandId,
    /// The name, checked, without the slash.
    pub name: String,
    /// What it does, checked.
    pub description: String,
    /// Who answers it, checked.
    pub url: String,
    /// What its signing secret is derived from.
    pub salt: [u8; 16],
}

/// A registered command of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandRecord {
    /// Its id.
    pub id: CommandId,
    /// The room.
    pub room: RoomId,
    /// Who speaks for it.
    pub integration: UserRef,
    /// The name, without the slash.
    pub name: String,
    /// What it does.
    pub description: String,
    /// Who answers it.
    pub url: String,
    /// What its signing secret is derived from.
    pub salt: [u8; 16],
    /// When it was made.
    pub created_at: Timestamp,
}

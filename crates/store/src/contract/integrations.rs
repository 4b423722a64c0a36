//! Integrations and registered commands.

use async_trait::async_trait;
use parlor_protocol::id::{CommandId, RoomId, UserId};
use parlor_protocol::time::Timestamp;

use super::Result;
use crate::record::{
    CommandRecord, IntegrationRecord, IntegrationSecret, NewCommand, NewIntegration,
    ProgramConflict,
};

/// Users that post into a room for other programs, and commands that such programs answer.
///
/// Who may make them is decided by the caller; bringing them into the room is an intent of its own,
/// and only that makes their user an active one.
#[async_trait]
pub trait Integrations {
    /// Makes an integration and its user; the same user again is a repeat.
    async fn create_integration(
        &self,
        integration: NewIntegration,
    ) -> Result<std::result::Result<IntegrationRecord, ProgramConflict>>;

    /// Finds the integration whose secret has this hash.
    async fn find_integration(&self, hash: [u8; 32]) -> Result<Option<IntegrationRecord>>;

    /// Lists the integrations of a room that have an address, oldest first.
    async fn list_integrations(&self, room: RoomId) -> Result<Vec<IntegrationRecord>>;

    /// Replaces the secret of an integration that has one; `None` when there is none.
    async fn rotate_integration(
        &self,
        room: RoomId,
        integration: UserId,
        secret: IntegrationSecret,
    ) -> Result<Option<IntegrationRecord>>;

    /// Ends an integration with the command that it speaks for; its user stays for what it wrote.
    /// `false` when there is none.
    async fn delete_integration(&self, room: RoomId, integration: UserId) -> Result<bool>;

    /// Remembers when an integration's address was last used; never moves it back.
    async fn touch_integration(&self, integration: UserId, at: Timestamp) -> Result<()>;

    /// Makes a command with the integration that speaks for it.
    async fn create_command(
        &self,
        integration: NewIntegration,
        command: NewCommand,
    ) -> Result<std::result::Result<CommandRecord, ProgramConflict>>;

    /// Finds a command of a room by its name.
    async fn find_command(&self, room: RoomId, name: &str) -> Result<Option<CommandRecord>>;

    /// Finds a command.
    async fn find_command_by_id(&self, command: CommandId) -> Result<Option<CommandRecord>>;

    /// Lists the commands of a room by name.
    async fn list_commands(&self, room: RoomId) -> Result<Vec<CommandRecord>>;
}

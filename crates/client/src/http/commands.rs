//! Slash commands, and those that rooms register.

use parlor_protocol::http::{
    CommandAnswer, CreateCommandRequest, NewCommandSecret, Page, RegisteredCommand,
    RunCommandRequest,
};
use parlor_protocol::id::CommandId;
use reqwest::Method;

use super::{Call, Http};
use crate::error::ClientError;

impl Http {
    /// Carries out a slash command; the answer is for the caller only.
    pub async fn run_command(
        &self,
        room: &str,
        request: &RunCommandRequest,
    ) -> Result<CommandAnswer, ClientError> {
        self.json(Call::v1(Method::POST, &["rooms", room, "commands"]).body(request)?).await
    }

    /// Returns the commands that a room has registered.
    pub async fn commands(&self, room: &str) -> Result<Page<RegisteredCommand>, ClientError> {
        self.page(Call::v1(Method::GET, &["commands"]).query("room", room)).await
    }

    /// Registers a command that another program answers; its secret is in the answer and nowhere
    /// else.
    pub async fn create_command(
        &self,
        request: &CreateCommandRequest,
    ) -> Result<NewCommandSecret, ClientError> {
        self.json(Call::v1(Method::POST, &["commands"]).body(request)?).await
    }

    /// Removes a registered command.
    pub async fn delete_command(&self, command: CommandId) -> Result<(), ClientError> {
        self.empty(Call::v1(Method::DELETE, &["commands", &command.to_string()])).await
    }
}

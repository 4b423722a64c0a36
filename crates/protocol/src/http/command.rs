//! Slash commands: asked for over HTTP or the WebSocket, and answered to the caller.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Snippet;
use crate::id::{CommandId, MessageId, RoomId};
use crate::time::Timestamp;
use crate::user::UserRef;

/// A command to carry out in a room.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunCommandRequest {
    /// The command with its slash, such as `/topic Tea`.
    pub text: String,
    /// The caller's own id for the message that it may write: the same one is one message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
}

/// What came of a command. Only the caller sees it; what others see is an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CommandAnswer {
    /// A message was written.
    Message {
        /// The message.
        message: MessageId,
        /// Its position.
        seq: u64,
    },
    /// Something is as it was asked for.
    Changed {
        /// What, in a sentence.
        text: String,
    },
    /// A list of commands.
    List {
        /// The commands.
        items: Vec<CommandHelp>,
    },
    /// Messages of the room, best first.
    Found {
        /// The messages.
        items: Vec<CommandHit>,
    },
    /// Something to read.
    Text {
        /// The text.
        text: String,
    },
}

/// How a command is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CommandHelp {
    /// How it is written, such as `/ban USER [TIME]`.
    pub usage: String,
    /// What it does.
    pub description: String,
}

/// A message that a command has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CommandHit {
    /// The message.
    pub message: MessageId,
    /// Its position.
    pub seq: u64,
    /// Who wrote it.
    pub sender: UserRef,
    /// When it was written.
    pub created_at: Timestamp,
    /// A part of the text around what was found.
    pub snippet: Snippet,
}

/// A new command of a room that another program answers.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateCommandRequest {
    /// The room, by id or short name.
    pub room: String,
    /// The name, without the slash: lower-case letters, digits, hyphens.
    pub name: String,
    /// What it does.
    pub description: String,
    /// Who answers it.
    pub url: String,
}

/// A command of a room that another program answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RegisteredCommand {
    /// The id.
    pub id: CommandId,
    /// The room.
    pub room: RoomId,
    /// The name, without the slash.
    pub name: String,
    /// What it does.
    pub description: String,
    /// Who answers it; for owners.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Who its answers are by.
    pub integration: UserRef,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A command that was just made. Its secret is told this one time.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct NewCommandSecret {
    /// The command.
    #[serde(flatten)]
    pub command: RegisteredCommand,
    /// What calls are signed with: `whsec_` and the key in base64.
    pub secret: String,
}

impl fmt::Debug for NewCommandSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewCommandSecret").field("id", &self.command.id).finish_non_exhaustive()
    }
}

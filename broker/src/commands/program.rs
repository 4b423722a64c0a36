//! Commands that another program answers: signed, bounded, and only at addresses that may be called.

use parlor_domain::body::{BodyRefused, check_body};
use parlor_domain::permission::Action;
use parlor_protocol::code::Code;
use parlor_protocol::http::CommandAnswer;
use parlor_protocol::id::RoomId;
use parlor_protocol::room::RoomKind;
use parlor_protocol::user::UserRef;
use parlor_store::record::CommandRecord;
use parlor_store::{AppendRefused, Intent};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Asked, written};
use crate::outgoing::Call;
use crate::reads::known::KnownRoom;
use crate::refusal::{Outcome, Refusal};

/// What another program is asked.
#[derive(Debug, Serialize)]
struct Question<'a> {
    command: &'a str,
    text: &'a str,
    user: &'a UserRef,
    room: RoomName<'a>,
}

#[derive(Debug, Serialize)]
struct RoomName<'a> {
    id: RoomId,
    slug: &'a str,
    name: &'a str,
    kind: RoomKind,
}

/// What it answers. Fields that are not known here are passed over.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Reply {
    text: String,
    visible: Visible,
}

/// Who reads it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Visible {
    Room,
    #[default]
    Caller,
}

impl Asked {
    /// Asks the program that answers a registered command.
    pub(super) async fn ask(
        &self,
        room: &KnownRoom,
        command: &CommandRecord,
        text: &str,
    ) -> Outcome<CommandAnswer> {
        let question = Question {
            command: &command.name,
            text,
            user: &self.caller.user,
            room: RoomName { id: room.id, slug: &room.slug, name: &room.name, kind: room.kind },
        };
        let failed = || {
            let name = &command.name;
            Refusal::unavailable(&format!(
                "The program behind /{name} did not answer as it should."
            ))
        };
        let body = serde_json::to_vec(&question).map_err(|_| failed())?;
        let id = self.call_id(command).to_string();
        let call = Call {
            url: &command.url,
            salt: &command.salt,
            id: &id,
            event: "command",
            at: self.node.now(),
            body: &body,
            timeout: self.node.config.webhooks.command_timeout,
        };
        let answer = self.node.outgoing.ask(call, self.caller.user.id).await.map_err(|reason| {
            tracing::debug!(command.id = %command.id, outcome = reason.outcome, "no answer");
            failed()
        })?;
        let done = CommandAnswer::Changed { text: format!("/{} is done.", command.name) };
        if answer.is_empty() {
            return Ok(done);
        }
        let Reply { text, visible } = serde_json::from_slice(&answer).map_err(|_| failed())?;
        let text = match check_body(&text, self.node.config.limits.body.get()) {
            Ok(text) => text,
            Err(BodyRefused::Blank) => return Ok(done),
            Err(_) => return Err(failed()),
        };
        // The program took its time, in which much may have happened to who asked.
        self.check_account().await?;
        if visible == Visible::Caller {
            let access = self.node.find_room(&room.id.into(), self.caller.user.id).await?;
            self.authorize(&access, Action::Read)?;
            let present = self.node.store.find_command(room.id, &command.name).await?;
            if present.is_none_or(|present| present.id != command.id) {
                return Err(AppendRefused::NoSuchSpeaker.into());
            }
            return Ok(CommandAnswer::Text { text });
        }
        // The same call is the same message.
        let message = self.message(text, Some(id));
        let speaker = command.integration.id;
        // Who may write is asked in the transaction that writes, as it is for every message.
        let intent = Intent::Answer { speaker, message };
        written(self.append(room.id, self.caller.user.id, intent).await?)
    }

    /// Asks again, after a wait, whether the caller's account is still in use.
    async fn check_account(&self) -> Outcome<()> {
        let account = self.node.lookups.find_user(self.caller.user.id).await?;
        if account.is_some_and(|account| account.active) {
            return Ok(());
        }
        let detail = "The account was deactivated while the program answered.";
        Err(Refusal::new(Code::Forbidden, detail))
    }

    /// Returns the id of a call: the same when the caller repeats it with the same `client_id`.
    fn call_id(&self, command: &CommandRecord) -> Uuid {
        match &self.client_id {
            None => self.node.clock.new_id(),
            Some(client_id) => {
                let name = [self.caller.user.id.0.as_bytes(), client_id.as_bytes()].concat();
                Uuid::new_v5(&command.id.0, &name)
            }
        }
    }
}

//! Slash commands, whichever way they are asked for.
//!
//! Only who asks for a command gets one: a message that begins with a slash is a message. A built-in
//! command does what the call of the same meaning does, by the same rules, scopes and rates. One
//! that a room has registered is asked of another program.

use std::sync::Arc;
use std::time::Duration;

use parlor_cluster::RateLimited;
use parlor_domain::body::check_body;
use parlor_domain::naming::{check_client_id, check_reason, check_topic};
use parlor_domain::permission::{Action, authorize};
use parlor_domain::slash::{self, Slash, SlashRefused};
use parlor_protocol::code::Code;
use parlor_protocol::http::{CommandAnswer, CommandHelp, Scope};
use parlor_protocol::id::{MessageId, RoomId, RoomRef, UserId};
use parlor_protocol::time::Timestamp;
use parlor_store::record::Account;
use parlor_store::{Append, Appended, Intent, NewMessage};

use crate::http::{find_in_room, find_user};
use crate::node::{Caller, Node};
use crate::rate::AddressKey;
use crate::reads::known::{Access, KnownRoom};
use crate::refusal::{Outcome, Refusal};

mod program;

/// Someone asks for a command.
pub(crate) struct Asked {
    pub(crate) node: Arc<Node>,
    pub(crate) caller: Caller,
    pub(crate) address: AddressKey,
    pub(crate) room: RoomRef,
    pub(crate) text: String,
    pub(crate) client_id: Option<String>,
}

/// Reads a command.
pub(crate) fn parse(text: &str) -> Outcome<Slash<'_>> {
    slash::parse(text).map_err(|refused| {
        let code = match refused {
            SlashRefused::NotACommand => "not_a_command",
            SlashRefused::Usage(_) => "usage",
            SlashRefused::Time => "time",
        };
        Refusal::field("text", code, refused.to_string())
    })
}

impl Asked {
    /// Carries the command out.
    pub(crate) async fn run(self) -> Outcome<CommandAnswer> {
        let command = parse(&self.text)?;
        let came = self.carry_out(command).await;
        // Names of registered commands are as many as their owners like.
        let name = match command {
            Slash::Other(..) => "registered",
            _ => command.name(),
        };
        let outcome = came.as_ref().map_or_else(|refusal| refusal.code.as_str(), |_| "done");
        self.node.metrics.programs.commands.with_label_values(&[name, outcome]).inc();
        came
    }

    async fn carry_out(&self, command: Slash<'_>) -> Outcome<CommandAnswer> {
        if let Some(id) = &self.client_id {
            check_client_id(id).map_err(|refused| Refusal::name("client_id", refused))?;
        }
        // A command may be run by whoever writes; these read.
        if matches!(command, Slash::Search(_) | Slash::Help(_)) {
            self.caller.check_scope(Scope::Read)?;
        }
        // None is longer than the message that it may write.
        self.check_text(&self.text)?;
        let access = self.node.find_room(&self.room, self.caller.user.id).await?;
        self.authorize(&access, Action::Read)?;
        let room = &access.room;
        match command {
            // Somebody is away from a connection, and this is none.
            Slash::Away => Err(Refusal::field("text", "unsupported", "is for the WebSocket only")),
            Slash::Help(about) => self.help(room, about).await,
            Slash::Me(text) => self.say(room, text).await,
            Slash::Topic(topic) => self.change_topic(&access, topic).await,
            Slash::Search(text) => {
                self.charge("search", self.node.rate.search.check(&self.caller.user.id))?;
                let items = find_in_room(&self.node, &self.caller, room.id, text).await?;
                Ok(CommandAnswer::Found { items })
            }
            Slash::Invite(name) => self.change_member(&access, Change::Invite, name, "").await,
            Slash::Kick(name, why) => self.change_member(&access, Change::Kick, name, why).await,
            Slash::Ban(name, time, why) => {
                self.change_member(&access, Change::Ban(time), name, why).await
            }
            Slash::Mute(name, time, why) => {
                self.change_member(&access, Change::Mute(time), name, why).await
            }
            Slash::Other(name, text) => {
                let found = self.node.store.find_command(room.id, name).await?;
                let found = found.ok_or_else(|| {
                    let detail = format!(
                        "names /{name}, which is no command of this room; /help lists them"
                    );
                    Refusal::field("text", "unknown", detail)
                })?;
                self.authorize(&access, Action::Post)?;
                self.charge_message(room.id)?;
                self.ask(room, &found, text).await
            }
        }
    }

    fn authorize(&self, access: &Access, action: Action) -> Outcome<()> {
        Ok(authorize(access.room.facts(), access.membership, action, self.node.now())?)
    }

    fn charge(&self, rule: &str, came: Result<(), RateLimited>) -> Outcome<()> {
        came.map_err(|limited| {
            self.node.metrics.auth.rate_limited.with_label_values(&[rule]).inc();
            limited.into()
        })
    }

    fn charge_message(&self, room: RoomId) -> Outcome<()> {
        let came = self.node.rate.check_publish(self.caller.user.id, self.address, room);
        came.inspect_err(|_| {
            self.node.metrics.auth.rate_limited.with_label_values(&["publish"]).inc();
        })
    }

    fn charge_change(&self) -> Outcome<()> {
        self.charge("change", self.node.rate.change.check(&self.caller.user.id))
    }

    async fn help(&self, room: &KnownRoom, about: Option<&str>) -> Outcome<CommandAnswer> {
        let wanted = |name: &str| about.is_none_or(|about| about == name);
        let builtins = slash::BUILTINS.iter().filter(|builtin| wanted(builtin.name));
        let mut items: Vec<CommandHelp> = builtins
            .map(|builtin| CommandHelp {
                usage: builtin.usage.to_owned(),
                description: builtin.about.to_owned(),
            })
            .collect();
        let registered = self.node.store.list_commands(room.id).await?;
        items.extend(registered.into_iter().filter(|command| wanted(&command.name)).map(
            |command| {
                let usage = format!("/{}", command.name);
                CommandHelp { usage, description: command.description }
            },
        ));
        match about {
            Some(_) if items.is_empty() => {
                let detail = "is about no command of this room; /help lists them";
                Err(Refusal::field("text", "unknown", detail))
            }
            _ => Ok(CommandAnswer::List { items }),
        }
    }

    async fn say(&self, room: &KnownRoom, text: &str) -> Outcome<CommandAnswer> {
        self.charge_message(room.id)?;
        let body = self.check_text(text)?;
        let message = self.message(body, self.client_id.clone());
        written(self.append(room.id, self.caller.user.id, Intent::Emote(message)).await?)
    }

    async fn change_topic(&self, access: &Access, topic: &str) -> Outcome<CommandAnswer> {
        self.charge_change()?;
        self.caller.check_scope(Scope::Rooms)?;
        self.authorize(access, Action::Update)?;
        let topic = check_topic(topic).map_err(|refused| Refusal::name("text", refused))?;
        let text = format!("The topic is now: {topic}");
        let intent =
            Intent::Update { name: None, topic: Some(topic), archived: None, settings: None };
        self.append(access.room.id, self.caller.user.id, intent).await?;
        Ok(CommandAnswer::Changed { text })
    }

    async fn change_member(
        &self,
        access: &Access,
        change: Change,
        name: &str,
        reason: &str,
    ) -> Outcome<CommandAnswer> {
        self.charge_change()?;
        self.caller.check_scope(Scope::Rooms)?;
        let found = find_user(&self.node, &self.caller, name).await;
        let own = found.as_ref().is_ok_and(|account| account.user.id == self.caller.user.id);
        let leaves = own && matches!(change, Change::Kick);
        if !leaves {
            self.check_change(access, change)?;
        }
        let Account { user, active, .. } = found?;
        // Only removing works for whom nobody can be any more.
        if !active && !matches!(change, Change::Kick) {
            return Err(Refusal::not_found("user"));
        }
        let reason = check_reason(reason).map_err(|refused| Refusal::name("text", refused))?;
        if leaves && reason.is_some() {
            let detail = "gives a reason, which is for removing someone else";
            return Err(Refusal::field("text", "unsupported", detail));
        }
        let (user, name) = (user.id, user.username);
        let (intent, text) = match change {
            Change::Invite => (Intent::Invite { user }, format!("@{name} is in the room.")),
            Change::Kick if leaves => (Intent::Leave, "You have left the room.".to_owned()),
            Change::Kick => (Intent::Kick { user, reason }, format!("@{name} was removed.")),
            Change::Ban(time) => {
                let until = time.map(|time| self.after(time));
                (Intent::Ban { user, until, reason }, format!("@{name} is banned{}.", ends(until)))
            }
            Change::Mute(time) => {
                let until = time.map(|time| self.after(time));
                (Intent::Mute { user, until, reason }, format!("@{name} is muted{}.", ends(until)))
            }
        };
        self.append(access.room.id, self.caller.user.id, intent).await?;
        Ok(CommandAnswer::Changed { text })
    }

    /// Checks who may change a member, before anything is told of whether there is such a user.
    fn check_change(&self, access: &Access, change: Change) -> Outcome<()> {
        let action = match change {
            Change::Invite => Action::Invite,
            Change::Kick | Change::Ban(_) | Change::Mute(_) => {
                self.caller.check_scope(Scope::Moderate)?;
                Action::Moderate
            }
        };
        self.authorize(access, action)
    }

    fn after(&self, time: Duration) -> Timestamp {
        let ms = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_millis(self.node.now().as_millis().saturating_add(ms))
    }

    /// Checks the text of a message, which is a part of the command.
    fn check_text(&self, text: &str) -> Outcome<String> {
        check_body(text, self.node.config.limits.body.get()).map_err(|refused| {
            let mut refusal = Refusal::from(refused);
            for error in &mut refusal.errors {
                "text".clone_into(&mut error.field);
            }
            refusal
        })
    }

    fn message(&self, body: String, client_id: Option<String>) -> NewMessage {
        let id = MessageId(self.node.clock.new_id());
        NewMessage { id, client_id, body, reply_to: None, thread: None, attachments: Vec::new() }
    }

    async fn append(&self, room: RoomId, actor: UserId, intent: Intent) -> Outcome<Appended> {
        self.node.committer.append(Append { room, actor, at: self.node.now(), intent }).await
    }
}

/// What becomes of a member.
#[derive(Debug, Clone, Copy)]
enum Change {
    Invite,
    Kick,
    Ban(Option<Duration>),
    Mute(Option<Duration>),
}

fn ends(until: Option<Timestamp>) -> String {
    until.map_or_else(String::new, |until| format!(" until {until}"))
}

fn written(appended: Appended) -> Outcome<CommandAnswer> {
    let event = match appended {
        Appended::New { events, .. } => events.into_iter().next(),
        Appended::Repeat { event } => Some(event),
        Appended::Unchanged => None,
    };
    let written = event.and_then(|event| Some((event.body.message()?, event.seq)));
    written.map(|(message, seq)| CommandAnswer::Message { message, seq }).ok_or_else(|| {
        Refusal::new(Code::Internal, "Something went wrong on the server; it was logged.")
    })
}

//! `commands`: slash commands that other programs answer.

use anyhow::Context as _;
use clap::{Args, Subcommand};
use parlor_protocol::http::{
    CommandAnswer, CommandHelp, CommandHit, CreateCommandRequest, RegisteredCommand,
};
use parlor_protocol::id::CommandId;

use crate::context::Context;
use crate::plain;

#[derive(Debug, Args)]
pub(crate) struct CommandsArgs {
    #[command(subcommand)]
    command: CommandsCommand,
}

#[derive(Debug, Subcommand)]
enum CommandsCommand {
    /// List the commands that a room has registered
    List {
        /// Room, by id or short name
        room: String,
    },
    /// Register a command, and write the secret of the signatures to standard output
    Create {
        /// Room, by id or short name
        room: String,
        /// Name, without the slash
        name: String,
        /// Who answers it
        url: String,
        /// What it does, as /help shows it
        #[arg(long, default_value = "")]
        description: String,
    },
    /// Remove a command
    Delete {
        /// Id of the command
        id: CommandId,
    },
}

pub(crate) async fn run(args: CommandsArgs, context: &Context) -> anyhow::Result<()> {
    let http = context.http()?;
    match args.command {
        CommandsCommand::List { room } => {
            let found = http.commands(&room).await.context("list commands")?.items;
            if context.out.json {
                return Ok(context.out.json(&found)?);
            }
            let row = |command: RegisteredCommand| {
                vec![
                    command.id.to_string(),
                    format!("/{}", command.name),
                    command.description,
                    command.url.unwrap_or_else(|| "-".to_owned()),
                ]
            };
            let head = ["ID", "COMMAND", "WHAT IT DOES", "ADDRESS"];
            Ok(context.out.table(&head, found.into_iter().map(row).collect())?)
        }
        CommandsCommand::Create { room, name, url, description } => {
            let request = CreateCommandRequest { room, name, description, url };
            let made = http.create_command(&request).await.context("register the command")?;
            if context.out.json {
                return Ok(context.out.json(&made)?);
            }
            let note = format!("command {}; the secret is told this one time", made.command.id);
            context.out.note(&note);
            Ok(context.out.text(&(plain::line(&made.secret) + "\n"))?)
        }
        CommandsCommand::Delete { id } => {
            http.delete_command(id).await.context("remove the command")?;
            context.out.note("the room does not know the command any more");
            Ok(())
        }
    }
}

/// Says what came of a slash command; nothing where everyone sees it.
pub(crate) fn words(answer: &CommandAnswer) -> String {
    match answer {
        CommandAnswer::Message { .. } => String::new(),
        CommandAnswer::Changed { text } | CommandAnswer::Text { text } => text.clone(),
        CommandAnswer::List { items } => {
            let line = |help: &CommandHelp| format!("{}: {}\n", help.usage, help.description);
            items.iter().map(line).collect()
        }
        CommandAnswer::Found { items } if items.is_empty() => "nothing was found".to_owned(),
        CommandAnswer::Found { items } => {
            let line = |hit: &CommandHit| {
                let text = plain::line(&hit.snippet.text.replace('\n', " "));
                format!("#{} {}: {text}\n", hit.seq, hit.sender.username)
            };
            items.iter().map(line).collect()
        }
    }
}

/// Writes what came of a slash command.
pub(crate) fn show(answer: CommandAnswer, context: &Context) -> anyhow::Result<()> {
    if context.out.json {
        return Ok(context.out.json(&answer)?);
    }
    match answer {
        CommandAnswer::Message { seq, .. } => context.out.note(&format!("sent as #{seq}")),
        CommandAnswer::Changed { text } => context.out.note(&plain::line(&text)),
        CommandAnswer::Text { text } => context.out.text(&(plain::lines(&text) + "\n"))?,
        CommandAnswer::List { items } => {
            let rows = items.into_iter().map(|help| vec![help.usage, help.description]);
            context.out.table(&["COMMAND", "WHAT IT DOES"], rows.collect())?;
        }
        CommandAnswer::Found { items } => {
            let rows = items.into_iter().map(|hit| {
                let place = format!("#{}", hit.seq);
                vec![hit.created_at.to_string(), place, hit.sender.username, hit.snippet.text]
            });
            context.out.table(&["WHEN", "PLACE", "WHO", "WHAT"], rows.collect())?;
        }
    }
    Ok(())
}

//! `users`: profiles and presence.

use anyhow::Context as _;
use clap::{Args, Subcommand};
use parlor_protocol::user::UserKind;
use serde_json::json;

use crate::context::Context;
use crate::render::status_name;

#[derive(Debug, Args)]
pub(crate) struct UsersArgs {
    #[command(subcommand)]
    command: UsersCommand,
}

#[derive(Debug, Subcommand)]
enum UsersCommand {
    /// Show a profile and whether they are there
    Show {
        /// User name
        username: String,
    },
}

pub(crate) async fn run(args: UsersArgs, context: &Context) -> anyhow::Result<()> {
    let UsersCommand::Show { username } = args.command;
    let http = context.http()?;
    let user = http.user(&username).await.context("show the user")?;
    let presence = http.presence(&username).await.context("show the user's presence")?;
    if context.out.json {
        return Ok(context.out.json(&json!({"user": user, "presence": presence}))?);
    }
    let kind = match user.kind {
        UserKind::User => "person",
        UserKind::Bot => "bot",
        UserKind::Integration => "integration",
    };
    let seen = presence.last_seen.map_or_else(|| "never".to_owned(), |at| at.to_string());
    let rows = [
        ("user", user.username),
        ("id", user.id.to_string()),
        ("name", user.display_name),
        ("kind", kind.to_owned()),
        ("bio", user.bio),
        ("status", status_name(presence.status).to_owned()),
        ("last seen", seen),
        ("since", user.created_at.to_string()),
    ];
    let rows = rows.map(|(name, value)| vec![name.to_owned(), value]);
    Ok(context.out.table(&[], rows.into())?)
}

//! `users`: profiles and presence, and what administrators do with accounts.

use anyhow::Context as _;
use clap::{Args, Subcommand};
use parlor_client::{ClientError, Http};
use parlor_protocol::http::{EraseUserRequest, PatchUserRequest};
use parlor_protocol::user::UserKind;
use serde_json::json;

use crate::account::own::Messages;
use crate::context::Context;
use crate::plain;
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
    /// End all logins of a user and let them not log in; for administrators
    Deactivate {
        /// User name
        username: String,
    },
    /// Let a user log in again; for administrators
    Reactivate {
        /// User name
        username: String,
    },
    /// Erase the account of a person, which cannot be undone; for administrators
    Erase {
        /// User name
        username: String,
        /// What becomes of their messages
        #[arg(long, value_enum, value_name = "WHAT")]
        messages: Messages,
    },
}

pub(crate) async fn run(args: UsersArgs, context: &Context) -> anyhow::Result<()> {
    let http = context.http()?;
    match args.command {
        UsersCommand::Show { username } => show(&http, &username, context).await,
        UsersCommand::Deactivate { username } => {
            set_active(&http, &username, false).await.context("deactivate the user")?;
            context.out.note(&format!("{} is deactivated", plain::line(&username)));
            Ok(())
        }
        UsersCommand::Reactivate { username } => {
            set_active(&http, &username, true).await.context("reactivate the user")?;
            context.out.note(&format!("{} may log in again", plain::line(&username)));
            Ok(())
        }
        UsersCommand::Erase { username, messages } => {
            let request = EraseUserRequest { messages: messages.into() };
            http.erase_user(&username, &request).await.context("erase the account")?;
            context.out.note(&format!("{} is erased", plain::line(&username)));
            Ok(())
        }
    }
}

async fn set_active(http: &Http, username: &str, active: bool) -> Result<(), ClientError> {
    let request = PatchUserRequest { active: Some(active), role: None };
    http.patch_user(username, &request).await.map(drop)
}

async fn show(http: &Http, username: &str, context: &Context) -> anyhow::Result<()> {
    let user = http.user(username).await.context("show the user")?;
    let presence = http.presence(username).await.context("show the user's presence")?;
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

//! `admin`: the state of the server and its users.

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use parlor_client::Http;
use parlor_protocol::http::{PatchUserRequest, SetupRequest, Status};
use parlor_protocol::user::ServerRole;

use crate::context::Context;
use crate::password::{PasswordArgs, ask, prompt};
use crate::{account, failure};

mod create;

#[derive(Debug, Args)]
pub(crate) struct AdminArgs {
    #[command(subcommand)]
    command: AdminCommand,
}

#[derive(Debug, Subcommand)]
enum AdminCommand {
    /// Make the first administrator with the link that the server printed at its first start
    Setup(SetupArgs),
    /// Make an administrator in the database of these settings, without asking a server
    Create(create::CreateArgs),
    /// Show nodes and what they depend on
    Status,
    /// List users
    Users,
    /// Change a user's role, or whether they may log in
    SetUser(SetUserArgs),
}

#[derive(Debug, Args)]
struct SetupArgs {
    /// User name of the administrator [else: a prompt]
    username: Option<String>,
    #[command(flatten)]
    password: PasswordArgs,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true, args = ["role", "active"])]
struct SetUserArgs {
    /// User name
    username: String,
    /// Role on the server
    #[arg(long, value_enum)]
    role: Option<Role>,
    /// Whether they may log in
    #[arg(long)]
    active: Option<bool>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Role {
    /// May administer the server
    Admin,
    /// Everyone else
    User,
}

pub(crate) async fn run(args: AdminArgs, context: &Context) -> anyhow::Result<()> {
    let command = match args.command {
        AdminCommand::Create(args) => return create::run(args, context).await,
        other => other,
    };
    let http = context.http()?;
    match command {
        AdminCommand::Create(_) => Ok(()),
        AdminCommand::Setup(args) => set_up(&http, args, context).await,
        AdminCommand::Status => {
            let status = http.admin_status().await.context("ask for the server's state")?;
            show(&status, context)
        }
        AdminCommand::Users => users(&http, context).await,
        AdminCommand::SetUser(args) => {
            let role = args.role.map(|role| match role {
                Role::Admin => ServerRole::Admin,
                Role::User => ServerRole::User,
            });
            let request = PatchUserRequest { active: args.active, role };
            let user =
                http.patch_user(&args.username, &request).await.context("change the user")?;
            context.out.note(&format!("changed {}", user.user.username));
            if context.out.json {
                context.out.json(&user)?;
            }
            Ok(())
        }
    }
}

async fn set_up(http: &Http, args: SetupArgs, context: &Context) -> anyhow::Result<()> {
    let link = match context.sources.variable("PARLOR_SETUP_LINK") {
        Some(link) => link.to_owned(),
        None => prompt(context, "Setup link or its code: ")?.expose().clone(),
    };
    let token = setup_token(&link)
        .ok_or_else(|| failure::Usage("the setup link holds no code".to_owned()))?;
    let username = ask(context, args.username, "User name")?;
    let password = args.password.read(context, true)?.expose().clone();
    let request = SetupRequest { token, username, password };
    let user = http.set_up(&request).await.context("make the first administrator")?;
    account::welcome(context, &user)
}

/// Returns the code in a setup link; a bare code is one, too.
fn setup_token(link: &str) -> Option<String> {
    let link = link.trim();
    let code = link.rsplit(['/', '=', '#']).next()?;
    (!code.is_empty()).then(|| code.to_owned())
}

fn show(status: &Status, context: &Context) -> anyhow::Result<()> {
    if context.out.json {
        return Ok(context.out.json(status)?);
    }
    let nodes = status.nodes.iter().map(|node| {
        vec![
            node.name.clone(),
            status.version.clone(),
            format!("{} s", node.uptime_seconds),
            node.connections.to_string(),
            node.rooms.to_string(),
        ]
    });
    context.out.table(&["NODE", "VERSION", "UP", "CONNECTIONS", "ROOMS"], nodes.collect())?;
    context.out.text("\n")?;
    let dependencies = status.dependencies.iter().map(|(name, dependency)| {
        let state = if dependency.ok { "ok" } else { "fail" };
        let detail = dependency.detail.clone().unwrap_or_default();
        vec![name.clone(), dependency.kind.clone(), state.to_owned(), detail]
    });
    Ok(context.out.table(&["DEPENDENCY", "KIND", "STATE", "DETAIL"], dependencies.collect())?)
}

async fn users(http: &Http, context: &Context) -> anyhow::Result<()> {
    let mut users = Vec::new();
    let mut cursor = None;
    loop {
        let page = http.admin_users(cursor.as_deref()).await.context("list users")?;
        users.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    if context.out.json {
        return Ok(context.out.json(&users)?);
    }
    let rows = users.into_iter().map(|entry| {
        let role = match entry.user.role {
            ServerRole::Admin => "admin",
            ServerRole::User => "user",
        };
        let active = if entry.active { "yes" } else { "no" };
        let since = entry.user.created_at.to_string();
        let name = entry.user.display_name;
        vec![entry.user.username, role.to_owned(), active.to_owned(), since, name]
    });
    Ok(context.out.table(&["USER", "ROLE", "ACTIVE", "SINCE", "NAME"], rows.collect())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_found_in_every_form_of_the_link() {
        for link in ["abc", " http://h:1/setup/abc\n", "http://h/?setup=abc", "http://h/#abc"] {
            assert_eq!(setup_token(link).as_deref(), Some("abc"), "{link}");
        }
        assert_eq!(setup_token("http://h/setup/"), None);
    }
}

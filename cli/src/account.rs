//! `register`, `login`, `logout`, `whoami`, `account`.

pub(crate) mod own;

use anyhow::Context as _;
use clap::Args;
use parlor_protocol::http::RegisterRequest;
use parlor_protocol::user::{ServerRole, User};
use serde_json::json;

use crate::context::Context;
use crate::credentials::Credentials;
use crate::password::{PasswordArgs, ask};
use crate::plain;

#[derive(Debug, Args)]
pub(crate) struct RegisterArgs {
    /// User name [else: a prompt]
    username: Option<String>,
    /// E-mail address
    #[arg(long)]
    email: Option<String>,
    /// Name to show
    #[arg(long, value_name = "NAME")]
    display_name: Option<String>,
    /// Invite code, where registration asks for one
    #[arg(long, value_name = "CODE")]
    invite: Option<String>,
    #[command(flatten)]
    password: PasswordArgs,
}

#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    /// User name [else: a prompt]
    username: Option<String>,
    #[command(flatten)]
    password: PasswordArgs,
}

#[derive(Debug, Args)]
pub(crate) struct LogoutArgs {
    /// End all logins of this user, on every device
    #[arg(long)]
    all: bool,
}

pub(crate) async fn register(args: RegisterArgs, context: &Context) -> anyhow::Result<()> {
    let http = context.http()?;
    let username = ask(context, args.username, "User name")?;
    let password = args.password.read(context, true)?;
    let request = RegisterRequest {
        username,
        password: password.expose().clone(),
        email: args.email,
        display_name: args.display_name,
        invite: args.invite,
    };
    let user = http.register(&request).await.context("register")?;
    welcome(context, &user)
}

pub(crate) async fn login(args: LoginArgs, context: &Context) -> anyhow::Result<()> {
    let http = context.http()?;
    let username = ask(context, args.username, "User name")?;
    let password = args.password.read(context, false)?;
    let user = http.log_in(&username, password.expose()).await.context("log in")?;
    welcome(context, &user)
}

/// Tells who is logged in now.
pub(crate) fn welcome(context: &Context, user: &User) -> anyhow::Result<()> {
    let server = Credentials::name_of(&context.server()?.0);
    context.out.note(&format!("logged in to {server} as {}", user.username));
    if context.out.json {
        context.out.json(user)?;
    }
    Ok(())
}

pub(crate) async fn logout(args: &LogoutArgs, context: &Context) -> anyhow::Result<()> {
    context.http()?.log_out(args.all).await.context("log out")?;
    context.out.note("logged out");
    Ok(())
}

pub(crate) async fn whoami(context: &Context) -> anyhow::Result<()> {
    let session = context.http()?.session().await.context("ask who is logged in")?;
    let server = Credentials::name_of(&context.server()?.0);
    if context.out.json {
        let (user, session) = (&session.user, &session.session);
        context.out.json(&json!({"server": server, "user": user, "session": session}))?;
        return Ok(());
    }
    context.out.text(&(plain::line(&session.user.username) + "\n"))?;
    let role = match session.user.role {
        ServerRole::Admin => ", an administrator",
        ServerRole::User => "",
    };
    let name = &session.user.display_name;
    context.out.note(&format!("{name}{role}, at {server} until {}", session.session.expires_at));
    Ok(())
}

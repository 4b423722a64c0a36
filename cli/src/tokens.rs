//! `tokens`: personal access tokens, for scripts.

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use parlor_client::Http;
use parlor_protocol::http::{CreateTokenRequest, PersonalToken, Scope};
use parlor_protocol::id::TokenId;

use crate::context::Context;

#[derive(Debug, Args)]
pub(crate) struct TokensArgs {
    #[command(subcommand)]
    command: Option<TokensCommand>,
}

#[derive(Debug, Subcommand)]
enum TokensCommand {
    /// List the tokens that work (also without a verb)
    List,
    /// Make a token, and write its secret to standard output
    ///
    /// Give it to a script in the variable `PARLOR_TOKEN`. It is told this one time.
    Create(CreateArgs),
    /// End a token
    Delete {
        /// Id of the token
        id: TokenId,
    },
}

#[derive(Debug, Args)]
struct CreateArgs {
    /// What it is for
    name: String,
    /// What it may be used for
    #[arg(long = "scope", value_enum, value_name = "SCOPE", required = true)]
    scopes: Vec<May>,
    /// Seconds until it stops working [default: a year]
    #[arg(long, value_name = "SECONDS")]
    expires_in: Option<u64>,
}

/// What a token may be used for.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum May {
    /// Look at everything that I may see
    Read,
    /// Write, react, run commands
    Write,
    /// Make, change, enter and leave rooms; integrations and webhooks
    Rooms,
    /// Remove, ban and mute members, give roles
    Moderate,
    /// Change my profile
    Profile,
    /// Make, change and delete bots
    Bots,
    /// Administer the server, if I may
    Admin,
}

impl From<May> for Scope {
    fn from(may: May) -> Self {
        match may {
            May::Read => Self::Read,
            May::Write => Self::Write,
            May::Rooms => Self::Rooms,
            May::Moderate => Self::Moderate,
            May::Profile => Self::Profile,
            May::Bots => Self::Bots,
            May::Admin => Self::Admin,
        }
    }
}

pub(crate) async fn run(args: TokensArgs, context: &Context) -> anyhow::Result<()> {
    let http = context.http()?;
    match args.command.unwrap_or(TokensCommand::List) {
        TokensCommand::List => list(&http, context).await,
        TokensCommand::Create(args) => create(&http, args, context).await,
        TokensCommand::Delete { id } => {
            http.delete_token(id).await.context("end the token")?;
            context.out.note("the token works no longer");
            Ok(())
        }
    }
}

async fn list(http: &Http, context: &Context) -> anyhow::Result<()> {
    let tokens = http.tokens().await.context("list tokens")?.items;
    if context.out.json {
        return Ok(context.out.json(&tokens)?);
    }
    let row = |token: PersonalToken| {
        let scopes: Vec<&str> = token.scopes.iter().map(|scope| scope.as_str()).collect();
        vec![
            token.id.to_string(),
            format!("{}…", token.prefix),
            scopes.join(","),
            token.last_used_at.map_or_else(|| "never".to_owned(), |at| at.to_string()),
            token.expires_at.to_string(),
            token.name,
        ]
    };
    let head = ["ID", "SECRET", "SCOPES", "LAST USED", "EXPIRES", "NAME"];
    Ok(context.out.table(&head, tokens.into_iter().map(row).collect())?)
}

async fn create(http: &Http, args: CreateArgs, context: &Context) -> anyhow::Result<()> {
    let request = CreateTokenRequest {
        name: args.name,
        scopes: args.scopes.into_iter().map(Scope::from).collect(),
        expires_in: args.expires_in,
    };
    let made = http.create_token(&request).await.context("make the token")?;
    if context.out.json {
        return Ok(context.out.json(&made)?);
    }
    let until = made.token.expires_at;
    context.out.note(&format!("works until {until}; the secret is told this one time"));
    Ok(context.out.text(&(crate::plain::line(&made.secret) + "\n"))?)
}

//! `account`: what people do with their own accounts.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use futures_util::TryStreamExt as _;
use parlor_client::Http;
use parlor_protocol::http::{
    DeactivateRequest, EraseRequest, ErasedMessages, PatchMeRequest, PutPasswordRequest,
};
use parlor_protocol::user::{User, Visibility};

use crate::context::Context;
use crate::output::Out;
use crate::password::PasswordArgs;
use crate::plain;

#[derive(Debug, Args)]
pub(crate) struct AccountArgs {
    #[command(subcommand)]
    command: AccountCommand,
}

#[derive(Debug, Subcommand)]
enum AccountCommand {
    /// Change what others see of you
    Profile(ProfileArgs),
    /// Change your user name
    ///
    /// Everyone in your rooms is told. For 30 days nobody else can take the name you had.
    Rename {
        /// The new user name
        username: String,
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// Change your password, which ends all other logins
    Password {
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// Download everything that is held of you, as JSON lines
    Export {
        /// Write it to this file
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Close your account until an administrator opens it again
    Deactivate {
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// Erase your account; this cannot be undone
    Erase {
        /// What becomes of your messages
        #[arg(long, value_enum, value_name = "WHAT")]
        messages: Messages,
        #[command(flatten)]
        password: PasswordArgs,
    },
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true, args = ["display_name", "bio", "visibility"])]
struct ProfileArgs {
    /// Name to show
    #[arg(long, value_name = "NAME")]
    display_name: Option<String>,
    /// Text about yourself
    #[arg(long, value_name = "TEXT")]
    bio: Option<String>,
    /// Who may read that text
    #[arg(long, value_enum, value_name = "WHO")]
    visibility: Option<Seen>,
}

/// Who may read the text about oneself.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Seen {
    /// Everyone with an account
    Public,
    /// Nobody else
    Private,
}

/// What becomes of the messages of an erased account.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Messages {
    /// They stay, by "Deleted user"
    Keep,
    /// Their texts are removed, in every room
    Redact,
}

impl From<Messages> for ErasedMessages {
    fn from(messages: Messages) -> Self {
        match messages {
            Messages::Keep => Self::Keep,
            Messages::Redact => Self::Redact,
        }
    }
}

pub(crate) async fn run(args: AccountArgs, context: &Context) -> anyhow::Result<()> {
    let http = context.http()?;
    match args.command {
        AccountCommand::Profile(args) => {
            let visibility = args.visibility.map(|seen| match seen {
                Seen::Public => Visibility::Public,
                Seen::Private => Visibility::Private,
            });
            let (display_name, bio) = (args.display_name, args.bio);
            let request =
                PatchMeRequest { display_name, bio, visibility, ..PatchMeRequest::default() };
            let user = http.patch_me(&request).await.context("change the profile")?;
            told(&user, "the profile is changed", context)
        }
        AccountCommand::Rename { username, password } => {
            let password = Some(password.read(context, false)?.expose().clone());
            let username = Some(username);
            let request = PatchMeRequest { username, password, ..PatchMeRequest::default() };
            let user = http.patch_me(&request).await.context("change the user name")?;
            told(&user, &format!("you are now {}", plain::line(&user.username)), context)
        }
        AccountCommand::Password { password } => {
            let current_password = password.read(context, false)?.expose().clone();
            let new_password = password.read_next(context)?.expose().clone();
            let request = PutPasswordRequest { current_password, new_password };
            http.put_password(&request).await.context("change the password")?;
            context.out.note("the password is changed; all other logins have ended");
            Ok(())
        }
        AccountCommand::Export { output } => {
            export(&http, output, context.out).await.context("download what is held")
        }
        AccountCommand::Deactivate { password } => {
            let password = password.read(context, false)?.expose().clone();
            let request = DeactivateRequest { password };
            http.deactivate_me(&request).await.context("deactivate the account")?;
            context.out.note("the account is deactivated; an administrator can reactivate it");
            Ok(())
        }
        AccountCommand::Erase { messages, password } => {
            let password = password.read(context, false)?.expose().clone();
            let request = EraseRequest { password, messages: messages.into() };
            http.delete_me(&request).await.context("erase the account")?;
            context.out.note("the account is erased");
            Ok(())
        }
    }
}

fn told(user: &User, note: &str, context: &Context) -> anyhow::Result<()> {
    context.out.note(note);
    if context.out.json {
        context.out.json(user)?;
    }
    Ok(())
}

async fn export(http: &Http, output: Option<PathBuf>, out: Out) -> anyhow::Result<()> {
    let mut pieces = http.export_me().await?;
    let Some(path) = output else {
        // What people wrote must not rule the terminal.
        let mut filter = out.terminal.then(plain::Filter::default);
        while let Some(piece) = pieces.try_next().await? {
            match &mut filter {
                Some(filter) => out.text(&filter.push(&piece))?,
                None => out.bytes(&piece)?,
            }
        }
        return Ok(out.text("")?);
    };
    let mut file = File::create(&path).with_context(|| format!("make {}", path.display()))?;
    let mut written = 0;
    while let Some(piece) = pieces.try_next().await? {
        file.write_all(&piece)?;
        written += piece.len();
    }
    file.sync_all()?;
    out.note(&format!("wrote {} ({written} bytes)", path.display()));
    Ok(())
}

//! `bots`: list, make and delete bots.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use parlor_client::Http;
use parlor_protocol::http::{Bot, CreateBotRequest, Trigger};

use crate::context::Context;
use crate::failure::Usage;
use crate::password;

#[derive(Debug, Args)]
pub(crate) struct BotsArgs {
    #[command(subcommand)]
    command: Option<BotsCommand>,
}

#[derive(Debug, Subcommand)]
enum BotsCommand {
    /// List bots (also without a verb)
    List,
    /// Show one bot
    Show {
        /// Bot's user name
        bot: String,
    },
    /// Make a bot
    Create(Box<CreateArgs>),
    /// Delete a bot; what it wrote stays
    Delete {
        /// Bot's user name
        bot: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
struct CreateArgs {
    /// User name, as in a mention
    name: String,
    /// Name to show
    #[arg(long, value_name = "NAME")]
    display_name: Option<String>,
    /// Model provider [default: the server's]
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// Model [default: the provider's]
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// What the bot is told about itself
    #[arg(long, value_name = "TEXT", conflicts_with = "prompt_file")]
    prompt: Option<String>,
    /// File with what the bot is told about itself
    #[arg(long, value_name = "FILE")]
    prompt_file: Option<PathBuf>,
    /// When it answers [default: mention]
    #[arg(long, value_enum)]
    trigger: Option<When>,
    /// How freely it writes, 0 to 2
    #[arg(long, value_name = "T")]
    temperature: Option<f32>,
    /// Longest reply, in the model's tokens
    #[arg(long, value_name = "N")]
    max_tokens: Option<u32>,
    /// Messages of the room that it is shown at most
    #[arg(long, value_name = "N")]
    context_messages: Option<u32>,
    /// How far back it remembers, in seconds; 0 is without end
    #[arg(long, value_name = "SECONDS")]
    memory_ttl: Option<u64>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum When {
    /// When it is mentioned; in a direct room always
    Mention,
    /// To every message of a person
    Always,
    /// Only in direct rooms
    Direct,
    /// Never
    Never,
}

impl From<When> for Trigger {
    fn from(when: When) -> Self {
        match when {
            When::Mention => Self::Mention,
            When::Always => Self::Always,
            When::Direct => Self::Direct,
            When::Never => Self::Never,
        }
    }
}

pub(crate) async fn run(args: BotsArgs, context: &Context) -> anyhow::Result<()> {
    let http = context.http()?;
    match args.command.unwrap_or(BotsCommand::List) {
        BotsCommand::List => list(&http, context).await,
        BotsCommand::Show { bot } => {
            let bot = http.bot(&bot).await.context("show the bot")?;
            show(&bot, context)
        }
        BotsCommand::Create(args) => {
            let bot = http.create_bot(&request(*args)?).await.context("make the bot")?;
            context.out.note(&format!("made @{}", bot.user.username));
            show(&bot, context)
        }
        BotsCommand::Delete { bot, yes } => {
            if !yes {
                let what = format!("Delete @{bot}? Type its name to confirm");
                if password::ask(context, None, &what)? != bot {
                    let said = "not deleted: the name was not repeated";
                    return Err(Usage(said.to_owned()).into());
                }
            }
            http.delete_bot(&bot).await.context("delete the bot")?;
            context.out.note(&format!("deleted @{bot}"));
            Ok(())
        }
    }
}

fn request(args: CreateArgs) -> anyhow::Result<CreateBotRequest> {
    let system_prompt = match args.prompt_file {
        Some(path) => Some(
            std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?,
        ),
        None => args.prompt,
    };
    Ok(CreateBotRequest {
        name: args.name,
        display_name: args.display_name,
        provider: args.provider,
        model: args.model,
        system_prompt,
        trigger: args.trigger.map(Trigger::from),
        temperature: args.temperature,
        max_tokens: args.max_tokens,
        context_messages: args.context_messages,
        memory_ttl_seconds: args.memory_ttl,
    })
}

async fn list(http: &Http, context: &Context) -> anyhow::Result<()> {
    let mut bots = Vec::new();
    let mut cursor = None;
    loop {
        let page = http.bots(cursor.as_deref()).await.context("list bots")?;
        bots.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    if context.out.json {
        return Ok(context.out.json(&bots)?);
    }
    let row = |bot: Bot| {
        vec![
            format!("@{}", bot.user.username),
            trigger_name(bot.trigger).to_owned(),
            bot.provider.unwrap_or_else(|| "(default)".to_owned()),
            bot.model.unwrap_or_else(|| "(default)".to_owned()),
            bot.user.display_name,
        ]
    };
    let head = ["BOT", "ANSWERS", "PROVIDER", "MODEL", "NAME"];
    Ok(context.out.table(&head, bots.into_iter().map(row).collect())?)
}

fn show(bot: &Bot, context: &Context) -> anyhow::Result<()> {
    if context.out.json {
        return Ok(context.out.json(bot)?);
    }
    let default = || "(default)".to_owned();
    let rows = [
        ("bot", format!("@{}", bot.user.username)),
        ("id", bot.user.id.to_string()),
        ("name", bot.user.display_name.clone()),
        ("answers", trigger_name(bot.trigger).to_owned()),
        ("provider", bot.provider.clone().unwrap_or_else(default)),
        ("model", bot.model.clone().unwrap_or_else(default)),
        ("temperature", bot.temperature.map_or_else(default, |t| t.to_string())),
        ("max tokens", bot.max_tokens.map_or_else(default, |n| n.to_string())),
        ("context", format!("{} messages", bot.context_messages)),
        (
            "memory",
            match bot.memory_ttl_seconds {
                0 => "without end".to_owned(),
                seconds => format!("{seconds} seconds"),
            },
        ),
        ("made", bot.created_at.to_string()),
        ("prompt", bot.system_prompt.clone().unwrap_or_else(|| "(hidden)".to_owned())),
    ];
    let rows = rows.map(|(name, value)| vec![name.to_owned(), value]);
    Ok(context.out.table(&[], rows.into())?)
}

fn trigger_name(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::Mention => "mention",
        Trigger::Always => "always",
        Trigger::Direct => "direct",
        Trigger::Never => "never",
    }
}

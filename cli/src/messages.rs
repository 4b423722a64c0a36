//! `messages`: single messages, their older texts, and pins.

use std::str::FromStr;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use parlor_client::{Http, MessageQuery};
use parlor_protocol::id::MessageId;
use parlor_protocol::message::Message;

use crate::context::Context;
use crate::failure::Usage;
use crate::plain;
use crate::render::Style;

#[derive(Debug, Args)]
pub(crate) struct MessagesArgs {
    #[command(subcommand)]
    command: MessagesCommand,
}

#[derive(Debug, Subcommand)]
enum MessagesCommand {
    /// Show a message
    Show(MessageArgs),
    /// List the texts that a message has had, the present one last
    Versions(MessageArgs),
    /// Change the text of one's own message
    Edit {
        #[command(flatten)]
        message: MessageArgs,
        /// New text
        text: String,
    },
    /// Remove the text of a message, for everyone and for good
    Redact(MessageArgs),
    /// Pin a message
    Pin(MessageArgs),
    /// Unpin a message
    Unpin(MessageArgs),
    /// List the pinned messages of a room
    Pins {
        /// Room, by id or short name
        room: String,
    },
}

#[derive(Debug, Args)]
struct MessageArgs {
    /// Room, by id or short name
    room: String,
    /// Message, by id or position (`42` or `#42`)
    message: Named,
}

/// How a message is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    Id(MessageId),
    Seq(u64),
}

impl FromStr for Named {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        let seq = text.strip_prefix('#').unwrap_or(text).parse();
        seq.map(Self::Seq).map_err(|_| "this is neither an id nor a position")
    }
}

impl MessageArgs {
    /// Returns the id, which is looked up where the position is given.
    async fn id(&self, http: &Http) -> anyhow::Result<MessageId> {
        let seq = match self.message {
            Named::Id(id) => return Ok(id),
            Named::Seq(seq) => seq,
        };
        let (after, limit) = (Some(seq.saturating_sub(1)), Some(1));
        let query = MessageQuery { after, limit, ..MessageQuery::default() };
        let page = http.messages(&self.room, &query).await?;
        match page.items.first().filter(|message| message.seq == seq) {
            Some(message) => Ok(message.id),
            None => Err(Usage(format!("there is no message at #{seq}")).into()),
        }
    }
}

pub(crate) async fn run(args: MessagesArgs, context: &Context) -> anyhow::Result<()> {
    let http = context.http()?;
    match args.command {
        MessagesCommand::Show(args) => {
            let id = args.id(&http).await.context("show the message")?;
            let message = http.message(&args.room, id).await.context("show the message")?;
            show(&[message], context)
        }
        MessagesCommand::Versions(args) => versions(&http, &args, context).await,
        MessagesCommand::Edit { message: args, text } => {
            let id = args.id(&http).await.context("change the message")?;
            let edited = http.edit_message(&args.room, id, &text).await;
            let message = edited.context("change the message")?;
            show(&[message], context)
        }
        MessagesCommand::Redact(args) => {
            let id = args.id(&http).await.context("remove the text")?;
            http.redact_message(&args.room, id).await.context("remove the text")?;
            context.out.note("the text is gone");
            Ok(())
        }
        MessagesCommand::Pin(args) => {
            let id = args.id(&http).await.context("pin the message")?;
            http.pin_message(&args.room, id).await.context("pin the message")?;
            context.out.note("pinned");
            Ok(())
        }
        MessagesCommand::Unpin(args) => {
            let id = args.id(&http).await.context("unpin the message")?;
            http.unpin_message(&args.room, id).await.context("unpin the message")?;
            context.out.note("unpinned");
            Ok(())
        }
        MessagesCommand::Pins { room } => {
            let pins = http.pins(&room).await.context("list the pinned messages")?;
            show(&pins, context)
        }
    }
}

fn show(messages: &[Message], context: &Context) -> anyhow::Result<()> {
    let style = Style { color: context.out.color };
    for message in messages {
        if context.out.json {
            context.out.json(message)?;
        } else {
            context.out.text(&style.message(message))?;
        }
    }
    Ok(())
}

async fn versions(http: &Http, args: &MessageArgs, context: &Context) -> anyhow::Result<()> {
    let id = args.id(http).await.context("list the texts")?;
    let versions = http.versions(&args.room, id).await.context("list the texts")?;
    if context.out.json {
        return Ok(context.out.json(&versions)?);
    }
    let style = Style { color: context.out.color };
    for version in versions {
        let head = style.dim(&format!("{} text {}", version.at, version.version));
        context.out.text(&format!("{head}: {}\n", plain::body(&version.body)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_is_named_by_its_id_or_its_position() {
        assert_eq!("42".parse(), Ok(Named::Seq(42)));
        assert_eq!("#7".parse(), Ok(Named::Seq(7)));
        let id = uuid::Uuid::from_u128(5);
        assert_eq!(id.to_string().parse(), Ok(Named::Id(MessageId(id))));
        assert!("first".parse::<Named>().is_err());
    }
}

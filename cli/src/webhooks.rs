//! `webhooks`: addresses that are told what happens in a room.

use anyhow::Context as _;
use clap::{Args, Subcommand};
use parlor_client::Http;
use parlor_protocol::http::{CreateWebhookRequest, NewWebhookSecret, PatchWebhookRequest, Webhook};
use parlor_protocol::id::WebhookId;

use crate::context::Context;

#[derive(Debug, Args)]
pub(crate) struct WebhooksArgs {
    #[command(subcommand)]
    command: WebhooksCommand,
}

/// A webhook of a room.
#[derive(Debug, Args)]
struct One {
    /// Room, by id or short name
    room: String,
    /// Id of the webhook
    id: WebhookId,
}

#[derive(Debug, Subcommand)]
enum WebhooksCommand {
    /// List the addresses that are told what happens in a room, and how it goes
    List {
        /// Room, by id or short name
        room: String,
    },
    /// Have an address told, and write the secret of the signatures to standard output
    Create {
        /// Room, by id or short name
        room: String,
        /// Where events are posted to
        url: String,
        /// Type of event, such as message.created; all without it
        #[arg(long = "event", value_name = "TYPE")]
        events: Vec<String>,
    },
    /// Tell it again, from where it stopped
    Enable(One),
    /// Tell it nothing for now
    Disable(One),
    /// Make a new secret, and write it to standard output
    Rotate(One),
    /// List the events that were given up
    DeadLetters(One),
    /// Deliver an event once more that was given up
    Redeliver {
        #[command(flatten)]
        one: One,
        /// Position of the event
        seq: u64,
    },
    /// Remove a webhook
    Delete(One),
}

pub(crate) async fn run(args: WebhooksArgs, context: &Context) -> anyhow::Result<()> {
    let http = context.http()?;
    match args.command {
        WebhooksCommand::List { room } => list(&http, &room, context).await,
        WebhooksCommand::Create { room, url, events } => {
            let made = http.create_webhook(&room, &CreateWebhookRequest { url, events }).await;
            show(&made.context("make the webhook")?, context)
        }
        WebhooksCommand::Enable(one) => switch(&http, &one, true, context).await,
        WebhooksCommand::Disable(one) => switch(&http, &one, false, context).await,
        WebhooksCommand::Rotate(One { room, id }) => {
            let rotated = http.rotate_webhook(&room, id).await;
            show(&rotated.context("make a new secret")?, context)
        }
        WebhooksCommand::DeadLetters(One { room, id }) => {
            dead_letters(&http, &room, id, context).await
        }
        WebhooksCommand::Redeliver { one: One { room, id }, seq } => {
            let came = http.redeliver(&room, id, seq).await.context("deliver the event")?;
            if context.out.json {
                return Ok(context.out.json(&came)?);
            }
            anyhow::ensure!(came.delivered, "not delivered: {}", came.outcome);
            context.out.note("delivered");
            Ok(())
        }
        WebhooksCommand::Delete(One { room, id }) => {
            http.delete_webhook(&room, id).await.context("remove the webhook")?;
            context.out.note("the address is told nothing more");
            Ok(())
        }
    }
}

async fn list(http: &Http, room: &str, context: &Context) -> anyhow::Result<()> {
    let found = http.webhooks(room).await.context("list webhooks")?.items;
    if context.out.json {
        return Ok(context.out.json(&found)?);
    }
    let row = |webhook: Webhook| {
        let state = match (webhook.enabled, webhook.attempts) {
            (false, _) => webhook.disabled_reason.unwrap_or_else(|| "off".to_owned()),
            (true, 0) => "on".to_owned(),
            (true, attempts) => format!("failing, {attempts} attempts"),
        };
        vec![
            webhook.id.to_string(),
            webhook.url,
            if webhook.events.is_empty() { "all".to_owned() } else { webhook.events.join(",") },
            state,
            webhook.last_outcome.unwrap_or_else(|| "-".to_owned()),
            webhook.dead_letters.to_string(),
        ]
    };
    let head = ["ID", "ADDRESS", "EVENTS", "STATE", "LAST", "GIVEN UP"];
    Ok(context.out.table(&head, found.into_iter().map(row).collect())?)
}

async fn switch(http: &Http, one: &One, on: bool, context: &Context) -> anyhow::Result<()> {
    let change = PatchWebhookRequest { enabled: Some(on), ..PatchWebhookRequest::default() };
    let changed = http.patch_webhook(&one.room, one.id, &change).await;
    let changed = changed.context("change the webhook")?;
    if context.out.json {
        return Ok(context.out.json(&changed)?);
    }
    context.out.note(if on { "the address is told again" } else { "the address is told nothing" });
    Ok(())
}

async fn dead_letters(
    http: &Http,
    room: &str,
    id: WebhookId,
    context: &Context,
) -> anyhow::Result<()> {
    let found = http.dead_letters(room, id).await.context("list what was given up")?.items;
    if context.out.json {
        return Ok(context.out.json(&found)?);
    }
    let rows = found.into_iter().map(|letter| {
        vec![
            letter.seq.to_string(),
            letter.at.to_string(),
            letter.attempts.to_string(),
            letter.outcome,
        ]
    });
    Ok(context.out.table(&["SEQ", "GIVEN UP", "ATTEMPTS", "LAST"], rows.collect())?)
}

fn show(made: &NewWebhookSecret, context: &Context) -> anyhow::Result<()> {
    if context.out.json {
        return Ok(context.out.json(made)?);
    }
    context.out.note(&format!("webhook {}; the secret is told this one time", made.webhook.id));
    Ok(context.out.text(&(crate::plain::line(&made.secret) + "\n"))?)
}

//! `integrations`: other programs that post into a room.

use anyhow::Context as _;
use clap::{Args, Subcommand};
use parlor_client::Http;
use parlor_protocol::http::{Integration, NewIntegrationAddress};
use parlor_protocol::id::UserId;

use crate::context::Context;

#[derive(Debug, Args)]
pub(crate) struct IntegrationsArgs {
    #[command(subcommand)]
    command: IntegrationsCommand,
}

#[derive(Debug, Subcommand)]
enum IntegrationsCommand {
    /// List the programs that may post into a room
    List {
        /// Room, by id or short name
        room: String,
    },
    /// Let a program post, and write its secret address to standard output
    Create {
        /// Room, by id or short name
        room: String,
        /// Name under which it posts
        name: String,
    },
    /// Give a program a new address; the old one works no longer
    Rotate {
        /// Room, by id or short name
        room: String,
        /// Id of the integration
        id: UserId,
    },
    /// End an integration; what it wrote stays
    Delete {
        /// Room, by id or short name
        room: String,
        /// Id of the integration
        id: UserId,
    },
}

pub(crate) async fn run(args: IntegrationsArgs, context: &Context) -> anyhow::Result<()> {
    let http = context.http()?;
    match args.command {
        IntegrationsCommand::List { room } => list(&http, &room, context).await,
        IntegrationsCommand::Create { room, name } => {
            let made = http.create_integration(&room, &name).await;
            show(&http, &made.context("make the integration")?, context)
        }
        IntegrationsCommand::Rotate { room, id } => {
            let rotated = http.rotate_integration(&room, id).await;
            show(&http, &rotated.context("make a new address")?, context)
        }
        IntegrationsCommand::Delete { room, id } => {
            http.delete_integration(&room, id).await.context("end the integration")?;
            context.out.note("the address works no longer");
            Ok(())
        }
    }
}

async fn list(http: &Http, room: &str, context: &Context) -> anyhow::Result<()> {
    let found = http.integrations(room).await.context("list integrations")?.items;
    if context.out.json {
        return Ok(context.out.json(&found)?);
    }
    let row = |integration: Integration| {
        vec![
            integration.id.to_string(),
            integration.user.display_name,
            format!("@{}", integration.user.username),
            format!("@{}", integration.creator.username),
            integration.last_used_at.map_or_else(|| "never".to_owned(), |at| at.to_string()),
        ]
    };
    let head = ["ID", "NAME", "USER", "MADE BY", "LAST USED"];
    Ok(context.out.table(&head, found.into_iter().map(row).collect())?)
}

fn show(http: &Http, made: &NewIntegrationAddress, context: &Context) -> anyhow::Result<()> {
    if context.out.json {
        return Ok(context.out.json(made)?);
    }
    context.out.note("whoever has this address may post; it is told this one time");
    let base = http.config().base_url.as_str().trim_end_matches('/');
    Ok(context.out.text(&format!("{base}{}\n", crate::plain::line(&made.path)))?)
}

//! `migrate`: brings the database to this version.

use anyhow::Context as _;
use clap::Args;
use parlor_runtime::Config;
use serde_json::json;

use crate::args::SettingsArgs;
use crate::context::Context;

#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    #[command(flatten)]
    settings: SettingsArgs,
}

pub(crate) async fn run(args: &MigrateArgs, context: &Context) -> anyhow::Result<()> {
    let config = Config::load(&context.settings(&args.settings))?.config;
    let data_dir = config.server.data_dir;
    let folder = data_dir.clone();
    let report = tokio::task::spawn_blocking(move || parlor_store::sqlite::migrate(&folder))
        .await
        .context("wait for the migration")?
        .context("migrate")?;
    if context.out.json {
        let applied: Vec<_> = report
            .applied
            .iter()
            .map(|(version, name)| json!({"version": version, "name": name}))
            .collect();
        let report = json!({
            "data_dir": data_dir, "from": report.from, "to": report.to, "applied": applied
        });
        context.out.json(&report)?;
        return Ok(());
    }
    for (version, name) in &report.applied {
        context.out.text(&format!("{version} {name}\n"))?;
    }
    let place = data_dir.display();
    context.out.note(&match report.from {
        Some(from) if from == report.to => format!("{place} has schema {from} already"),
        Some(from) => format!("{place} went from schema {from} to {}", report.to),
        None => format!("{place} was made with schema {}", report.to),
    });
    Ok(())
}

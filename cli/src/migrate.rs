//! `migrate`: brings the database to this version.

use anyhow::Context as _;
use clap::Args;
use parlor_auth::fingerprint;
use parlor_runtime::config::place;
use parlor_runtime::{Config, exit};
use parlor_store::postgres::{PostgresOptions, PostgresStore};
use parlor_store::{postgres, sqlite};
use serde_json::json;

use crate::args::SettingsArgs;
use crate::context::Context;
use crate::failure::{Said, Usage};
use crate::program::backends;
use crate::program::secret::NOTED_AS;

#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    #[command(flatten)]
    settings: SettingsArgs,
    /// Change nothing; exit with 1 when there is something to do
    #[arg(long, visible_alias = "dry-run")]
    check: bool,
    /// Take the secret key of these settings for the one of all nodes, in place of the present one;
    /// stop all nodes before, and give the new key to each
    #[arg(long, conflicts_with = "check")]
    accept_new_secret: bool,
    /// Tell nodes and clients that an older state of the database was put back: they load anew
    #[arg(long, conflicts_with = "check")]
    restored: bool,
}

/// What was done, whichever database it is.
struct Report {
    from: Option<i64>,
    to: i64,
    applied: Vec<(i64, String)>,
}

pub(crate) async fn run(args: &MigrateArgs, context: &Context) -> anyhow::Result<()> {
    let config = Config::load(&context.settings(&args.settings))?.config;
    let postgres = backends::postgres::options(&config);
    let place = match &postgres {
        Some(_) => config.store.postgres().map(place).unwrap_or_default(),
        None => config.server.data_dir.display().to_string(),
    };
    if args.check {
        return check(&config, postgres.as_ref(), &place, context).await;
    }
    let report = match &postgres {
        Some(options) => {
            let report = backends::postgres::migrate(options, &config).await?;
            Report { from: report.from, to: report.to, applied: report.applied }
        }
        None => sqlite(&config).await?,
    };
    tell(&report, &place, context)?;
    if args.accept_new_secret {
        accept_secret(&config, postgres.as_ref(), context).await?;
    }
    if args.restored {
        begin_epoch(&config, postgres.as_ref(), context).await?;
    }
    Ok(())
}

async fn sqlite(config: &Config) -> anyhow::Result<Report> {
    let folder = config.server.data_dir.clone();
    let report = tokio::task::spawn_blocking(move || sqlite::migrate(&folder))
        .await
        .context("wait for the migration")?
        .context("migrate")?;
    Ok(Report { from: report.from, to: report.to, applied: report.applied })
}

async fn check(
    config: &Config,
    postgres: Option<&PostgresOptions>,
    place: &str,
    context: &Context,
) -> anyhow::Result<()> {
    let (found, known) = match postgres {
        Some(options) => {
            let found = PostgresStore::schema_version(options).await;
            let found = found.map_err(|error| backends::postgres::fault(config, &error))?;
            (found, postgres::known_schema_version())
        }
        None => (sqlite::schema_version(&config.server.data_dir)?, sqlite::known_schema_version()),
    };
    let pending = found.unwrap_or(0) < known;
    if context.out.json {
        let answer = json!({"place": place, "schema": found, "known": known, "pending": pending});
        context.out.json(&answer)?;
    }
    context.out.note(&match found {
        Some(found) if found == known => format!("{place} has schema {found}; nothing to do"),
        Some(found) if found > known => {
            format!("{place} has schema {found}, newer than {known}, which this version knows")
        }
        Some(found) => format!("{place} has schema {found} of {known}"),
        None => format!("{place} has no schema yet; this version makes {known}"),
    });
    if pending { Err(Said(exit::FAILURE).into()) } else { Ok(()) }
}

async fn accept_secret(
    config: &Config,
    postgres: Option<&PostgresOptions>,
    context: &Context,
) -> anyhow::Result<()> {
    let Some(options) = postgres else {
        let why = "the secret key of a data folder is its own; remove secret.key there instead";
        return Err(Usage(why.to_owned()).into());
    };
    let Some(secret) = &config.auth.secret_key else {
        return Err(Usage("SECRET_KEY is not set".to_owned()).into());
    };
    let fingerprint = fingerprint(secret.expose().as_bytes())?;
    PostgresStore::replace_pin(options, NOTED_AS, &fingerprint)
        .await
        .map_err(|error| backends::postgres::fault(config, &error))?;
    context.out.note("all nodes use this secret key from now on");
    Ok(())
}

/// Gives the logs a new identity, so that nobody takes the numbers that are given again for those
/// that they have seen.
async fn begin_epoch(
    config: &Config,
    postgres: Option<&PostgresOptions>,
    context: &Context,
) -> anyhow::Result<()> {
    let Some(options) = postgres else {
        let why = "in a data folder, remove the file incarnation instead";
        return Err(Usage(why.to_owned()).into());
    };
    PostgresStore::renew_incarnation(options)
        .await
        .map_err(|error| backends::postgres::fault(config, &error))?;
    context.out.note("clients load anew; nodes that run notice when they connect again");
    Ok(())
}

fn tell(report: &Report, place: &str, context: &Context) -> anyhow::Result<()> {
    if context.out.json {
        let applied: Vec<_> = report
            .applied
            .iter()
            .map(|(version, name)| json!({"version": version, "name": name}))
            .collect();
        let report =
            json!({"place": place, "from": report.from, "to": report.to, "applied": applied});
        context.out.json(&report)?;
        return Ok(());
    }
    for (version, name) in &report.applied {
        context.out.text(&format!("{version} {name}\n"))?;
    }
    context.out.note(&match report.from {
        Some(from) if from == report.to => format!("{place} has schema {from} already"),
        Some(from) => format!("{place} went from schema {from} to {}", report.to),
        None => format!("{place} was made with schema {}", report.to),
    });
    Ok(())
}

//! `backup`: a copy of the data folder while the server runs.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use parlor_runtime::Config;
use parlor_store::sqlite;

use crate::args::SettingsArgs;
use crate::context::Context;
use crate::failure::Usage;
use crate::program::backends;

/// What a data folder holds besides the database and has to be kept.
const KEPT: [&str; 2] = ["secret.key", "parlor.toml"];

#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// Folder for the copy; made where it is missing, and without a backup in it
    folder: PathBuf,
    #[command(flatten)]
    settings: SettingsArgs,
}

pub(crate) async fn run(args: &BackupArgs, context: &Context) -> anyhow::Result<()> {
    let config = Config::load(&context.settings(&args.settings))?.config;
    if backends::are_shared(&config) {
        let why = "the database is in Postgres; back it up with pg_dump";
        return Err(Usage(why.to_owned()).into());
    }
    let (from, to) = (config.server.data_dir, args.folder.clone());
    let copied = tokio::task::spawn_blocking(move || copy(&from, &to).map(|()| to));
    let to = copied.await.context("wait for the copy")??;
    context.out.note(&format!("wrote the backup to {}", to.display()));
    Ok(())
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(to)
        .with_context(|| format!("make {}", to.display()))?;
    sqlite::back_up(from, to).context("copy the database")?;
    for name in KEPT {
        let (from, to) = (from.join(name), to.join(name));
        if from.exists() {
            std::fs::copy(&from, &to).with_context(|| format!("copy {}", from.display()))?;
        }
    }
    Ok(())
}

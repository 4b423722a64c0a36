//! `backup`: a copy of the data folder while the server runs.

use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use parlor_runtime::Config;
use parlor_store::sqlite;

use crate::args::SettingsArgs;
use crate::context::Context;
use crate::failure::Usage;
use crate::program::backends;

/// What a data folder holds besides the database and has to be kept.
const KEPT: [&str; 2] = ["secret.key", "parlor.toml"];
/// Where the bytes of attachments are in it.
const FILES: &str = "files";

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
    let has_bucket = config.files.s3_bucket.is_some();
    let files = (!has_bucket).then(|| config.files.folder.unwrap_or_else(|| from.join(FILES)));
    let copied =
        tokio::task::spawn_blocking(move || copy(&from, files.as_deref(), &to).map(|()| to));
    let to = copied.await.context("wait for the copy")??;
    context.out.note(&format!("wrote the backup to {}", to.display()));
    if has_bucket {
        context.out.note("attachments are in the bucket, and not in the backup");
    }
    Ok(())
}

fn copy(from: &Path, files: Option<&Path>, to: &Path) -> anyhow::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(to)
        .with_context(|| format!("make {}", to.display()))?;
    if let Some(files) = files.filter(|files| files.exists())
        && to.canonicalize()?.starts_with(files.canonicalize()?)
    {
        bail!("{} is among the files that are copied; choose another folder", to.display());
    }
    sqlite::back_up(from, to).context("copy the database")?;
    for name in KEPT {
        let (from, to) = (from.join(name), to.join(name));
        if from.exists() {
            std::fs::copy(&from, &to).with_context(|| format!("copy {}", from.display()))?;
        }
    }
    // After the database: a file that came later does no harm, and none of those it names is missing.
    match files {
        Some(files) if files.exists() => copy_folder(files, &to.join(FILES)),
        _ => Ok(()),
    }
}

/// Copies a folder of files that are written once. One that is removed meanwhile is left out.
fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    let reading = || format!("read {}", from.display());
    std::fs::create_dir(to).with_context(|| format!("make {}", to.display()))?;
    for entry in std::fs::read_dir(from).with_context(reading)? {
        let entry = entry.with_context(reading)?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().with_context(reading)?.is_dir() {
            copy_folder(&from, &to)?;
            continue;
        }
        match std::fs::copy(&from, &to) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            copied => {
                copied.with_context(|| format!("copy {}", from.display()))?;
            }
        }
    }
    Ok(())
}

//! `backup`: a copy of the data folder while the server runs.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
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

/// Copies a data folder. What it returns for is on the disk, and for nobody but the owner.
fn copy(from: &Path, files: Option<&Path>, to: &Path) -> anyhow::Result<()> {
    let making = || format!("make {}", to.display());
    DirBuilder::new().recursive(true).mode(0o700).create(to).with_context(making)?;
    if let Some(files) = files.filter(|files| files.exists())
        && to.canonicalize()?.starts_with(files.canonicalize()?)
    {
        bail!("{} is among the files that are copied; choose another folder", to.display());
    }
    sqlite::back_up(from, to).context("copy the database")?;
    for name in KEPT {
        let (from, to) = (from.join(name), to.join(name));
        if from.exists() {
            copy_file(&from, &to).with_context(|| format!("copy {}", from.display()))?;
        }
    }
    // After the database: a file that came later does no harm, and none of those it names is missing.
    if let Some(files) = files.filter(|files| files.exists()) {
        copy_folder(files, &to.join(FILES))?;
    }
    sync(to).with_context(making)?;
    // The folder itself may be new as well.
    let parent = to.canonicalize().with_context(making)?.parent().map(Path::to_owned);
    parent.map_or(Ok(()), |parent| sync(&parent)).with_context(making)
}

/// Copies a folder of files that are written once. One that is removed meanwhile is left out.
fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    let reading = || format!("read {}", from.display());
    let making = || format!("make {}", to.display());
    DirBuilder::new().mode(0o700).create(to).with_context(making)?;
    for entry in std::fs::read_dir(from).with_context(reading)? {
        let entry = entry.with_context(reading)?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().with_context(reading)?.is_dir() {
            copy_folder(&from, &to)?;
            continue;
        }
        match copy_file(&from, &to) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            copied => copied.with_context(|| format!("copy {}", from.display()))?,
        }
    }
    sync(to).with_context(making)
}

fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let mut from = File::open(from)?;
    let mut to = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    io::copy(&mut from, &mut to)?;
    to.sync_all()
}

/// Waits until the names in a folder are on the disk.
fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn backup_is_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("data"), folder.path().join("deep/backup"));
        drop(sqlite::migrate(&from).unwrap());
        std::fs::create_dir_all(from.join("files/ab")).unwrap();
        for name in ["secret.key", "files/ab/cd"] {
            std::fs::write(from.join(name), name).unwrap();
            let open = std::fs::Permissions::from_mode(0o644);
            std::fs::set_permissions(from.join(name), open).unwrap();
        }
        copy(&from, Some(&from.join(FILES)), &to).unwrap();
        for (name, mode) in [
            ("", 0o700),
            ("parlor.db", 0o600),
            ("secret.key", 0o600),
            ("files", 0o700),
            ("files/ab", 0o700),
            ("files/ab/cd", 0o600),
        ] {
            let found = std::fs::metadata(to.join(name)).unwrap().permissions().mode() & 0o777;
            assert_eq!(found, mode, "{name}");
        }
        assert_eq!(std::fs::read_to_string(to.join("files/ab/cd")).unwrap(), "files/ab/cd");
    }
}

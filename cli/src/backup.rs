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
    let copied = tokio::task::spawn_blocking(move || {
        copy(&from, files.as_deref(), &to, &mut |file, _| file.sync_all()).map(|()| to)
    });
    let to = copied.await.context("wait for the copy")??;
    context.out.note(&format!("wrote the backup to {}", to.display()));
    if has_bucket {
        context.out.note("attachments are in the bucket, and not in the backup");
    }
    Ok(())
}

/// Waits until a file or a folder is on the disk, which is open and at this path.
type Sync<'a> = dyn FnMut(&File, &Path) -> io::Result<()> + 'a;

/// Copies a data folder. What it returns for is on the disk, and for nobody but the owner.
fn copy(from: &Path, files: Option<&Path>, to: &Path, sync: &mut Sync<'_>) -> anyhow::Result<()> {
    let making = || format!("make {}", to.display());
    let whole = std::path::absolute(to).with_context(making)?;
    let present = whole.ancestors().find(|folder| folder.exists()).unwrap_or(&whole);
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
            copy_file(&from, &to, sync).with_context(|| format!("copy {}", from.display()))?;
        }
    }
    // After the database: a file that came later does no harm, and none of those it names is missing.
    if let Some(files) = files.filter(|files| files.exists()) {
        copy_folder(files, &to.join(FILES), sync)?;
    }
    sync_folder(to, sync).with_context(making)?;
    // The folder itself may be new as well, and those that it is in.
    for folder in whole.ancestors().skip(1) {
        sync_folder(folder, sync).with_context(making)?;
        if present.starts_with(folder) {
            break;
        }
    }
    Ok(())
}

/// Copies a folder of files that are written once. One that is removed meanwhile is left out.
fn copy_folder(from: &Path, to: &Path, sync: &mut Sync<'_>) -> anyhow::Result<()> {
    let reading = || format!("read {}", from.display());
    let making = || format!("make {}", to.display());
    DirBuilder::new().mode(0o700).create(to).with_context(making)?;
    for entry in std::fs::read_dir(from).with_context(reading)? {
        let entry = entry.with_context(reading)?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().with_context(reading)?.is_dir() {
            copy_folder(&from, &to, sync)?;
            continue;
        }
        match copy_file(&from, &to, sync) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            copied => copied.with_context(|| format!("copy {}", from.display()))?,
        }
    }
    sync_folder(to, sync).with_context(making)
}

fn copy_file(from: &Path, to: &Path, sync: &mut Sync<'_>) -> io::Result<()> {
    let mut from = File::open(from)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    io::copy(&mut from, &mut file)?;
    sync(&file, to)
}

/// Waits until the names in a folder are on the disk.
fn sync_folder(folder: &Path, sync: &mut Sync<'_>) -> io::Result<()> {
    sync(&File::open(folder)?, folder)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;

    /// Makes a data folder whose files are for everyone.
    fn make(from: &Path) {
        drop(sqlite::migrate(from).unwrap());
        std::fs::create_dir_all(from.join("files/ab")).unwrap();
        for name in ["secret.key", "files/ab/cd"] {
            std::fs::write(from.join(name), name).unwrap();
            let open = std::fs::Permissions::from_mode(0o644);
            std::fs::set_permissions(from.join(name), open).unwrap();
        }
    }

    /// What a file has in it, or which names a folder.
    fn content(path: &Path) -> Vec<u8> {
        if path.is_file() {
            return std::fs::read(path).unwrap();
        }
        let names = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.collect();
        names.sort();
        format!("{names:?}").into_bytes()
    }

    #[test]
    fn backup_is_on_the_disk_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("data"), folder.path().join("deep/backup"));
        make(&from);
        let mut synced = HashMap::new();
        copy(&from, Some(&from.join(FILES)), &to, &mut |file, path| {
            assert_eq!(file.metadata()?.ino(), std::fs::metadata(path)?.ino(), "{path:?}");
            synced.insert(path.to_owned(), content(path));
            Ok(())
        })
        .unwrap();
        // The database is the store's. The last two have new names in them as well.
        for path in ["secret.key", "files/ab/cd", "files/ab", "files"].map(|name| to.join(name)) {
            assert_eq!(synced.get(&path), Some(&content(&path)), "{path:?} when it was whole");
        }
        for path in to.ancestors().take(3) {
            assert_eq!(synced.get(path), Some(&content(path)), "{path:?} when it was whole");
        }
    }

    #[test]
    fn backup_is_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("data"), folder.path().join("deep/backup"));
        make(&from);
        copy(&from, Some(&from.join(FILES)), &to, &mut |file, _| file.sync_all()).unwrap();
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

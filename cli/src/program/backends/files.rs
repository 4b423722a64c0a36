//! Where the bytes of files are, as the settings say.

use anyhow::Context as _;
use parlor_files::{Objects, Place, S3Place};
use parlor_runtime::Config;

/// Opens the folder or the bucket.
///
/// # Errors
///
/// Fails when the folder cannot be made or the settings of the bucket contradict each other.
pub(crate) fn open(config: &Config) -> anyhow::Result<Objects> {
    Objects::open(place(config)).context("open the storage for files")
}

fn place(config: &Config) -> Place {
    let files = &config.files;
    let Some(bucket) = &files.s3_bucket else {
        let folder = files.folder.clone();
        return Place::Folder(folder.unwrap_or_else(|| config.server.data_dir.join("files")));
    };
    let secret = files.s3_secret_access_key.as_ref();
    Place::S3(S3Place {
        bucket: bucket.clone(),
        endpoint: files.s3_endpoint.as_ref().map(ToString::to_string),
        region: files.s3_region.clone(),
        prefix: files.s3_prefix.clone(),
        access_key: files
            .s3_access_key_id
            .clone()
            .zip(secret.map(|secret| secret.expose().clone())),
    })
}

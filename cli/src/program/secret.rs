//! The secret key: where it comes from, and that all nodes of one database have the same.

use anyhow::Context as _;
use parlor_auth::fingerprint;
use parlor_runtime::{Config, Secret, secrets_file};
use parlor_store::Store;

use crate::failure::Wrong;

/// The key under which the store notes the fingerprint of the nodes' secret.
pub(crate) const NOTED_AS: &str = "secret_check";

/// Returns the secret key: the one that is set, else that of the data folder.
///
/// # Errors
///
/// Fails when nodes share the database and no key is set: one that this node made would be unknown
/// to the others.
pub(crate) fn read(config: &Config) -> anyhow::Result<Secret<String>> {
    match &config.auth.secret_key {
        Some(secret) => Ok(secret.clone()),
        None => Ok(secrets_file::read_or_create(&config.server.data_dir)?),
    }
}

/// Compares the secret key with that of the node that used the database first.
///
/// # Errors
///
/// Fails when they differ.
pub(crate) async fn compare(store: &dyn Store, secret: &Secret<String>) -> anyhow::Result<()> {
    let own = fingerprint(secret.expose().as_bytes())?;
    let noted = store.pin(NOTED_AS, &own).await.context("compare the secret key")?;
    if own == noted {
        return Ok(());
    }
    Err(Wrong {
        sentence: "the secret key (SECRET_KEY) is not the one that other nodes use with this \
                   database"
            .to_owned(),
        hint: "give every node the same key; to change it everywhere, see `parlor migrate --help`",
    }
    .into())
}

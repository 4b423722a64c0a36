//! `[store]`, `[bus]` and `[cluster]`.
//!
//! This version keeps everything in one process. Addresses of services that it cannot use are
//! refused, so that nobody believes to run a cluster.

use std::path::{Path, PathBuf};

use super::section::section;
use crate::secret::Secret;

section! {
    /// Where rooms, messages and users are kept.
    store: StoreConfig {
        /// `sqlite:` for the file in the data folder, or `sqlite:PATH`. It may hold a password, so it is not shown.
        url: Option<Secret<String>> = None, also "DATABASE_URL", where |url| url.as_ref().is_none_or(|url| sqlite_part(url.expose()).is_some()) => "must be empty or begin with sqlite: in this version, which keeps its data in SQLite; PostgreSQL is not supported yet";
        /// Connections that read.
        readers: usize = 4, where |n| (1..=64).contains(n) => "must be from 1 to 64";
    }
}

section! {
    /// How nodes tell each other what happened.
    bus: BusConfig {
        /// Address of NATS. This version runs as one node and refuses it.
        url: Option<Secret<String>> = None, also "NATS_URL", where |url| url.is_none() => "must not be set in this version, which runs as one node; NATS is not supported yet";
    }
}

section! {
    /// What nodes share about presence, logouts and rates.
    cluster: ClusterConfig {
        /// Address of Redis. This version runs as one node and refuses it.
        url: Option<Secret<String>> = None, also "REDIS_URL", where |url| url.is_none() => "must not be set in this version, which runs as one node; Redis is not supported yet";
    }
}

impl StoreConfig {
    /// Returns the database's file.
    pub fn sqlite_path(&self, data_dir: &Path) -> PathBuf {
        match self.url.as_ref().and_then(|url| sqlite_part(url.expose())) {
            Some(path) if !path.is_empty() => PathBuf::from(path),
            _ => data_dir.join("parlor.db"),
        }
    }
}

/// Returns the path in `sqlite:PATH` or `sqlite://PATH`.
fn sqlite_part(url: &str) -> Option<&str> {
    let path = url.strip_prefix("sqlite:")?;
    Some(path.strip_prefix("//").unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn database_is_in_the_data_folder_unless_a_path_is_given() {
        let at = |url: Option<&str>| {
            let config = StoreConfig { url: url.map(Secret::from), ..StoreConfig::default() };
            config.sqlite_path(Path::new("/data"))
        };

        assert_eq!(at(None), Path::new("/data/parlor.db"));
        assert_eq!(at(Some("sqlite:")), Path::new("/data/parlor.db"));
        assert_eq!(at(Some("sqlite:/srv/chat.db")), Path::new("/srv/chat.db"));
        assert_eq!(at(Some("sqlite:///srv/chat.db")), Path::new("/srv/chat.db"));
    }
}

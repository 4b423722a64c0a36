//! Logins on disk: one file for each profile, readable by its owner only, replaced as a whole.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use parlor_client::{TokenLock, TokenStore, Tokens};
use parlor_runtime::Sources;
use serde::{Deserialize, Serialize};
use url::Url;
use uuid::Uuid;

use crate::failure::Usage;

/// What a login's file holds.
#[derive(Serialize, Deserialize)]
pub(crate) struct Credentials {
    /// The server that gave the tokens, and the only one that gets them.
    pub(crate) server: String,
    #[serde(flatten)]
    tokens: Tokens,
}

impl Credentials {
    /// Returns the form in which a server's address is kept and compared.
    pub(crate) fn name_of(server: &Url) -> String {
        server.as_str().trim_end_matches('/').to_owned()
    }
}

/// A named login.
#[derive(Debug, Clone)]
pub(crate) struct Profile {
    path: PathBuf,
}

impl Profile {
    /// Finds the file of a profile, in the place that the system has for it.
    pub(crate) fn find(name: &str, sources: &Sources) -> anyhow::Result<Self> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > 64 || !name.chars().all(allowed) {
            let rule = "a profile's name has letters, digits, -, _ and .";
            return Err(Usage(rule.to_owned()).into());
        }
        let absolute = |name| sources.variable(name).map(Path::new).filter(|p| p.is_absolute());
        let folder = absolute("XDG_CONFIG_HOME").map(Path::to_path_buf);
        let folder = folder.or_else(|| absolute("HOME").map(|home| home.join(".config")));
        let folder = folder.context("find a place for logins: neither XDG_CONFIG_HOME nor HOME")?;
        Ok(Self { path: folder.join("parlor").join(format!("credentials-{name}.json")) })
    }

    /// Reads the login; `None` when there is none.
    pub(crate) fn read(&self) -> io::Result<Option<Credentials>> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let credentials = serde_json::from_slice(&text).map_err(|_| {
            let path = self.path.display();
            io::Error::other(format!("{path} is damaged: log in again after deleting it"))
        })?;
        // Someone may have made it readable to others.
        let mode = fs::metadata(&self.path)?.permissions().mode();
        if mode & 0o077 != 0 {
            fs::set_permissions(&self.path, fs::Permissions::from_mode(0o600))?;
        }
        Ok(Some(credentials))
    }

    fn write(&self, credentials: &Credentials) -> io::Result<()> {
        let folder = self.folder()?;
        let draft = folder.join(format!(".{}", Uuid::new_v4()));
        let write = || {
            let mut file =
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
            file.write_all(&serde_json::to_vec(credentials)?)?;
            file.sync_all()?;
            fs::rename(&draft, &self.path)
        };
        write().inspect_err(|_| drop(fs::remove_file(&draft)))
    }

    fn remove(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Returns the folder, made when it is missing.
    fn folder(&self) -> io::Result<&Path> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        Ok(folder)
    }

    /// Keeps other programs from renewing the login as long as the file is held.
    fn lock(&self) -> io::Result<File> {
        self.folder()?;
        let path = self.path.with_extension("lock");
        let file =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        file.lock()?;
        Ok(file)
    }
}

/// Keeps the tokens of one server in a profile's file.
#[derive(Debug)]
pub(crate) struct FileTokens {
    profile: Profile,
    server: String,
}

impl FileTokens {
    pub(crate) fn new(profile: Profile, server: String) -> Self {
        Self { profile, server }
    }
}

impl TokenStore for FileTokens {
    fn load(&self) -> io::Result<Option<Tokens>> {
        let stored = self.profile.read()?;
        let ours = stored.filter(|credentials| credentials.server == self.server);
        Ok(ours.map(|credentials| credentials.tokens))
    }

    fn save(&self, tokens: Option<&Tokens>) -> io::Result<()> {
        match tokens {
            Some(tokens) => self
                .profile
                .write(&Credentials { server: self.server.clone(), tokens: tokens.clone() }),
            // The login of another server is not this one's to forget.
            None if self.load()?.is_some() => self.profile.remove(),
            None => Ok(()),
        }
    }

    fn lock(&self) -> io::Result<TokenLock> {
        Ok(Box::new(self.profile.lock()?))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn profile(folder: &tempfile::TempDir, name: &str) -> Profile {
        let home = folder.path().to_str().unwrap().to_owned();
        let environment = BTreeMap::from([("XDG_CONFIG_HOME".to_owned(), home)]);
        Profile::find(name, &Sources::of_environment(environment)).unwrap()
    }

    fn tokens(name: &str) -> Tokens {
        Tokens { access_token: format!("a-{name}"), refresh_token: format!("r-{name}") }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn login_is_for_its_owner_only_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let profile = profile(&folder, "work");
        let store = FileTokens::new(profile.clone(), "http://one".to_owned());
        store.save(Some(&tokens("1"))).unwrap();
        store.save(Some(&tokens("2"))).unwrap();
        assert_eq!(store.load().unwrap(), Some(tokens("2")));
        assert_eq!(profile.path, folder.path().join("parlor/credentials-work.json"));
        assert_eq!(mode(&profile.path), 0o600);
        assert_eq!(mode(profile.path.parent().unwrap()), 0o700);
        assert_eq!(fs::read_dir(profile.path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn file_that_others_can_read_is_protected_again() {
        let folder = tempfile::tempdir().unwrap();
        let profile = profile(&folder, "work");
        let store = FileTokens::new(profile.clone(), "http://one".to_owned());
        store.save(Some(&tokens("1"))).unwrap();
        fs::set_permissions(&profile.path, fs::Permissions::from_mode(0o644)).unwrap();
        store.load().unwrap();
        assert_eq!(mode(&profile.path), 0o600);
    }

    #[test]
    fn tokens_go_to_their_own_server_only() {
        let folder = tempfile::tempdir().unwrap();
        let profile = profile(&folder, "work");
        let one = FileTokens::new(profile.clone(), "http://one".to_owned());
        let other = FileTokens::new(profile, "http://other".to_owned());
        one.save(Some(&tokens("1"))).unwrap();
        assert_eq!(other.load().unwrap(), None);
        other.save(None).unwrap();
        assert_eq!(one.load().unwrap(), Some(tokens("1")), "not forgotten by another's logout");
        one.save(None).unwrap();
        assert_eq!(one.load().unwrap(), None);
    }

    #[test]
    fn damaged_file_is_told_without_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let profile = profile(&folder, "work");
        fs::create_dir_all(profile.path.parent().unwrap()).unwrap();
        fs::write(&profile.path, "s3cret").unwrap();
        let Err(error) = profile.read() else { panic!("a damaged file was read") };
        assert!(error.to_string().contains("damaged") && !error.to_string().contains("s3cret"));
    }

    #[test]
    fn profile_name_is_never_a_path() {
        for name in ["", "a/b", "../x", "a b", "ä"] {
            assert!(Profile::find(name, &Sources::default()).is_err(), "{name:?}");
        }
    }

    #[test]
    fn only_one_program_renews_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let profile = profile(&folder, "work");
        let held = profile.lock().unwrap();
        let path = profile.path.with_extension("lock");
        let second = OpenOptions::new().write(true).open(path).unwrap();
        assert!(second.try_lock().is_err());
        drop(held);
        assert!(second.try_lock().is_ok());
    }
}

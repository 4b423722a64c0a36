//! The secret key of a single node: made once, kept in the data folder, for its owner only.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::Rng as _;

use crate::secret::Secret;

/// Name of the file in the data folder.
pub const FILE_NAME: &str = "secret.key";

/// Bytes of randomness in a new key.
const KEY_BYTES: usize = 32;

/// Longest file that can be a key; ours have 45 bytes.
const FILE_MAX: u64 = 256;

/// Why the secret key is not usable.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// The file could not be read or written.
    #[error("cannot use the secret key in {}", path.display())]
    Io {
        /// The file or its folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file belongs to someone who lets others read it.
    #[error(
        "the secret key in {} can be read by others and cannot be protected; \
         run chmod 600 on it, and make a new one if others use this machine",
        path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// The file does not hold a key.
    #[error(
        "the secret key in {} is not one that Parlor made; restore it, or delete it to log \
         everyone out and have a new one made",
        path.display()
    )]
    Malformed {
        /// The file.
        path: PathBuf,
    },
}

/// Returns the secret key of this data folder, and makes one at the first start.
///
/// The folder must exist. Of processes that start at once all get the same key. A file that others
/// can read is protected again; when that is not possible, it is refused.
pub fn read_or_create(data_dir: &Path) -> Result<Secret<String>, SecretFileError> {
    let path = data_dir.join(FILE_NAME);
    if let Some(key) = read(&path)? {
        return Ok(key);
    }
    create(data_dir, &path)?;
    // Whoever lost the race reads the winner's key.
    read(&path)?.ok_or(SecretFileError::Malformed { path })
}

fn read(path: &Path) -> Result<Option<Secret<String>>, SecretFileError> {
    let failed = |source| SecretFileError::Io { path: path.to_path_buf(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    protect(path, &file)?;
    let mut text = String::new();
    let length = file.take(FILE_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    let text = text.trim();
    match STANDARD.decode(text) {
        Ok(key) if key.len() >= KEY_BYTES && length as u64 <= FILE_MAX => {
            Ok(Some(Secret::from(text)))
        }
        _ => Err(SecretFileError::Malformed { path: path.to_path_buf() }),
    }
}

fn protect(path: &Path, file: &File) -> Result<(), SecretFileError> {
    let failed = |source| SecretFileError::Io { path: path.to_path_buf(), source };
    let mode = file.metadata().map_err(failed)?.permissions().mode();
    let for_others = mode & 0o077;
    if for_others == 0 {
        return Ok(());
    }
    if file.set_permissions(fs::Permissions::from_mode(0o600)).is_err() {
        return Err(SecretFileError::Exposed { path: path.to_path_buf() });
    }
    tracing::warn!(path = %path.display(), "secret key could be read by others; protected it");
    Ok(())
}

/// Writes a new key beside the final name and links it there, so that nobody sees half a key and
/// only the first of several starts wins.
fn create(data_dir: &Path, path: &Path) -> Result<(), SecretFileError> {
    let failed = |source| SecretFileError::Io { path: path.to_path_buf(), source };
    let key: [u8; KEY_BYTES] = rand::rng().random();
    let draft = data_dir.join(format!(".{FILE_NAME}.{:032x}", rand::rng().random::<u128>()));
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(STANDARD.encode(key).as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        match fs::hard_link(&draft, path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        }
    };
    let written = write();
    let removed = fs::remove_file(&draft);
    written.map_err(failed)?;
    removed.map_err(failed)?;
    // Without this the name may be gone after a power failure, and with it every login.
    File::open(data_dir).and_then(|folder| folder.sync_all()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn key_is_made_once_and_only_its_owner_can_read_it() {
        let folder = tempfile::tempdir().unwrap();

        let first = read_or_create(folder.path()).unwrap();
        let second = read_or_create(folder.path()).unwrap();

        assert_eq!(first, second);
        assert!(first.expose().len() >= 32);
        assert_eq!(mode(&folder.path().join(FILE_NAME)), 0o600);
        let files = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(files, 1, "no draft is left behind");
    }

    #[test]
    fn starts_at_the_same_time_agree_on_one_key() {
        let folder = tempfile::tempdir().unwrap();
        let barrier = std::sync::Barrier::new(8);

        let keys: Vec<_> = std::thread::scope(|scope| {
            let start = || {
                barrier.wait();
                read_or_create(folder.path()).unwrap()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });

        assert!(keys.iter().all(|key| *key == keys[0]));
    }

    #[test]
    fn key_that_others_can_read_is_protected_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        let key = read_or_create(folder.path()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();

        assert_eq!(read_or_create(folder.path()).unwrap(), key);
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn damaged_key_is_refused_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        for content in ["", "short", "AAAA", &"?".repeat(44), &"A".repeat(300)] {
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();

            let refused = read_or_create(folder.path()).unwrap_err();

            assert!(matches!(refused, SecretFileError::Malformed { .. }), "{content:?}");
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
    }

    #[test]
    fn missing_folder_is_named_in_the_error() {
        let refused = read_or_create(Path::new("/nowhere/at/all")).unwrap_err();

        assert!(refused.to_string().contains("/nowhere/at/all"), "{refused}");
    }
}

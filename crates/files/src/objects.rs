//! Objects: bytes under keys, in a folder or in a bucket.
//!
//! A key is a path such as `files/018f…/0-c1a2…`. What was written is durable when the call returns,
//! and is seen whole or not at all.

use std::io;
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{
    BackoffConfig, ClientOptions, GetOptions, GetRange, ObjectStore, ObjectStoreExt as _, PutMode,
    PutOptions, RetryConfig,
};

/// The object that names a place, so that nodes can tell whether they have the same one.
const IDENTITY: &str = "parlor-files";
/// How long a service is waited for, with all attempts, and how long between two pieces of an answer.
const SERVICE_TIME: Duration = Duration::from_secs(10);
/// Attempts beside the first.
const RETRIES: usize = 2;
/// Objects that are removed at the same time.
const REMOVALS: usize = 8;

/// Where objects are kept.
#[derive(Debug, Clone)]
pub enum Place {
    /// In a folder, which is made where it is missing.
    Folder(PathBuf),
    /// In a bucket.
    S3(S3Place),
    /// In memory, for tests.
    Memory,
}

/// A bucket of an S3-compatible service.
#[derive(Clone)]
pub struct S3Place {
    /// The bucket.
    pub bucket: String,
    /// The address of the service; `None`: that of AWS for the region.
    pub endpoint: Option<String>,
    /// The region.
    pub region: String,
    /// What the keys of all objects begin with.
    pub prefix: Option<String>,
    /// The name of the access key and its secret; `None`: whatever the machine has.
    pub access_key: Option<(String, String)>,
}

impl std::fmt::Debug for S3Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3Place").field("bucket", &self.bucket).finish_non_exhaustive()
    }
}

/// Why something was not done with an object.
#[derive(Debug, thiserror::Error)]
pub enum ObjectsError {
    /// There is no such object.
    #[error("there is no such object")]
    Missing,
    /// The place cannot be made or be reached, or refuses.
    #[error("the storage for files does not work")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<object_store::Error> for ObjectsError {
    fn from(error: object_store::Error) -> Self {
        match error {
            object_store::Error::NotFound { .. } => Self::Missing,
            error => Self::Unavailable(Box::new(error)),
        }
    }
}

/// Keeps objects. Clones share the same place.
#[derive(Debug, Clone)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    kind: &'static str,
    folder: Option<PathBuf>,
}

impl Objects {
    /// Opens a place. A folder is made; a service is not asked yet.
    ///
    /// # Errors
    ///
    /// Fails when the folder cannot be made or the settings of the bucket contradict each other.
    pub fn open(place: Place) -> Result<Self, ObjectsError> {
        Ok(match place {
            Place::Folder(folder) => {
                make_private(&folder)
                    .map_err(|error| ObjectsError::Unavailable(Box::new(error)))?;
                let store = LocalFileSystem::new_with_prefix(&folder)?;
                let store = store.with_automatic_cleanup(true).with_fsync(true);
                Self { store: Arc::new(store), kind: "folder", folder: Some(folder) }
            }
            Place::S3(place) => Self { store: open_bucket(place)?, kind: "s3", folder: None },
            Place::Memory => {
                Self { store: Arc::new(InMemory::new()), kind: "memory", folder: None }
            }
        })
    }

    /// Returns what kind of place it is: `folder`, `s3` or `memory`.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Writes an object, in place of the one that has the key.
    pub async fn put(&self, key: &str, bytes: Bytes) -> Result<(), ObjectsError> {
        self.store.put(&path(key), bytes.into()).await?;
        Ok(())
    }

    /// Reads a part of an object, piece by piece.
    pub async fn read(
        &self,
        key: &str,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, io::Result<Bytes>>, ObjectsError> {
        let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
        let found = self.store.get_opts(&path(key), options).await?;
        Ok(found.into_stream().map_err(io::Error::other).boxed())
    }

    /// Reads a whole object.
    pub async fn read_all(&self, key: &str) -> Result<Bytes, ObjectsError> {
        Ok(self.store.get(&path(key)).await?.bytes().await?)
    }

    /// Removes an object, or all objects below a key that ends with `/`. What is not there is gone
    /// already.
    pub async fn remove(&self, key: &str) -> Result<(), ObjectsError> {
        let Some(folder) = key.strip_suffix('/') else {
            gone(self.store.delete(&path(key)).await)?;
            return match &self.folder {
                Some(place) => remove_half(&place.join(path(key).as_ref())).await,
                None => Ok(()),
            };
        };
        let found = self.store.list(Some(&path(folder)));
        found
            .map_err(ObjectsError::from)
            .try_for_each_concurrent(REMOVALS, |object| async move {
                gone(self.store.delete(&object.location).await)
            })
            .await?;
        match &self.folder {
            // What was being written when a process was killed is not listed.
            Some(place) => remove_folder(place.join(path(folder).as_ref())).await,
            None => Ok(()),
        }
    }

    /// Returns the name of the place: the one that it has, or else `fresh`, which it has from then
    /// on. However many ask at once, all are told the same.
    pub async fn name(&self, fresh: &str) -> Result<String, ObjectsError> {
        let (key, payload) = (path(IDENTITY), Bytes::copy_from_slice(fresh.as_bytes()).into());
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.store.put_opts(&key, payload, options).await {
            Ok(_) => Ok(fresh.to_owned()),
            Err(object_store::Error::AlreadyExists { .. }) => {
                let name = self.read_all(IDENTITY).await?;
                Ok(String::from_utf8_lossy(&name).trim().to_owned())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Gives the place another name.
    pub async fn rename(&self, name: &str) -> Result<(), ObjectsError> {
        self.put(IDENTITY, Bytes::copy_from_slice(name.as_bytes())).await
    }

    /// Proves that the place can be read.
    pub async fn check(&self) -> Result<(), ObjectsError> {
        self.store.head(&path(IDENTITY)).await?;
        Ok(())
    }
}

/// Removes what was being written as an object when a process was killed: `KEY#1` and the like.
async fn remove_half(object: &FilePath) -> Result<(), ObjectsError> {
    let unavailable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(ObjectsError::Unavailable(Box::new(error))),
    };
    let (Some(folder), Some(name)) = (object.parent(), object.file_name()) else { return Ok(()) };
    let half = format!("{}#", name.to_string_lossy());
    let mut entries = match tokio::fs::read_dir(folder).await {
        Ok(entries) => entries,
        Err(error) => return unavailable(error),
    };
    loop {
        match entries.next_entry().await {
            Ok(Some(entry)) if entry.file_name().to_string_lossy().starts_with(&half) => {
                tokio::fs::remove_file(entry.path()).await.or_else(unavailable)?;
            }
            Ok(Some(_)) => {}
            Ok(None) => return Ok(()),
            Err(error) => return unavailable(error),
        }
    }
}

async fn remove_folder(folder: PathBuf) -> Result<(), ObjectsError> {
    match tokio::fs::remove_dir_all(folder).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(ObjectsError::Unavailable(Box::new(error)))
        }
        _ => Ok(()),
    }
}

fn gone(removed: object_store::Result<()>) -> Result<(), ObjectsError> {
    match removed {
        Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn path(key: &str) -> Path {
    Path::from(key)
}

/// Makes a folder that only this user may look into.
fn make_private(folder: &FilePath) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn open_bucket(place: S3Place) -> Result<Arc<dyn ObjectStore>, ObjectsError> {
    let S3Place { bucket, endpoint, region, prefix, access_key } = place;
    let retry = RetryConfig {
        backoff: BackoffConfig::default(),
        max_retries: RETRIES,
        retry_timeout: SERVICE_TIME,
    };
    // The whole of an answer may take longer: it is read no faster than a client takes it.
    let client = ClientOptions::new()
        .with_timeout_disabled()
        .with_read_timeout(SERVICE_TIME)
        .with_allow_http(true);
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(region)
        .with_retry(retry)
        // Not every service removes several at once.
        .with_disable_bulk_delete(true)
        .with_client_options(client);
    if let Some(endpoint) = endpoint {
        builder = builder.with_endpoint(endpoint.trim_end_matches('/'));
    }
    if let Some((id, secret)) = access_key {
        builder = builder.with_access_key_id(id).with_secret_access_key(secret);
    }
    let store = builder.build()?;
    Ok(match prefix {
        Some(prefix) => Arc::new(PrefixStore::new(store, path(&prefix))),
        None => Arc::new(store),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn text(objects: &Objects, key: &str, range: Range<u64>) -> String {
        let pieces = objects.read(key, range).await.unwrap();
        let pieces: Vec<Bytes> = pieces.try_collect().await.unwrap();
        String::from_utf8(pieces.concat()).unwrap()
    }

    #[tokio::test]
    async fn folder_keeps_what_was_written_and_forgets_what_was_removed() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::Folder(folder.path().join("a/b"));
        let objects = Objects::open(place.clone()).unwrap();
        objects.put("files/1/0-x", Bytes::from_static(b"hello")).await.unwrap();
        objects.put("files/1/5-y", Bytes::from_static(b" world")).await.unwrap();
        objects.put("files/10/0-z", Bytes::from_static(b"other")).await.unwrap();

        // Another process finds the same.
        let objects = Objects::open(place).unwrap();
        assert_eq!(text(&objects, "files/1/0-x", 1..4).await, "ell");
        objects.remove("files/1/").await.unwrap();
        objects.remove("files/1/").await.unwrap();
        objects.remove("files/1/0-x").await.unwrap();
        let read = objects.read_all("files/1/0-x").await;
        assert!(matches!(read, Err(ObjectsError::Missing)));
        assert_eq!(text(&objects, "files/10/0-z", 0..5).await, "other");
    }

    #[tokio::test]
    async fn what_a_crash_left_goes_with_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::open(Place::Folder(folder.path().to_owned())).unwrap();
        objects.put("files/1/0-x", Bytes::from_static(b"hello")).await.unwrap();
        std::fs::write(folder.path().join("files/1/5-y#1"), b"half").unwrap();
        objects.remove("files/1/").await.unwrap();
        assert!(!folder.path().join("files/1").exists());
    }

    #[tokio::test]
    async fn what_a_crash_left_of_one_object_goes_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::open(Place::Folder(folder.path().to_owned())).unwrap();
        let written = |name: &str| folder.path().join("avatars/1").join(name);
        objects.put("avatars/1/other", Bytes::from_static(b"whole")).await.unwrap();
        for half in ["v1#1", "v1#2", "v10#1"] {
            std::fs::write(written(half), b"half").unwrap();
        }
        objects.remove("avatars/1/v1").await.unwrap();
        objects.remove("avatars/2/v1").await.unwrap();
        let left = |name: &str| written(name).exists();
        assert!(!left("v1#1") && !left("v1#2"));
        assert!(left("v10#1") && left("other"), "what is of other objects stays");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn folder_is_for_this_user_only() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let files = folder.path().join("files");
        Objects::open(Place::Folder(files.clone())).unwrap();
        assert_eq!(std::fs::metadata(files).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[tokio::test]
    async fn whoever_asks_first_names_the_place() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Objects::open(Place::Folder(folder.path().to_owned())).unwrap();
        assert_eq!(open().name("one").await.unwrap(), "one");
        assert_eq!(open().name("two").await.unwrap(), "one");
        open().rename("three").await.unwrap();
        assert_eq!(open().name("four").await.unwrap(), "three");
        open().check().await.unwrap();
    }

    #[test]
    fn secret_of_a_bucket_is_not_shown() {
        let place = S3Place {
            bucket: "b".to_owned(),
            endpoint: None,
            region: "r".to_owned(),
            prefix: None,
            access_key: Some(("id".to_owned(), "hunter2".to_owned())),
        };
        let objects = Objects::open(Place::S3(place.clone())).unwrap();
        assert!(!format!("{place:?} {objects:?}").contains("hunter2"));
    }
}

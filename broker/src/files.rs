//! Files: what uploads, attachments and pictures of users need of a node.
//!
//! The store says which files there are and whose they are; their bytes are objects in a place that
//! all nodes of a store share. *Invariant: an object is named in the store before it is written, or
//! below the key of a file that is*, so whatever a crash leaves behind is found and removed.

mod keep;
mod memory;
mod serve;
mod upload;

use std::sync::atomic::{AtomicU8, Ordering};

use parlor_auth::{FileAddresses, KeyTooShort};
use parlor_files::{Objects, ObjectsError, PictureLimits, Workshop};
use parlor_protocol::code::Code;
use parlor_protocol::id::{FileId, UserId};
use parlor_runtime::config::FilesConfig;
use parlor_store::{Store, StoreError};

pub(crate) use self::keep::keep;
use self::memory::{Arriving, Held};
pub(crate) use self::serve::{Span, stream};
pub(crate) use self::upload::{after, busy, expiry, finish, receive, refuse_picture};
use crate::metrics::FileMetrics;
use crate::refusal::{Outcome, Refusal};

/// The key under which the store notes the name of the place.
const NOTED_AS: &str = "files";

/// What a node knows of the place where objects are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum PlaceState {
    /// It could not be asked yet.
    Unknown,
    /// It is the one that all nodes of the store use.
    Shared,
    /// The other nodes use another one.
    Other,
}

/// The files of a node.
#[derive(Debug)]
pub struct Files {
    /// Where the bytes are.
    pub objects: Objects,
    /// Makes images anew.
    pub workshop: Workshop,
    /// Signs addresses.
    pub addresses: FileAddresses,
    /// What is counted.
    pub metrics: FileMetrics,
    arriving: Arriving,
    place: AtomicU8,
}

impl Files {
    /// Makes what a node needs for files.
    pub fn new(
        config: &FilesConfig,
        objects: Objects,
        secret: &[u8],
        metrics: FileMetrics,
    ) -> Result<Self, KeyTooShort> {
        let limits =
            PictureLimits { side: config.image_side, memory: config.image_memory.get() as u64 };
        let arriving = Arriving::new(config, metrics.crowded.clone());
        Ok(Self {
            objects,
            workshop: Workshop::new(limits, config.image_concurrency),
            addresses: FileAddresses::new(secret)?,
            metrics,
            arriving,
            place: AtomicU8::new(PlaceState::Unknown as u8),
        })
    }

    /// Returns what is known of the place.
    pub fn place(&self) -> PlaceState {
        match self.place.load(Ordering::Acquire) {
            1 => PlaceState::Shared,
            2 => PlaceState::Other,
            _ => PlaceState::Unknown,
        }
    }

    /// Compares the place with the one that the store was used with first. A store that has only this
    /// node takes the place as it is: it was restored or moved without its files.
    pub async fn compare(&self, store: &dyn Store, fresh: &str, alone: bool) {
        let state = match self.identify(store, fresh, alone).await {
            Ok(state) => state,
            Err(error) => {
                tracing::warn!(
                    error = &*error as &(dyn std::error::Error + 'static),
                    "the storage for files cannot be asked which one it is"
                );
                return;
            }
        };
        let before = self.place.swap(state as u8, Ordering::AcqRel);
        if state == PlaceState::Other && before != state as u8 {
            tracing::error!(
                "the storage for files is not the one that the other nodes use; no file is taken \
                 or given here: see files.folder"
            );
        }
    }

    async fn identify(
        &self,
        store: &dyn Store,
        fresh: &str,
        alone: bool,
    ) -> Result<PlaceState, Box<dyn std::error::Error + Send + Sync>> {
        let own = self.objects.name(fresh).await?;
        let noted = store.pin(NOTED_AS, &own).await?;
        if own == noted {
            return Ok(PlaceState::Shared);
        }
        if !alone {
            return Ok(PlaceState::Other);
        }
        tracing::warn!("the storage for files is another one than before");
        self.objects.rename(&noted).await?;
        Ok(PlaceState::Shared)
    }

    /// Refuses work with files while the place is not known to be the right one.
    pub fn check_place(&self) -> Outcome<()> {
        match self.place() {
            PlaceState::Shared => Ok(()),
            PlaceState::Unknown | PlaceState::Other => Err(unavailable()),
        }
    }

    /// Takes memory for the beginning of a part of a file, or of a picture.
    pub(crate) fn enter(&self, user: UserId) -> Outcome<Held<'_>> {
        self.arriving.enter(user).ok_or_else(crowded)
    }

    /// Turns a failure of reading what a caller has asked for into a refusal.
    pub fn refuse_read(&self, what: &'static str, error: &ObjectsError) -> Refusal {
        match error {
            // It has just been redacted or replaced.
            ObjectsError::Missing => Refusal::not_found(what),
            ObjectsError::Unavailable(_) => self.refuse("read", error),
        }
    }

    /// Turns a failure of the place into a refusal; the cause goes to the log.
    pub fn refuse(&self, operation: &str, error: &ObjectsError) -> Refusal {
        self.metrics.failures.with_label_values(&[operation]).inc();
        tracing::warn!(
            error = error as &dyn std::error::Error,
            operation,
            "an object was not handled"
        );
        unavailable()
    }
}

/// Others hold the memory for what arrives.
pub(crate) fn crowded() -> Refusal {
    Refusal::unavailable("Too much of files arrives at once; try again in a moment.")
}

fn unavailable() -> Refusal {
    Refusal::unavailable("Files cannot be reached; try again in a moment.")
}

/// Returns the key below which all objects of a file are.
pub(crate) fn folder(file: FileId) -> String {
    format!("files/{}/", file.0.simple())
}

/// Checks the files that a message names.
pub(crate) fn check_attachments(config: &FilesConfig, files: &[FileId]) -> Outcome<()> {
    let max = config.per_message;
    if files.len() > max {
        let detail = format!("may name at most {max} files; there are {}", files.len());
        return Err(Refusal::field("attachments", "too_many", detail));
    }
    let mut sorted = files.to_vec();
    sorted.sort_unstable();
    if sorted.windows(2).any(|pair| pair.first() == pair.last()) {
        return Err(Refusal::field("attachments", "duplicate", "names a file twice"));
    }
    Ok(())
}

/// A failure of the store while nobody waits for it.
fn note_failure(error: &StoreError) {
    tracing::warn!(error = error as &dyn std::error::Error, "files are looked after later");
}

impl From<parlor_store::record::UploadRefused> for Refusal {
    fn from(refused: parlor_store::record::UploadRefused) -> Self {
        use parlor_store::record::UploadRefused as Reason;

        match refused {
            Reason::NoSuchUpload => Self::not_found("upload"),
            Reason::Ended => {
                let detail = "is of an upload that has ended; take another one";
                Self { code: Code::Conflict, ..Self::field("client_id", "ended", detail) }
            }
            Reason::Offset(offset) => {
                let detail = format!("must be {offset}: so many bytes have arrived");
                Self { code: Code::Conflict, ..Self::field("Upload-Offset", "offset", detail) }
            }
            Reason::TooLong { bytes, given } => {
                let detail = format!(
                    "may end at byte {bytes}, as was announced; it ends at byte {given} or later"
                );
                Self { code: Code::PayloadTooLarge, ..Self::field("body", "too_long", detail) }
            }
            Reason::TooManyParts(most) => {
                let detail = format!(
                    "may have at most {most} parts, and has so many; begin again, with larger ones"
                );
                Self { code: Code::Conflict, ..Self::field("upload", "too_many_parts", detail) }
            }
            Reason::TooManyUploads(most) => {
                let detail = format!(
                    "may be at most {most} that no message has, and you have so many; delete some"
                );
                Self { code: Code::Conflict, ..Self::field("uploads", "too_many", detail) }
            }
            Reason::Quota { limit, left, given } => {
                let detail = format!(
                    "goes beyond the {limit} that your files may have together; {left} are left, \
                     and it has {given}"
                );
                Self { code: Code::PayloadTooLarge, ..Self::field("bytes", "quota", detail) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn message_names_each_file_once_and_not_too_many() {
        let config = FilesConfig { per_message: 2, ..FilesConfig::default() };
        let file = |n| FileId(Uuid::from_u128(n));
        check_attachments(&config, &[]).unwrap();
        check_attachments(&config, &[file(2), file(1)]).unwrap();
        for files in [vec![file(1), file(1)], vec![file(1), file(2), file(3)]] {
            let refusal = check_attachments(&config, &files).unwrap_err();
            assert_eq!(refusal.errors[0].field, "attachments");
        }
    }
}

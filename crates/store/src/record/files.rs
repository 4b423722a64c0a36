//! Files: uploads, attachments, and objects that are to be removed.

use parlor_protocol::id::{FileId, MessageId, RoomId, UserId};
use parlor_protocol::message::Attachment;
use parlor_protocol::time::Timestamp;

/// A new upload.
#[derive(Debug, Clone)]
pub struct NewUpload {
    /// Its id.
    pub id: FileId,
    /// Whose.
    pub owner: UserId,
    /// The file's name, checked.
    pub name: String,
    /// The size of the file.
    pub bytes: u64,
    /// When.
    pub at: Timestamp,
    /// When it is forgotten.
    pub expires_at: Timestamp,
    /// Uploads that no message has, of one user.
    pub max_open: u32,
    /// Bytes of all files of one user.
    pub max_bytes: u64,
}

/// How far a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadState {
    /// Bytes are missing, or were not looked at yet.
    Open,
    /// A message may have it.
    Ready,
    /// A message has it.
    Attached,
}

/// An upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadRecord {
    /// Its id.
    pub id: FileId,
    /// The file's name.
    pub name: String,
    /// The size of the file: as announced while it is open, then as it is.
    pub bytes: u64,
    /// The bytes that have arrived.
    pub received: u64,
    /// How far it is.
    pub state: UploadState,
    /// What it is, once it is known.
    pub media_type: Option<String>,
    /// For an image.
    pub width: Option<u32>,
    /// For an image.
    pub height: Option<u32>,
    /// When it is forgotten; `None` when a message has it.
    pub expires_at: Option<Timestamp>,
}

impl UploadRecord {
    /// Returns it as a part of a message, once it is known what it is.
    pub fn attachment(&self) -> Option<Attachment> {
        let media_type = self.media_type.clone()?;
        Some(Attachment {
            id: self.id,
            name: self.name.clone(),
            media_type,
            bytes: self.bytes,
            width: self.width,
            height: self.height,
        })
    }
}

/// A part of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartRecord {
    /// Where it begins in the file.
    pub first: u64,
    /// Its size.
    pub bytes: u64,
    /// The key of its object.
    pub key: String,
}

/// A part that has arrived, and whose object is written.
#[derive(Debug, Clone)]
pub struct NewPart {
    /// Of which upload.
    pub upload: FileId,
    /// Whose.
    pub owner: UserId,
    /// The part.
    pub part: PartRecord,
    /// When the upload is forgotten now.
    pub expires_at: Timestamp,
    /// Parts that an upload may have.
    pub max_parts: u32,
}

/// What an upload has become.
#[derive(Debug, Clone)]
pub struct FinishedUpload {
    /// Which upload.
    pub upload: FileId,
    /// Whose.
    pub owner: UserId,
    /// The file's name, fitting what it is.
    pub name: String,
    /// What it is.
    pub media_type: String,
    /// For an image.
    pub width: Option<u32>,
    /// For an image.
    pub height: Option<u32>,
    /// What the file consists of, where that is not the parts that have arrived.
    pub made: Option<PartRecord>,
    /// Bytes of all files of one user: what was made may be larger than what has arrived.
    pub max_bytes: u64,
    /// When the upload is forgotten now.
    pub expires_at: Timestamp,
}

/// Why something was not done with an upload. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UploadRefused {
    /// The user has no such upload.
    #[error("there is no such upload")]
    NoSuchUpload,
    /// There was one with this id, whose bytes are still to be removed.
    #[error("the upload has ended")]
    Ended,
    /// The part does not begin where the last one ended.
    #[error("the next part begins at {0}")]
    Offset(u64),
    /// The part goes beyond the size that was announced.
    #[error("the file has only {bytes} bytes")]
    TooLong {
        /// The size that was announced.
        bytes: u64,
        /// Where the part would end.
        given: u64,
    },
    /// The upload consists of as many parts as it may.
    #[error("the upload has {0} parts already")]
    TooManyParts(u32),
    /// The user has as many uploads that no message has as they may.
    #[error("there are {0} uploads that no message has")]
    TooManyUploads(u32),
    /// The user's files would be larger than they may be.
    #[error("{left} bytes are left for files")]
    Quota {
        /// What all files of the user may have.
        limit: u64,
        /// What is left of it.
        left: u64,
        /// What this file has.
        given: u64,
    },
}

/// A file that a message has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFile {
    /// The room of the message.
    pub room: RoomId,
    /// The message.
    pub message: MessageId,
    /// The file.
    pub attachment: Attachment,
    /// What it consists of, in order.
    pub parts: Vec<PartRecord>,
}

//! Uploads, and the addresses of files.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::FileId;
use crate::message::Attachment;
use crate::time::Timestamp;

/// A new upload.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateUploadRequest {
    /// The file's name.
    pub name: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Makes a repeated request give the same upload again; also as `Idempotency-Key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
}

/// An upload, as far as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Upload {
    /// Its id, and later that of the attachment.
    pub id: FileId,
    /// The file's name.
    pub name: String,
    /// Its size in bytes, as announced.
    pub bytes: u64,
    /// How many bytes have arrived: where the next part begins.
    pub offset: u64,
    /// When it is forgotten, if nothing more comes and no message has it.
    pub expires_at: Timestamp,
    /// What it has become; absent until all bytes have arrived and were looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attachment: Option<Attachment>,
}

/// Where a file can be fetched for a short time, by whoever has the address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileAddress {
    /// The address. It is relative to the server's where the server does not know its own.
    pub url: String,
    /// Until when it works.
    pub expires_at: Timestamp,
}

//! Uploads, downloads, and the picture of a user.

use std::io::{self, SeekFrom};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use parlor_protocol::code::Code;
use parlor_protocol::http::{CreateUploadRequest, FileAddress, Upload};
use parlor_protocol::id::FileId;
use parlor_protocol::message::Attachment;
use parlor_protocol::user::User;
use reqwest::Method;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use uuid::Uuid;

use super::{ByteStream, Call, Http, Payload};
use crate::backoff::Backoff;
use crate::error::ClientError;

/// Largest part that is sent at once: little is lost when the connection is.
const PART: u64 = 1 << 20;
/// Failures in a row before an upload is given up.
const FAILURES_MAX: u32 = 8;
/// The first and the longest pause after a failure.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(8));

/// What is uploaded.
enum Source {
    Bytes(Bytes),
    File(File),
}

impl Source {
    async fn read(&mut self, offset: u64, length: u64) -> io::Result<Bytes> {
        match self {
            Self::Bytes(bytes) => {
                let at = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
                let from = at(offset).min(bytes.len());
                let to = at(offset.saturating_add(length)).min(bytes.len());
                Ok(bytes.slice(from..to))
            }
            Self::File(file) => {
                file.seek(SeekFrom::Start(offset)).await?;
                let mut part = Vec::new();
                file.take(length).read_to_end(&mut part).await?;
                if (part.len() as u64) < length {
                    return Err(io::Error::other("the file became shorter"));
                }
                Ok(part.into())
            }
        }
    }
}

impl Http {
    /// Uploads bytes under a name, for a message to have. Goes on where it was when the connection is
    /// lost.
    pub async fn upload(&self, name: &str, bytes: Bytes) -> Result<Attachment, ClientError> {
        let length = bytes.len() as u64;
        self.upload_from(name, length, Source::Bytes(bytes)).await
    }

    /// Uploads a file under its name, as [`Http::upload`].
    pub async fn upload_file(&self, path: &Path) -> Result<Attachment, ClientError> {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = name.ok_or_else(|| ClientError::File(io::ErrorKind::InvalidInput.into()))?;
        let file = File::open(path).await.map_err(ClientError::File)?;
        let bytes = file.metadata().await.map_err(ClientError::File)?.len();
        self.upload_from(&name, bytes, Source::File(file)).await
    }

    async fn upload_from(
        &self,
        name: &str,
        bytes: u64,
        mut source: Source,
    ) -> Result<Attachment, ClientError> {
        let most = match self.info().await?.limits.part_bytes {
            0 => PART,
            most => PART.min(most as u64),
        };
        let mut backoff = Backoff::new(PAUSES.0, PAUSES.1);
        let mut upload = self.begin_upload(name, bytes, &mut backoff).await?;
        let mut failures = 0;
        loop {
            if let Some(attachment) = upload.attachment {
                return Ok(attachment);
            }
            let length = most.min(upload.bytes.saturating_sub(upload.offset));
            let part = source.read(upload.offset, length).await.map_err(ClientError::File)?;
            let outcome = match self.send_part(upload.id, upload.offset, part).await {
                // A part whose answer was lost has moved the offset.
                Err(error) if error.is_retryable() || error.code() == Some(Code::Conflict) => {
                    failures += 1;
                    if failures > FAILURES_MAX {
                        return Err(error);
                    }
                    let pause = error.retry_after().unwrap_or(Duration::ZERO);
                    tokio::time::sleep(pause.max(backoff.next(1.0))).await;
                    self.get_upload(upload.id).await
                }
                outcome => {
                    failures = 0;
                    backoff.reset();
                    outcome
                }
            };
            match outcome {
                Ok(now) => upload = now,
                // Asked again with the next part.
                Err(error) if error.is_retryable() && failures > 0 => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Begins an upload; when the answer is lost, the same one again.
    pub(super) async fn begin_upload(
        &self,
        name: &str,
        bytes: u64,
        backoff: &mut Backoff,
    ) -> Result<Upload, ClientError> {
        let client_id = Some(Uuid::new_v4().to_string());
        let request = CreateUploadRequest { name: name.to_owned(), bytes, client_id };
        let mut failures = 0;
        loop {
            match self.create_upload(&request).await {
                Err(error) if error.is_retryable() && failures < FAILURES_MAX => {
                    failures += 1;
                    let pause = error.retry_after().unwrap_or(Duration::ZERO);
                    tokio::time::sleep(pause.max(backoff.next(1.0))).await;
                }
                outcome => {
                    backoff.reset();
                    return outcome;
                }
            }
        }
    }

    /// Begins an upload.
    pub async fn create_upload(
        &self,
        request: &CreateUploadRequest,
    ) -> Result<Upload, ClientError> {
        self.json(Call::v1(Method::POST, &["uploads"]).body(request)?).await
    }

    /// Returns how far an upload is.
    pub async fn get_upload(&self, upload: FileId) -> Result<Upload, ClientError> {
        let id = upload.to_string();
        self.json(Call::v1(Method::GET, &["uploads", &id])).await
    }

    /// Sends the next part of an upload.
    pub async fn send_part(
        &self,
        upload: FileId,
        offset: u64,
        part: Bytes,
    ) -> Result<Upload, ClientError> {
        let id = upload.to_string();
        let mut call = Call::v1(Method::PATCH, &["uploads", &id]);
        call.payload = Some(Payload { bytes: part, offset: Some(offset) });
        self.json(call).await
    }

    /// Gives an upload up that no message has.
    pub async fn delete_upload(&self, upload: FileId) -> Result<(), ClientError> {
        let id = upload.to_string();
        self.empty(Call::v1(Method::DELETE, &["uploads", &id])).await
    }

    /// Returns the address of an attachment.
    pub async fn attachment(&self, room: &str, file: FileId) -> Result<FileAddress, ClientError> {
        let id = file.to_string();
        self.json(Call::v1(Method::GET, &["rooms", room, "attachments", &id])).await
    }

    /// Downloads a file by its address.
    pub async fn download(&self, address: &FileAddress) -> Result<ByteStream, ClientError> {
        let base = &self.shared.config.base_url;
        let url = base.join(&address.url).map_err(|_| ClientError::Address)?;
        // The address is a login of its own, and may lead to another place.
        let sending = self.shared.client.get(url).send();
        let response = tokio::time::timeout(self.shared.config.request_timeout, sending);
        let response = response.await.map_err(|_| ClientError::Timeout)??;
        if !response.status().is_success() {
            return Err(self.refusal(response).await);
        }
        Ok(self.pieces(response))
    }

    /// Sets one's own picture.
    pub async fn put_avatar(&self, image: Bytes) -> Result<User, ClientError> {
        let mut call = Call::v1(Method::PUT, &["users", "me", "avatar"]);
        call.payload = Some(Payload { bytes: image, offset: None });
        self.json(call).await
    }

    /// Removes one's own picture.
    pub async fn delete_avatar(&self) -> Result<(), ClientError> {
        self.empty(Call::v1(Method::DELETE, &["users", "me", "avatar"])).await
    }

    /// Returns the picture of a user, as PNG.
    pub async fn avatar(&self, username: &str) -> Result<Bytes, ClientError> {
        let response = self.send(&Call::v1(Method::GET, &["users", username, "avatar"])).await?;
        self.read(response).await.map(Bytes::from)
    }
}

//! The contract of files.

use async_trait::async_trait;
use parlor_protocol::id::{FileId, RoomId, UserId};
use parlor_protocol::message::Attachment;
use parlor_protocol::time::Timestamp;

use super::Result;
use crate::record::{
    Account, FinishedUpload, NewPart, NewUpload, PartRecord, StoredFile, UploadRecord,
    UploadRefused,
};

/// Files: which there are, whose they are, what they consist of, and what is to be removed. The bytes
/// are objects elsewhere, which this only names.
///
/// However a file ends (with its message, its room or its owner, or because it expired), the same
/// commit notes that its objects are to be removed; the notes outlive whoever has to do it.
#[async_trait]
pub trait Files {
    /// Begins an upload; the same id again is a repeat. The id of one that has ended is refused until
    /// its bytes are gone for good.
    async fn create_upload(
        &self,
        upload: NewUpload,
    ) -> Result<std::result::Result<UploadRecord, UploadRefused>>;

    /// Finds an upload of a user, also one that a message has.
    async fn find_upload(&self, upload: FileId, owner: UserId) -> Result<Option<UploadRecord>>;

    /// Lists what has arrived of an upload, in order.
    async fn list_parts(&self, upload: FileId) -> Result<Vec<PartRecord>>;

    /// Adds a part where the last one ended. Of two that come at once one is refused.
    async fn add_part(
        &self,
        part: NewPart,
    ) -> Result<std::result::Result<UploadRecord, UploadRefused>>;

    /// Notes what an upload is, of which all bytes have arrived. One that is finished already stays as
    /// it is. What `made` replaces is to be removed.
    async fn finish_upload(
        &self,
        finished: FinishedUpload,
    ) -> Result<std::result::Result<UploadRecord, UploadRefused>>;

    /// Ends an upload that no message has; `false` when there is none.
    async fn delete_upload(&self, upload: FileId, owner: UserId) -> Result<bool>;

    /// Ends uploads that no message has in time, at most `limit`, and returns how many.
    async fn expire_uploads(&self, at: Timestamp, limit: u32) -> Result<u64>;

    /// Finds a file that a message of a room has.
    async fn find_attachment(&self, room: RoomId, file: FileId) -> Result<Option<Attachment>>;

    /// Finds a file that a message has, with what it consists of.
    async fn find_stored_file(&self, file: FileId) -> Result<Option<StoredFile>>;

    /// Has an object removed at a time, unless something that refers to it is kept before.
    async fn note_purge(&self, key: &str, due_at: Timestamp) -> Result<()>;

    /// Gives a user a picture, or takes it away. The one before is to be removed, the new one is not.
    /// `None` when there is no such user.
    async fn set_avatar(&self, user: UserId, version: Option<String>) -> Result<Option<Account>>;

    /// Finds the version of a user's picture, by the user's name.
    async fn find_avatar(&self, username: &str) -> Result<Option<(UserId, String)>>;

    /// Ends what a user has beside messages: the picture, and uploads that no message has; with
    /// `attached`, also the files of the user's messages. At most `limit` files are ended: returns how
    /// many, so that the caller goes on while there are so many. Events name the files of messages, so
    /// whoever ends those redacts the messages, too.
    async fn remove_files_of_user(&self, user: UserId, attached: bool, limit: u32) -> Result<u64>;

    /// Claims keys of objects that are to be removed, those that are due the longest, and returns
    /// them. Nobody else is given them before `until`, which is later than `at`; they are due again
    /// then, unless they were settled. A key with a slash at its end stands for all objects below it.
    ///
    /// Only who has claimed a key may remove its objects, and only before `until`: what is settled
    /// can be written anew, below the same key.
    async fn claim_due_purges(
        &self,
        at: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<String>>;

    /// Notes that objects were removed that were claimed until `claimed`; what someone else has
    /// claimed since stays theirs. Those below a key are removed once more at `again_at`: what was
    /// being written may have come later.
    async fn settle_purges(
        &self,
        keys: Vec<String>,
        claimed: Timestamp,
        again_at: Timestamp,
    ) -> Result<()>;

    /// Puts off what was claimed until `claimed` and could not be removed, so that it does not stand
    /// before everything else.
    async fn postpone_purges(
        &self,
        keys: Vec<String>,
        claimed: Timestamp,
        due_at: Timestamp,
    ) -> Result<()>;

    /// Counts the removals that are due.
    async fn count_due_purges(&self, at: Timestamp) -> Result<u64>;
}

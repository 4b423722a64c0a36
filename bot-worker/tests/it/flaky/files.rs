//! Files are nothing that a worker has to do with.

use async_trait::async_trait;
use parlor_protocol::id::{FileId, RoomId, UserId};
use parlor_protocol::message::Attachment;
use parlor_protocol::time::Timestamp;
use parlor_store::Files;
use parlor_store::contract::Result;
use parlor_store::record::{
    Account, FinishedUpload, NewPart, NewUpload, PartRecord, StoredFile, UploadRecord,
    UploadRefused,
};

use super::FlakyStore;

type Answer = std::result::Result<UploadRecord, UploadRefused>;

unused! { Files:
    fn create_upload(NewUpload) -> Result<Answer>;
    fn find_upload(FileId, UserId) -> Result<Option<UploadRecord>>;
    fn list_parts(FileId) -> Result<Vec<PartRecord>>;
    fn add_part(NewPart) -> Result<Answer>;
    fn finish_upload(FinishedUpload) -> Result<Answer>;
    fn delete_upload(FileId, UserId) -> Result<bool>;
    fn expire_uploads(Timestamp, u32) -> Result<u64>;
    fn find_attachment(RoomId, FileId) -> Result<Option<Attachment>>;
    fn find_stored_file(FileId) -> Result<Option<StoredFile>>;
    fn note_purge(&str, Timestamp) -> Result<()>;
    fn set_avatar(UserId, Option<String>) -> Result<Option<Account>>;
    fn find_avatar(&str) -> Result<Option<(UserId, String)>>;
    fn remove_files_of_user(UserId, bool, u32) -> Result<u64>;
    fn claim_due_purges(Timestamp, Timestamp, u32) -> Result<Vec<String>>;
    fn settle_purges(Vec<String>, Timestamp, Timestamp) -> Result<()>;
    fn postpone_purges(Vec<String>, Timestamp, Timestamp) -> Result<()>;
    fn count_due_purges(Timestamp) -> Result<u64>;
}

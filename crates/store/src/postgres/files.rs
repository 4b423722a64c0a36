//! Files, and objects that are to be removed.

use async_trait::async_trait;
use parlor_protocol::id::{FileId, MessageId, RoomId, UserId};
use parlor_protocol::message::{Attachment, Message};
use parlor_protocol::time::Timestamp;
use tokio_postgres::Row;
use uuid::Uuid;

use super::codec::{count, id, integer, small_opt, sought, time_opt, value, word};
use super::fault::{Fault, Outcome};
use super::pools::Server;
use super::query::Params;
use super::sql::{files as sql, users};
use super::transaction::{committing, reading, writing};
use super::{PostgresStore, query, rows};
use crate::contract::{Files, Result};
use crate::document::{self, check_quota};
use crate::record::{
    Account, FinishedUpload, NewPart, NewUpload, PartRecord, StoredFile, UploadRecord,
    UploadRefused, UploadState,
};

/// What comes of a wish about an upload.
type Answer = std::result::Result<UploadRecord, UploadRefused>;

#[async_trait]
impl Files for PostgresStore {
    async fn create_upload(&self, upload: NewUpload) -> Result<Answer> {
        writing!(self, |tx| create(tx, &upload).await)
    }

    async fn find_upload(&self, upload: FileId, owner: UserId) -> Result<Option<UploadRecord>> {
        reading!(self, |conn| find(conn, sql::FIND, upload, owner).await)
    }

    async fn list_parts(&self, upload: FileId) -> Result<Vec<PartRecord>> {
        reading!(self, |conn| list_parts(conn, upload).await)
    }

    async fn add_part(&self, part: NewPart) -> Result<Answer> {
        writing!(self, |tx, repeated| add_part(tx, &part, repeated).await)
    }

    async fn finish_upload(&self, finished: FinishedUpload) -> Result<Answer> {
        writing!(self, |tx| finish(tx, &finished).await)
    }

    async fn delete_upload(&self, upload: FileId, owner: UserId) -> Result<bool> {
        committing!(self, |conn, repeated| {
            let deleted = query::execute(conn, sql::DELETE, &[&upload.0, &owner.0]).await;
            deleted.map(|deleted| deleted > 0 || repeated)
        })
    }

    async fn expire_uploads(&self, at: Timestamp, limit: u32) -> Result<u64> {
        committing!(self, |conn| {
            query::execute(conn, sql::EXPIRE, &[&at.as_millis(), &i64::from(limit)]).await
        })
    }

    async fn find_attachment(&self, room: RoomId, file: FileId) -> Result<Option<Attachment>> {
        let found: Result<Option<UploadRecord>> = reading!(self, |conn| {
            query::find(conn, sql::FIND_OF_ROOM, &[&file.0, &room.0], upload).await
        });
        Ok(found?.and_then(|upload| upload.attachment()))
    }

    async fn find_stored_file(&self, file: FileId) -> Result<Option<StoredFile>> {
        reading!(self, |conn| find_stored(conn, file).await)
    }

    async fn note_purge(&self, key: &str, due_at: Timestamp) -> Result<()> {
        committing!(self, |conn| {
            query::execute(conn, sql::NOTE_PURGE, &[&key, &due_at.as_millis()]).await.map(drop)
        })
    }

    async fn set_avatar(&self, user: UserId, version: Option<String>) -> Result<Option<Account>> {
        writing!(self, |tx| set_avatar(tx, user, version.as_deref()).await)
    }

    async fn find_avatar(&self, username: &str) -> Result<Option<(UserId, String)>> {
        let params: Params<'_> = &[&sought(username)];
        reading!(self, |conn| {
            query::find(conn, sql::FIND_AVATAR, params, |row| Ok((id(row, 0)?, value(row, 1)?)))
                .await
        })
    }

    async fn remove_files_of_user(&self, user: UserId, attached: bool, limit: u32) -> Result<u64> {
        writing!(self, |tx| remove_of_user(tx, user, attached, limit).await)
    }

    async fn claim_due_purges(
        &self,
        at: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<String>> {
        let params: Params<'_> = &[&at.as_millis(), &i64::from(limit), &until.as_millis()];
        committing!(self, |conn| {
            query::list(conn, sql::CLAIM_DUE_PURGES, params, |row| value(row, 0)).await
        })
    }

    async fn settle_purges(
        &self,
        keys: Vec<String>,
        claimed: Timestamp,
        again_at: Timestamp,
    ) -> Result<()> {
        let (claimed, again_at) = (claimed.as_millis(), again_at.as_millis());
        writing!(self, |tx| async {
            query::execute(tx, sql::DELETE_SETTLED_PURGES, &[&keys, &claimed]).await?;
            query::execute(tx, sql::PURGE_AGAIN, &[&keys, &claimed, &again_at]).await?;
            Ok(())
        }
        .await)
    }

    async fn postpone_purges(
        &self,
        keys: Vec<String>,
        claimed: Timestamp,
        due_at: Timestamp,
    ) -> Result<()> {
        let (claimed, due_at) = (claimed.as_millis(), due_at.as_millis());
        writing!(self, |tx| async {
            query::execute(tx, sql::POSTPONE_PURGES, &[&keys, &claimed, &due_at]).await?;
            Ok(())
        }
        .await)
    }

    async fn count_due_purges(&self, at: Timestamp) -> Result<u64> {
        let params: Params<'_> = &[&at.as_millis()];
        reading!(self, |conn| {
            query::get(conn, sql::COUNT_DUE_PURGES, params, |row| count(row, 0)).await
        })
    }
}

/// Reads the columns of an upload.
pub(super) fn upload(row: &Row) -> Outcome<UploadRecord> {
    Ok(UploadRecord {
        id: id(row, 0)?,
        name: value(row, 1)?,
        bytes: count(row, 2)?,
        received: count(row, 3)?,
        state: word(row, 4)?,
        media_type: value(row, 5)?,
        width: small_opt(row, 6)?,
        height: small_opt(row, 7)?,
        expires_at: time_opt(row, 8)?,
    })
}

async fn find(
    conn: &Server,
    statement: &str,
    file: FileId,
    owner: UserId,
) -> Outcome<Option<UploadRecord>> {
    query::find(conn, statement, &[&file.0, &owner.0], upload).await
}

async fn found_again(tx: &Server, file: FileId, owner: UserId) -> Outcome<Answer> {
    let found = find(tx, sql::FIND, file, owner).await?;
    Ok(Ok(found.ok_or(Fault::Contradiction("attachments lost a row"))?))
}

async fn list_parts(conn: &Server, file: FileId) -> Outcome<Vec<PartRecord>> {
    query::list(conn, sql::LIST_PARTS, &[&file.0], |row| {
        Ok(PartRecord { first: count(row, 0)?, bytes: count(row, 1)?, key: value(row, 2)? })
    })
    .await
}

async fn insert_part(tx: &Server, file: FileId, part: &PartRecord) -> Outcome<()> {
    let PartRecord { first, bytes, key } = part;
    let params: Params<'_> = &[&file.0, &integer(*first), &integer(*bytes), key];
    query::execute(tx, sql::INSERT_PART, params).await?;
    Ok(())
}

async fn create(tx: &Server, new: &NewUpload) -> Outcome<Answer> {
    // One upload of a user begins at a time, so that they are counted right.
    query::execute(tx, users::LOCK, &[&new.owner.0]).await?;
    if let Some(upload) = find(tx, sql::FIND, new.id, new.owner).await? {
        return Ok(Ok(upload));
    }
    let folder = document::file_folder(new.id);
    if query::exists(tx, sql::IS_TO_BE_REMOVED, &[&folder]).await? {
        return Ok(Err(UploadRefused::Ended));
    }
    let (open, bytes) = count_of_owner(tx, new.owner).await?;
    if open >= u64::from(new.max_open) {
        return Ok(Err(UploadRefused::TooManyUploads(new.max_open)));
    }
    if let Some(refused) = check_quota(new.max_bytes, bytes, new.bytes) {
        return Ok(Err(refused));
    }
    let params: Params<'_> = &[
        &new.id.0,
        &new.owner.0,
        &new.name,
        &integer(new.bytes),
        &new.at.as_millis(),
        &new.expires_at.as_millis(),
    ];
    query::execute(tx, sql::INSERT, params).await?;
    found_again(tx, new.id, new.owner).await
}

/// Counts the uploads of a user that no message has, and the bytes of all files.
async fn count_of_owner(tx: &Server, owner: UserId) -> Outcome<(u64, u64)> {
    query::get(tx, sql::COUNT_OF_OWNER, &[&owner.0], |row| Ok((count(row, 0)?, count(row, 1)?)))
        .await
}

async fn add_part(tx: &Server, new: &NewPart, repeated: bool) -> Outcome<Answer> {
    let NewPart { upload: file, owner, part, expires_at, max_parts } = new;
    let Some(found) = find(tx, sql::LOCK, *file, *owner).await? else {
        return Ok(Err(UploadRefused::NoSuchUpload));
    };
    if repeated && list_parts(tx, *file).await?.contains(part) {
        return Ok(Ok(found));
    }
    if found.state != UploadState::Open || part.first != found.received {
        return Ok(Err(UploadRefused::Offset(found.received)));
    }
    if part.bytes > found.bytes - found.received {
        let given = part.first + part.bytes;
        return Ok(Err(UploadRefused::TooLong { bytes: found.bytes, given }));
    }
    let parts = query::get(tx, sql::COUNT_PARTS, &[&file.0], |row| count(row, 0)).await?;
    if parts >= u64::from(*max_parts) {
        return Ok(Err(UploadRefused::TooManyParts(*max_parts)));
    }
    insert_part(tx, *file, part).await?;
    let params: Params<'_> = &[&file.0, &integer(part.bytes), &expires_at.as_millis()];
    query::execute(tx, sql::ADD_BYTES, params).await?;
    found_again(tx, *file, *owner).await
}

async fn finish(tx: &Server, finished: &FinishedUpload) -> Outcome<Answer> {
    let (file, owner) = (finished.upload, finished.owner);
    // As where uploads begin: nothing else is counted meanwhile.
    query::execute(tx, users::LOCK, &[&owner.0]).await?;
    let Some(found) = find(tx, sql::LOCK, file, owner).await? else {
        return Ok(Err(UploadRefused::NoSuchUpload));
    };
    if found.state != UploadState::Open {
        return Ok(Ok(found));
    }
    if found.received != found.bytes {
        return Ok(Err(UploadRefused::Offset(found.received)));
    }
    let bytes = finished.made.as_ref().map_or(found.bytes, |made| made.bytes);
    if bytes > found.bytes {
        let (_, used) = count_of_owner(tx, owner).await?;
        if let Some(refused) = check_quota(finished.max_bytes, used - found.bytes, bytes) {
            return Ok(Err(refused));
        }
    }
    if let Some(made) = &finished.made {
        query::execute(tx, sql::PURGE_PARTS, &[&file.0]).await?;
        query::execute(tx, sql::DELETE_PARTS, &[&file.0]).await?;
        insert_part(tx, file, made).await?;
    }
    let params: Params<'_> = &[
        &file.0,
        &finished.name,
        &finished.media_type,
        &finished.width.map(i64::from),
        &finished.height.map(i64::from),
        &integer(bytes),
        &finished.expires_at.as_millis(),
    ];
    query::execute(tx, sql::FINISH, params).await?;
    found_again(tx, file, owner).await
}

async fn find_stored(conn: &Server, file: FileId) -> Outcome<Option<StoredFile>> {
    let key: Params<'_> = &[&file.0];
    let found = query::find(conn, sql::FIND_STORED, key, |row| {
        Ok((upload(row)?.attachment(), id(row, 9)?, id(row, 10)?))
    })
    .await?;
    let Some((Some(attachment), room, message)) = found else { return Ok(None) };
    Ok(Some(StoredFile { room, message, attachment, parts: list_parts(conn, file).await? }))
}

async fn set_avatar(tx: &Server, user: UserId, version: Option<&str>) -> Outcome<Option<Account>> {
    query::execute(tx, sql::SET_AVATAR, &[&user.0, &version]).await?;
    if let Some(version) = version {
        let key = document::avatar_key(user, version);
        query::execute(tx, sql::DELETE_PURGE, &[&key]).await?;
    }
    query::find(tx, users::FIND, &[&user.0], rows::account).await
}

async fn remove_of_user(tx: &Server, user: UserId, attached: bool, limit: u32) -> Outcome<u64> {
    query::execute(tx, sql::SET_AVATAR, &[&user.0, &None::<&str>]).await?;
    query::execute(tx, sql::DELETE_OF_OWNER, &[&user.0, &attached, &i64::from(limit)]).await
}

/// Finds the uploads that a new message is to have, and locks them. `None` when one is not there or
/// not ready. Nothing is written yet.
pub(super) async fn find_ready(
    tx: &Server,
    owner: UserId,
    files: &[FileId],
) -> Outcome<Option<Vec<Attachment>>> {
    if files.is_empty() {
        return Ok(Some(Vec::new()));
    }
    let ids: Vec<Uuid> = files.iter().map(|file| file.0).collect();
    let found = query::list(tx, sql::LOCK_READY, &[&ids, &owner.0], upload).await?;
    let find = |file: &FileId| found.iter().find(|upload| upload.id == *file)?.attachment();
    Ok(files.iter().map(find).collect())
}

/// Gives uploads to a message.
pub(super) async fn attach(tx: &Server, message: &Message) -> Outcome<()> {
    let ids: Vec<Uuid> = message.attachments.iter().map(|attachment| attachment.id.0).collect();
    let MessageId(id) = message.id;
    query::execute(tx, sql::ATTACH, &[&ids, &message.room.0, &id, &integer(message.seq)]).await?;
    Ok(())
}

/// Lists the files of messages of a room, each with the position of its message.
pub(super) async fn list_attachments(
    conn: &Server,
    places: Params<'_>,
) -> Outcome<Vec<(u64, Option<Attachment>)>> {
    query::list(conn, sql::LIST_OF_MESSAGES, places, |row| {
        Ok((count(row, 9)?, upload(row)?.attachment()))
    })
    .await
}

/// Lists the files of messages of several rooms, each with its room and the position of its message.
pub(super) async fn list_attachments_at(
    conn: &Server,
    places: Params<'_>,
) -> Outcome<Vec<(RoomId, (u64, Option<Attachment>))>> {
    query::list(conn, sql::LIST_AT, places, |row| {
        Ok((id(row, 10)?, (count(row, 9)?, upload(row)?.attachment())))
    })
    .await
}

//! Files, and objects that are to be removed.

use async_trait::async_trait;
use parlor_protocol::id::{FileId, MessageId, RoomId, UserId};
use parlor_protocol::message::{Attachment, Message};
use parlor_protocol::time::Timestamp;
use rusqlite::{Connection, Row, params};

use super::SqliteStore;
use super::append::{Desk, Step};
use super::codec::{count, id, integer, millis, time_opt, word};
use super::fault::{Fault, Outcome};
use super::sql::{files as sql, users};
use super::{query, rows};
use crate::append::AppendRefused;
use crate::contract::{Files, Result};
use crate::document::{self, check_quota};
use crate::record::{
    Account, FinishedUpload, NewPart, NewUpload, PartRecord, StoredFile, UploadRecord,
    UploadRefused, UploadState,
};

/// What comes of a wish about an upload.
type Answer = std::result::Result<UploadRecord, UploadRefused>;

#[async_trait]
impl Files for SqliteStore {
    async fn create_upload(&self, upload: NewUpload) -> Result<Answer> {
        self.write(move |conn| create(conn, &upload)).await
    }

    async fn find_upload(&self, upload: FileId, owner: UserId) -> Result<Option<UploadRecord>> {
        self.read(move |conn| find(conn, upload, owner)).await
    }

    async fn list_parts(&self, upload: FileId) -> Result<Vec<PartRecord>> {
        self.read(move |conn| list_parts(conn, upload)).await
    }

    async fn add_part(&self, part: NewPart) -> Result<Answer> {
        self.write(move |conn| add_part(conn, &part)).await
    }

    async fn finish_upload(&self, finished: FinishedUpload) -> Result<Answer> {
        self.write(move |conn| finish(conn, &finished)).await
    }

    async fn delete_upload(&self, upload: FileId, owner: UserId) -> Result<bool> {
        self.write(move |conn| {
            let key = [upload.0.as_bytes(), owner.0.as_bytes()];
            Ok(query::execute(conn, sql::DELETE, key)? > 0)
        })
        .await
    }

    async fn expire_uploads(&self, at: Timestamp, limit: u32) -> Result<u64> {
        self.write(move |conn| {
            let ended = query::execute(conn, sql::EXPIRE, params![at.as_millis(), limit])?;
            Ok(u64::try_from(ended).unwrap_or(u64::MAX))
        })
        .await
    }

    async fn find_attachment(&self, room: RoomId, file: FileId) -> Result<Option<Attachment>> {
        self.read(move |conn| {
            let key = [file.0.as_bytes(), room.0.as_bytes()];
            let found = query::find(conn, sql::FIND_OF_ROOM, key, upload)?;
            Ok(found.and_then(|upload| upload.attachment()))
        })
        .await
    }

    async fn find_stored_file(&self, file: FileId) -> Result<Option<StoredFile>> {
        self.read(move |conn| find_stored(conn, file)).await
    }

    async fn note_purge(&self, key: &str, due_at: Timestamp) -> Result<()> {
        let key = key.to_owned();
        self.write(move |conn| {
            query::execute(conn, sql::NOTE_PURGE, params![key, due_at.as_millis()])?;
            Ok(())
        })
        .await
    }

    async fn set_avatar(&self, user: UserId, version: Option<String>) -> Result<Option<Account>> {
        self.write(move |conn| {
            query::execute(conn, sql::SET_AVATAR, params![user.0.as_bytes(), version])?;
            if let Some(version) = version {
                let key = document::avatar_key(user, &version);
                query::execute(conn, sql::DELETE_PURGE, [key])?;
            }
            Ok(query::find(conn, users::FIND, [user.0.as_bytes()], rows::account)?)
        })
        .await
    }

    async fn find_avatar(&self, username: &str) -> Result<Option<(UserId, String)>> {
        let username = username.to_owned();
        self.read(move |conn| {
            Ok(query::find(conn, sql::FIND_AVATAR, [username], |row| {
                Ok((id(row, 0)?, row.get(1)?))
            })?)
        })
        .await
    }

    async fn remove_files_of_user(&self, user: UserId, attached: bool, limit: u32) -> Result<u64> {
        self.write(move |conn| {
            let user = user.0.as_bytes();
            query::execute(conn, sql::SET_AVATAR, params![user, None::<String>])?;
            let params = params![user, attached, limit];
            let removed = query::execute(conn, sql::DELETE_OF_OWNER, params)?;
            Ok(u64::try_from(removed).unwrap_or(u64::MAX))
        })
        .await
    }

    async fn claim_due_purges(
        &self,
        at: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<String>> {
        self.write(move |conn| {
            let params = params![at.as_millis(), limit, until.as_millis()];
            Ok(query::list(conn, sql::CLAIM_DUE_PURGES, params, |row| row.get(0))?)
        })
        .await
    }

    async fn settle_purges(
        &self,
        keys: Vec<String>,
        claimed: Timestamp,
        again_at: Timestamp,
    ) -> Result<()> {
        self.write(move |conn| {
            let (claimed, again_at) = (claimed.as_millis(), again_at.as_millis());
            for key in keys {
                if query::execute(conn, sql::DELETE_SETTLED_PURGE, params![key, claimed])? == 0 {
                    query::execute(conn, sql::PURGE_AGAIN, params![key, claimed, again_at])?;
                }
            }
            Ok(())
        })
        .await
    }

    async fn postpone_purges(
        &self,
        keys: Vec<String>,
        claimed: Timestamp,
        due_at: Timestamp,
    ) -> Result<()> {
        self.write(move |conn| {
            for key in keys {
                let params = params![key, claimed.as_millis(), due_at.as_millis()];
                query::execute(conn, sql::POSTPONE_PURGE, params)?;
            }
            Ok(())
        })
        .await
    }

    async fn count_due_purges(&self, at: Timestamp) -> Result<u64> {
        self.read(move |conn| {
            Ok(query::get(conn, sql::COUNT_DUE_PURGES, [at.as_millis()], |row| count(row, 0))?)
        })
        .await
    }
}

/// Reads the columns of an upload.
pub(super) fn upload(row: &Row<'_>) -> rusqlite::Result<UploadRecord> {
    Ok(UploadRecord {
        id: id(row, 0)?,
        name: row.get(1)?,
        bytes: count(row, 2)?,
        received: count(row, 3)?,
        state: word(row, 4)?,
        media_type: row.get(5)?,
        width: row.get(6)?,
        height: row.get(7)?,
        expires_at: time_opt(row, 8)?,
    })
}

fn find(conn: &Connection, file: FileId, owner: UserId) -> Outcome<Option<UploadRecord>> {
    Ok(query::find(conn, sql::FIND, [file.0.as_bytes(), owner.0.as_bytes()], upload)?)
}

fn found_again(conn: &Connection, file: FileId, owner: UserId) -> Outcome<Answer> {
    Ok(Ok(find(conn, file, owner)?.ok_or(Fault::Contradiction("attachments lost a row"))?))
}

fn list_parts(conn: &Connection, file: FileId) -> Outcome<Vec<PartRecord>> {
    Ok(query::list(conn, sql::LIST_PARTS, [file.0.as_bytes()], |row| {
        Ok(PartRecord { first: count(row, 0)?, bytes: count(row, 1)?, key: row.get(2)? })
    })?)
}

fn insert_part(conn: &Connection, file: FileId, part: &PartRecord) -> Outcome<()> {
    let PartRecord { first, bytes, key } = part;
    let params = params![file.0.as_bytes(), integer(*first), integer(*bytes), key];
    query::execute(conn, sql::INSERT_PART, params)?;
    Ok(())
}

fn create(conn: &Connection, new: &NewUpload) -> Outcome<Answer> {
    if let Some(upload) = find(conn, new.id, new.owner)? {
        return Ok(Ok(upload));
    }
    if query::exists(conn, sql::IS_TO_BE_REMOVED, [document::file_folder(new.id)])? {
        return Ok(Err(UploadRefused::Ended));
    }
    let owner = new.owner.0.as_bytes();
    let (open, bytes) = count_of_owner(conn, new.owner)?;
    if open >= u64::from(new.max_open) {
        return Ok(Err(UploadRefused::TooManyUploads(new.max_open)));
    }
    if let Some(refused) = check_quota(new.max_bytes, bytes, new.bytes) {
        return Ok(Err(refused));
    }
    query::execute(
        conn,
        sql::INSERT,
        params![
            new.id.0.as_bytes(),
            owner,
            new.name,
            integer(new.bytes),
            new.at.as_millis(),
            new.expires_at.as_millis(),
        ],
    )?;
    found_again(conn, new.id, new.owner)
}

/// Counts the uploads of a user that no message has, and the bytes of all files.
fn count_of_owner(conn: &Connection, owner: UserId) -> rusqlite::Result<(u64, u64)> {
    query::get(conn, sql::COUNT_OF_OWNER, [owner.0.as_bytes()], |row| {
        Ok((count(row, 0)?, count(row, 1)?))
    })
}

fn add_part(conn: &Connection, new: &NewPart) -> Outcome<Answer> {
    let NewPart { upload: file, owner, part, expires_at, max_parts } = new;
    let Some(found) = find(conn, *file, *owner)? else {
        return Ok(Err(UploadRefused::NoSuchUpload));
    };
    if found.state != UploadState::Open || part.first != found.received {
        return Ok(Err(UploadRefused::Offset(found.received)));
    }
    if part.bytes > found.bytes - found.received {
        let given = part.first + part.bytes;
        return Ok(Err(UploadRefused::TooLong { bytes: found.bytes, given }));
    }
    let key = file.0.as_bytes();
    let parts: u32 = query::get(conn, sql::COUNT_PARTS, [key], |row| row.get(0))?;
    if parts >= *max_parts {
        return Ok(Err(UploadRefused::TooManyParts(*max_parts)));
    }
    insert_part(conn, *file, part)?;
    let params = params![key, integer(part.bytes), expires_at.as_millis()];
    query::execute(conn, sql::ADD_BYTES, params)?;
    found_again(conn, *file, *owner)
}

fn finish(conn: &Connection, finished: &FinishedUpload) -> Outcome<Answer> {
    let (file, owner) = (finished.upload, finished.owner);
    let Some(found) = find(conn, file, owner)? else {
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
        let (_, used) = count_of_owner(conn, owner)?;
        if let Some(refused) = check_quota(finished.max_bytes, used - found.bytes, bytes) {
            return Ok(Err(refused));
        }
    }
    let key = file.0.as_bytes();
    if let Some(made) = &finished.made {
        for part in list_parts(conn, file)? {
            query::execute(conn, sql::NOTE_PURGE, params![part.key, 0])?;
        }
        query::execute(conn, sql::DELETE_PARTS, [key])?;
        insert_part(conn, file, made)?;
    }
    query::execute(
        conn,
        sql::FINISH,
        params![
            key,
            finished.name,
            finished.media_type,
            finished.width,
            finished.height,
            integer(bytes),
            millis(Some(finished.expires_at)),
        ],
    )?;
    found_again(conn, file, owner)
}

fn find_stored(conn: &Connection, file: FileId) -> Outcome<Option<StoredFile>> {
    let found = query::find(conn, sql::FIND_STORED, [file.0.as_bytes()], |row| {
        Ok((upload(row)?.attachment(), id(row, 9)?, id(row, 10)?))
    })?;
    let Some((Some(attachment), room, message)) = found else { return Ok(None) };
    Ok(Some(StoredFile { room, message, attachment, parts: list_parts(conn, file)? }))
}

/// Finds the uploads that a new message is to have. Nothing is written yet.
pub(super) fn find_ready(desk: &Desk<'_>, files: &[FileId]) -> Step<Vec<Attachment>> {
    let mut found = Vec::with_capacity(files.len());
    for file in files {
        let upload = find(desk.conn, *file, desk.actor.id)?;
        let ready = upload.filter(|upload| upload.state == UploadState::Ready);
        let attachment = ready.and_then(|upload| upload.attachment());
        found.push(attachment.ok_or(AppendRefused::NoSuchUpload)?);
    }
    Ok(found)
}

/// Gives uploads to a message.
pub(super) fn attach(desk: &Desk<'_>, message: MessageId, seq: u64, of: &[Attachment]) -> Step<()> {
    for (place, attachment) in (0_u32..).zip(of) {
        let (room, seq) = (desk.room_key(), integer(seq));
        let params = params![attachment.id.0.as_bytes(), room, message.0.as_bytes(), seq, place];
        query::execute(desk.conn, sql::ATTACH, params)?;
    }
    Ok(())
}

/// Adds files to messages of one room that ascend by `seq`.
pub(super) fn add_attachments(
    conn: &Connection,
    room: RoomId,
    messages: &mut [Message],
) -> rusqlite::Result<()> {
    let mut found = Vec::new();
    for message in messages.iter() {
        let place = params![room.0.as_bytes(), integer(message.seq)];
        let of_message = query::list(conn, sql::LIST_OF_MESSAGE, place, |row| {
            Ok((count(row, 9)?, upload(row)?.attachment()))
        })?;
        found.extend(of_message);
    }
    document::add_attachments(messages, found);
    Ok(())
}

//! Uploads: begin, send parts, go on after a cut, give up.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use parlor_domain::file::check_file_name;
use parlor_protocol::code::Code;
use parlor_protocol::http::{CreateUploadRequest, Scope, Upload};
use parlor_protocol::id::{FileId, UserId};
use parlor_protocol::time::Timestamp;
use parlor_store::record::{NewUpload, UploadRecord, UploadRefused, UploadState};
use uuid::Uuid;

use super::endpoint::{Endpoint, OCTET_STREAM};
use super::extract::{IdempotencyKey, InPath, JsonBody};
use crate::files;
use crate::node::{Caller, Node};
use crate::refusal::{Outcome, Refusal};

/// The namespace of the ids that [`id_for`] makes.
const UPLOADS: Uuid = Uuid::from_u128(0x6f1c_2c0e_93d4_4b7e_8a55_d10b_7be2_4c39);
/// Where a part begins, and where the next one does.
pub(super) const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");

pub(super) fn endpoints() -> Vec<Endpoint> {
    let path = "/v1/uploads/{upload}";
    vec![
        Endpoint::post("/v1/uploads", "create_upload", create_upload)
            .about("Files", "Begin to upload a file")
            .scope(Scope::Write)
            .details(
                "The bytes follow with `PATCH`, in parts. When all have arrived, a message can have \
                 the file as attachment. An upload that no message has is forgotten after a while. \
                 The same `client_id` again gives the upload as far as it is; that of one that has \
                 ended is a conflict for some minutes.",
            )
            .idempotent()
            .body::<CreateUploadRequest>()
            .answers::<Upload>(201, "The upload, of which nothing has arrived.")
            .answers::<Upload>(200, "The upload that had begun before.")
            .refuses(&[Code::Conflict]),
        Endpoint::get(path, "get_upload", get_upload)
            .about("Files", "Tell how much of an upload has arrived")
            .scope(Scope::Write)
            .answers::<Upload>(200, "The upload.")
            .refuses(&[Code::NotFound]),
        Endpoint::patch(path, "send_part", send_part)
            .about("Files", "Send the next part of an upload")
            .scope(Scope::Write)
            .details(
                "The body is the bytes from `Upload-Offset` on, at most `limits.part_bytes` of them. \
                 Any node takes them. What arrived of a part before the connection was cut is kept: \
                 ask with `GET`, and go on from `offset`. A wrong offset is answered with `conflict` \
                 and the right one in the header `Upload-Offset`. With the last byte the file is \
                 looked at: its bytes say what it is; an image is made anew without what cameras \
                 note in it; a file that is not what its name promises, and a broken or too large \
                 image, end the upload. If that was cut off, send an empty part at the end.",
            )
            .header("Upload-Offset", "Where the part begins in the file.")
            .takes_bytes(OCTET_STREAM)
            .answers::<Upload>(200, "The upload, with what has arrived now.")
            .refuses(&[
                Code::BadRequest,
                Code::NotFound,
                Code::Conflict,
                Code::PayloadTooLarge,
                Code::ValidationFailed,
            ]),
        Endpoint::delete(path, "delete_upload", delete_upload)
            .about("Files", "Give up an upload that no message has")
            .scope(Scope::Write)
            .answers_nothing("The upload is gone.")
            .refuses(&[Code::NotFound]),
    ]
}

async fn create_upload(
    State(node): State<Arc<Node>>,
    caller: Caller,
    key: IdempotencyKey,
    JsonBody(request): JsonBody<CreateUploadRequest>,
) -> Outcome<(StatusCode, Json<Upload>)> {
    node.files.check_place()?;
    let config = &node.config.files;
    let name = check_file_name(&request.name).map_err(|refused| Refusal::name("name", refused))?;
    let max = config.file.get() as u64;
    if request.bytes == 0 {
        return Err(Refusal::field("bytes", "range", "must be at least 1"));
    }
    if request.bytes > max {
        let detail = format!("may be at most {max}; it is {}", request.bytes);
        let refusal = Refusal::field("bytes", "too_large", detail);
        return Err(Refusal { code: Code::PayloadTooLarge, ..refusal });
    }
    let owner = caller.user.id;
    let id = match key.or(request.client_id)? {
        None => FileId(node.clock.new_id()),
        Some(client_id) => {
            let id = id_for(owner, &client_id);
            if let Some(known) = node.store.find_upload(id, owner).await? {
                return Ok((StatusCode::OK, Json(to_upload(known))));
            }
            id
        }
    };
    let upload = NewUpload {
        id,
        owner,
        name,
        bytes: request.bytes,
        at: node.now(),
        expires_at: files::expiry(&node),
        max_open: config.open_uploads,
        max_bytes: config.user_quota.get() as u64,
    };
    let upload = node.store.create_upload(upload).await??;
    Ok((StatusCode::CREATED, Json(to_upload(upload))))
}

/// Returns the id of the upload that a user begins under an id of their own: every node makes the
/// same of it, and nobody else can make it.
fn id_for(owner: UserId, client_id: &str) -> FileId {
    let name = [owner.0.as_bytes(), client_id.as_bytes()].concat();
    FileId(Uuid::new_v5(&UPLOADS, &name))
}

async fn get_upload(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InPath(upload): InPath<FileId>,
) -> Outcome<Response> {
    Ok(answer(find(&node, &caller, upload).await?))
}

async fn send_part(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InPath(id): InPath<FileId>,
    headers: HeaderMap,
    body: Body,
) -> Outcome<Response> {
    let offset = offset(&headers)?;
    let mut upload = find(&node, &caller, id).await?;
    let owner = caller.user.id;
    if upload.state == UploadState::Open && offset == upload.received && offset < upload.bytes {
        upload = match files::receive(&node, owner, &upload, body).await {
            Ok(upload) => upload,
            Err(refusal) => return wrong_offset(&node, &caller, id, refusal).await,
        };
    } else if upload.state == UploadState::Open && offset != upload.received {
        let refused = UploadRefused::Offset(upload.received);
        return wrong_offset(&node, &caller, id, refused.into()).await;
    }
    if upload.state == UploadState::Open && upload.received == upload.bytes {
        upload = files::finish(&node, owner, upload).await?;
    }
    Ok(answer(upload))
}

/// Answers that a part does not fit, with the place where one would.
async fn wrong_offset(
    node: &Node,
    caller: &Caller,
    upload: FileId,
    refusal: Refusal,
) -> Outcome<Response> {
    if refusal.code != Code::Conflict {
        return Err(refusal);
    }
    let upload = find(node, caller, upload).await?;
    let mut response = refusal.into_response();
    response.headers_mut().insert(UPLOAD_OFFSET, HeaderValue::from(upload.received));
    Ok(response)
}

async fn delete_upload(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InPath(upload): InPath<FileId>,
) -> Outcome<StatusCode> {
    if node.store.delete_upload(upload, caller.user.id).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Refusal::not_found("upload"))
    }
}

/// Finds an upload of the caller that no message has.
async fn find(node: &Node, caller: &Caller, upload: FileId) -> Outcome<UploadRecord> {
    let found = node.store.find_upload(upload, caller.user.id).await?;
    let found = found.filter(|found| found.state != UploadState::Attached);
    found.ok_or_else(|| Refusal::not_found("upload"))
}

fn offset(headers: &HeaderMap) -> Outcome<u64> {
    let refused = |what: &str, detail: &str| Refusal::field("Upload-Offset", what, detail);
    let Some(value) = headers.get(UPLOAD_OFFSET) else {
        return Err(refused("required", "is required"));
    };
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| refused("invalid", "must be a number of bytes"))
}

fn answer(upload: UploadRecord) -> Response {
    let offset = HeaderValue::from(upload.received);
    ([(UPLOAD_OFFSET, offset)], Json(to_upload(upload))).into_response()
}

fn to_upload(upload: UploadRecord) -> Upload {
    let attachment = upload.attachment();
    Upload {
        id: upload.id,
        name: upload.name,
        bytes: upload.bytes,
        offset: upload.received,
        expires_at: upload.expires_at.unwrap_or(Timestamp::from_millis(0)),
        attachment,
    }
}

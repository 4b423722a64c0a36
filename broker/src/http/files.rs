//! Attachments: signed addresses for members, and the files behind them.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use futures_util::TryStreamExt as _;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE, RANGE,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use parlor_auth::AddressRefused;
use parlor_domain::permission::{Action, authorize};
use parlor_files::PictureKind;
use parlor_protocol::code::Code;
use parlor_protocol::http::{FileAddress, Scope};
use parlor_protocol::id::{FileId, RoomId, RoomRef, UserId};
use parlor_protocol::message::Attachment;
use parlor_protocol::time::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use schemars::JsonSchema;
use serde::Deserialize;

use super::endpoint::{Access, Endpoint, OCTET_STREAM};
use super::extract::{InPath, InQuery};
use super::headers::AsItIs;
use super::view::find_room;
use super::{App, ClientAddress, guard};
use crate::files::{self, Span};
use crate::node::{Caller, Node};
use crate::refusal::{Outcome, Refusal};

/// What a browser may do with a file: nothing.
pub(super) const POLICY: &str = "sandbox; default-src 'none'";
/// What stays as it is in the path of an address and in the name of a download.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/v1/rooms/{room}/attachments/{file}", "get_attachment", get_attachment)
            .about("Files", "Return the address of an attachment")
            .scope(Scope::Read)
            .details(
                "The address works for a few minutes, without a login, for whoever has it, and no \
                 longer than the caller may read the room. Ask for a new one when it has expired.",
            )
            .answers::<FileAddress>(200, "The address.")
            .refuses(&[Code::NotFound, Code::NotAMember]),
        Endpoint::get("/v1/files/{file}/{name}", "get_file", get_file)
            .about("Files", "Download an attachment")
            .details(
                "By an address from `GET /v1/rooms/{room}/attachments/{file}`. Images that were made \
                 anew may be shown; everything else is to be saved. Understands `Range`, `If-Range` \
                 and `If-None-Match`. When the message is gone, or the one for whom the address was \
                 made may not read the room any more, there is no file.",
            )
            .access(Access::Open)
            .query::<AddressQuery>()
            .header("Range", "One range of bytes.")
            .answers_text(200, OCTET_STREAM, "The file, with the media type of its content.")
            .answers_text(206, OCTET_STREAM, "A part of the file.")
            .answers_empty(304, "The file is the one that the caller has.")
            .answers_empty(416, "The file has no such part.")
            .refuses(&[
                Code::Forbidden,
                Code::NotFound,
                Code::RateLimited,
                Code::Unavailable,
                Code::Internal,
            ])
            .own_time_limit(),
    ]
}

async fn get_attachment(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InPath((room, file)): InPath<(RoomRef, FileId)>,
) -> Outcome<Json<FileAddress>> {
    let (room, _) = find_room(&node, &caller, &room, Action::Read).await?;
    let attachment = node.store.find_attachment(room.id, file).await?;
    let attachment = attachment.ok_or_else(|| Refusal::not_found("attachment"))?;
    Ok(Json(address(&node, caller.user.id, &attachment)))
}

fn address(node: &Node, user: UserId, attachment: &Attachment) -> FileAddress {
    let expires_at = files::after(node.now(), node.config.files.address_expire);
    let expires = expires_at.as_millis().div_euclid(1_000);
    let signature = node.files.addresses.sign(attachment.id.0, user.0, expires);
    let name = utf8_percent_encode(&attachment.name, PLAIN);
    let id = attachment.id;
    let query = format!("expires={expires}&user={user}&signature={signature}");
    let path = format!("/v1/files/{id}/{name}?{query}");
    let base = node.config.server.public_url.as_ref();
    let url = base.map_or("", |url| url.as_str().trim_end_matches('/'));
    FileAddress {
        url: format!("{url}{path}"),
        expires_at: Timestamp::from_millis(expires.saturating_mul(1_000)),
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AddressQuery {
    /// When the address stops working, in seconds of the Unix epoch.
    expires: i64,
    /// For whom it was made.
    user: UserId,
    /// What makes it valid.
    signature: String,
}

async fn get_file(
    State(app): State<App>,
    client: ClientAddress,
    InPath((file, _)): InPath<(FileId, String)>,
    InQuery(query): InQuery<AddressQuery>,
    headers: HeaderMap,
) -> Outcome<Response> {
    let node = app.node();
    let AddressQuery { expires, user, signature } = query;
    let now = node.clock.now();
    if let Err(refused) = node.files.addresses.verify(file.0, user.0, expires, &signature, now) {
        // Whoever has a valid one was counted when they asked for it.
        guard::charge_address(node, Some(client))?;
        return Err(refuse_address(refused));
    }
    let found = node.store.find_stored_file(file).await?;
    let found = found.ok_or_else(|| Refusal::not_found("file"))?;
    if !may_read(node, user, found.room).await? {
        return Err(Refusal::not_found("file"));
    }
    let attachment = &found.attachment;
    let tag = format!("\"{}\"", attachment.id.0.simple());
    if is_known(&headers, &tag) {
        return Ok(finish(StatusCode::NOT_MODIFIED.into_response(), attachment, &tag));
    }
    let Some((status, span)) = span(&headers, &tag, attachment.bytes) else {
        let mut response = StatusCode::RANGE_NOT_SATISFIABLE.into_response();
        set(&mut response, CONTENT_RANGE, &format!("bytes */{}", attachment.bytes));
        return Ok(finish(response, attachment, &tag));
    };
    node.files.check_place()?;
    let bytes = files::stream(&node.files.objects, &found.parts, span).await;
    let bytes = bytes.map_err(|error| node.files.refuse_read("file", &error))?;
    let served = node.files.metrics.served.clone();
    let bytes = bytes.inspect_ok(move |piece| served.inc_by(piece.len() as u64));
    let mut response = (status, Body::from_stream(bytes)).into_response();
    set(&mut response, CONTENT_TYPE, &attachment.media_type);
    set(&mut response, CONTENT_LENGTH, &(span.to - span.from).to_string());
    if status == StatusCode::PARTIAL_CONTENT {
        let Span { from, to } = span;
        let range = format!("bytes {from}-{}/{}", to - 1, attachment.bytes);
        set(&mut response, CONTENT_RANGE, &range);
    }
    Ok(finish(response, attachment, &tag))
}

/// Tells whether a user may read a room now, and has an account that works.
async fn may_read(node: &Node, user: UserId, room: RoomId) -> Outcome<bool> {
    let account = node.lookups.find_user(user).await?;
    if !account.is_some_and(|account| account.active) {
        return Ok(false);
    }
    let access = node.lookups.find_room(&room.into(), user).await?;
    Ok(access.is_some_and(|access| {
        authorize(access.room.facts(), access.membership, Action::Read, node.now()).is_ok()
    }))
}

fn refuse_address(refused: AddressRefused) -> Refusal {
    let detail = match refused {
        AddressRefused::Expired => "The address has expired; ask the room for a new one.",
        AddressRefused::Invalid => "The address is not valid; ask the room for one.",
    };
    Refusal::new(Code::Forbidden, detail)
}

/// Adds what all answers about a file have.
fn finish(mut response: Response, attachment: &Attachment, tag: &str) -> Response {
    set(&mut response, ETAG, tag);
    set(&mut response, ACCEPT_RANGES, "bytes");
    // It may be redacted at any time, so it is asked for each time.
    set(&mut response, CACHE_CONTROL, "private, no-cache");
    set(&mut response, CONTENT_SECURITY_POLICY, POLICY);
    set(&mut response, CONTENT_DISPOSITION, &disposition(attachment));
    response.extensions_mut().insert(AsItIs);
    response
}

pub(super) fn set(response: &mut Response, name: http::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::try_from(value) {
        response.headers_mut().insert(name, value);
    }
}

/// Only images that were made anew are shown; everything else is to be saved.
fn disposition(attachment: &Attachment) -> String {
    let shown = PictureKind::is_media_type(&attachment.media_type);
    let kind = if shown { "inline" } else { "attachment" };
    let plain = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '_' };
    let ascii: String = attachment.name.chars().map(plain).collect();
    let ascii = ascii.replace(['"', '\\', '%'], "_");
    let name = utf8_percent_encode(&attachment.name, PLAIN);
    format!("{kind}; filename=\"{ascii}\"; filename*=UTF-8''{name}")
}

/// Tells whether the caller has the file already.
pub(super) fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let known = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let tags = known.into_iter().flat_map(|known| known.split(','));
    tags.map(|one| one.trim().trim_start_matches("W/")).any(|one| one == tag || one == "*")
}

/// Returns the part of a file that is asked for; `None` when there is no such part. What is not one
/// range of bytes is not understood, and means the whole.
fn span(headers: &HeaderMap, tag: &str, bytes: u64) -> Option<(StatusCode, Span)> {
    let whole = Some((StatusCode::OK, Span { from: 0, to: bytes }));
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if text(IF_RANGE).is_some_and(|known| known != tag) {
        return whole;
    }
    let Some(range) = text(RANGE).and_then(|range| range.strip_prefix("bytes=")) else {
        return whole;
    };
    let Some((first, last)) = range.split_once('-') else { return whole };
    let span = match (first.trim().parse::<u64>(), last.trim()) {
        (Ok(from), "") => Span { from, to: bytes },
        (Ok(from), last) => match last.parse::<u64>() {
            Ok(last) if last >= from => Span { from, to: bytes.min(last.saturating_add(1)) },
            _ => return whole,
        },
        (Err(_), last) if first.trim().is_empty() => match last.parse::<u64>() {
            Ok(length) => Span { from: bytes.saturating_sub(length), to: bytes },
            Err(_) => return whole,
        },
        (Err(_), _) => return whole,
    };
    (span.from < span.to).then_some((StatusCode::PARTIAL_CONTENT, span))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn asked(range: &str) -> Option<(u16, u64, u64)> {
        let mut headers = HeaderMap::new();
        headers.insert(RANGE, HeaderValue::from_str(range).unwrap());
        let found = span(&headers, "\"t\"", 10);
        found.map(|(status, span)| (status.as_u16(), span.from, span.to))
    }

    #[test]
    fn one_range_is_given_and_what_is_not_understood_is_the_whole() {
        assert_eq!(asked("bytes=0-3"), Some((206, 0, 4)));
        assert_eq!(asked("bytes=4-"), Some((206, 4, 10)));
        assert_eq!(asked("bytes=-3"), Some((206, 7, 10)));
        assert_eq!(asked("bytes=-99"), Some((206, 0, 10)));
        assert_eq!(asked("bytes=9-99"), Some((206, 9, 10)));
        for whole in ["bytes=1-2,4-5", "bytes=5-4", "lines=1-2", "bytes=a-b", "bytes=", "bytes=-x"]
        {
            assert_eq!(asked(whole), Some((200, 0, 10)), "{whole}");
        }
        for none in ["bytes=10-", "bytes=11-12", "bytes=-0"] {
            assert_eq!(asked(none), None, "{none}");
        }
    }

    #[test]
    fn range_of_another_version_is_the_whole() {
        let mut headers = HeaderMap::new();
        headers.insert(RANGE, HeaderValue::from_static("bytes=1-2"));
        headers.insert(IF_RANGE, HeaderValue::from_static("\"other\""));
        assert_eq!(span(&headers, "\"t\"", 10).unwrap().0, StatusCode::OK);
        headers.insert(IF_RANGE, HeaderValue::from_static("\"t\""));
        assert_eq!(span(&headers, "\"t\"", 10).unwrap().0, StatusCode::PARTIAL_CONTENT);
    }

    #[test]
    fn only_remade_images_are_shown_and_names_are_only_names() {
        let file = |name: &str, media_type: &str| Attachment {
            id: FileId(Uuid::nil()),
            name: name.to_owned(),
            media_type: media_type.to_owned(),
            bytes: 1,
            width: None,
            height: None,
        };
        assert!(disposition(&file("a.png", "image/png")).starts_with("inline; "));
        for media_type in ["image/svg+xml", "image/bmp", "application/pdf", "text/plain"] {
            assert!(disposition(&file("a", media_type)).starts_with("attachment; "));
        }
        assert_eq!(
            disposition(&file("ü \"x\"; y=z.txt", "text/plain")),
            "attachment; filename=\"_ _x_; y=z.txt\"; filename*=UTF-8''%C3%BC%20%22x%22%3B%20y%3Dz.txt"
        );
    }
}

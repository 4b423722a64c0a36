//! Pictures of users.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG};
use http::{HeaderMap, StatusCode};
use parlor_auth::ticket;
use parlor_files::WorkError;
use parlor_files::picture::AVATAR_TYPE;
use parlor_protocol::code::Code;
use parlor_protocol::http::Scope;
use parlor_protocol::id::UserId;
use parlor_protocol::user::User;
use schemars::JsonSchema;
use serde::Deserialize;

use super::endpoint::{Access, Endpoint, OCTET_STREAM};
use super::extract::{InPath, InQuery, read_bytes};
use super::files::{POLICY, is_known, set};
use super::headers::AsItIs;
use super::{App, ClientAddress, guard};
use crate::files;
use crate::grant::Need;
use crate::node::{Caller, Node};
use crate::rate::Rule;
use crate::refusal::{Outcome, Refusal};

/// An object that no user has by then is removed: its node was lost half way.
const ORPHAN: std::time::Duration = std::time::Duration::from_hours(1);

pub(super) fn endpoints() -> Vec<Endpoint> {
    let path = "/v1/users/me/avatar";
    vec![
        Endpoint::put(path, "put_avatar", put_avatar)
            .about("Users", "Set one's own picture")
            .details(
                "The body is a PNG, JPEG, GIF or WebP image. Its middle is kept, 256 pixels square, \
                 as PNG; whatever else is in the file is not.",
            )
            .scope(Scope::Profile)
            .takes_bytes(OCTET_STREAM)
            .answers::<User>(200, "The profile, with the new picture's path.")
            .refuses(&[Code::BadRequest, Code::PayloadTooLarge, Code::ValidationFailed]),
        Endpoint::delete(path, "delete_avatar", delete_avatar)
            .about("Users", "Remove one's own picture")
            .scope(Scope::Profile)
            .answers_nothing("There is no picture."),
        Endpoint::get("/v1/users/{username}/avatar", "get_avatar", get_avatar)
            .about("Users", "Return the picture of a user")
            .details(
                "Needs a login, or the `version` from the path in the profile, with which pages can \
                 show it. With the version it may be kept for good: the path of a new picture is \
                 another one.",
            )
            .access(Access::Open)
            .query::<AvatarQuery>()
            .answers_text(200, AVATAR_TYPE, "The picture.")
            .answers_empty(304, "The picture is the one that the caller has.")
            .refuses(&[
                Code::Unauthenticated,
                Code::TokenExpired,
                Code::Forbidden,
                Code::NotFound,
                Code::RateLimited,
                Code::Unavailable,
                Code::Internal,
            ]),
    ]
}

async fn put_avatar(
    State(node): State<Arc<Node>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Outcome<Json<User>> {
    let files = &node.files;
    files.check_place()?;
    let refuse = |error| match error {
        WorkError::Busy => files::busy(),
        WorkError::Refused(refused) => files::refuse_picture("body", refused),
    };
    let time = node.config.limits.request_timeout / 2;
    let mut held = files.enter(caller.user.id)?;
    let room = |bytes| if held.reach(bytes) == bytes { Ok(()) } else { Err(files::crowded()) };
    let bytes = read_bytes(&headers, body, node.config.files.avatar.get(), time, room).await?;
    let bench = files.workshop.enter().await.map_err(refuse)?;
    let picture = bench.avatar(bytes).await.map_err(refuse)?;
    drop(held);
    let version = ticket::random();
    let key = key(caller.user.id, &version);
    // If this node is lost before the next but one line, the object is found.
    node.store.note_purge(&key, files::after(node.now(), ORPHAN)).await?;
    let put = files.objects.put(&key, picture).await;
    put.map_err(|error| files.refuse("write", &error))?;
    let account = node.store.set_avatar(caller.user.id, Some(version)).await?;
    account.map(|account| Json(account.user)).ok_or_else(|| Refusal::not_found("user"))
}

async fn delete_avatar(State(node): State<Arc<Node>>, caller: Caller) -> Outcome<StatusCode> {
    node.store.set_avatar(caller.user.id, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct AvatarQuery {
    /// The version, from the path in the profile.
    version: Option<String>,
}

async fn get_avatar(
    State(app): State<App>,
    client: ClientAddress,
    InPath(username): InPath<String>,
    InQuery(query): InQuery<AvatarQuery>,
    headers: HeaderMap,
) -> Outcome<Response> {
    let node = app.node();
    let need = (Need::Scope(Scope::Read), Rule::Request);
    let (found, named) = match query.version.as_deref() {
        None => {
            guard::authenticate(&app, &headers, Some(client), need).await?;
            (node.store.find_avatar(&username).await?, false)
        }
        Some(version) => {
            // A page shows many at once, and none of its requests has a login.
            let found = node.store.find_avatar(&username).await?;
            let named = found.as_ref().is_some_and(|(_, present)| ticket::same(present, version));
            if !named {
                guard::authenticate(&app, &headers, Some(client), need).await?;
            }
            (found, named)
        }
    };
    let (user, version) = found.ok_or_else(|| Refusal::not_found("picture"))?;
    let tag = format!("\"{version}\"");
    let mut response = if is_known(&headers, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        node.files.check_place()?;
        let picture = node.files.objects.read_all(&key(user, &version)).await;
        let picture = picture.map_err(|error| node.files.refuse_read("picture", &error))?;
        Body::from(picture).into_response()
    };
    let cache = if named { "private, max-age=31536000, immutable" } else { "private, no-cache" };
    set(&mut response, CONTENT_TYPE, AVATAR_TYPE);
    set(&mut response, ETAG, &tag);
    set(&mut response, CACHE_CONTROL, cache);
    set(&mut response, CONTENT_SECURITY_POLICY, POLICY);
    response.extensions_mut().insert(AsItIs);
    Ok(response)
}

/// The key of the object that holds a picture.
fn key(user: UserId, version: &str) -> String {
    format!("avatars/{}/{version}", user.0.simple())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn key_is_the_one_that_the_store_removes() {
        let user = UserId(Uuid::from_u128(0xab));
        assert_eq!(key(user, "v1"), "avatars/000000000000000000000000000000ab/v1");
    }
}

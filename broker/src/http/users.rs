//! Profiles, passwords and presence.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use parlor_auth::{Known, check_display_name, check_username};
use parlor_domain::body::{BodyRefused, check_body};
use parlor_protocol::code::Code;
use parlor_protocol::http::{PatchMeRequest, PresenceResponse, PutPasswordRequest, Scope};
use parlor_protocol::user::{PresenceStatus, User, UserKind};
use parlor_store::record::ProfileChange;

use super::auth::login::check_own_password;
use super::auth::{hash_new, username_code};
use super::endpoint::Endpoint;
use super::extract::{InPath, JsonBody};
use super::view::{find_user, to_public_user};
use super::{App, ClientAddress};
use crate::names;
use crate::node::{Caller, Node};
use crate::refusal::{Outcome, Refusal};

/// Longest text about oneself, in bytes.
const BIO_MAX: usize = 2_000;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/v1/users/me", "get_me", get_me)
            .scope(Scope::Read)
            .about("Users", "Return one's own profile")
            .answers::<User>(200, "The profile."),
        Endpoint::patch("/v1/users/me", "patch_me", patch_me)
            .scope(Scope::Profile)
            .about("Users", "Change one's own profile")
            .details(
                "What is absent stays as it is. Everyone in the rooms of the user is told of a new \
                 user name or display name by `member.updated`. A new user name needs the password, \
                 and for 30 days nobody else can take the former one.",
            )
            .body::<PatchMeRequest>()
            .answers::<User>(200, "The changed profile.")
            .refuses(&[Code::Conflict]),
        Endpoint::put("/v1/users/me/password", "put_password", put_password)
            .about("Users", "Change one's own password")
            .details("Ends all other logins of the user.")
            .body::<PutPasswordRequest>()
            .answers_nothing("The password was changed.")
            .refuses(&[Code::Conflict]),
        Endpoint::get("/v1/users/{username}", "get_user", get_user)
            .scope(Scope::Read)
            .about("Users", "Return a profile")
            .answers::<User>(200, "The profile.")
            .refuses(&[Code::NotFound]),
        Endpoint::get("/v1/users/{username}/presence", "get_presence", get_presence)
            .scope(Scope::Read)
            .about("Users", "Tell whether someone is there")
            .answers::<PresenceResponse>(200, "Status, last activity and connections.")
            .refuses(&[Code::NotFound]),
    ]
}

async fn get_me(State(node): State<Arc<Node>>, caller: Caller) -> Outcome<Json<User>> {
    Ok(Json(find_user(&node, &caller, "me").await?.user))
}

async fn patch_me(
    State(app): State<App>,
    caller: Caller,
    address: ClientAddress,
    JsonBody(request): JsonBody<PatchMeRequest>,
) -> Outcome<Json<User>> {
    let username = request.username.as_deref().map(check_username).transpose();
    let username = username.map_err(|refused| {
        Refusal::field("username", username_code(refused), refused.to_string())
    })?;
    let display_name = request.display_name.as_deref().map(check_display_name).transpose();
    let display_name = display_name
        .map_err(|refused| Refusal::field("display_name", "invalid", refused.to_string()))?;
    let bio = request.bio.as_deref().map(check_bio).transpose()?;
    let node = app.node();
    let before = find_user(node, &caller, "me").await?.user;
    let renames = username.as_ref().is_some_and(|name| *name != before.username);
    if renames {
        let password = request.password.ok_or_else(|| {
            Refusal::field("password", "required", "is required for a new user name")
        })?;
        check_own_password(&app, address, &caller, "password", &password).await?;
    }
    let change = ProfileChange { username, display_name, bio, visibility: request.visibility };
    let changed = node.store.update_profile(caller.user.id, change).await?;
    let account = changed.map_err(Refusal::from)?.ok_or_else(|| Refusal::not_found("user"))?;
    if renames || account.user.display_name != before.display_name {
        names::tell(node, caller.user.id);
    }
    Ok(Json(account.user))
}

fn check_bio(text: &str) -> Outcome<String> {
    let text = text.trim();
    match check_body(text, BIO_MAX) {
        Ok(bio) => Ok(bio),
        Err(BodyRefused::Blank) => Ok(String::new()),
        Err(BodyRefused::TooLarge { .. }) => {
            Err(Refusal::field("bio", "length", format!("may have at most {BIO_MAX} bytes")))
        }
        Err(BodyRefused::Control(_)) => {
            Err(Refusal::field("bio", "characters", "may not contain control characters"))
        }
    }
}

async fn put_password(
    State(app): State<App>,
    caller: Caller,
    address: ClientAddress,
    JsonBody(request): JsonBody<PutPasswordRequest>,
) -> Outcome<StatusCode> {
    let node = app.node();
    let (field, password) = ("current_password", &request.current_password);
    let checked = check_own_password(&app, address, &caller, field, password).await?;
    let account = checked.account;
    let known = Known {
        username: account.user.username.clone(),
        email: account.user.email.clone(),
        display_name: Some(account.user.display_name.clone()),
    };
    let hash = hash_new(node, "new_password", &request.new_password, known).await?;
    let old = checked.hash.unwrap_or_default();
    let changed =
        node.store.change_password(account.user.id, &old, hash, caller.session, node.now());
    let ended = changed.await?.ok_or_else(|| {
        Refusal::new(Code::Conflict, "The password was changed by another call in the meantime.")
    })?;
    for session in ended {
        node.end_session(session);
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn get_user(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InPath(username): InPath<String>,
) -> Outcome<Json<User>> {
    let user = find_user(&node, &caller, &username).await?.user;
    let own = user.id == caller.user.id;
    Ok(Json(if own { user } else { to_public_user(user) }))
}

async fn get_presence(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InPath(username): InPath<String>,
) -> Outcome<Json<PresenceResponse>> {
    let account = find_user(&node, &caller, &username).await?;
    let seen = node.presence.find(account.user.id).await;
    Ok(Json(PresenceResponse {
        status: status_of(&node, account.user.kind, seen.status),
        last_seen: seen.last_active.max(account.last_seen),
        connections: seen.connections,
    }))
}

/// A bot has no connection; it is there as long as bots are answered for.
pub(super) fn status_of(node: &Node, kind: UserKind, status: PresenceStatus) -> PresenceStatus {
    if kind == UserKind::Bot && node.config.bots.enabled { PresenceStatus::Online } else { status }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bio_may_be_emptied_but_not_be_long() {
        assert_eq!(check_bio("  ").unwrap(), "");
        assert_eq!(check_bio(" I like\ngears ").unwrap(), "I like\ngears");
        assert!(check_bio(&"x".repeat(BIO_MAX + 1)).is_err());
        assert!(check_bio("a\0b").is_err());
    }
}

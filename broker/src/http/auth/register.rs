//! New accounts.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use parlor_auth::{Known, UsernameRefused, check_display_name, check_email, check_username};
use parlor_protocol::code::{Code, FieldError};
use parlor_protocol::http::{RegisterRequest, TokenResponse};
use parlor_protocol::id::{RoomId, UserId};
use parlor_protocol::user::{ServerRole, UserKind};
use parlor_runtime::config::Registration;
use parlor_store::Intent;
use parlor_store::record::NewUser;

use super::{begin_session, hash_new};
use crate::bootstrap::join_general;
use crate::http::endpoint::{Access, Endpoint};
use crate::http::extract::JsonBody;
use crate::http::{ClientAddress, view};
use crate::node::Node;
use crate::refusal::{Outcome, Refusal};

pub(super) fn endpoint() -> Endpoint {
    Endpoint::post("/v1/auth/register", "register", register)
        .about("Login", "Make an account and log in to it")
        .details(
            "The new user becomes a member of the public room `general`. Where registration is by \
             invite, `invite` must be the code of an invite link; its room is joined, too.",
        )
        .access(Access::Public)
        .body::<RegisterRequest>()
        .answers::<TokenResponse>(201, "The account was made.")
        .refuses(&[Code::Forbidden, Code::Conflict])
}

async fn register(
    State(node): State<Arc<Node>>,
    address: ClientAddress,
    headers: HeaderMap,
    JsonBody(request): JsonBody<RegisterRequest>,
) -> Outcome<(StatusCode, Json<TokenResponse>)> {
    let mode = node.config.auth.registration;
    if mode == Registration::Closed {
        let detail = "Registration is closed; ask an administrator for an account.";
        return Err(Refusal::new(Code::Forbidden, detail));
    }
    let fields = check(&request)?;
    node.rate.take_registration(address.key()).await.inspect_err(|_| {
        node.metrics.auth.rate_limited.with_label_values(&["register"]).inc();
    })?;
    let invited_to = find_invite(&node, request.invite.as_deref(), mode).await?;
    let known = Known {
        username: fields.username.clone(),
        email: fields.email.clone(),
        display_name: Some(fields.display_name.clone()),
    };
    let password_hash = hash_new(&node, "password", &request.password, known).await?;
    let user = NewUser {
        id: UserId(node.clock.new_id()),
        username: fields.username,
        display_name: fields.display_name,
        kind: UserKind::User,
        email: fields.email,
        password_hash: Some(password_hash),
        role: ServerRole::User,
        at: node.now(),
    };
    let user = node.store.create_user(user).await?.map_err(Refusal::from)?.user;
    join_general(&node, user.id).await;
    if let Some(room) = invited_to {
        let join = Intent::Join { invite: request.invite };
        if let Err(refusal) = view::append(&node, room, user.id, join).await {
            tracing::debug!(error.code = refusal.code.as_str(), "invited room was not joined");
        }
    }
    Ok((StatusCode::CREATED, Json(begin_session(&node, user, &headers).await?)))
}

async fn find_invite(
    node: &Node,
    code: Option<&str>,
    mode: Registration,
) -> Outcome<Option<RoomId>> {
    let Some(code) = code else {
        return match mode {
            Registration::Invite => {
                Err(Refusal::field("invite", "required", "is required: registration is by invite"))
            }
            Registration::Open | Registration::Closed => Ok(None),
        };
    };
    let invite = node.store.find_invite(code, node.now()).await?;
    let invite = invite
        .ok_or_else(|| Refusal::field("invite", "invalid", "is unknown, used up or expired"))?;
    Ok(Some(invite.room))
}

#[derive(Debug)]
struct Fields {
    username: String,
    email: Option<String>,
    display_name: String,
}

/// Checks what costs nothing, all fields at once.
fn check(request: &RegisterRequest) -> Outcome<Fields> {
    let mut errors = Vec::new();
    let mut wrong = |field: &str, code: &str, detail: String| {
        errors.push(FieldError { field: field.to_owned(), code: code.to_owned(), detail });
    };
    let username = check_username(&request.username)
        .inspect_err(|refused| wrong("username", username_code(*refused), refused.to_string()));
    let email = request.email.as_deref().filter(|email| !email.trim().is_empty());
    let email = email
        .map(check_email)
        .transpose()
        .inspect_err(|refused| wrong("email", "invalid", refused.to_string()));
    let display_name = request.display_name.as_deref().filter(|name| !name.trim().is_empty());
    let display_name = display_name
        .map(check_display_name)
        .transpose()
        .inspect_err(|refused| wrong("display_name", "invalid", refused.to_string()));
    if request.password.is_empty() {
        wrong("password", "required", "is required".to_owned());
    }
    match (username, email, display_name) {
        (Ok(username), Ok(email), Ok(display_name)) if errors.is_empty() => {
            let display_name = display_name.unwrap_or_else(|| username.clone());
            Ok(Fields { username, email, display_name })
        }
        _ => {
            let mut refusal = Refusal::new(
                Code::ValidationFailed,
                "Some fields have values that are not allowed.",
            );
            refusal.errors = errors;
            Err(refusal)
        }
    }
}

/// Returns the code of a refused user name.
pub(in crate::http) const fn username_code(refused: UsernameRefused) -> &'static str {
    match refused {
        UsernameRefused::Length => "length",
        UsernameRefused::Characters | UsernameRefused::Edge => "characters",
        UsernameRefused::Reserved => "reserved",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(username: &str) -> RegisterRequest {
        RegisterRequest {
            username: username.to_owned(),
            password: "correct horse battery".to_owned(),
            email: None,
            display_name: None,
            invite: None,
        }
    }

    #[test]
    fn all_fields_at_fault_are_named_at_once() {
        let wrong = RegisterRequest {
            email: Some("nobody".to_owned()),
            display_name: Some("a\nb".to_owned()),
            password: String::new(),
            ..request("me")
        };
        let refusal = check(&wrong).unwrap_err();
        let named: Vec<_> = refusal.errors.iter().map(|e| (&*e.field, &*e.code)).collect();
        assert_eq!(
            named,
            [
                ("username", "reserved"),
                ("email", "invalid"),
                ("display_name", "invalid"),
                ("password", "required")
            ]
        );
    }

    #[test]
    fn names_are_kept_in_their_normal_form() {
        let fields =
            check(&RegisterRequest { email: Some(" A@Example.com".into()), ..request("Ada") });
        let fields = fields.unwrap();
        assert_eq!((&*fields.username, &*fields.display_name), ("ada", "ada"));
        assert_eq!(fields.email.as_deref(), Some("a@example.com"));
    }
}

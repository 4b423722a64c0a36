//! Leaving: for a while, or for good.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use http::StatusCode;
use parlor_auth::{ERASED_PREFIX, ticket};
use parlor_bus::Control;
use parlor_protocol::code::Code;
use parlor_protocol::http::{DeactivateRequest, EraseRequest, EraseUserRequest, ErasedMessages};
use parlor_protocol::id::{SessionId, UserId};
use parlor_protocol::user::UserKind;
use parlor_store::people::{Erasure, NewErasure};

use super::auth::login::check_own_password;
use super::endpoint::{Access, Endpoint};
use super::extract::{InPath, JsonBody};
use super::view::find_user;
use super::{App, ClientAddress};
use crate::erasure;
use crate::node::{Caller, Node};
use crate::refusal::{Outcome, Refusal};

/// How long a caller waits for what an erased account has left in rooms.
const WAIT: Duration = Duration::from_secs(5);
/// Characters of the random end of an erased account's name.
const NAME_TAIL: usize = 16;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post("/v1/users/me/deactivate", "deactivate_me", deactivate_me)
            .about("Users", "Deactivate one's own account")
            .details(
                "Ends all logins and cuts all connections. Messages stay, and the name stays taken. \
                 An administrator can reactivate the account.",
            )
            .body::<DeactivateRequest>()
            .answers_nothing("The account is deactivated.")
            .refuses(&[Code::Conflict]),
        Endpoint::delete("/v1/users/me", "delete_me", delete_me)
            .about("Users", "Erase one's own account")
            .details(
                "Name, profile, address, password, logins and memberships go; messages are by \
                 \"Deleted user\", and with `messages: redact` their texts are removed in every \
                 room. A room whose only owner this is goes to the moderator or member who can log in \
                 and has been there longest, or else to someone who is deactivated, or is deleted \
                 when no other person is in it but those of an imported file.",
            )
            .body::<EraseRequest>()
            .answers_nothing("The account is erased, and everything of it in rooms is done.")
            .answers_empty(202, "The account is erased; what it left in rooms follows.")
            .refuses(&[Code::Conflict]),
        Endpoint::delete("/v1/admin/users/{username}", "admin_erase_user", erase_user)
            .about("Administration", "Erase the account of a person")
            .details("As they could do themselves. It cannot be undone.")
            .access(Access::Admin)
            .body::<EraseUserRequest>()
            .answers_nothing("The account is erased, and everything of it in rooms is done.")
            .answers_empty(202, "The account is erased; what it left in rooms follows.")
            .refuses(&[Code::NotFound, Code::Conflict]),
    ]
}

async fn deactivate_me(
    State(app): State<App>,
    caller: Caller,
    address: ClientAddress,
    JsonBody(request): JsonBody<DeactivateRequest>,
) -> Outcome<StatusCode> {
    check_own_password(&app, address, &caller, "password", &request.password).await?;
    let node = app.node();
    let ended = node.store.close_account(caller.user.id, node.now()).await?;
    cut_off(node, caller.user.id, ended.map_err(Refusal::from)?);
    Ok(StatusCode::NO_CONTENT)
}

async fn delete_me(
    State(app): State<App>,
    caller: Caller,
    address: ClientAddress,
    JsonBody(request): JsonBody<EraseRequest>,
) -> Outcome<StatusCode> {
    check_own_password(&app, address, &caller, "password", &request.password).await?;
    erase(app.node(), caller.user.id, request.messages).await
}

async fn erase_user(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InPath(username): InPath<String>,
    JsonBody(request): JsonBody<EraseUserRequest>,
) -> Outcome<StatusCode> {
    let user = find_user(&node, &caller, &username).await?.user;
    if user.id == caller.user.id {
        let detail = "This is your own account: erase it with `DELETE /v1/users/me`.";
        return Err(Refusal::new(Code::Conflict, detail));
    }
    if user.kind != UserKind::User {
        let detail = "This is a program: delete it as a bot or an integration.";
        return Err(Refusal::new(Code::Conflict, detail));
    }
    if user.username.starts_with(ERASED_PREFIX) {
        return Err(Refusal::not_found("user"));
    }
    erase(&node, user.id, request.messages).await
}

async fn erase(node: &Node, user: UserId, messages: ErasedMessages) -> Outcome<StatusCode> {
    let redact = messages == ErasedMessages::Redact;
    let at = node.now();
    let erasure = NewErasure { user, username: new_name(), redact, at };
    let ended = node.store.erase_account(erasure).await?;
    cut_off(node, user, ended.map_err(Refusal::from)?);
    let rest = erasure::advance(node, Erasure { user, redact, at });
    Ok(match tokio::time::timeout(WAIT, rest).await {
        Ok(Ok(())) => StatusCode::NO_CONTENT,
        // It is remembered, and goes on by itself.
        Ok(Err(_)) | Err(_) => StatusCode::ACCEPTED,
    })
}

/// A name that nobody can choose.
fn new_name() -> String {
    let random = ticket::random().to_lowercase();
    let tail: String = random.chars().filter(char::is_ascii_alphanumeric).take(NAME_TAIL).collect();
    format!("{ERASED_PREFIX}{tail}")
}

/// Ends logins and connections on every node.
fn cut_off(node: &Node, user: UserId, ended: Vec<SessionId>) {
    for session in ended {
        node.end_session(session);
    }
    node.bus.publish_control(Control::UserRevoked(user));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_of_an_erased_account_is_random_and_can_be_chosen_by_nobody() {
        let (one, two) = (new_name(), new_name());
        assert_ne!(one, two);
        assert_eq!(one.len(), ERASED_PREFIX.len() + NAME_TAIL);
        assert!(parlor_auth::check_username(&one).is_err());
    }
}

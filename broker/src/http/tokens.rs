//! Personal access tokens, as their owners make and end them.
//!
//! A token ends when its owner ends it, when its time is over, and with whatever ends all logins of
//! its owner: a new password, logging out everywhere, being deactivated.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use parlor_auth::{Issued, Mark};
use parlor_domain::naming::check_room_name;
use parlor_protocol::code::Code;
use parlor_protocol::http::{CreateTokenRequest, NewPersonalToken, Page, PersonalToken, Scopes};
use parlor_protocol::id::{SessionId, TokenId};
use parlor_protocol::time::Timestamp;
use parlor_store::record::{NewToken, TokenConflict, TokenRecord};

use super::endpoint::Endpoint;
use super::extract::{InPath, JsonBody};
use crate::node::{Caller, Node};
use crate::refusal::{Outcome, Refusal};

/// Tokens that one user may have.
const TOKENS_MAX: u32 = 50;
/// Longest life of a token, and its life when nothing else is asked for, in seconds: a year.
const LIFE_MAX: u64 = 366 * 86_400;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/v1/users/me/tokens", "list_tokens", list_tokens)
            .about("Login", "List one's own personal access tokens")
            .answers::<Page<PersonalToken>>(200, "All that work, newest first."),
        Endpoint::post("/v1/users/me/tokens", "create_token", create_token)
            .about("Login", "Make a personal access token")
            .details(
                "For scripts: it is sent as `Authorization: Bearer` in place of the access token \
                 of a login, over HTTP and for the WebSocket. The secret is told this one time.",
            )
            .body::<CreateTokenRequest>()
            .answers::<NewPersonalToken>(201, "The token with its secret.")
            .refuses(&[Code::Conflict]),
        Endpoint::delete("/v1/users/me/tokens/{token}", "delete_token", delete_token)
            .about("Login", "End a personal access token")
            .details("It stops working, and connections that it opened are cut, on every node.")
            .answers_nothing("The token works no longer.")
            .refuses(&[Code::NotFound]),
    ]
}

async fn list_tokens(
    State(node): State<Arc<Node>>,
    caller: Caller,
) -> Outcome<Json<Page<PersonalToken>>> {
    let tokens = node.store.list_tokens(caller.user.id, node.now()).await?;
    Ok(Json(Page { items: tokens.into_iter().map(view).collect(), next: None }))
}

async fn create_token(
    State(node): State<Arc<Node>>,
    caller: Caller,
    JsonBody(request): JsonBody<CreateTokenRequest>,
) -> Outcome<(StatusCode, Json<NewPersonalToken>)> {
    // What a room may be called, a token may.
    let name = check_room_name(&request.name).map_err(|refused| Refusal::name("name", refused))?;
    let scopes: Scopes = request.scopes.into_iter().collect();
    if scopes.is_empty() {
        return Err(Refusal::field("scopes", "length", "must name at least one scope"));
    }
    let life = request.expires_in.unwrap_or(LIFE_MAX);
    if !(1..=LIFE_MAX).contains(&life) {
        let detail = format!("must be from 1 to {LIFE_MAX} seconds");
        return Err(Refusal::field("expires_in", "range", detail));
    }
    let Issued { secret, prefix, hash } = Mark::PersonalToken.issue();
    let now = node.now();
    let life_ms = i64::try_from(life * 1_000).unwrap_or(i64::MAX);
    let token = NewToken {
        id: TokenId(node.clock.new_id()),
        user: caller.user.id,
        name,
        scopes,
        prefix,
        hash,
        at: now,
        expires_at: Timestamp::from_millis(now.as_millis() + life_ms),
        max_tokens: TOKENS_MAX,
    };
    let made = node.store.create_token(token).await?.map_err(|conflict| match conflict {
        TokenConflict::TooMany => Refusal::new(
            Code::Conflict,
            format!("You have {TOKENS_MAX} tokens, as many as one may; end one first."),
        ),
        TokenConflict::NoSuchUser => Refusal::not_found("user"),
    })?;
    Ok((StatusCode::CREATED, Json(NewPersonalToken { token: view(made), secret })))
}

async fn delete_token(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InPath(token): InPath<TokenId>,
) -> Outcome<StatusCode> {
    if !node.store.revoke_token(caller.user.id, token, node.now()).await? {
        return Err(Refusal::not_found("token"));
    }
    node.end_session(SessionId(token.0));
    Ok(StatusCode::NO_CONTENT)
}

fn view(token: TokenRecord) -> PersonalToken {
    PersonalToken {
        id: token.id,
        name: token.name,
        prefix: token.prefix,
        scopes: token.scopes.iter().collect(),
        created_at: token.created_at,
        expires_at: token.expires_at,
        last_used_at: token.last_used_at,
    }
}

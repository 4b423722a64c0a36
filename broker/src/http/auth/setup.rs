//! The first administrator, by the one-time link that was printed at the first start.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use parlor_auth::{Known, check_username};
use parlor_protocol::code::Code;
use parlor_protocol::http::{SetupRequest, TokenResponse};
use parlor_protocol::id::UserId;
use parlor_protocol::user::{ServerRole, UserKind};
use parlor_store::record::NewUser;

use super::register::username_code;
use super::{begin_session, hash_new};
use crate::bootstrap::own_general;
use crate::http::ClientAddress;
use crate::http::endpoint::{Access, Endpoint};
use crate::http::extract::JsonBody;
use crate::node::Node;
use crate::refusal::{Outcome, Refusal};

pub(super) fn endpoint() -> Endpoint {
    Endpoint::post("/v1/auth/setup", "set_up", set_up)
        .about("Login", "Make the first administrator")
        .details("Works once, with the token of the link that the server printed when it started.")
        .access(Access::Public)
        .body::<SetupRequest>()
        .answers::<TokenResponse>(201, "The administrator was made.")
        .refuses(&[Code::Forbidden, Code::Conflict])
}

async fn set_up(
    State(node): State<Arc<Node>>,
    address: ClientAddress,
    headers: HeaderMap,
    JsonBody(request): JsonBody<SetupRequest>,
) -> Outcome<(StatusCode, Json<TokenResponse>)> {
    node.rate.take_registration(address.key()).await?;
    if !node.setup.matches(&request.token, node.now()) {
        let detail = "The setup link is not valid any more; the server's log has the present one.";
        return Err(Refusal::new(Code::Forbidden, detail));
    }
    let username = check_username(&request.username).map_err(|refused| {
        Refusal::field("username", username_code(refused), refused.to_string())
    })?;
    let known = Known { username: username.clone(), ..Known::default() };
    let password_hash = hash_new(&node, "password", &request.password, known).await?;
    let user = NewUser {
        id: UserId(node.clock.new_id()),
        display_name: username.clone(),
        username,
        kind: UserKind::User,
        email: None,
        password_hash: Some(password_hash),
        role: ServerRole::Admin,
        at: node.now(),
    };
    let user = node.store.create_first_admin(user).await?.map_err(Refusal::from)?.user;
    node.setup.clear();
    own_general(&node, user.id).await;
    Ok((StatusCode::CREATED, Json(begin_session(&node, user, &headers).await?)))
}

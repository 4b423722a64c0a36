//! New access tokens for refresh tokens, each of which works once.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use parlor_auth::RefreshTokens;
use parlor_protocol::code::Code;
use parlor_protocol::http::{RefreshRequest, TokenResponse};
use parlor_store::record::{Rotated, Rotation};

use super::{issue, later};
use crate::http::endpoint::{Access, Endpoint};
use crate::http::extract::JsonBody;
use crate::node::Node;
use crate::refusal::{Outcome, Refusal};

pub(super) fn endpoint() -> Endpoint {
    Endpoint::post("/v1/auth/refresh", "refresh", refresh)
        .about("Login", "Exchange a refresh token for a new pair")
        .details(
            "A refresh token works once. Presented again shortly after, it gives the same \
             successor, because an answer can get lost; later, or once the successor was used, the \
             login is ended.",
        )
        .access(Access::Public)
        .body::<RefreshRequest>()
        .answers::<TokenResponse>(200, "A new pair of tokens.")
        .refuses(&[Code::Unauthenticated])
}

async fn refresh(
    State(node): State<Arc<Node>>,
    JsonBody(request): JsonBody<RefreshRequest>,
) -> Outcome<Json<TokenResponse>> {
    let token = request.refresh_token.as_str();
    if !RefreshTokens::is_well_formed(token) {
        return Err(over());
    }
    let successor = node.refresh_tokens.successor(token);
    let now = node.now();
    let rotation = Rotation {
        presented: RefreshTokens::hash(token),
        successor: RefreshTokens::hash(&successor),
        at: now,
        grace_ms: i64::try_from(node.config.auth.refresh_grace.as_millis()).unwrap_or(i64::MAX),
        idle_until: later(now, node.config.auth.refresh_idle),
    };
    let session = match node.store.rotate_refresh_token(rotation).await? {
        Rotated::Fresh(session) => session,
        Rotated::Reused(session) => {
            tracing::warn!(
                session.id = %session.id,
                user.id = %session.user,
                "spent refresh token was used again; the login was ended"
            );
            node.end_session(session.id);
            return Err(over());
        }
        Rotated::Ended | Rotated::Unknown => return Err(over()),
    };
    let account = node.lookups.find_user(session.user).await?.filter(|account| account.active);
    let account = account.ok_or_else(over)?;
    Ok(Json(issue(&node, account.user.clone(), session.id, successor)))
}

fn over() -> Refusal {
    Refusal::new(Code::Unauthenticated, "The login has ended; log in again.")
}

//! Ending logins.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::http::endpoint::Endpoint;
use crate::http::extract::InQuery;
use crate::node::{Caller, Node};
use crate::refusal::Outcome;

pub(super) fn endpoint() -> Endpoint {
    Endpoint::post("/v1/auth/logout", "log_out", log_out)
        .about("Login", "End this login everywhere")
        .details("Its access tokens stop working and its connections are cut on every node.")
        .query::<LogoutQuery>()
        .answers_nothing("The login has ended.")
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct LogoutQuery {
    /// Ends all logins of the user.
    all: bool,
}

async fn log_out(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InQuery(query): InQuery<LogoutQuery>,
) -> Outcome<StatusCode> {
    let now = node.now();
    // First, because a page that goes away takes the rest of this call with it.
    node.end_session(caller.session);
    if query.all {
        for session in node.store.revoke_sessions_of(caller.user.id, None, now).await? {
            node.end_session(session);
        }
    } else {
        node.store.revoke_session(caller.session, now).await?;
    }
    // Also when the store had it ended before: its access tokens may still be about.
    node.end_session(caller.session);
    Ok(StatusCode::NO_CONTENT)
}

//! The caller's login, and tickets for the WebSocket.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use http::header::SEC_WEBSOCKET_VERSION;
use http::{HeaderValue, StatusCode};
use parlor_cluster::Ticket;
use parlor_protocol::code::Code;
use parlor_protocol::http::{Session, SessionResponse, WsTicket};

use super::later;
use crate::http::endpoint::{Access, Endpoint};
use crate::node::{Caller, Node};
use crate::refusal::{Outcome, Refusal};
use crate::ws::NotUpgraded;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/v1/auth/session", "get_session", get_session)
            .about("Login", "Return who is logged in, and how")
            .answers::<SessionResponse>(200, "The caller's login."),
        Endpoint::post("/v1/auth/ws-ticket", "create_ws_ticket", create_ws_ticket)
            .about("Login", "Make a ticket that opens one WebSocket")
            .details("For browsers, which cannot send a header with the upgrade.")
            .answers::<WsTicket>(200, "A single-use ticket."),
        Endpoint::get("/v1/ws", "open_websocket", open_websocket)
            .about("WebSocket", "Open the WebSocket")
            .details(
                "An upgrade with the subprotocol `parlor.v1`. What is sent over it is described at \
                 `/asyncapi.json`.",
            )
            .access(Access::Open)
            .header("Sec-WebSocket-Protocol", "`parlor.v1`.")
            .answers_empty(101, "The connection was upgraded.")
            .refuses(&[
                Code::BadRequest,
                Code::Unauthenticated,
                Code::Forbidden,
                Code::Unavailable,
            ]),
    ]
}

async fn get_session(
    State(node): State<Arc<Node>>,
    caller: Caller,
) -> Outcome<Json<SessionResponse>> {
    let ended = || Refusal::new(Code::Unauthenticated, "The login has ended; log in again.");
    let session = node.store.find_session(caller.session).await?;
    let session = session.filter(|session| session.revoked_at.is_none()).ok_or_else(ended)?;
    let account = node.store.find_user(caller.user.id).await?.ok_or_else(ended)?;
    Ok(Json(SessionResponse {
        user: account.user,
        session: Session {
            id: session.id,
            created_at: session.created_at,
            expires_at: session.expires_at,
            client: session.client,
        },
    }))
}

async fn create_ws_ticket(
    State(node): State<Arc<Node>>,
    caller: Caller,
) -> Outcome<Json<WsTicket>> {
    let now = node.now();
    let life = node.config.auth.ws_ticket_ttl;
    let ticket = Ticket {
        user: caller.user.id,
        session: caller.session,
        access_expires_at: caller.expires_at,
        expires_at: later(now, life),
    };
    let ticket = node.tickets.issue(ticket, now).await;
    let ticket = ticket
        .map_err(|_| Refusal::unavailable("Too many tickets are open; try again in a moment."))?;
    Ok(Json(WsTicket { ticket, expires_in: life.as_secs() }))
}

/// Answers what is no WebSocket: the edge takes upgrades, and says why it did not take this one.
async fn open_websocket(refused: Option<Extension<NotUpgraded>>) -> Response {
    let Some(Extension(NotUpgraded { refusal, wrong_version })) = refused else {
        let detail = "Open this address as a WebSocket.";
        return Refusal::new(Code::BadRequest, detail).into_response();
    };
    if wrong_version {
        // RFC 6455, section 4.4: the answer tells which version is spoken.
        let version = [(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))];
        return (StatusCode::UPGRADE_REQUIRED, version, refusal).into_response();
    }
    refusal.into_response()
}

//! The upgrade from HTTP: who asks, from which page, and is there a place.

use std::net::IpAddr;
use std::rc::Rc;

use axum::body::Body;
use axum::response::IntoResponse as _;
use http::header::{
    AUTHORIZATION, CONNECTION, HOST, HeaderName, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::upgrade::downcast;
use parlor_protocol::SUBPROTOCOL;
use parlor_protocol::code::Code;
use parlor_runtime::Phase;
use tokio::net::TcpStream;
use tungstenite::handshake::derive_accept_key;
use url::Url;

use super::context::{Context, Places};
use super::flood::Flood;
use super::session::Session;
use crate::admission::Permit;
use crate::node::{Caller, Node};
use crate::rate::AddressKey;
use crate::refusal::{Outcome, Refusal};
use crate::shard::Shard;
use crate::shard::conn::Conn;

/// Bytes that the kernel may hold for one connection. Without it a stalled reader would take
/// several megabytes of kernel memory, because the buffer grows by itself.
const SEND_BUFFER: usize = 256 * 1024;

/// Answers an upgrade request; the session starts when the answer has been sent.
pub(crate) async fn upgrade(
    shard: &Rc<Shard>,
    mut request: Request<Incoming>,
    address: IpAddr,
    connection: Rc<Permit>,
) -> Response<Body> {
    let accepted = match accept(&shard.node, &request).await {
        Ok(accepted) => accepted,
        Err(refusal) => return refusal.into_response(),
    };
    let waiting = match accepted.caller {
        Some(_) => None,
        None => match shard.node.admission.wait_for_hello() {
            Ok(permit) => Some(permit),
            Err(none) => {
                shard.node.metrics.http.refused.with_label_values(&[none.reason()]).inc();
                return Refusal::unavailable("Too many connections; try again in a moment.")
                    .into_response();
            }
        },
    };
    let upgraded = hyper::upgrade::on(&mut request);
    let shard = Rc::clone(shard);
    let caller = accepted.caller;
    drop(tokio::task::spawn_local(async move {
        let Ok(upgraded) = upgraded.await else { return };
        // Plain TCP is what this listener serves, so this is the bare socket.
        let Ok(parts) = downcast::<TokioIo<TcpStream>>(upgraded) else { return };
        let socket = parts.io.into_inner();
        // Without it the kernel holds more; nothing else depends on it.
        drop(socket2::SockRef::from(&socket).set_send_buffer_size(SEND_BUFFER));
        let node = &shard.node;
        let limits = &node.config.limits;
        let metrics = node.metrics.ws.clone();
        let conn = Conn::new(shard.next_member(), socket, limits.outbox.get(), metrics);
        let places = Places::default();
        drop(places.waiting.replace(waiting));
        let flood = Flood::new(limits);
        let context = Context {
            conn: Rc::new(conn),
            address: AddressKey::from(address),
            places: Rc::new(places),
            active_at: None,
            shard: Rc::clone(&shard),
        };
        let session = Session { context, _connection: connection, flood, bad_frames: 0 };
        // A task of its own, so that what belongs to HTTP is freed.
        drop(tokio::task::spawn_local(session.run(parts.read_buf, caller)));
    }));
    switching_protocols(&accepted.key, accepted.subprotocol)
}

struct Accepted {
    key: String,
    subprotocol: bool,
    caller: Option<Caller>,
}

async fn accept(node: &Node, request: &Request<Incoming>) -> Outcome<Accepted> {
    if node.lifecycle.phase() != Phase::Running {
        return Err(Refusal::unavailable("The node is going away; connect again."));
    }
    let headers = request.headers();
    check_handshake(request.method(), headers)?;
    check_origin(node, headers)?;
    let subprotocol = check_subprotocol(headers)?;
    let key = headers.get(SEC_WEBSOCKET_KEY).map(|key| derive_accept_key(key.as_bytes()));
    let key = key.ok_or_else(|| bad_handshake("`Sec-WebSocket-Key` is missing."))?;
    let caller = authenticate(node, headers, request.uri().query().unwrap_or_default()).await?;
    Ok(Accepted { key, subprotocol, caller })
}

fn bad_handshake(detail: &str) -> Refusal {
    Refusal::new(Code::BadRequest, format!("Not a WebSocket handshake: {detail}"))
}

fn check_handshake(method: &Method, headers: &HeaderMap) -> Outcome<()> {
    let has = |name: HeaderName, word: &str| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(word)))
    };
    if *method != Method::GET {
        return Err(bad_handshake("the method must be GET."));
    }
    if !has(UPGRADE, "websocket") || !has(CONNECTION, "upgrade") {
        return Err(bad_handshake("`Upgrade: websocket` is missing."));
    }
    if !has(SEC_WEBSOCKET_VERSION, "13") {
        return Err(bad_handshake("the version must be 13."));
    }
    Ok(())
}

/// A page of another origin may not use a visitor's network position; programs without a page send
/// no `Origin`.
fn check_origin(node: &Node, headers: &HeaderMap) -> Outcome<()> {
    let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
    let refused = || Refusal::new(Code::Forbidden, "Pages of this origin may not connect.");
    let origin = origin.to_str().map_err(|_| refused())?;
    let allowed = &node.config.server.allowed_origins;
    if allowed.iter().any(|allowed| allowed.to_string().eq_ignore_ascii_case(origin)) {
        return Ok(());
    }
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let same_host = allowed.is_empty() && is_same_host(origin, host);
    if same_host { Ok(()) } else { Err(refused()) }
}

fn is_same_host(origin: &str, host: &str) -> bool {
    let Ok(origin) = Url::parse(origin) else { return false };
    let Some(name) = origin.host_str().filter(|_| matches!(origin.scheme(), "http" | "https"))
    else {
        return false;
    };
    let with_port = match origin.port() {
        Some(port) => format!("{name}:{port}"),
        None => name.to_owned(),
    };
    with_port.eq_ignore_ascii_case(host)
}

/// A client that offers subprotocols must offer ours; one that offers none gets it untold.
fn check_subprotocol(headers: &HeaderMap) -> Outcome<bool> {
    let mut offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().peekable();
    if offered.peek().is_none() {
        return Ok(false);
    }
    let ours = offered
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.split(',').any(|part| part.trim() == SUBPROTOCOL));
    if ours {
        return Ok(true);
    }
    Err(Refusal::new(Code::Unsupported, format!("The subprotocol must be {SUBPROTOCOL}.")))
}

/// Finds out who is there, where the request says so: by header, ticket, or (if the operator allows
/// it) token in the address. Otherwise the first frame must be `hello`.
async fn authenticate(node: &Node, headers: &HeaderMap, query: &str) -> Outcome<Option<Caller>> {
    if let Some(header) = headers.get(AUTHORIZATION) {
        let token = header.to_str().ok().and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
        });
        let token = token.ok_or_else(|| {
            Refusal::new(Code::Unauthenticated, "`Authorization` must be `Bearer <token>`.")
        })?;
        return node.authenticate(token).await.map(Some);
    }
    let mut ticket = None;
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match name.as_ref() {
            "ticket" => ticket = Some(value.into_owned()),
            "token" if node.config.server.allow_query_token => {
                return node.authenticate(&value).await.map(Some);
            }
            "token" => {
                let detail = "`?token=` is switched off, because addresses end up in logs; use \
                              a ticket, the header or `hello`.";
                return Err(Refusal::new(Code::BadRequest, detail));
            }
            _ => {}
        }
    }
    let Some(code) = ticket else { return Ok(None) };
    let ticket = node.tickets.redeem(&code, node.now()).await.ok_or_else(|| {
        Refusal::new(Code::Unauthenticated, "The ticket is unknown, used or expired.")
    })?;
    node.identify(ticket.user, ticket.session, ticket.access_expires_at).await.map(Some)
}

fn switching_protocols(accept_key: &str, subprotocol: bool) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    if let Ok(key) = HeaderValue::from_str(accept_key) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, key);
    }
    if subprotocol {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_host_means_same_name_and_port() {
        assert!(is_same_host("http://localhost:7777", "localhost:7777"));
        assert!(is_same_host("https://chat.example.org", "chat.example.org"));
        for origin in [
            "http://localhost:7778",
            "http://evil.example",
            "null",
            "file://localhost:7777",
            "http://localhost:7777.evil.example",
        ] {
            assert!(!is_same_host(origin, "localhost:7777"), "{origin}");
        }
    }
}

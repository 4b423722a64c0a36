//! The upgrade from HTTP: who asks, from which page, and is there a place.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use axum::body::Body;
use http::header::{
    AUTHORIZATION, CONNECTION, HOST, HeaderName, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper_util::server::conn::auto::upgrade::downcast;
use parlor_protocol::code::Code;
use parlor_protocol::command::Deltas;
use parlor_protocol::{SUBPROTOCOL_MSGPACK, SUBPROTOCOLS};
use parlor_runtime::Phase;
use rand::Rng as _;
use serde::Deserialize as _;
use tungstenite::handshake::derive_accept_key;
use url::Url;

use super::context::{Context, Places};
use super::flood::Flood;
use super::session::Session;
use crate::admission::Permit;
use crate::edge::Timed;
use crate::node::{Caller, Node};
use crate::rate::AddressKey;
use crate::refusal::{Outcome, Refusal};
use crate::shard::Shard;
use crate::shard::conn::{Conn, ConnOptions};
use crate::shard::intents::Intents;
use crate::shard::transport::Transport;
use crate::shard::wire::Encoding;

/// Bytes that the kernel may hold for one connection. Without it a stalled reader would take
/// several megabytes of kernel memory, because the buffer grows by itself.
const SEND_BUFFER: usize = 256 * 1024;

/// When those come back that were too many at once.
const RUSH_RETRY: std::ops::Range<Duration> = Duration::from_secs(1)..Duration::from_secs(5);

/// Why there is no WebSocket. Travels with the request to the router, which answers.
#[derive(Debug, Clone)]
pub(crate) struct NotUpgraded {
    /// What the client is told.
    pub(crate) refusal: Refusal,
    /// The client speaks a version of the protocol that this server does not.
    pub(crate) wrong_version: bool,
}

impl From<Refusal> for NotUpgraded {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, wrong_version: false }
    }
}

/// Answers an upgrade request; the session starts when the answer has been sent.
pub(crate) async fn upgrade(
    shard: &Rc<Shard>,
    request: &mut Request<Incoming>,
    address: IpAddr,
    connection: Rc<Permit>,
) -> Result<Response<Body>, NotUpgraded> {
    let handshake = shard.node.admission.upgrade().map_err(|none| {
        shard.node.metrics.http.refused.with_label_values(&[none.reason()]).inc();
        let mut refusal = Refusal::unavailable("Too many connections at once; try again soon.");
        // Not all at the same moment.
        refusal.retry_after = Some(rand::rng().random_range(RUSH_RETRY));
        refusal
    })?;
    let accepted = accept(&shard.node, request).await?;
    drop(handshake);
    let waiting = match accepted.caller {
        Some(_) => None,
        None => Some(shard.node.admission.wait_for_hello().map_err(|none| {
            shard.node.metrics.http.refused.with_label_values(&[none.reason()]).inc();
            Refusal::unavailable("Too many connections; try again in a moment.")
        })?),
    };
    let upgraded = hyper::upgrade::on(request);
    let shard = Rc::clone(shard);
    let (caller, options) = (accepted.caller, accepted.options);
    drop(tokio::task::spawn_local(async move {
        let Ok(upgraded) = upgraded.await else { return };
        let Ok(parts) = downcast::<Timed>(upgraded) else { return };
        // Nothing of HTTP is left between the session and its socket.
        let socket = Transport::from(parts.io.into_inner());
        // Without it the kernel holds more; nothing else depends on it.
        drop(socket2::SockRef::from(socket.tcp()).set_send_buffer_size(SEND_BUFFER));
        let node = &shard.node;
        let limits = &node.config.limits;
        let (id, traffic) = (shard.next_member(), Rc::clone(&shard.traffic));
        let conn = Conn::new(id, socket, options, limits.outbox.get(), traffic);
        let places = Places::default();
        drop(places.waiting.replace(waiting));
        let context = Context {
            conn: Rc::new(conn),
            address: AddressKey::from(address),
            places: Rc::new(places),
            active_at: None,
            idle: false,
            shard: Rc::clone(&shard),
        };
        let session =
            Session { context, _connection: connection, flood: Flood::new(), bad_frames: 0 };
        // A task of its own, so that what belongs to HTTP is freed.
        drop(tokio::task::spawn_local(session.run(&parts.read_buf, caller)));
    }));
    Ok(switching_protocols(&accepted.key, accepted.subprotocol))
}

struct Accepted {
    key: String,
    subprotocol: Option<&'static str>,
    caller: Option<Caller>,
    options: ConnOptions,
}

async fn accept(node: &Node, request: &Request<Incoming>) -> Result<Accepted, NotUpgraded> {
    if node.lifecycle.phase() != Phase::Running {
        return Err(Refusal::unavailable("The node is going away; connect again.").into());
    }
    node.check_has_admin()?;
    let key = check_handshake(request)?;
    let headers = request.headers();
    check_origin(node, headers)?;
    let subprotocol = check_subprotocol(headers)?;
    let query = request.uri().query().unwrap_or_default();
    let encoding = match subprotocol {
        Some(SUBPROTOCOL_MSGPACK) => Encoding::MessagePack,
        _ => Encoding::Json,
    };
    let options =
        ConnOptions { encoding, deltas: read_deltas(query)?, intents: read_intents(query)? };
    let caller = authenticate(node, headers, query).await?;
    Ok(Accepted { key: derive_accept_key(key.as_bytes()), subprotocol, caller, options })
}

fn bad_handshake(detail: &str) -> Refusal {
    Refusal::new(Code::BadRequest, format!("Not a WebSocket handshake: {detail}"))
}

/// Checks what RFC 6455 asks of a handshake (section 4.2.1) and returns its key.
fn check_handshake<T>(request: &Request<T>) -> Result<&HeaderValue, NotUpgraded> {
    let headers = request.headers();
    let has = |name: HeaderName, word: &str| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(word)))
    };
    if *request.method() != Method::GET {
        return Err(bad_handshake("the method must be GET.").into());
    }
    if request.version() != Version::HTTP_11 {
        return Err(bad_handshake("it must be asked for in HTTP/1.1.").into());
    }
    if single(headers, HOST).is_none() {
        return Err(bad_handshake("`Host` must be there once.").into());
    }
    if !has(UPGRADE, "websocket") || !has(CONNECTION, "upgrade") {
        return Err(bad_handshake("`Upgrade: websocket` is missing.").into());
    }
    let version = single(headers, SEC_WEBSOCKET_VERSION);
    if version.is_none_or(|version| version != "13") {
        let refusal = bad_handshake("`Sec-WebSocket-Version` must be 13.");
        return Err(NotUpgraded { refusal, wrong_version: true });
    }
    let key = single(headers, SEC_WEBSOCKET_KEY).filter(|key| is_nonce(key.as_bytes()));
    key.ok_or_else(|| bad_handshake("`Sec-WebSocket-Key` must be 16 bytes in base64.").into())
}

/// Returns the value of a header that is there once.
fn single(headers: &HeaderMap, name: HeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Tells whether this is 16 bytes in base64: 22 letters and two for padding.
fn is_nonce(key: &[u8]) -> bool {
    let letter = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.len() == 24 && key.strip_suffix(b"==").is_some_and(|letters| letters.iter().all(letter))
}

/// A page of another origin may not use a visitor's network position; programs without a page send
/// no `Origin`.
fn check_origin(node: &Node, headers: &HeaderMap) -> Outcome<()> {
    if !headers.contains_key(ORIGIN) {
        return Ok(());
    }
    let refused = || Refusal::new(Code::Forbidden, "Pages of this origin may not connect.");
    let origin = single(headers, ORIGIN).and_then(|origin| origin.to_str().ok());
    let origin = origin.ok_or_else(refused)?;
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

/// A client that offers subprotocols must offer one of ours, and gets the first of them; one that
/// offers none gets JSON, untold.
fn check_subprotocol(headers: &HeaderMap) -> Outcome<Option<&'static str>> {
    let mut offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().peekable();
    if offered.peek().is_none() {
        return Ok(None);
    }
    offered
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .find_map(|part| SUBPROTOCOLS.into_iter().find(|ours| part.trim() == *ours))
        .map(Some)
        .ok_or_else(|| {
            let ours = SUBPROTOCOLS.join(" or ");
            Refusal::new(Code::Unsupported, format!("The subprotocol must be {ours}."))
        })
}

/// Reads how pieces of replies are to come, for clients that do not say `hello`.
fn read_deltas(query: &str) -> Outcome<Deltas> {
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    match pairs.find(|(name, _)| name == "deltas") {
        None => Ok(Deltas::default()),
        Some((_, value)) => {
            let value = serde::de::value::CowStrDeserializer::<serde::de::value::Error>::new(value);
            Deltas::deserialize(value).map_err(|_| {
                Refusal::new(Code::BadRequest, "`deltas` must be `gathered`, `live` or `none`.")
            })
        }
    }
}

/// Reads which families of signals are to come, in the same way.
fn read_intents(query: &str) -> Outcome<Intents> {
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    match pairs.find(|(name, _)| name == "intents") {
        None => Ok(Intents::default()),
        Some((_, list)) => Intents::parse(&list),
    }
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

fn switching_protocols(accept_key: &str, subprotocol: Option<&'static str>) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    if let Ok(key) = HeaderValue::from_str(accept_key) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, key);
    }
    if let Some(subprotocol) = subprotocol {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_is_sixteen_bytes_in_base64() {
        assert!(is_nonce(b"dGhlIHNhbXBsZSBub25jZQ=="));
        for key in ["", "!!!!", "AAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAAA=", "===="] {
            assert!(!is_nonce(key.as_bytes()), "{key}");
        }
    }

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

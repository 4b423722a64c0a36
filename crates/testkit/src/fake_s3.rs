//! A service that speaks as much of S3 as keeping files takes: put, get, head, delete and list.
//!
//! It listens on the loopback interface, on a port that the kernel picks, keeps objects in memory and
//! stops when dropped. It refuses whatever is not signed with [`ACCESS_KEY`] and [`SECRET_KEY`] in the
//! way of AWS (version 4), body included, and lists two keys a page, so that clients have to read on.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    fmt::Write as _,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{
        AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, ETAG, IF_NONE_MATCH, LAST_MODIFIED, RANGE,
    },
    http::request::Parts,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

/// The only bucket.
pub const BUCKET: &str = "parlor-bucket";
/// The name of the only key.
pub const ACCESS_KEY: &str = "AKIDPARLOR";
/// Its secret. It must never reach a log or a person.
pub const SECRET_KEY: &str = "planted-s3-secret-9d41c7";
/// Keys on one page of a list.
const PAGE: usize = 2;

type Objects = Arc<Mutex<BTreeMap<String, Bytes>>>;

/// A service that runs until it is dropped.
#[derive(Debug)]
pub struct FakeS3 {
    addr: SocketAddr,
    objects: Objects,
    _stop: DropGuard,
}

impl FakeS3 {
    /// Starts a service with an empty bucket.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let objects = Objects::default();
        let stop = CancellationToken::new();
        TaskTracker::new().spawn(serve(listener, Arc::clone(&objects), stop.clone()));
        Self { addr, objects, _stop: stop.drop_guard() }
    }

    /// Returns the address for clients.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Returns the keys of all objects.
    pub fn keys(&self) -> Vec<String> {
        self.objects.lock().unwrap().keys().cloned().collect()
    }
}

async fn serve(listener: TcpListener, objects: Objects, stop: CancellationToken) {
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((socket, _)) = accepted else { continue };
        let (objects, stop) = (Arc::clone(&objects), stop.clone());
        connections.spawn(async move {
            let service = service_fn(|request| answer(Arc::clone(&objects), request));
            let connection = http1::Builder::new().serve_connection(TokioIo::new(socket), service);
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                _ = connection => {}
            }
        });
    }
}

async fn answer(
    objects: Objects,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    if !is_signed(&head, &body) {
        return Ok(failure(StatusCode::FORBIDDEN, "SignatureDoesNotMatch"));
    }
    let mut objects = objects.lock().unwrap();
    let path = head.uri.path().trim_start_matches('/');
    Ok(match path.split_once('/') {
        None if path == BUCKET => list(&objects, head.uri.query().unwrap_or_default()),
        Some((BUCKET, key)) => match head.method {
            Method::PUT => put(&mut objects, key, body, header(&head, IF_NONE_MATCH.as_str())),
            Method::GET => get(objects.get(key), header(&head, RANGE.as_str())),
            Method::HEAD => {
                let mut answer = get(objects.get(key), None);
                *answer.body_mut() = Full::default();
                answer
            }
            Method::DELETE => {
                objects.remove(key);
                status(StatusCode::NO_CONTENT)
            }
            _ => failure(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
        },
        _ => failure(StatusCode::NOT_FOUND, "NoSuchBucket"),
    })
}

fn header<'a>(head: &'a Parts, name: &str) -> Option<&'a str> {
    head.headers.get(name).and_then(|value| value.to_str().ok())
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

fn failure(code: StatusCode, name: &str) -> Response<Full<Bytes>> {
    let text = format!("<Error><Code>{name}</Code><Message>{name}</Message></Error>");
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = code;
    response
}

fn tag(bytes: &[u8]) -> String {
    format!("\"{}\"", hex(&Sha256::digest(bytes)))
}

fn put(
    objects: &mut BTreeMap<String, Bytes>,
    key: &str,
    body: Bytes,
    unless: Option<&str>,
) -> Response<Full<Bytes>> {
    if unless == Some("*") && objects.contains_key(key) {
        return failure(StatusCode::PRECONDITION_FAILED, "PreconditionFailed");
    }
    let mut response = status(StatusCode::OK);
    response.headers_mut().insert(ETAG, tag(&body).parse().unwrap());
    objects.insert(key.to_owned(), body);
    response
}

fn get(object: Option<&Bytes>, range: Option<&str>) -> Response<Full<Bytes>> {
    let Some(bytes) = object else { return failure(StatusCode::NOT_FOUND, "NoSuchKey") };
    let mut response = status(StatusCode::OK);
    let mut part = bytes.clone();
    if let Some((from, to)) = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'))
    {
        let (from, to) = (from.parse::<usize>().unwrap(), to.parse::<usize>().unwrap());
        if from >= bytes.len() {
            return failure(StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange");
        }
        let to = to.min(bytes.len() - 1);
        part = bytes.slice(from..=to);
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let range = format!("bytes {from}-{to}/{}", bytes.len());
        response.headers_mut().insert(CONTENT_RANGE, range.parse().unwrap());
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, part.len().to_string().parse().unwrap());
    headers.insert(ETAG, tag(bytes).parse().unwrap());
    headers.insert(LAST_MODIFIED, "Thu, 01 Jan 2026 00:00:00 GMT".parse().unwrap());
    *response.body_mut() = Full::from(part);
    response
}

fn list(objects: &BTreeMap<String, Bytes>, query: &str) -> Response<Full<Bytes>> {
    let asked: BTreeMap<&str, String> = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name, value.replace("%2F", "/")))
        .collect();
    assert_eq!(asked["list-type"], "2", "{query}");
    let prefix = asked.get("prefix").map(String::as_str).unwrap_or_default();
    let after = asked.get("continuation-token").map(String::as_str).unwrap_or_default();
    let mut found =
        objects.iter().filter(|(key, _)| key.starts_with(prefix) && key.as_str() > after);
    let page: Vec<_> = found.by_ref().take(PAGE).collect();
    let mut text = String::from("<ListBucketResult>");
    for (key, bytes) in &page {
        write!(
            text,
            "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>\
             <ETag>{}</ETag><Size>{}</Size></Contents>",
            tag(bytes).replace('"', "&quot;"),
            bytes.len()
        )
        .unwrap();
    }
    if let (Some((last, _)), Some(_)) = (page.last(), found.next()) {
        let next = "NextContinuationToken";
        write!(text, "<IsTruncated>true</IsTruncated><{next}>{last}</{next}>").unwrap();
    }
    text.push_str("</ListBucketResult>");
    Response::new(Full::from(text))
}

/// Tells whether a request is signed as it should be.
fn is_signed(head: &Parts, body: &[u8]) -> bool {
    signature(head, body).is_some_and(|(given, right)| given == right)
}

/// Returns the signature of a request, and the one that it should have.
fn signature<'a>(head: &'a Parts, body: &[u8]) -> Option<(&'a str, String)> {
    let fields = header(head, AUTHORIZATION.as_str())?.strip_prefix("AWS4-HMAC-SHA256 ")?;
    let field = |name: &str| {
        let mut fields = fields.split(',').map(str::trim);
        fields.find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
    };
    let (id, scope) = field("Credential")?.split_once('/')?;
    let hash = header(head, "x-amz-content-sha256")?;
    if id != ACCESS_KEY || hash != hex(&Sha256::digest(body)) {
        return None;
    }
    let names = field("SignedHeaders")?;
    let mut query: Vec<&str> = head.uri.query().unwrap_or_default().split('&').collect();
    query.sort_unstable();
    let mut canonical = format!("{}\n{}\n{}\n", head.method, head.uri.path(), query.join("&"));
    for name in names.split(';') {
        writeln!(canonical, "{name}:{}", header(head, name)?.trim()).unwrap();
    }
    write!(canonical, "\n{names}\n{hash}").unwrap();
    let time = header(head, "x-amz-date")?;
    let digest = hex(&Sha256::digest(canonical.as_bytes()));
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{digest}");
    let mut key = format!("AWS4{SECRET_KEY}").into_bytes();
    for part in scope.split('/').chain([text.as_str()]) {
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
        mac.update(part.as_bytes());
        key = mac.finalize().into_bytes().to_vec();
    }
    Some((field("Signature")?, hex(&key)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

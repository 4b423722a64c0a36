//! Server-sent events as a client without a WebSocket reads them.

use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use parlor_testkit::process::User;
use reqwest::{
    Method,
    header::{ACCEPT, HeaderMap, HeaderName, HeaderValue},
};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

type Chunks = std::pin::Pin<Box<dyn Stream<Item = reqwest::Result<Vec<u8>>> + Send>>;

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SseEvent {
    pub(crate) name: String,
    pub(crate) id: Option<String>,
    pub(crate) data: String,
}

impl SseEvent {
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self) -> T {
        serde_json::from_str(&self.data).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

/// An open stream.
pub(crate) struct SseStream {
    chunks: Chunks,
    text: String,
}

impl SseStream {
    /// Follows a room, after a position or from the present.
    pub(crate) async fn follow(user: &User, room: &str, after: Option<u64>) -> Self {
        let mut headers = HeaderMap::new();
        if let Some(after) = after {
            headers.insert(HeaderName::from_static("last-event-id"), HeaderValue::from(after));
        }
        Self::open(user, Method::GET, &format!("/v1/rooms/{room}/events"), headers, None).await
    }

    /// Writes a message and streams the reply.
    pub(crate) async fn publish(user: &User, room: &str, body: &str) -> Self {
        let body = serde_json::json!({ "body": body }).to_string();
        let path = format!("/v1/rooms/{room}/messages");
        Self::open(user, Method::POST, &path, HeaderMap::new(), Some(body)).await
    }

    async fn open(
        user: &User,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Option<String>,
    ) -> Self {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("http://{}{path}", user.addr());
        let mut request =
            client.request(method, url).headers(headers).bearer_auth(user.token().await);
        request = request.header(ACCEPT, "text/event-stream");
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        let answer = timeout(PATIENCE, request.send()).await.expect("an answer in time").unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        let chunks = answer.bytes_stream().map(|chunk| chunk.map(|bytes| bytes.to_vec()));
        Self { chunks: chunks.boxed(), text: String::new() }
    }

    /// Returns the next event; nothing at the end.
    pub(crate) async fn next(&mut self) -> Option<SseEvent> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let event = parse(block);
                let read = self.text.len() - rest.len();
                self.text.drain(..read);
                if event != SseEvent::default() {
                    return Some(event);
                }
                continue;
            }
            let chunk = timeout(PATIENCE, self.chunks.next()).await;
            let chunk = chunk.unwrap_or_else(|_| panic!("the stream was silent for {PATIENCE:?}"));
            // A stream that breaks off has ended, too.
            let Some(Ok(bytes)) = chunk else { return None };
            self.text.push_str(&String::from_utf8(bytes).unwrap());
        }
    }
}

/// Reads one event. Comments, which keep the connection alive, give an empty one.
fn parse(block: &str) -> SseEvent {
    let mut event = SseEvent::default();
    for line in block.lines() {
        match line.split_once(": ") {
            Some(("event", name)) => name.clone_into(&mut event.name),
            Some(("id", id)) => event.id = Some(id.to_owned()),
            Some(("data", data)) => event.data.push_str(data),
            _ => {}
        }
    }
    event
}

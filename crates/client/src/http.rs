//! The typed HTTP calls.
//!
//! A call carries the access token; when the server says that it has expired, the token is renewed
//! once for all calls that wait for it, and the call is repeated. Proxies from the environment are
//! not used, redirects are not followed, answers are read up to a bound.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use parlor_protocol::code::{Code, Problem};
use parlor_protocol::http::Page;
use reqwest::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Method, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::config::ClientConfig;
use crate::error::ClientError;
use crate::tokens::{MemoryTokens, TokenStore, Tokens};

mod admin;
mod auth;
mod bots;
mod commands;
mod files;
mod hooks;
mod import;
pub(crate) mod messages;
mod reading;
mod refresh;
pub(crate) mod rooms;
pub(crate) mod search;
mod tokens;
mod users;

/// The body of a download.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, ClientError>> + Send>>;

/// The typed HTTP calls of one login. Clones share it.
#[derive(Clone)]
pub struct Http {
    shared: Arc<Shared>,
}

struct Shared {
    config: ClientConfig,
    client: reqwest::Client,
    store: Arc<dyn TokenStore>,
    /// What the store holds, as far as this process knows.
    tokens: Mutex<Option<Known>>,
    /// Held by whoever renews the tokens.
    renewing: tokio::sync::Mutex<()>,
    tasks: TaskTracker,
}

/// Tokens, and when to renew them.
#[derive(Clone)]
struct Known {
    tokens: Tokens,
    /// Known only when this process has obtained them.
    renew_at: Option<Instant>,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

impl Http {
    /// Creates a client that keeps its login in memory.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] when the system offers no TLS.
    pub fn new(config: ClientConfig) -> Result<Self, ClientError> {
        Self::with_tokens(config, Arc::new(MemoryTokens::default()))
    }

    /// Creates a client that keeps its login in `store`.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] when the system offers no TLS.
    pub fn with_tokens(
        config: ClientConfig,
        store: Arc<dyn TokenStore>,
    ) -> Result<Self, ClientError> {
        let client = reqwest::Client::builder()
            .user_agent(&config.user_agent)
            .connect_timeout(config.connect_timeout)
            .read_timeout(config.read_timeout.max(config.reply_timeout))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self {
            shared: Arc::new(Shared {
                config,
                client,
                store,
                tokens: Mutex::new(None),
                renewing: tokio::sync::Mutex::new(()),
                tasks: TaskTracker::new(),
            }),
        })
    }

    /// Creates a client that shows a personal access token in place of a login.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] when the system offers no TLS.
    pub fn with_personal_token(config: ClientConfig, secret: &str) -> Result<Self, ClientError> {
        let tokens = Tokens { access_token: secret.to_owned(), refresh_token: String::new() };
        Self::with_tokens(config, Arc::new(MemoryTokens::new(tokens)))
    }

    /// Returns the configuration.
    pub fn config(&self) -> &ClientConfig {
        &self.shared.config
    }

    async fn json<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T, ClientError> {
        let response = self.send(&call).await?;
        self.decode(response).await
    }

    async fn decode<T: DeserializeOwned>(&self, response: Response) -> Result<T, ClientError> {
        let body = self.read(response).await?;
        serde_json::from_slice(&body).map_err(|error| ClientError::Malformed(error.to_string()))
    }

    async fn page<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<Page<T>, ClientError> {
        self.json(call).await
    }

    async fn empty(&self, call: Call<'_>) -> Result<(), ClientError> {
        let response = self.send(&call).await?;
        self.read(response).await.map(drop)
    }

    async fn stream(&self, call: Call<'_>) -> Result<ByteStream, ClientError> {
        Ok(self.pieces(self.send(&call).await?))
    }

    /// Returns the body of an answer piece by piece.
    fn pieces(&self, response: Response) -> ByteStream {
        let read_timeout = self.shared.config.read_timeout;
        let chunks = Box::pin(response.bytes_stream());
        Box::pin(futures_util::stream::unfold(Some(chunks), move |chunks| async move {
            let mut chunks = chunks?;
            match tokio::time::timeout(read_timeout, chunks.next()).await {
                Ok(Some(Ok(chunk))) => Some((Ok(chunk), Some(chunks))),
                Ok(Some(Err(error))) => Some((Err(error.into()), None)),
                Ok(None) => None,
                Err(_) => Some((Err(ClientError::Timeout), None)),
            }
        }))
    }

    /// Sends a call and returns its answer when it is a success.
    async fn send(&self, call: &Call<'_>) -> Result<Response, ClientError> {
        // Boxed, because a request is large and every caller would carry it.
        if !call.authenticated {
            return Box::pin(self.send_once(call, None)).await;
        }
        let token = self.access_token().await?;
        match Box::pin(self.send_once(call, Some(&token))).await {
            Err(error) if error.wants_fresh_token() => {
                let token = self.renew(&token).await?;
                Box::pin(self.send_once(call, Some(&token))).await
            }
            outcome => outcome,
        }
    }

    async fn send_once(
        &self,
        call: &Call<'_>,
        token: Option<&str>,
    ) -> Result<Response, ClientError> {
        // A path of "..", "." or nothing would be another call: that for the whole list.
        if call.segments.iter().any(|segment| matches!(*segment, "" | "." | "..")) {
            let detail = "a name must not be empty, . or ..";
            return Err(Problem::new(Code::ValidationFailed, detail).into());
        }
        let config = &self.shared.config;
        let mut url = config.url(call.segments.iter().copied());
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        let mut request = self
            .shared
            .client
            .request(call.method.clone(), url)
            .header(ACCEPT, "application/json, application/problem+json");
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        if let Some(Payload { bytes, offset }) = &call.payload {
            request = request.header(CONTENT_TYPE, "application/octet-stream").body(bytes.clone());
            if let Some(offset) = offset {
                request = request.header("upload-offset", *offset);
            }
        }
        let timeout = call.timeout.unwrap_or(config.request_timeout);
        // A download may take as long as it moves; its pieces have their own limit.
        let response = if call.streamed {
            match tokio::time::timeout(timeout, request.send()).await {
                Ok(response) => response?,
                Err(_) => return Err(ClientError::Timeout),
            }
        } else {
            request.timeout(timeout).send().await?
        };
        if response.status().is_success() || Some(response.status().as_u16()) == call.also {
            Ok(response)
        } else {
            Err(self.refusal(response).await)
        }
    }

    async fn refusal(&self, response: Response) -> ClientError {
        let status = response.status().as_u16();
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(Duration::from_secs);
        let body = self.read(response).await.unwrap_or_default();
        refusal(status, retry_after, &body)
    }

    async fn read(&self, mut response: Response) -> Result<Vec<u8>, ClientError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > self.shared.config.body_bytes {
                return Err(ClientError::Malformed("answer is too large".to_owned()));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

/// Reads the body of an answer that is not a success.
pub(crate) fn refusal(status: u16, retry_after: Option<Duration>, body: &[u8]) -> ClientError {
    match serde_json::from_slice::<Problem>(body) {
        Ok(mut problem) => {
            let header = retry_after.and_then(|after| u64::try_from(after.as_millis()).ok());
            problem.retry_after_ms = problem.retry_after_ms.or(header);
            ClientError::Problem(Box::new(problem))
        }
        Err(_) => ClientError::Status { status, retry_after },
    }
}

/// One call, before it is sent.
struct Call<'a> {
    method: Method,
    segments: Vec<&'a str>,
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
    /// Bytes in place of a JSON body.
    payload: Option<Payload>,
    authenticated: bool,
    streamed: bool,
    timeout: Option<Duration>,
    /// A status that is an answer here although it is not a success.
    also: Option<u16>,
}

impl<'a> Call<'a> {
    /// Starts a call to a path under `/v1`, by whoever is logged in.
    fn v1(method: Method, segments: &[&'a str]) -> Self {
        let mut path = vec!["v1"];
        path.extend_from_slice(segments);
        Self { authenticated: true, ..Self::root(method, path) }
    }

    /// Starts a call that needs no login.
    fn root(method: Method, segments: Vec<&'a str>) -> Self {
        Self {
            method,
            segments,
            query: Vec::new(),
            body: None,
            payload: None,
            authenticated: false,
            streamed: false,
            timeout: None,
            also: None,
        }
    }

    fn anonymous(mut self) -> Self {
        self.authenticated = false;
        self
    }

    fn query(mut self, key: &'static str, value: &str) -> Self {
        self.query.push((key, value.to_owned()));
        self
    }

    fn query_if(mut self, key: &'static str, value: Option<impl Into<QueryValue>>) -> Self {
        self.query.extend(value.map(|value| (key, value.into().0)));
        self
    }

    fn body(mut self, body: &impl Serialize) -> Result<Self, ClientError> {
        let body = serde_json::to_value(body);
        self.body = Some(body.map_err(|error| ClientError::Malformed(error.to_string()))?);
        Ok(self)
    }
}

/// A body of bytes, and where in a file it belongs.
struct Payload {
    bytes: Bytes,
    offset: Option<u64>,
}

/// The value of a query parameter.
struct QueryValue(String);

impl From<&str> for QueryValue {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for QueryValue {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<u32> for QueryValue {
    fn from(number: u32) -> Self {
        Self(number.to_string())
    }
}

impl From<u64> for QueryValue {
    fn from(number: u64) -> Self {
        Self(number.to_string())
    }
}

#[cfg(test)]
mod tests;

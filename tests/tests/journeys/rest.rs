//! HTTP calls as they stand in the contract, for tests that the typed client would be too kind for.

use std::net::SocketAddr;

use parlor_testkit::process::PASSWORD;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// What was answered.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// The body as JSON, or `null` when it is none.
    pub(crate) body: Value,
}

impl Answer {
    /// Returns the body of an answer that is none of a refusal.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert!(self.status.is_success(), "{}: {}", self.status, self.body);
        self.body
    }

    /// Expects a refusal with this code.
    #[track_caller]
    pub(crate) fn expect_code(&self, code: &str) {
        assert_eq!(self.body["code"], code, "{}: {}", self.status, self.body);
    }

    /// Returns a field of the body that is text.
    #[track_caller]
    pub(crate) fn text(self, field: &str) -> String {
        let body = self.ok();
        let text = body[field].as_str();
        text.unwrap_or_else(|| panic!("no {field} in {body}")).to_owned()
    }
}

/// Someone who calls a server, or nobody when there is no token.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    client: reqwest::Client,
    addr: SocketAddr,
    token: Option<String>,
}

impl Caller {
    /// Creates a caller who is not logged in.
    pub(crate) fn anonymous(addr: SocketAddr) -> Self {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { client, addr, token: None }
    }

    /// Makes an account.
    pub(crate) async fn register(addr: SocketAddr, name: &str) -> Self {
        let account = json!({"username": name, "password": PASSWORD});
        Self::with_login(addr, "/v1/auth/register", account).await
    }

    /// Logs in to an account that exists.
    pub(crate) async fn log_in(addr: SocketAddr, name: &str) -> Self {
        let login = json!({"username": name, "password": PASSWORD});
        Self::with_login(addr, "/v1/auth/token", login).await
    }

    async fn with_login(addr: SocketAddr, path: &str, login: Value) -> Self {
        let nobody = Self::anonymous(addr);
        let token = nobody.call(Method::POST, path, Some(login)).await.text("access_token");
        Self { token: Some(token), ..nobody }
    }

    /// Returns the access token.
    pub(crate) fn token(&self) -> &str {
        self.token.as_deref().expect("is logged in")
    }

    /// Makes a call. Of an answer that does not end, only the beginning is waited for.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = self.client.request(method, format!("http://{}{path}", self.addr));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = &body {
            request = request.json(body);
        }
        let response = request.send().await.unwrap_or_else(|error| panic!("{path}: {error:?}"));
        let status = response.status();
        let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok());
        if kind.is_some_and(|kind| kind.starts_with("text/event-stream")) {
            return Answer { status, body: Value::Null };
        }
        let bytes = response.bytes().await.unwrap_or_default();
        Answer { status, body: serde_json::from_slice(&bytes).unwrap_or_default() }
    }

    /// Uploads a file, for a message to have, and returns its id.
    pub(crate) async fn upload(&self, name: &str, bytes: &[u8]) -> String {
        let upload = json!({"name": name, "bytes": bytes.len()});
        let id = self.post("/v1/uploads", upload).await.text("id");
        self.send_part(&id, 0, bytes).await.ok();
        id
    }

    /// Sends a part of an upload.
    pub(crate) async fn send_part(&self, upload: &str, offset: usize, bytes: &[u8]) -> Answer {
        let url = format!("http://{}/v1/uploads/{upload}", self.addr);
        let request = self.client.patch(url).header("upload-offset", offset);
        let response = request.bearer_auth(self.token()).body(bytes.to_vec()).send().await.unwrap();
        let status = response.status();
        Answer { status, body: response.json().await.unwrap_or_default() }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PUT, path, Some(body)).await
    }
}

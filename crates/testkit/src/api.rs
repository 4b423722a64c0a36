//! Plain HTTP, as a program would call it that nobody here wrote. Each call goes to the next node.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use crate::process::PASSWORD;

/// How long a call may take on a machine that does other things, too.
const PATIENCE: Duration = Duration::from_secs(30);

/// The nodes and a client for them.
#[derive(Debug)]
pub struct Api {
    nodes: Vec<String>,
    calls: AtomicUsize,
    client: Client,
}

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The JSON in it; `null` when it is something else.
    pub body: Value,
    /// The body as it came.
    pub text: String,
}

impl Api {
    /// Returns calls that go round these nodes.
    pub fn new(nodes: Vec<String>) -> Self {
        let client = Client::builder().timeout(PATIENCE).build().unwrap();
        Self { nodes, calls: AtomicUsize::new(0), client }
    }

    /// Makes an account and returns its access token.
    pub async fn register(&self, username: &str) -> String {
        let body = json!({"username": username, "password": PASSWORD});
        let answer = self.call("", Method::POST, "/v1/auth/register", Some(body)).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        answer.body["access_token"].as_str().unwrap().to_owned()
    }

    /// Calls with the token of someone.
    pub async fn call(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Answer {
        let turn = self.calls.fetch_add(1, Ordering::Relaxed);
        let url = format!("{}{path}", self.nodes[turn % self.nodes.len()]);
        let mut request = self.client.request(method, url);
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        Answer { status, body: serde_json::from_str(&text).unwrap_or(Value::Null), text }
    }

    /// Reads something that must be there.
    pub async fn get(&self, token: &str, path: &str) -> Value {
        let answer = self.call(token, Method::GET, path, None).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:?}");
        answer.body
    }

    /// Reads a list to its end, as often as it takes.
    pub async fn list(&self, token: &str, path: &str) -> Vec<Value> {
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let mut page = self.get(token, &format!("{path}{cursor}")).await;
            match page["items"].take() {
                Value::Array(mut found) => items.append(&mut found),
                other => panic!("{path} is no list but {other}"),
            }
            match page["next"].as_str() {
                None => return items,
                Some(next) => cursor = format!("&cursor={next}"),
            }
        }
    }
}

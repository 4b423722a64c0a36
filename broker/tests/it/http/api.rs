//! A caller of the HTTP API, and a worker that answers as a bot would.

use std::time::Duration;

use parlor_broker::node::Node;
use parlor_protocol::id::{MessageId, RoomId};
use parlor_protocol::message::{MessageStatus, Usage};
use parlor_protocol::signal::{MessageDelta, Signal, SignalBody};
use parlor_store::record::ClaimedJob;
use parlor_store::{Append, Intent, ReplyEnd};
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

use crate::harness::{TestClient, TestNode};

pub(crate) const PASSWORD: &str = "quite unguessable plum 7";
/// Longer than any healthy step.
const PATIENCE: Duration = Duration::from_secs(10);

/// Someone who calls the API, logged in or not.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    client: reqwest::Client,
    base: String,
    pub(crate) token: Option<String>,
    pub(crate) refresh_token: String,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) async fn read(response: Response) -> Self {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Self { status, headers, body, text }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Returns the body of an answer that must have this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.body
    }

    /// Checks that it is a well-formed refusal with this code.
    #[track_caller]
    pub(crate) fn refused(&self, code: &str) -> &Self {
        assert_eq!(self.body["code"], code, "{} {}", self.status, self.text);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.body["status"], self.status);
        assert_eq!(self.body["type"], format!("/problems/{}", code.replace('_', "-")));
        assert!(!self.body["title"].as_str().unwrap().is_empty());
        assert!(self.body["detail"].as_str().unwrap().ends_with('.'), "{}", self.text);
        assert_eq!(self.body["request_id"], self.header("x-request-id"));
        let waits = matches!(self.status, 429 | 503);
        let wait = self.header("retry-after");
        assert_eq!(wait.parse::<u64>().is_ok_and(|seconds| seconds > 0), waits, "{}", self.text);
        self
    }

    /// Returns field and code of every field error.
    pub(crate) fn fields(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let errors = self.body["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().map(|error| (text(&error["field"]), text(&error["code"]))).collect()
    }
}

impl Api {
    pub(crate) fn anonymous(node: &TestNode) -> Self {
        let client = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
        let base = node.url().replacen("ws://", "http://", 1).replace("/v1/ws", "");
        Self { client, base, token: None, refresh_token: String::new() }
    }

    /// Makes an account and logs in to it.
    pub(crate) async fn register(node: &TestNode, username: &str) -> Self {
        let api = Self::anonymous(node);
        let account = json!({"username": username, "password": PASSWORD});
        let tokens = api.post("/v1/auth/register", account).await.expect(201);
        api.with_tokens(&tokens)
    }

    /// Makes the first administrator.
    pub(crate) async fn admin(node: &TestNode) -> Self {
        let api = Self::anonymous(node);
        let token = node.broker.as_ref().unwrap().setup_token().unwrap();
        let account = json!({"token": token, "username": "root", "password": PASSWORD});
        let tokens = api.post("/v1/auth/setup", account).await.expect(201);
        api.with_tokens(&tokens)
    }

    pub(crate) async fn log_in(node: &TestNode, username: &str) -> Self {
        let api = Self::anonymous(node);
        let login = json!({"username": username, "password": PASSWORD});
        let tokens = api.post("/v1/auth/token", login).await.expect(200);
        api.with_tokens(&tokens)
    }

    /// The same caller with another access token.
    pub(crate) fn with_access(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    pub(crate) fn with_tokens(&self, tokens: &Value) -> Self {
        Self {
            token: tokens["access_token"].as_str().map(str::to_owned),
            refresh_token: tokens["refresh_token"].as_str().unwrap().to_owned(),
            ..self.clone()
        }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Answer {
        Answer::read(request.send().await.unwrap()).await
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let request = self.request(method, path);
        self.send(match body {
            Some(body) => request.json(&body),
            None => request,
        })
        .await
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

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PATCH, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, None).await
    }

    /// Makes a room and returns its id.
    pub(crate) async fn room(&self, name: &str, kind: &str) -> String {
        let room = self.post("/v1/rooms", json!({"name": name, "kind": kind})).await.expect(201);
        room["id"].as_str().unwrap().to_owned()
    }

    /// Opens a WebSocket.
    pub(crate) async fn connect(&self, node: &TestNode) -> TestClient {
        use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
        let mut request = node.url().into_client_request().unwrap();
        let bearer = format!("Bearer {}", self.token.as_ref().unwrap()).parse().unwrap();
        request.headers_mut().insert("authorization", bearer);
        let mut client = TestClient::open(request).await;
        assert_eq!(client.next().await["op"], "welcome");
        client
    }

    /// Writes a message and returns it.
    pub(crate) async fn say(&self, room: &str, body: &str) -> Value {
        let path = format!("/v1/rooms/{room}/messages");
        self.post(&path, json!({"body": body})).await.expect(201)
    }
}

/// The bodies of a page of messages.
pub(crate) fn bodies(page: &Value) -> Vec<&str> {
    let items = page["items"].as_array().unwrap();
    items.iter().map(|message| message["body"].as_str().unwrap()).collect()
}

/// Plays the worker for one job: it streams `pieces` and ends the reply with them.
pub(crate) struct Worker<'a> {
    node: &'a Node,
    pub(crate) job: ClaimedJob,
    pub(crate) reply: MessageId,
}

impl<'a> Worker<'a> {
    /// Waits for a job and begins its reply.
    pub(crate) async fn begin(node: &'a Node) -> Self {
        let worker = uuid::Uuid::from_u128(7);
        let job = loop {
            let lease = Duration::from_mins(1);
            if let Some(job) = node.store.claim_job(worker, lease, &[]).await.unwrap() {
                break job;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        let reply = MessageId(node.clock.new_id());
        let this = Self { node, job, reply };
        this.append(Intent::StartReply {
            job: this.job.id,
            generation: this.job.generation,
            message: reply,
            provider: "demo".into(),
            model: "demo".into(),
        })
        .await;
        this
    }

    pub(crate) fn stream(&self, chunk: u32, text: &str) {
        let delta = MessageDelta {
            message: self.reply,
            turn: self.job.generation,
            chunk,
            text: text.to_owned(),
        };
        let signal = Signal { room: self.job.room, body: SignalBody::MessageDelta(delta) };
        self.node.bus.publish_signal(signal);
    }

    pub(crate) async fn end(self, status: MessageStatus, body: &str) {
        let usage = Usage { prompt_tokens: 3, completion_tokens: 5, estimated: true };
        self.append(Intent::CompleteReply {
            job: self.job.id,
            generation: self.job.generation,
            message: self.reply,
            end: ReplyEnd {
                status,
                body: body.to_owned(),
                usage,
                error: None,
                provider: "demo".into(),
                model: "demo".into(),
            },
        })
        .await;
    }

    async fn append(&self, intent: Intent) {
        let room: RoomId = self.job.room;
        let actor = self.job.bot.user.id;
        let append = Append { room, actor, at: self.node.now(), intent };
        self.node.committer.append(append).await.unwrap();
    }
}

/// One server-sent event.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sent {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) data: Value,
}

/// Reads server-sent events from an answer as they come.
pub(crate) struct Events {
    response: Response,
    buffer: String,
}

impl Events {
    pub(crate) async fn open(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
        assert_eq!(kind, "text/event-stream", "{}", response.status());
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        assert!(response.headers().get("content-encoding").is_none());
        Self { response, buffer: String::new() }
    }

    /// Waits for the next event; nothing when the stream has ended.
    pub(crate) async fn next(&mut self) -> Option<Sent> {
        loop {
            if let Some(end) = self.buffer.find("\n\n") {
                let block: String = self.buffer.drain(..end + 2).collect();
                if let Some(sent) = parse(&block) {
                    return Some(sent);
                }
                continue;
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await;
            let chunk = chunk.expect("no event in time").ok().flatten()?;
            self.buffer.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// Waits for the next event that is not a signal.
    pub(crate) async fn next_durable(&mut self) -> Sent {
        loop {
            let sent = self.next().await.expect("the stream goes on");
            if sent.name != "signal" {
                return sent;
            }
        }
    }
}

/// Calls until a rate is spent: on a slow machine some of it comes back meanwhile.
pub(crate) async fn until_limited<F: Future<Output = Answer>>(
    mut call: impl FnMut() -> F,
) -> Answer {
    for _ in 0..100 {
        let answer = call().await;
        if answer.status == 429 {
            return answer;
        }
    }
    panic!("the rate is never spent");
}

fn parse(block: &str) -> Option<Sent> {
    let field = |name: &str| {
        let found = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        found.unwrap_or_default().to_owned()
    };
    let data = field("data");
    if data.is_empty() {
        return None;
    }
    let data = serde_json::from_str(&data).unwrap();
    Some(Sent { name: field("event"), id: field("id"), data })
}

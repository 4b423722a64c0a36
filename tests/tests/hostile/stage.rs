//! A server with something to lose: a private room, secrets, and a look at all of it afterwards.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use parlor_testkit::process::{Builder, PASSWORD, Parlor, User};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::raw::{Frame, PONG, Raw, Received};

/// The body of the messages in the private room.
pub(crate) const CANARY: &str = "canary-of-the-witness-7f3a";
/// The private room of the witness.
pub(crate) const PRIVATE: &str = "witness-room";
/// A public room that the attacker is in, too.
pub(crate) const HALL: &str = "hall";

/// A server, its witness, and its attacker.
pub(crate) struct Stage {
    pub(crate) server: Parlor,
    pub(crate) witness: User,
    pub(crate) mallory: User,
    pub(crate) private: String,
    pub(crate) message: String,
    pub(crate) http: reqwest::Client,
    secrets: BTreeSet<String>,
    before: Vec<Value>,
}

impl Stage {
    pub(crate) async fn start() -> Self {
        Self::start_from(Parlor::builder()).await
    }

    pub(crate) async fn start_from(builder: Builder) -> Self {
        Self::on(builder.start().await).await
    }

    async fn on(server: Parlor) -> Self {
        // Each request on a connection of its own: the server may end one that was misused.
        let http = reqwest::Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(0)
            .timeout(Duration::from_secs(30));
        let http = http.build().unwrap();
        let witness = server.register("wanda").await;
        let mallory = server.register("mallory").await;
        witness.create_room(HALL, &[]).await;
        mallory.join(HALL).await;
        let secrets = [
            PASSWORD.to_owned(),
            CANARY.to_owned(),
            witness.token().await,
            witness.refresh_token(),
            mallory.token().await,
            mallory.refresh_token(),
        ];
        let mut stage = Self {
            server,
            witness,
            mallory,
            private: String::new(),
            message: String::new(),
            http,
            secrets: BTreeSet::from(secrets),
            before: Vec::new(),
        };
        let room = json!({"name": "Witness", "slug": PRIVATE, "kind": "private"});
        let room = stage.ask(&stage.witness, Method::POST, "/v1/rooms", Some(&room)).await;
        stage.private = room.1["id"].as_str().unwrap().to_owned();
        for n in 1..=3 {
            let said = stage.witness.say(PRIVATE, &format!("{CANARY} {n}")).await;
            stage.message = said.id.to_string();
        }
        stage.before = stage.look().await;
        stage
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// Remembers something that must never be seen in the log or the metrics.
    pub(crate) fn plant(&mut self, secret: &str) {
        self.secrets.insert(secret.to_owned());
    }

    /// A WebSocket of the attacker.
    pub(crate) async fn socket(&self) -> Raw {
        Raw::log_in(self.addr(), &self.mallory.token().await).await
    }

    /// A request with a JSON body; its status and answer.
    pub(crate) async fn ask(
        &self,
        user: &User,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> (u16, Value) {
        let url = format!("{}{path}", self.server.url());
        let mut request = self.http.request(method, url).bearer_auth(user.token().await);
        if let Some(body) = body {
            request = request.json(body);
        }
        answer(request.send().await.unwrap()).await
    }

    /// What the witness sees of what belongs to them.
    async fn look(&self) -> Vec<Value> {
        let paths = [
            format!("/v1/rooms/{PRIVATE}"),
            format!("/v1/rooms/{PRIVATE}/messages?limit=200"),
            format!("/v1/rooms/{PRIVATE}/members"),
            "/v1/users/me".to_owned(),
        ];
        let mut seen = Vec::new();
        for path in paths {
            let (status, body) = self.ask(&self.witness, Method::GET, &path, None).await;
            assert_eq!(status, 200, "{path}: {body}");
            seen.push(steady(body));
        }
        seen
    }

    /// Checks that the server is well, that the witness lost nothing, and that nothing was told
    /// that must not be.
    pub(crate) async fn unharmed(&self) {
        assert!(!self.server.get_text("/healthz").await.is_empty(), "no answer");
        assert_eq!(self.look().await, self.before, "what belongs to the witness has changed");
        let log = self.server.log();
        assert!(!log.contains("panicked"), "a panic:\n{log}");
        // What clients do wrong is no fault of the server, and nobody is woken up for it.
        let error = log.lines().find(|line| line.contains("ERROR"));
        assert_eq!(error, None, "an error in the log");
        let metrics = self.server.get_text("/metrics").await;
        for secret in &self.secrets {
            assert!(!log.contains(secret), "{secret} stands in the log:\n{log}");
            assert!(!metrics.contains(secret), "{secret} stands in the metrics");
        }
    }
}

/// The status and the JSON of an answer.
pub(crate) async fn answer(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// Without what changes when nobody does anything.
fn steady(mut value: Value) -> Value {
    match &mut value {
        Value::Object(fields) => {
            for name in ["status", "last_seen", "last_seen_at", "connections", "online"] {
                fields.remove(name);
            }
            for value in fields.values_mut() {
                *value = steady(value.take());
            }
        }
        Value::Array(items) => {
            for item in items {
                *item = steady(item.take());
            }
        }
        _ => {}
    }
    value
}

/// What is expected of the server.
#[derive(Debug, Clone)]
pub(crate) enum Expect {
    /// It answers pings with these payloads, and texts with frames of these `re`s or ops, in order,
    /// and the connection lives on.
    Alive(Vec<Answer>),
    /// It closes with this code.
    Closed(u16),
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// A pong with this payload.
    Pong(Vec<u8>),
    /// A frame that answers the command with this id.
    Re(String),
    /// A frame with this `op` and no id.
    Op(String),
}

impl Answer {
    fn of(frame: &Received) -> Option<Self> {
        if frame.opcode == PONG {
            return Some(Self::Pong(frame.payload.clone()));
        }
        let json = frame.json()?;
        let text = |key: &str| json[key].as_str().map(str::to_owned);
        text("re").map(Self::Re).or_else(|| text("op").map(Self::Op))
    }
}

/// One case of a family.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) expect: Expect,
}

pub(crate) fn case(name: impl Into<String>, sent: &[Frame], expect: Expect) -> Case {
    Case { name: name.into(), bytes: crate::raw::frames(sent), expect }
}

/// Runs every case on a connection of its own, whole and in pieces of `sizes` bytes, and tells all
/// that went wrong.
pub(crate) async fn run(stage: &Stage, cases: &[Case], sizes: &[usize]) {
    let token = stage.mallory.token().await;
    let mut wrong = Vec::new();
    for case in cases {
        for &size in sizes {
            let mut raw = Raw::log_in(stage.addr(), &token).await;
            raw.drip(&case.bytes, size).await;
            if let Err(what) = meets(&mut raw, &case.expect).await {
                wrong.push(format!("{} (in pieces of {size}): {what}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    stage.unharmed().await;
}

async fn meets(raw: &mut Raw, expect: &Expect) -> Result<(), String> {
    match expect {
        Expect::Closed(code) => match raw.closed().await {
            Some(closed) if closed == *code => Ok(()),
            closed => Err(format!("closed with {closed:?} instead of {code}")),
        },
        Expect::Alive(answers) => {
            let last = "the last command";
            raw.say(&json!({"op": "unsubscribe", "id": last, "room": HALL})).await;
            let mut given = Vec::new();
            loop {
                let Some(frame) = raw.frame().await else {
                    return Err(format!("the connection ended after {given:?}"));
                };
                if let Some(code) = frame.close_code() {
                    return Err(format!("closed with {code} after {given:?}"));
                }
                match Answer::of(&frame) {
                    Some(Answer::Re(re)) if re == last => break,
                    Some(Answer::Op(op)) if op == "signal" => {}
                    Some(answer) => given.push(answer),
                    None => return Err(format!("{frame:?} is no answer")),
                }
            }
            if given == *answers {
                Ok(())
            } else {
                Err(format!("{given:?} instead of {answers:?}"))
            }
        }
    }
}

/// A command whose answer brings `text` back.
pub(crate) fn echo(text: &str) -> String {
    json!({"op": "unsubscribe", "id": text, "room": HALL}).to_string()
}

/// What comes back for [`echo`].
pub(crate) fn echoed(text: &str) -> Answer {
    Answer::Re(text.to_owned())
}

/// The connection lives and has answered this.
pub(crate) fn alive(answers: impl IntoIterator<Item = Answer>) -> Expect {
    Expect::Alive(answers.into_iter().collect())
}

/// A pong with this payload.
pub(crate) fn pong(payload: &[u8]) -> Answer {
    Answer::Pong(payload.to_vec())
}

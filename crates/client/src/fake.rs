//! A server for tests that does what it is told, one connection at a time.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use parlor_protocol::command::Command;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message};

use crate::config::ClientConfig;
use crate::http::Http;
use crate::tokens::{MemoryTokens, Tokens};

/// A step of a test that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) const ROOM: &str = "018f0000-0000-7000-8000-000000000001";
pub(crate) const MESSAGE: &str = "018f0000-0000-7000-8000-000000000002";

/// Awaits a step of a test.
pub(crate) async fn soon<T>(step: impl Future<Output = T>) -> T {
    timeout(PATIENCE, step).await.expect("step took too long")
}

pub(crate) struct FakeServer {
    listener: TcpListener,
    /// A connection that was accepted and not served yet.
    waiting: Mutex<Option<TcpStream>>,
}

impl FakeServer {
    pub(crate) async fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { listener, waiting: Mutex::default() }
    }

    /// Returns a configuration with short pauses.
    pub(crate) fn config(&self) -> ClientConfig {
        let address = self.listener.local_addr().unwrap();
        let mut config = ClientConfig::new(&format!("http://{address}")).unwrap();
        config.backoff_base = Duration::from_millis(1);
        config.backoff_cap = Duration::from_millis(5);
        config
    }

    /// Returns a client that is logged in with the access token `old`.
    pub(crate) fn http(&self) -> Http {
        let tokens = Tokens { access_token: "old".into(), refresh_token: "r1".into() };
        let store = std::sync::Arc::new(MemoryTokens::new(tokens));
        Http::with_tokens(self.config(), store).unwrap()
    }

    async fn stream(&self) -> TcpStream {
        match self.waiting.lock().await.take() {
            Some(stream) => stream,
            None => soon(self.listener.accept()).await.unwrap().0,
        }
    }

    /// Accepts a WebSocket.
    pub(crate) async fn accept(&self) -> Peer {
        let mut token = String::new();
        #[expect(clippy::result_large_err, reason = "the callback's type is tungstenite's")]
        let upgrade = |request: &Request, mut response: Response| -> Result<_, ErrorResponse> {
            let header = request.headers().get(AUTHORIZATION).unwrap().to_str().unwrap();
            token = header.strip_prefix("Bearer ").unwrap().to_owned();
            let protocol = request.headers().get(SEC_WEBSOCKET_PROTOCOL).unwrap().clone();
            response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, protocol);
            Ok(response)
        };
        let stream = self.stream().await;
        let socket = soon(tokio_tungstenite::accept_hdr_async(stream, upgrade)).await.unwrap();
        Peer { socket, token }
    }

    /// Accepts a connection and answers nonsense.
    pub(crate) async fn accept_and_hang_up(&self) {
        let mut stream = self.stream().await;
        stream.write_all(b"this is not TLS\r\n\r\n").await.unwrap();
        // Read to the end, so that the answer is not lost to a reset.
        drop(soon(stream.read_to_end(&mut Vec::new())).await);
    }

    /// Waits for a connection and leaves it for the next step.
    pub(crate) async fn accepting(&self) {
        self.waiting.lock().await.replace(soon(self.listener.accept()).await.unwrap().0);
    }

    /// Accepts a WebSocket and says welcome.
    pub(crate) async fn welcome(&self) -> Peer {
        let mut peer = self.accept().await;
        peer.send(welcome(25_000)).await;
        peer
    }

    /// Answers one HTTP request and returns it.
    pub(crate) async fn answer(&self, status: u16, headers: &str, body: Value) -> String {
        let mut stream = self.stream().await;
        let mut request = Vec::new();
        while !is_whole(&request) {
            let mut piece = vec![0; 4096];
            let read = soon(stream.read(&mut piece)).await.unwrap();
            assert_ne!(read, 0, "request ended early");
            request.extend_from_slice(&piece[..read]);
        }
        let body = body.to_string();
        let answer = format!(
            "HTTP/1.1 {status} Any\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        String::from_utf8(request).unwrap()
    }
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |length| length.parse().unwrap())
}

/// The other end of a WebSocket.
pub(crate) struct Peer {
    socket: WebSocketStream<TcpStream>,
    pub(crate) token: String,
}

impl Peer {
    pub(crate) async fn send(&mut self, frame: Value) {
        self.socket.send(Message::text(frame.to_string())).await.unwrap();
    }

    /// Returns the next command that is not a `ping`.
    pub(crate) async fn command(&mut self) -> Command {
        loop {
            match self.any_command().await {
                Command::Ping {} => {}
                command => return command,
            }
        }
    }

    pub(crate) async fn any_command(&mut self) -> Command {
        let message = soon(self.socket.next()).await.unwrap().unwrap();
        serde_json::from_str(message.to_text().unwrap()).unwrap()
    }

    /// Waits for `subscribe` and answers it; returns what was asked.
    pub(crate) async fn subscribed(&mut self, seq: u64, resumed: bool) -> Command {
        let command = self.command().await;
        let id = command.id().expect("subscribe has an id").to_owned();
        self.send(subscribed(&id, seq, resumed)).await;
        command
    }

    pub(crate) async fn close(mut self, code: u16) {
        let frame = CloseFrame { code: code.into(), reason: "".into() };
        self.socket.close(Some(frame)).await.unwrap();
        // The client hears it before the network goes away.
        while let Some(Ok(_)) = soon(self.socket.next()).await {}
    }

    /// Waits for the client to end the connection.
    pub(crate) async fn ended(mut self) {
        while let Some(Ok(_)) = soon(self.socket.next()).await {}
    }
}

pub(crate) fn welcome(heartbeat_ms: u64) -> Value {
    json!({
        "op": "welcome", "session": ROOM, "user": user(), "node": "n1",
        "heartbeat_ms": heartbeat_ms, "limits": parlor_protocol::limits::Limits::default()
    })
}

pub(crate) fn user() -> Value {
    json!({"id": ROOM, "username": "ada", "display_name": "Ada", "kind": "user"})
}

pub(crate) fn subscribed(re: &str, seq: u64, resumed: bool) -> Value {
    json!({
        "op": "subscribed", "re": re, "room": ROOM, "slug": "general", "epoch": "a1",
        "seq": seq, "resumed": resumed, "streaming": []
    })
}

pub(crate) fn event(seq: u64) -> Value {
    json!({
        "op": "event", "room": ROOM, "seq": seq, "type": "message.redacted",
        "at": "2026-01-01T00:00:00Z", "actor": null, "data": {"message": MESSAGE}
    })
}

pub(crate) fn tokens(access: &str, refresh: &str) -> Value {
    json!({
        "user": {
            "id": ROOM, "username": "ada", "display_name": "Ada", "kind": "user",
            "visibility": "public", "role": "user", "created_at": "2026-01-01T00:00:00Z"
        },
        "access_token": access, "token_type": "bearer", "expires_in": 900, "refresh_token": refresh
    })
}

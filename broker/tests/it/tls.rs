//! A node that speaks TLS itself.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use parlor_protocol::id::{MessageId, RoomId};
use parlor_runtime::Config;
use parlor_runtime::config::ByteSize;
use parlor_store::{Append, Intent, NewMessage};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{Connector, MaybeTlsStream, client_async_tls_with_config};

use crate::harness::{TestClient, TestNode, TestUser, seqs};

/// Longer than any healthy step.
const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes that the system keeps for a reader that does not read.
const NARROW: u32 = 64 * 1024;
/// A body that is large but allowed.
const LARGE: usize = 15_000;
/// The largest record.
const RECORD: usize = 16 * 1024;
/// As many large messages as no outbox, socket and narrow reader hold together.
const LONG: usize = 130;

/// An authority, and the certificate that it gave to the node.
struct Authority {
    folder: TempDir,
    trust: Arc<ClientConfig>,
}

impl Authority {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap());
        let authority = authority.unwrap();
        let key = KeyPair::generate().unwrap();
        let server = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let server = server.signed_by(&key, &authority).unwrap();
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
        std::fs::write(folder.path().join("cert.pem"), server.pem()).unwrap();
        std::fs::write(folder.path().join("key.pem"), key.serialize_pem()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut trust = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        // Whoever comes back with a ticket is shown no certificate.
        trust.resumption = rustls::client::Resumption::disabled();
        Self { folder, trust: Arc::new(trust) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn node(&self, change: impl FnOnce(&mut Config)) -> TestNode {
        TestNode::start_with(|config| {
            config.server.tls_cert = Some(self.path("cert.pem"));
            config.server.tls_key = Some(self.path("key.pem"));
            config.server.shards = 1;
            change(config);
        })
        .await
    }

    /// Connects without a word of HTTP.
    async fn stream(&self, node: &TestNode) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(address(node)).await?;
        let name = ServerName::try_from("127.0.0.1").unwrap();
        TlsConnector::from(Arc::clone(&self.trust)).connect(name, stream).await
    }

    async fn connect(&self, node: &TestNode, user: &TestUser) -> TestClient {
        self.connect_on(TcpStream::connect(address(node)).await.unwrap(), node, user).await
    }

    /// Connects so that it stalls soon when it is not read.
    async fn connect_narrowly(&self, node: &TestNode, user: &TestUser) -> TestClient {
        let socket = TcpSocket::new_v4().unwrap();
        // Before the connection is made: later the system has already promised more.
        socket.set_recv_buffer_size(NARROW).unwrap();
        self.connect_on(socket.connect(address(node)).await.unwrap(), node, user).await
    }

    async fn connect_on(&self, stream: TcpStream, node: &TestNode, user: &TestUser) -> TestClient {
        let url = format!("wss://{}/v1/ws", address(node));
        let mut request = url.into_client_request().unwrap();
        let bearer = format!("Bearer {}", user.token).parse().unwrap();
        request.headers_mut().insert("authorization", bearer);
        let connector = Some(Connector::Rustls(Arc::clone(&self.trust)));
        let opened = client_async_tls_with_config(request, stream, None, connector).await;
        let mut client = TestClient::on(opened.unwrap().0);
        let welcome = client.next().await;
        assert_eq!(welcome["op"], "welcome", "{welcome}");
        client
    }
}

/// The request that becomes a WebSocket, with `pad` bytes that say nothing.
fn upgrade(user: &TestUser, pad: usize) -> Vec<u8> {
    let pad = "p".repeat(pad);
    format!(
        "GET /v1/ws HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Authorization: Bearer {}\r\nX-Pad: {pad}\r\n\r\n",
        user.token
    )
    .into_bytes()
}

fn address(node: &TestNode) -> std::net::SocketAddr {
    node.broker.as_ref().unwrap().address()
}

/// Commits messages that nobody is told of.
async fn commit(node: &TestNode, author: &TestUser, room: RoomId, count: usize) {
    let (body, at) = ("x".repeat(LARGE), node.node().now());
    let append = || {
        let id = MessageId(node.node().clock.new_id());
        let body = body.clone();
        let message = NewMessage {
            id,
            client_id: None,
            body,
            reply_to: None,
            thread: None,
            attachments: Vec::new(),
        };
        Append { room, actor: author.id, at, intent: Intent::Publish(message) }
    };
    let batch = std::iter::repeat_with(append).take(count).collect();
    node.store().append(batch).await.unwrap();
}

/// Waits for a state that nothing announces.
async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn refused(node: &TestNode) -> u64 {
    node.node().metrics.http.refused.with_label_values(&["tls"]).get()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_go_through_tls_and_the_end_is_said() {
    let authority = Authority::new();
    let node = authority.node(|_| ()).await;
    let (ada, bob) = (node.user("ada").await, node.user("bob").await);
    let room = node.room("r", &[&ada, &bob]).await;
    let mut reader = authority.connect(&node, &bob).await;
    reader.subscribe(room, None).await;
    let mut writer = authority.connect(&node, &ada).await;
    writer.subscribe(room, None).await;
    writer.publish(room, "over TLS").await;
    let event = reader.next_durable().await;
    assert_eq!(event["data"]["body"], "over TLS", "{event}");

    writer.socket.send(Message::Close(None)).await.unwrap();
    let MaybeTlsStream::Rustls(stream) = writer.socket.get_mut() else { panic!("no TLS") };
    let mut rest = Vec::new();
    // Without close_notify this is an error, because the end could be an attacker's.
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_history_and_many_commands_arrive_whole_and_in_order() {
    let authority = Authority::new();
    let node = authority.node(|config| config.limits.ring_events = 4).await;
    let ada = node.user("ada").await;
    let room = node.room("r", &[&ada]).await;
    commit(&node, &ada, room, LONG).await;
    let mut client = authority.connect(&node, &ada).await;
    let subscribed = client.subscribe(room, Some(json!(0))).await;
    assert_eq!(subscribed["op"], "subscribed", "{subscribed}");
    let first = node.store().find_head(room).await.unwrap().unwrap().seq;
    let count = 20;
    for n in 0..count {
        let body = format!("{n}-{}", "y".repeat(LARGE));
        let command = json!({"op": "publish", "id": format!("p{n}"), "room": room, "body": body});
        client.socket.feed(Message::text(command.to_string())).await.unwrap();
    }
    client.socket.flush().await.unwrap();

    let mut events = Vec::new();
    while seqs(&events).last() != Some(&(first + count)) {
        let frame = client.next_durable().await;
        if frame["op"] == "event" {
            events.push(frame);
        }
    }
    assert_eq!(seqs(&events), (1..=first + count).collect::<Vec<_>>());
    let bodies: Vec<_> = events.iter().filter_map(|event| event["data"]["body"].as_str()).collect();
    assert_eq!(bodies.len(), LONG + 20);
    assert!(bodies.iter().all(|body| body.len() >= LARGE));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stalled_reader_behind_tls_is_cut_and_the_others_go_on() {
    let authority = Authority::new();
    let node = authority
        .node(|config| {
            config.limits.ring_events = 4;
            config.limits.outbox = ByteSize::kib(64);
            config.limits.write_timeout = Duration::from_secs(1);
        })
        .await;
    let (ada, bob) = (node.user("ada").await, node.user("bob").await);
    let room = node.room("r", &[&ada, &bob]).await;
    commit(&node, &ada, room, LONG).await;
    let mut other = authority.connect(&node, &bob).await;
    other.subscribe(room, None).await;
    let mut stalled = authority.connect_narrowly(&node, &ada).await;
    stalled.send(json!({"op": "subscribe", "id": "s", "room": room, "since": 0})).await;

    let cut = node.node().metrics.ws.closed.with_label_values(&["slow_consumer"]);
    eventually("the reader is cut", || cut.get() == 1).await;
    let mut writer = authority.connect(&node, &ada).await;
    writer.publish(room, "still here").await;
    let event = other.next_durable().await;
    assert_eq!(event["data"]["body"], "still here", "{event}");
    assert_eq!(stalled.closed().await.0, 4001);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_tls_is_refused_and_does_no_harm() {
    let authority = Authority::new();
    let node = authority.node(|_| ()).await;
    let ada = node.user("ada").await;
    let plain = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec();
    let noise: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    for (count, sent) in [plain, noise].into_iter().enumerate() {
        let mut stream = TcpStream::connect(address(&node)).await.unwrap();
        // The node may have hung up before all of it was sent.
        drop(stream.write_all(&sent).await);
        let mut answer = Vec::new();
        drop(tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap());
        assert!(!answer.starts_with(b"HTTP"), "answered without TLS");
        eventually("it is counted", || refused(&node) == count as u64 + 1).await;
    }
    let stranger = Authority::new().stream(&node).await;
    assert!(stranger.is_err(), "trusted by those who should not");
    authority.connect(&node, &ada).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_handshake_has_its_time_and_no_more() {
    let authority = Authority::new();
    let node =
        authority.node(|config| config.limits.handshake_timeout = Duration::from_secs(2)).await;
    let mut stream = TcpStream::connect(address(&node)).await.unwrap();
    // The head of a record that does not come.
    stream.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    eventually("its place is given back", || {
        node.node().metrics.http.connections.get() == 0 && refused(&node) == 1
    })
    .await;

    // Whoever shakes hands and asks for nothing has no longer.
    let mut stream = authority.stream(&node).await.unwrap();
    drop(tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_that_come_with_the_upgrade_are_read() {
    let authority = Authority::new();
    let node = authority.node(|_| ()).await;
    let ada = node.user("ada").await;
    let room = node.room("r", &[&ada]).await;
    // HTTP reads 8 KiB at once: less than all of it, or just the request. The rest is decrypted, and
    // waits for whoever comes next.
    let mut committed = 0;
    for pad in [0, 8 * 1024 - upgrade(&ada, 0).len()] {
        let mut sent = upgrade(&ada, pad);
        let command = json!({"op": "publish", "room": room, "body": "z".repeat(LARGE / 4)});
        let command = command.to_string();
        for _ in 0..2 {
            sent.extend([0x81, 0xfe]);
            sent.extend(u16::try_from(command.len()).unwrap().to_be_bytes());
            sent.extend([0; 4]);
            sent.extend(command.as_bytes());
            committed += 1;
        }
        assert!(sent.len() < RECORD, "nothing of it is to be left in the socket");
        let mut stream = authority.stream(&node).await.unwrap();
        stream.write_all(&sent).await.unwrap();
        stream.flush().await.unwrap();
        let head = async || node.store().find_head(room).await.unwrap().unwrap().seq;
        let started = Instant::now();
        while head().await < committed {
            assert!(started.elapsed() < PATIENCE, "not in time: {committed} commits");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renewed_certificate_is_shown_without_a_restart() {
    let (authority, next) = (Authority::new(), Authority::new());
    let node = authority.node(|_| ()).await;
    let ada = node.user("ada").await;
    let room = node.room("r", &[&ada]).await;
    let mut early = authority.connect(&node, &ada).await;
    for name in ["cert.pem", "key.pem"] {
        std::fs::copy(next.path(name), authority.path(name)).unwrap();
    }
    assert!(node.node().tls.as_ref().unwrap().renew().unwrap());
    assert!(authority.stream(&node).await.is_err(), "the old one is still shown");
    next.connect(&node, &ada).await;
    early.publish(room, "whoever is there stays").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_versions_of_http_are_spoken_over_tls() {
    let authority = Authority::new();
    let node = authority.node(|_| ()).await;
    let ca = std::fs::read(authority.path("ca.pem")).unwrap();
    let client = || {
        let ca = reqwest::Certificate::from_pem(&ca).unwrap();
        reqwest::Client::builder().tls_certs_only([ca])
    };
    let url = format!("https://{}/readyz", address(&node));
    for (client, version) in [
        (client().build(), http::Version::HTTP_2),
        (client().http1_only().build(), http::Version::HTTP_11),
    ] {
        let answer = client.unwrap().get(&url).send().await.unwrap();
        assert_eq!((answer.status(), answer.version()), (http::StatusCode::OK, version));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drain_tells_those_behind_tls() {
    let authority = Authority::new();
    let node = authority.node(|_| ()).await;
    let ada = node.user("ada").await;
    let mut client = authority.connect(&node, &ada).await;
    let told = async {
        loop {
            match client.socket.next().await {
                Some(Ok(Message::Close(Some(close)))) => return u16::from(close.code),
                Some(Ok(_)) => {}
                other => panic!("instead of a close frame: {other:?}"),
            }
        }
    };
    let (stopped, code) = tokio::join!(node.stop(), told);
    assert_eq!((stopped, code), (parlor_runtime::Stopped::Cleanly, 4000));
}

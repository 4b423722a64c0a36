//! Clients that nobody here wrote: Node's own fetch and WebSocket, and curl.

use std::process::Stdio;

use parlor_testkit::process::PASSWORD;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::raw::PATIENCE;
use crate::stage::{HALL, Stage};

/// Logs in, follows a room, writes, reads, errs, and says goodbye. Writes what it saw as JSON.
const NODE: &str = r"
const [base, username, password, room] = process.argv.slice(1);
const post = async (path, body, token) => {
  const headers = { 'content-type': 'application/json' };
  if (token) headers.authorization = `Bearer ${token}`;
  const answer = await fetch(base + path, { method: 'POST', headers, body: JSON.stringify(body) });
  return { status: answer.status, body: await answer.json() };
};
const login = await post('/v1/auth/token', { username, password });
const token = login.body.access_token;
const ticket = (await post('/v1/auth/ws-ticket', {}, token)).body.ticket;
const open = (ticket) =>
  new WebSocket(`${base.replace('http', 'ws')}/v1/ws?ticket=${ticket}`, 'parlor.v1');
const socket = open(ticket);
const frames = [];
const waiting = [];
socket.onmessage = ({ data }) => {
  const frame = JSON.parse(data);
  if (frame.op === 'signal') return;
  const next = waiting.shift();
  if (next) next(frame);
  else frames.push(frame);
};
const next = () => (frames.length ? frames.shift() : new Promise((done) => waiting.push(done)));
const closed = (socket) =>
  new Promise((done) => {
    socket.onclose = ({ code, reason, wasClean }) => done({ code, reason, wasClean });
  });
const seen = { login: login.status };
seen.welcome = (await next()).op;
seen.protocol = socket.protocol;
seen.extensions = socket.extensions;
socket.send(JSON.stringify({ op: 'subscribe', id: '1', room }));
seen.subscribed = await next();
socket.send(JSON.stringify({ op: 'publish', id: '2', room, body: 'héllo from node 👋' }));
const both = [await next(), await next()];
seen.ok = both.find((frame) => frame.op === 'ok');
seen.event = both.find((frame) => frame.op === 'event');
socket.send(new Uint8Array([1, 2, 3]));
seen.binary = await next();
socket.send(JSON.stringify({ op: 'publish', id: 'x'.repeat(60000), room: 'nowhere', body: '?' }));
seen.long = (await next()).re.length;
const goodbye = closed(socket);
socket.close(1000, 'bye');
seen.goodbye = await goodbye;
const spent = open(ticket);
seen.spent = await new Promise((done) => {
  spent.onopen = () => done('open');
  spent.onerror = () => done('refused');
});
const large = open((await post('/v1/auth/ws-ticket', {}, token)).body.ticket);
const end = closed(large);
large.onopen = () => large.send('x'.repeat(70000));
seen.large = await end;
const many = await Promise.all(
  Array.from({ length: 20 }, (_, n) =>
    post(`/v1/rooms/${room}/messages`, { body: `fetch ${n}` }, token)),
);
seen.statuses = [...new Set(many.map(({ status }) => status))];
console.log(JSON.stringify(seen));
process.exit(0);
";

#[tokio::test]
async fn node_logs_in_follows_writes_and_reads() {
    let stage = Stage::start().await;
    let node = Command::new("node")
        .args(["--no-warnings", "--experimental-websocket", "--input-type=module", "-e", NODE])
        .args([&stage.server.url(), "mallory", PASSWORD, HALL])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("this test needs Node 20 or newer, as `node` in the path");
    let output =
        timeout(PATIENCE, node.wait_with_output()).await.expect("Node never ends").unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let erred = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "Node failed: {said}{erred}");
    let seen: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}{erred}"));
    assert_eq!((&seen["login"], &seen["welcome"]), (&json!(200), &json!("welcome")), "{seen}");
    assert_eq!((&seen["protocol"], &seen["extensions"]), (&json!("parlor.v1"), &json!("")));
    assert_eq!(seen["subscribed"]["op"], "subscribed", "{seen}");
    assert_eq!(seen["event"]["seq"], seen["ok"]["seq"], "{seen}");
    assert_eq!(seen["event"]["data"]["body"], "héllo from node 👋");
    assert_eq!(seen["binary"]["code"], "unsupported", "{seen}");
    assert_eq!(seen["long"], 60_000);
    assert_eq!(seen["goodbye"], json!({"code": 1000, "reason": "bye", "wasClean": true}));
    assert_eq!(seen["spent"], "refused", "a spent ticket: {seen}");
    assert_eq!(seen["large"]["code"], 4513, "{seen}");
    assert_eq!(seen["statuses"], json!([201]));
    assert_eq!(stage.witness.history(HALL).await.len(), 21);
    stage.unharmed().await;
}

/// curl on a room's events.
struct Curl {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Curl {
    async fn follow(stage: &Stage, options: &[&str]) -> Self {
        let mut child = Command::new("curl")
            .args(["--silent", "--show-error", "--fail", "--no-buffer", "--noproxy", "*"])
            .args(["--config", "-"])
            .args(options)
            .arg(format!("{}/v1/rooms/{HALL}/events", stage.server.url()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("this test needs `curl` in the path");
        let mut stdin = child.stdin.take().unwrap();
        let header =
            format!("header = \"Authorization: Bearer {}\"\n", stage.mallory.token().await);
        stdin.write_all(header.as_bytes()).await.unwrap();
        drop(stdin);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { _child: child, lines }
    }

    /// Reads up to the line that has this in it.
    async fn until(&mut self, part: &str) -> Vec<String> {
        let mut seen = Vec::new();
        loop {
            let line = timeout(PATIENCE, self.lines.next_line()).await;
            let line = line.unwrap_or_else(|_| panic!("{part} never comes: {seen:?}")).unwrap();
            let line = line.unwrap_or_else(|| panic!("curl ended before {part}: {seen:?}"));
            let found = line.contains(part);
            seen.push(line);
            if found {
                return seen;
            }
        }
    }
}

#[tokio::test]
async fn curl_follows_a_room_and_resumes() {
    let stage = Stage::start().await;
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let mut curl = Curl::follow(&stage, &[version]).await;
        curl.until("event: subscribed").await;
        let first = stage.witness.say(HALL, "one over curl").await;
        curl.until("one over curl").await;
        curl.until("event: message.created").await;
        drop(curl);
        for n in 0..3 {
            stage.witness.say(HALL, &format!("missed {n}")).await;
        }
        let last = format!("Last-Event-ID: {}", first.seq);
        let mut curl = Curl::follow(&stage, &[version, "--header", &last]).await;
        let seen = curl.until("missed 2").await;
        let ids: Vec<u64> = seen
            .iter()
            .filter_map(|line| line.strip_prefix("data: "))
            .filter_map(|data| serde_json::from_str::<Value>(data).unwrap()["seq"].as_u64())
            .collect();
        // The first is `subscribed`, which tells the head.
        assert_eq!(ids[1..], [first.seq + 1, first.seq + 2, first.seq + 3], "{seen:?}");
        drop(curl);
    }
    stage.unharmed().await;
}

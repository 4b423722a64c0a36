//! `deploy/local-cluster`: a cluster of installed programs starts with one command, serves behind
//! one address, survives the loss of a broker, and leaves nothing behind.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use parlor_client::{Feed, Update, Updates};
use parlor_protocol::event::EventBody;
use parlor_protocol::message::MessageStatus;
use parlor_testkit::process::{User, binary, draft, http};
use rustix::process::{Pid, test_kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

use crate::files::{deploy, expect_success};
use crate::metrics::{asked_of_every_cluster, exported};

/// Time for a reply, a reconnect, or a state of Prometheus, on a machine that does other things.
const PATIENCE: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(200);
const PARTS: usize = 10;

/// A cluster that is destroyed with this value, or with the process that holds it.
struct Local {
    folder: TempDir,
    told: String,
    guardian: Child,
}

/// One line of `status`.
#[derive(Debug)]
struct Part {
    name: String,
    pid: i32,
    addr: SocketAddr,
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(deploy("local-cluster"));
    let kept = ["PATH", "HOME", "TMPDIR"];
    let kept = kept.iter().filter_map(|&name| Some((name, std::env::var_os(name)?)));
    command
        .args(arguments)
        .arg("--dir")
        .arg(folder.join("cluster"))
        .env_clear()
        .envs(kept)
        .env("PARLOR_BIN", binary())
        .env("PARLOR_LLM__PROVIDER", "demo")
        .stdin(Stdio::null());
    command
}

impl Local {
    fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("parlor-cluster-").tempdir().unwrap();
        // Postgres may run as another user, who has to come in.
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o711)).unwrap();
        // Waits for the end of its input, which comes with the end of this process, however it ends.
        let guardian = Command::new("sh")
            .args(["-c", "read -r line; \"$0\" destroy --dir \"$1/cluster\"; rmdir \"$1\""])
            .arg(deploy("local-cluster"))
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let started = command(folder.path(), &["start", "--detach", "--port", "0"]).output();
        let told = expect_success(&started.unwrap());
        Self { folder, told, guardian }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        command(self.folder.path(), arguments).output().unwrap()
    }

    /// Returns the word after another one in what the start told.
    fn told(&self, after: &str) -> &str {
        let rest =
            self.told.split_once(after).unwrap_or_else(|| panic!("no {after}: {}", self.told));
        rest.1.split_whitespace().next().unwrap().trim_end_matches(',')
    }

    fn proxy(&self) -> SocketAddr {
        self.told("people ").trim_start_matches("http://").parse().unwrap()
    }

    fn parts(&self) -> Vec<Part> {
        let status = expect_success(&self.run(&["status"]));
        let parts: Vec<Part> = status.lines().map(part).collect();
        assert_eq!(parts.len(), PARTS, "{status}");
        parts
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        // Its input ends, and it begins to clean up.
        drop(self.guardian.stdin.take());
        drop(self.guardian.wait());
    }
}

fn part(line: &str) -> Part {
    let [name, pid, addr, "ready"] = line.split_whitespace().collect::<Vec<_>>()[..] else {
        panic!("not ready: {line}")
    };
    Part { name: name.to_owned(), pid: pid.parse().unwrap(), addr: addr.parse().unwrap() }
}

fn find<'a>(parts: &'a [Part], name: &str) -> &'a Part {
    parts.iter().find(|part| part.name == name).unwrap_or_else(|| panic!("no {name}: {parts:?}"))
}

async fn get(addr: SocketAddr, path: &str) -> (u16, String) {
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
    let answer = client.get(format!("http://{addr}{path}")).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// Waits for the first update of a feed that is wanted.
async fn follow<T>(updates: &mut Updates, mut wanted: impl FnMut(Update) -> Option<T>) -> T {
    let found = async {
        loop {
            let update = updates.next().await.expect("the feed goes on");
            if let Some(found) = wanted(update) {
                return found;
            }
        }
    };
    timeout(PATIENCE, found).await.expect("the update comes")
}

async fn message(updates: &mut Updates, body: &str) {
    follow(updates, |update| match update {
        Update::Event(event) => match event.body {
            EventBody::MessageCreated(created) if created.body == body => Some(()),
            _ => None,
        },
        _ => None,
    })
    .await;
}

/// Follows the default room.
async fn feed(user: &User) -> (Feed, Updates) {
    let (feed, mut updates) = user.feed();
    feed.subscribe("general", None).await.unwrap();
    follow(&mut updates, |update| matches!(update, Update::Subscribed { .. }).then_some(())).await;
    (feed, updates)
}

#[tokio::test]
async fn cluster_serves_loses_a_broker_goes_on_and_leaves_nothing_behind() {
    let cluster = Local::start();
    let proxy = cluster.proxy();
    let parts = cluster.parts();

    administrator_has_the_password_that_was_shown(&cluster).await;
    let ada = User::register(proxy, "ada").await;
    let grace = User::register(proxy, "grace").await;
    let answer = ada.http.publish_and_wait("general", &draft("@guide count 3", None)).await;
    let reply = answer.unwrap().reply.expect("the message calls the bot");
    assert_eq!((reply.status, reply.body.trim()), (MessageStatus::Completed, "1 2 3"));

    proxy_keeps_metrics_inside(&parts, proxy).await;
    every_metric_is_exported(&parts).await;
    prometheus_sees_everything_and_is_content(&parts).await;

    let (_feed, mut updates) = feed(&ada).await;
    grace.say("general", "before").await;
    message(&mut updates, "before").await;
    let lost = broker_with_the_session(&parts).await;
    expect_success(&cluster.run(&["kill", &lost]));
    grace.say("general", "while one is away").await;
    message(&mut updates, "while one is away").await;
    let answer = grace.http.publish_and_wait("general", &draft("@guide count 2", None)).await;
    assert_eq!(answer.unwrap().reply.unwrap().body.trim(), "1 2");
    assert_eq!(cluster.run(&["status"]).status.code(), Some(69), "one does not run");
    expect_success(&cluster.run(&["restart", &lost]));
    update_is_not_noticed(&cluster).await;

    let parts = cluster.parts();
    expect_success(&cluster.run(&["stop"]));
    for part in &parts {
        let pid = Pid::from_raw(part.pid).unwrap();
        assert!(is_gone(pid), "{part:?} still runs");
        assert!(TcpStream::connect(part.addr).is_err(), "{part:?} still listens");
    }
    let again = cluster.run(&["start", "--detach"]);
    let again = expect_success(&again);
    assert!(!again.contains("password"), "an administrator is made once: {again}");
    let messages = User::log_in(proxy, "ada").await.history("general").await;
    assert!(messages.iter().any(|message| message.body == "while one is away"), "{messages:?}");
}

/// Restarts a broker as an update does, while people come and go.
async fn update_is_not_noticed(cluster: &Local) {
    let mut restart = command(cluster.folder.path(), &["restart", "broker-1"]);
    let restarted = tokio::task::spawn_blocking(move || restart.output().unwrap());
    let mut asked = 0;
    while !restarted.is_finished() {
        let (status, text) = get(cluster.proxy(), "/info").await;
        assert_eq!(status, 200, "after {asked} requests: {text}");
        asked += 1;
    }
    expect_success(&restarted.await.unwrap());
    assert!(asked > 5, "only {asked} requests were made meanwhile");
}

/// A process that nobody has waited for yet is gone as well.
fn is_gone(pid: Pid) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    let is_zombie = state.is_ok_and(|stat| stat.rsplit(") ").next().unwrap().starts_with('Z'));
    is_zombie || test_kill_process(pid).is_err()
}

async fn administrator_has_the_password_that_was_shown(cluster: &Local) {
    let calls = http(cluster.proxy());
    assert!(calls.log_in("admin", "not the password").await.is_err());
    calls.log_in("admin", cluster.told("password ")).await.unwrap();
    let status = calls.admin_status().await.unwrap();
    assert!(status.dependencies.values().all(|dependency| dependency.ok), "{status:?}");
}

async fn proxy_keeps_metrics_inside(parts: &[Part], proxy: SocketAddr) {
    assert_eq!(get(proxy, "/metrics").await.0, 404);
    assert_eq!(get(find(parts, "broker-1").addr, "/metrics").await.0, 200);
}

async fn every_metric_is_exported(parts: &[Part]) {
    let mut names = BTreeSet::new();
    for part in parts.iter().filter(|part| part.name.contains('-')) {
        names.extend(exported(&get(part.addr, "/metrics").await.1));
    }
    let asked = asked_of_every_cluster();
    let missing: Vec<&String> = asked.difference(&names).collect();
    assert!(missing.is_empty(), "nobody exports {missing:?}");
}

/// Prometheus looks every 15 s.
async fn prometheus_sees_everything_and_is_content(parts: &[Part]) {
    let prometheus = find(parts, "prometheus").addr;
    let ask = async |path: &str| -> Value {
        let (status, text) = get(prometheus, path).await;
        assert_eq!(status, 200, "{text}");
        serde_json::from_str(&text).unwrap()
    };
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = ask("/api/v1/targets?state=active").await;
        let targets = answer["data"]["activeTargets"].as_array().unwrap().clone();
        let up = targets.iter().filter(|target| target["health"] == "up").count();
        // Three brokers, two workers, the proxy and itself.
        if up == 7 {
            break;
        }
        assert!(Instant::now() < deadline, "{up} of 7 are up: {targets:#?}");
        sleep(LOOK_EVERY).await;
    }
    let rules = ask("/api/v1/rules").await;
    for group in rules["data"]["groups"].as_array().unwrap() {
        for rule in group["rules"].as_array().unwrap() {
            assert_ne!(rule["state"], "firing", "{rule:#}");
            assert_ne!(rule["health"], "err", "{rule:#}");
        }
    }
    // Names of the proxy's metrics are the proxy's, so they are looked for in what it told.
    let up = ask(
        "/api/v1/query?query=haproxy_server_status%7Bproxy%3D%22brokers%22%2Cstate%3D%22UP%22%7D",
    );
    assert_eq!(up.await["data"]["result"].as_array().unwrap().len(), 3);
    let ready =
        ask("/api/v1/query?query=haproxy_backend_active_servers%7Bproxy%3D%22brokers%22%7D");
    assert_eq!(ready.await["data"]["result"][0]["value"][1], "3");
}

/// Returns the name of the broker that has a WebSocket.
async fn broker_with_the_session(parts: &[Part]) -> String {
    for part in parts.iter().filter(|part| part.name.starts_with("broker-")) {
        let (_, metrics) = get(part.addr, "/metrics").await;
        let sessions = metrics.lines().find_map(|line| line.strip_prefix("parlor_ws_sessions "));
        if sessions != Some("0") {
            return part.name.clone();
        }
    }
    panic!("no broker has a session");
}

#[test]
fn what_cannot_be_started_is_told_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let fails = |arguments: &[&str], code: i32, reason: &str| {
        let output = command(folder.path(), arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(reason), "{arguments:?}: {said}");
    };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    fails(&["start", "--port", &port], 69, &format!("another program uses port {port}"));
    fails(&["start", "--port", "many"], 64, "--port needs a number");
    fails(&["dance"], 64, "there is no verb dance");
    fails(&["kill", "broker-9"], 64, "there is no part broker-9");
    drop(taken);

    let nowhere = tempfile::tempdir().unwrap();
    let mut status = command(nowhere.path(), &["status"]);
    assert_eq!(status.output().unwrap().status.code(), Some(64), "nothing was started");
}

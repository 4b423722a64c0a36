//! A data folder or a port that cannot be used, and a disk that is full: one sentence each, and
//! nothing damaged.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use parlor_client::ClientError;
use parlor_testkit::process::{Outcome, Parlor, User, binary, draft};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::raw::PATIENCE;

/// The exit code for what only a person can put right.
const USAGE: i32 = 64;
/// The exit code for something that is needed and not there.
const UNAVAILABLE: i32 = 69;
/// The exit code for what may work later.
const TRY_LATER: i32 = 75;
/// A database that has a migration which nobody has written yet.
const NEWER: &[u8] = include_bytes!("fixtures/newer.db");

fn home() -> Arc<TempDir> {
    Arc::new(tempfile::tempdir().unwrap())
}

/// What a failed start said, which must be one sentence.
fn sentence(outcome: &Outcome, codes: &[i32]) -> String {
    let Outcome { status, stdout, stderr } = outcome;
    assert!(codes.iter().any(|code| status.code() == Some(*code)), "{status}: {stderr}");
    assert!(stdout.is_empty(), "{stdout}");
    assert!(!stderr.contains("panicked") && !stderr.contains("backtrace"), "{stderr}");
    let said: Vec<&str> = stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(said.len(), 1, "{stderr}");
    said[0].to_owned()
}

#[tokio::test]
async fn folder_that_cannot_be_made_is_named() {
    // Also for a superuser, whom no file mode stops.
    let outcome = Parlor::builder().arguments(&["serve", "--data-dir", "/proc/parlor"]).run().await;
    let said = sentence(&outcome, &[UNAVAILABLE]);
    assert!(said.contains("/proc/parlor"), "{said}");
    let home = home();
    std::fs::write(home.path().join("data"), "a file where the folder should be").unwrap();
    let outcome = Parlor::builder().in_home(&home).run().await;
    assert_ne!(outcome.code(), 0);
    assert!(outcome.stderr.contains("data"), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
    let kept = std::fs::read_to_string(home.path().join("data")).unwrap();
    assert_eq!(kept, "a file where the folder should be");
}

#[tokio::test]
async fn second_process_does_not_get_the_folder() {
    let first = Parlor::start().await;
    let user = first.register("ada").await;
    user.create_room("tea", &[]).await;
    let second = first.rebuilder().env("PARLOR_LISTEN", "127.0.0.1:0").run().await;
    let said = sentence(&second, &[TRY_LATER]);
    assert!(said.contains("in use by another process"), "{said}");
    assert!(said.contains(first.data_dir().to_str().unwrap()), "{said}");
    user.say("tea", "the first goes on").await;
}

#[tokio::test]
async fn port_that_is_taken_is_named_and_nothing_is_begun() {
    let first = Parlor::start().await;
    let address = first.addr().to_string();
    let home = home();
    let second = Parlor::builder().in_home(&home).env("PARLOR_LISTEN", &address).run().await;
    let said = sentence(&second, &[1, UNAVAILABLE, TRY_LATER]);
    assert!(said.contains(&address), "{said}");
    assert!(!first.get_text("/healthz").await.is_empty());
    let again = Parlor::builder().in_home(&home).start().await;
    again.register("ada").await;
}

#[tokio::test]
async fn database_of_a_newer_version_or_of_something_else_is_left_alone() {
    let cases: [(&str, &[u8], &str); 4] = [
        ("newer", NEWER, "newer than"),
        ("no database", b"This is a letter, not a database. ".as_slice(), "not a database"),
        ("only a head", b"SQLite format 3\0", "not a database"),
        ("random", &[0xa5; 4_096], "not a database"),
    ];
    for (name, content, expected) in cases {
        let home = home();
        let data = home.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let file = data.join("parlor.db");
        std::fs::write(&file, content).unwrap();
        let outcome = Parlor::builder().in_home(&home).run().await;
        let said = sentence(&outcome, &[UNAVAILABLE]);
        assert!(said.contains(expected), "{name}: {said}");
        assert_eq!(std::fs::read(&file).unwrap(), content, "{name} was changed");
    }
}

#[tokio::test]
async fn key_that_is_damaged_is_not_replaced() {
    let mut server = Parlor::start().await;
    let data = server.data_dir();
    let mut files = std::fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path());
    let key = files.find(|path| path.to_string_lossy().contains("secret")).unwrap();
    let whole = std::fs::read(&key).unwrap();
    server.terminate().await;
    for content in [&b""[..], b"short", &whole[..8]] {
        std::fs::write(&key, content).unwrap();
        let outcome = server.rebuilder().run().await;
        assert_ne!(outcome.code(), 0);
        assert!(outcome.stderr.contains(key.to_str().unwrap()), "{}", outcome.stderr);
        assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
        assert_eq!(std::fs::read(&key).unwrap(), content, "the key was changed");
    }
}

/// A server whose files may not grow beyond some KiB, as on a disk that is full.
struct Cramped {
    child: Child,
    address: Option<SocketAddr>,
}

impl Cramped {
    async fn start(home: &Path, kib: u32) -> Self {
        // Ignored, the signal for a file that is too large becomes an error, as a full disk is.
        let script = format!("trap '' XFSZ; ulimit -f {kib}; exec \"$0\" serve");
        let mut child = Command::new("bash")
            .args(["-c", &script])
            .arg(binary())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", home)
            .env("PARLOR_DATA_DIR", home.join("data"))
            .env("PARLOR_LISTEN", "127.0.0.1:0")
            .env("PARLOR_LIMITS__ENABLED", "false")
            .env("PARLOR_LLM__PROVIDER", "demo")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("bash can be started");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = timeout(PATIENCE, lines.next_line()).await.expect("it listens or ends");
        let line = line.unwrap();
        let address = line.and_then(|line| line.strip_prefix("listening on http://")?.parse().ok());
        Self { child, address }
    }

    async fn end(mut self) -> String {
        drop(self.child.start_kill());
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).await.unwrap();
        self.child.wait().await.unwrap();
        said
    }
}

#[tokio::test]
async fn full_disk_refuses_writes_and_loses_nothing() {
    let home = home();
    let mut whole = Parlor::builder().in_home(&home).start().await;
    let ada = whole.register("ada").await;
    ada.create_room("tea", &[]).await;
    whole.terminate().await;

    let cramped = Cramped::start(home.path(), 4 * 1_024).await;
    let address = cramped.address.expect("there is room to start");
    let ada = User::log_in(address, "ada").await;
    let mut acknowledged = Vec::new();
    let refused = loop {
        let body = format!("{} {}", acknowledged.len(), "x".repeat(12_000));
        match ada.http.publish("tea", &draft(&body, None)).await {
            Ok(message) => acknowledged.push((message.seq, body)),
            Err(error) => break error,
        }
        assert!(acknowledged.len() < 3_000, "the disk is never full");
    };
    let ClientError::Problem(problem) = &refused else { panic!("{refused:?}") };
    assert!(problem.status >= 500, "{problem:?}");
    // What is there can still be read.
    let read = ada.history("tea").await;
    assert_eq!(read.len(), acknowledged.len());
    let said = cramped.end().await;
    assert!(!said.contains("panicked"), "{said}");
    assert!(!said.contains("xxxxxxxx"), "a body stands in the log");

    let whole = Parlor::builder().in_home(&home).start().await;
    let ada = User::log_in(whole.addr(), "ada").await;
    let kept: Vec<(u64, String)> =
        ada.history("tea").await.into_iter().map(|message| (message.seq, message.body)).collect();
    assert_eq!(kept.len(), acknowledged.len());
    assert!(kept == acknowledged, "what was acknowledged is not what is there");
    ada.say("tea", "there is room again").await;
}

#[tokio::test]
async fn disk_that_is_full_at_the_start_is_one_sentence() {
    let home = home();
    let cramped = Cramped::start(home.path(), 16).await;
    assert_eq!(cramped.address, None, "it started without room");
    let said = cramped.end().await;
    let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{said}");
    assert!(!said.contains("panicked"), "{said}");
    // With room again it starts as if nothing had been.
    let whole = Parlor::builder().in_home(&home).start().await;
    whole.register("ada").await;
}

#[tokio::test]
async fn administrator_is_made_in_a_folder_that_nobody_uses() {
    let home = home();
    let server = Parlor::builder().without("PARLOR_ADMIN_USERNAME");
    let server = server.without("PARLOR_ADMIN_PASSWORD").in_home(&home);
    let create = |name: &str| {
        let create = server.clone().env("PARLOR_PASSWORD", "correct horse battery");
        create.arguments(&["admin", "create", name]).run()
    };
    let made = create("root").await;
    assert_eq!(made.code(), 0, "{}", made.stderr);
    let mut running = server.clone().start().await;
    assert!(!running.log().contains("/setup#"), "{}", running.log());
    let user = running.http().log_in("root", "correct horse battery").await.unwrap();
    assert_eq!(user.username, "root");
    let said = sentence(&create("other").await, &[TRY_LATER]);
    assert!(said.contains("in use by another process"), "{said}");
    assert!(running.terminate().await.success());
    let said = sentence(&create("root").await, &[USAGE]);
    assert!(said.contains("already"), "{said}");
    let weak = server.env("PARLOR_PASSWORD", "password");
    let weak = weak.arguments(&["admin", "create", "other"]).run().await;
    let said = sentence(&weak, &[USAGE]);
    assert!(said.contains("easy to guess"), "{said}");
}

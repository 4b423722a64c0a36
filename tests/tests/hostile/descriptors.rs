//! Few open files: a node takes as many as it may, and a generator that needs more says so before it
//! begins.

use std::process::Stdio;

use parlor_testkit::process::{START_PATIENCE, binary};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// The exit code for what only a person can put right.
const USAGE: i32 = 64;

/// Starts the program after `limits`, which is for the shell, with nothing of the environment.
fn start(limits: &str, arguments: &str, home: &TempDir) -> Child {
    Command::new("bash")
        .args(["-c", &format!("{limits}; exec \"$0\" {arguments}")])
        .arg(binary())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home.path())
        .env("PARLOR_DATA_DIR", home.path().join("data"))
        .env("PARLOR_LISTEN", "127.0.0.1:0")
        .env("PARLOR_LLM__PROVIDER", "demo")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("bash can be started")
}

/// Returns the soft and the hard limit on open files of a process.
fn limits_of(pid: u32) -> (u64, u64) {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let mut numbers = line.split_whitespace().map(|number| number.parse().unwrap_or(u64::MAX));
    (numbers.next().unwrap(), numbers.next().unwrap())
}

#[tokio::test]
async fn node_takes_as_many_open_files_as_it_may() {
    let home = tempfile::tempdir().unwrap();
    let mut server = start("ulimit -Sn 200; ulimit -Hn 1000", "serve", &home);
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let line = timeout(START_PATIENCE, lines.next_line()).await.expect("it listens or ends");
    assert!(line.unwrap().is_some_and(|line| line.starts_with("listening on")));
    assert_eq!(limits_of(server.id().unwrap()), (1_000, 1_000));
    server.start_kill().unwrap();
    let log = String::from_utf8(server.wait_with_output().await.unwrap().stderr).unwrap();
    let told: Vec<&str> = log.lines().filter(|line| line.contains("open files")).collect();
    assert!(matches!(told.as_slice(), [line] if line.contains("1000")), "{log}");
}

#[tokio::test]
async fn load_above_the_limit_on_open_files_is_refused_with_what_helps() {
    let home = tempfile::tempdir().unwrap();
    let load = "bench idle --connections 1000";
    let refused = start("ulimit -n 200", load, &home).wait_with_output().await.unwrap();
    let words = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(USAGE), "{words}");
    assert!(refused.stdout.is_empty());
    assert!(words.starts_with("error: "), "{words}");
    for word in ["1128", "200", "ulimit -n", "LimitNOFILE=", "launchctl"] {
        assert!(words.contains(word), "{word} is not in {words}");
    }
}

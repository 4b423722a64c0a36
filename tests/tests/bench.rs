//! `parlor bench` with small loads: whatever the machine, some figures must hold.
//!
//! Every test runs the real binary, which starts a server of its own: `cargo build -p parlor` first,
//! or name one in `PARLOR_BIN`. How fast anything was is not looked at.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail")]

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use parlor_testkit::process::{Outcome, Parlor, binary};
use parlor_testkit::services::Postgres;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::time::{Instant, sleep};

/// Passwords are not what is measured here.
const CHEAP: &str = "PARLOR_AUTH__ARGON2_MEMORY=8KiB";

/// Runs a scenario to its end.
async fn bench(arguments: &[&str]) -> Outcome {
    let mut all = vec!["bench", "--json"];
    all.extend_from_slice(arguments);
    Parlor::builder().arguments(&all).run().await
}

/// Runs a scenario and returns what it found.
async fn measure(arguments: &[&str]) -> Value {
    let outcome = bench(arguments).await;
    assert_eq!(outcome.code(), 0, "{outcome:?}");
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    report["runs"][0]["measurements"][0].clone()
}

/// Returns a figure that only one scenario has.
fn figure(measurement: &Value, name: &str) -> f64 {
    let figures = measurement["figures"].as_array().unwrap();
    let found = figures.iter().find(|figure| figure["name"] == name);
    found.and_then(|figure| figure["value"].as_f64()).unwrap_or_else(|| {
        panic!("no figure {name:?} in {measurement:#}");
    })
}

/// Fails unless everything arrived once and in order.
fn assert_clean(measurement: &Value, expected: u64) {
    let delivery = &measurement["delivery"];
    assert_eq!(delivery["expected"], expected, "{measurement:#}");
    assert_eq!(delivery["arrived"], expected, "{measurement:#}");
    for wrong in ["lost", "doubled", "out_of_order"] {
        assert_eq!(delivery[wrong], 0, "{measurement:#}");
    }
}

#[tokio::test]
async fn connections_at_rest_hear_each_other_and_have_a_size() {
    let measurement = measure(&[
        "idle",
        "--connections",
        "30",
        "--rooms",
        "3",
        "--duration",
        "1",
        "--burst",
        "0",
        "--rest",
        "0",
    ])
    .await;
    assert_eq!(measurement["connections"], 30);
    // Each of ten members of three rooms writes once, and all ten hear it.
    assert_clean(&measurement, 300);
    assert!(measurement["memory"]["rss_connected"].as_u64().unwrap() > 0);
    assert!(figure(&measurement, "CPU at rest") >= 0.0);
}

#[tokio::test]
async fn everyone_who_was_cut_off_gets_what_they_missed() {
    let measurement =
        measure(&["resume", "--rooms", "4", "--members", "25", "--missed", "7"]).await;
    assert_eq!(measurement["published"], 28);
    assert_clean(&measurement, 700);
    for nobody in ["clients told to read the history", "clients not back in time"] {
        assert!(figure(&measurement, nobody).abs() < 0.5, "{measurement:#}");
    }
    assert_eq!(measurement["latency"]["count"], 100);
}

#[tokio::test]
async fn who_is_told_to_come_back_later_does_and_misses_nothing() {
    // One handshake at a time: most are refused, and have to come again.
    let few = "PARLOR_LIMITS__HANDSHAKES=1";
    let measurement = measure(&[
        "resume",
        "--rooms",
        "2",
        "--members",
        "100",
        "--missed",
        "3",
        "--connecting",
        "1",
        "--set",
        few,
    ])
    .await;
    assert!(figure(&measurement, "upgrades refused and repeated") > 0.0, "{measurement:#}");
    assert_clean(&measurement, 600);
}

#[tokio::test]
async fn every_login_is_answered_although_most_are_refused_at_first() {
    let measurement = measure(&[
        "login",
        "--users",
        "40",
        "--readers",
        "5",
        "--duration",
        "1",
        "--rate",
        "20",
        "--set",
        CHEAP,
        "--set",
        "PARLOR_AUTH__HASH_QUEUE=1",
    ])
    .await;
    assert!((figure(&measurement, "logins") - 40.0).abs() < 0.5, "{measurement:#}");
    assert!(figure(&measurement, "users that gave up").abs() < 0.5, "{measurement:#}");
    let sent = measurement["delivery"]["published"].as_u64().unwrap();
    assert!(sent > 0, "{measurement:#}");
    assert_clean(&measurement, sent * 5);
}

#[tokio::test]
async fn pieces_of_every_reply_are_its_text() {
    let measurement = measure(&[
        "stream",
        "--readers",
        "10",
        "--bots",
        "2",
        "--rate",
        "100",
        "--length",
        "50",
        "--duration",
        "2",
        "--warm-up",
        "0",
    ])
    .await;
    let replies = measurement["delivery"]["published"].as_u64().unwrap();
    assert!(replies >= 2, "each bot has answered: {measurement:#}");
    assert_clean(&measurement, replies * 10);
    assert!(figure(&measurement, "tokens delivered a second") > 0.0);
    assert!(measurement["latency"]["count"].as_u64().unwrap() > 0, "{measurement:#}");
}

#[tokio::test]
async fn a_server_that_cannot_start_is_an_error_with_its_words() {
    let outcome =
        bench(&["idle", "--connections", "1", "--set", "PARLOR_LISTEN=192.0.2.1:1"]).await;
    assert_ne!(outcome.code(), 0);
    assert!(outcome.stderr.contains("the server did not start"), "{outcome:?}");
    assert!(outcome.stderr.contains("192.0.2.1"), "{outcome:?}");
}

#[tokio::test]
async fn settings_that_are_none_are_refused_before_anything_starts() {
    for (wrong, word) in [
        (vec!["idle", "--set", "nonsense"], "NAME=VALUE"),
        (vec!["idle", "--set", "PARLOR_LIMITS__ENABLED=perhaps"], "limits.enabled"),
        (vec!["idle", "--connections", "0"], "--connections"),
        (vec!["stream", "--rate", "0"], "--rate"),
        (vec!["idle", "--direct"], "--server"),
        (vec!["idle", "--server", "http://127.0.0.1:1", "--pin-server", "0"], "--pin-server"),
        (vec!["stream", "--server", "http://127.0.0.1:1"], "leave --server out"),
        (vec!["login", "--server", "http://127.0.0.1:1"], "--direct"),
    ] {
        let outcome = bench(&wrong).await;
        assert_eq!(outcome.code(), 64, "{wrong:?}: {outcome:?}");
        assert!(outcome.stderr.contains(word), "{wrong:?}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_named_gets_few_accounts_over_http() {
    let server = Parlor::start().await;
    let address = server.url();
    let arguments = [
        "idle",
        "--server",
        &address,
        "--connections",
        "20",
        "--rooms",
        "2",
        "--duration",
        "1",
        "--rest",
        "0",
    ];
    let measurement = measure(&arguments).await;
    assert_clean(&measurement, 200);
    assert_eq!(measurement["plan"]["users"], "2");
    assert!(measurement["plan"]["accounts"].as_str().unwrap().contains("over HTTP"));
}

#[tokio::test]
async fn users_of_a_cluster_are_written_into_its_database() {
    let postgres = Postgres::start().await;
    let database = postgres.create_database("bench");
    let node = || {
        let secret = "a-secret-of-the-tests-that-is-long-enough";
        Parlor::builder().env("DATABASE_URL", &database).env("SECRET_KEY", secret)
    };
    let server = node().start().await;
    let address = server.url();
    let arguments =
        ["bench", "--json", "resume", "--rooms", "3", "--members", "20", "--missed", "4"];
    let direct = ["--server", &address, "--direct"];
    let outcome = node().arguments(&[&arguments[..], &direct].concat()).run().await;
    assert_eq!(outcome.code(), 0, "{outcome:?}");
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let measurement = &report["runs"][0]["measurements"][0];
    assert_clean(measurement, 240);
    assert_eq!(measurement["plan"]["users"], "60", "one for each connection");

    let stranger = node().env("SECRET_KEY", "another-secret-that-is-long-enough-too");
    let outcome = stranger.arguments(&[&arguments[..], &direct].concat()).run().await;
    assert_eq!(outcome.code(), 64, "{outcome:?}");
    assert!(outcome.stderr.contains("SECRET_KEY"), "{outcome:?}");
}

/// Returns the processes that a process has started and that still run.
fn children(pid: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let children = tasks.map(|task| std::fs::read_to_string(task.path().join("children")));
    let children: Vec<String> = children.filter_map(Result::ok).collect();
    children
        .iter()
        .flat_map(|pids| pids.split_whitespace())
        .map(|pid| pid.parse().unwrap())
        .collect()
}

/// Waits until a condition outside of this process holds.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "not within 30 s: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_measurement_that_is_stopped_leaves_no_server_and_no_folder_behind() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = tokio::process::Command::new(binary())
        .args(["bench", "idle", "--connections", "3", "--duration", "600"])
        .env("TMPDIR", folder.path())
        .env("HOME", folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let pid = bench.id().unwrap();
    until("the server was started", || !children(pid).is_empty()).await;
    let server = children(pid)[0];

    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::TERM).unwrap();

    let status = bench.wait().await.unwrap();
    assert_eq!(status.code(), Some(1), "{status}");
    let left = || std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left(), 0, "the folder of the server is gone");
    let stat = || std::fs::read_to_string(Path::new("/proc").join(server.to_string()).join("stat"));
    // One that has ended may stay as a name until the system forgets it.
    until("the server has ended", || stat().is_err() || stat().is_ok_and(|it| it.contains(") Z ")))
        .await;
}

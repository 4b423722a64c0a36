//! The real page in a real browser against the real server.
//!
//! The journeys themselves stand in `web/tests/e2e`. Most of them use the server that is started
//! here; those that kill theirs start their own from the same binary. What is missing to run them
//! fails the test with a sentence: a page that nobody opened is a page that nobody tested.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use parlor_testkit::process::{PASSWORD, Parlor, binary};
use tokio::{process::Command, time::timeout};

/// They take about one minute on two idle cores.
const PATIENCE: Duration = Duration::from_mins(20);
/// The password of everybody in the journeys (`web/tests/browser.ts`).
const VISITORS_PASSWORD: &str = "correct horse battery";
/// A part of a message that one of them writes.
const WRITTEN: &str = "window.owned";

#[tokio::test]
async fn people_and_a_bot_share_rooms_in_the_browser() {
    let web = web();
    let chromium = chromium();
    require_node().await;
    require(&web.join("node_modules/vitest/vitest.mjs"), "run `npm ci` in the folder `web`");
    require(&web.join("node_modules/playwright-core"), "run `npm ci` in the folder `web`");
    require(&web.join("dist/index.html"), "run `npm run build` in the folder `web`");
    let server = Parlor::start().await;

    let run = Command::new("node")
        .args(["node_modules/vitest/vitest.mjs", "run", "--config", "vitest.e2e.config.ts"])
        .current_dir(&web)
        .env("PARLOR_URL", server.url())
        .env("PARLOR_BIN", binary())
        .env("PARLOR_CHROMIUM", chromium)
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(PATIENCE, run).await;
    let output = output.unwrap_or_else(|_| panic!("the journeys still run after {PATIENCE:?}"));
    let output = output.unwrap();

    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let log = server.log();
    for secret in [PASSWORD, VISITORS_PASSWORD, WRITTEN] {
        assert!(!log.contains(secret), "the log holds {secret:?}");
    }
    assert!(!log.contains("panicked"), "{log}");
}

fn web() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap().join("web")
}

fn chromium() -> PathBuf {
    let named = ["PARLOR_CHROMIUM", "CHROMIUM"]
        .into_iter()
        .find_map(|name| std::env::var_os(name).filter(|path| !path.is_empty()));
    let path = named.map_or_else(|| PathBuf::from("/usr/bin/chromium"), PathBuf::from);
    require(&path, "install Chromium, or name a browser in CHROMIUM");
    path
}

async fn require_node() {
    let answer = Command::new("node").arg("--version").output().await;
    let answer = answer.unwrap_or_else(|error| panic!("node is needed to open the page: {error}"));
    assert!(answer.status.success(), "node does not run: {answer:?}");
}

fn require(path: &Path, remedy: &str) {
    assert!(path.exists(), "{} is missing; {remedy}", path.display());
}

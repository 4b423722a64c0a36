//! The commands of the README, run as they stand there, against the real binary.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail")]

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use parlor_testkit::process::{Parlor, binary};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;

/// Marks the blocks that are run.
const MARK: &str = "<!-- test: readme -->";
/// Where the README says that the server is.
const SERVER: &str = "127.0.0.1:7777";
/// Replies of the demo take seconds, and a machine may do other things, too.
const PATIENCE: Duration = Duration::from_mins(1);

fn readme() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    std::fs::read_to_string(path).unwrap()
}

/// Returns the text of the fenced block at the beginning of `text`, if it is of this language.
fn block<'a>(text: &'a str, language: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("```{language}\n"))?;
    rest.split("```").next()
}

/// Runs a program in a home of its own, with `parlor` on its path.
async fn run(mut command: Command, server: &Parlor, home: &TempDir) -> Output {
    let parlor = binary();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut paths = vec![parlor.parent().unwrap().to_path_buf()];
    paths.extend(std::env::split_paths(&path));
    let running = command
        .env_clear()
        .env("PATH", std::env::join_paths(paths).unwrap())
        .env("HOME", home.path())
        .env("PARLOR_SERVER", server.url())
        .env("NO_PROXY", "127.0.0.1")
        .current_dir(home.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    timeout(PATIENCE, running).await.expect("the commands end").unwrap()
}

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-eu", "-c", script]);
    command
}

/// Starts what a reader would have: rate limits as they are, and the demo model.
async fn server() -> Parlor {
    Parlor::builder().without("PARLOR_LIMITS__ENABLED").start().await
}

#[track_caller]
fn expect_success(output: &Output) -> String {
    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{stdout}\n{stderr}", output.status);
    stdout.into_owned()
}

#[tokio::test]
async fn commands_of_the_readme_work_as_they_stand() {
    let readme = readme();
    let blocks: Vec<&str> =
        readme.split(MARK).skip(1).map(|after| block(after, "sh").unwrap()).collect();
    assert_eq!(blocks.len(), 2, "the terminal and curl");
    let server = server().await;
    let home = tempfile::tempdir().unwrap();
    // One shell, because a reader has one: later blocks use what earlier ones have set.
    let script = blocks.join("\n").replace(SERVER, &server.addr().to_string());

    let output = run(shell(&script), &server, &home).await;

    let stdout = expect_success(&output);
    for expected in ["Good morning!", "general", "1 2 3 4 5", "event: delta", "event: reply"] {
        assert!(stdout.contains(expected), "no {expected:?} in:\n{stdout}");
    }
}

#[tokio::test]
async fn websocket_example_of_the_readme_works_as_it_stands() {
    // `make test` sets one up.
    let python = std::env::var_os("PARLOR_PYTHON").filter(|python| !python.is_empty());
    let python = python.expect(
        "set PARLOR_PYTHON to a Python with the library websockets, such as \
         `scripts/require.sh --path python-websockets` prints; `make test` does it",
    );
    let server = server().await;
    let home = tempfile::tempdir().unwrap();
    let token = server.register("grace").await.token().await;
    let readme = readme();
    let script = block(&readme, "python").unwrap().replace(SERVER, &server.addr().to_string());
    std::fs::write(home.path().join("ask.py"), script).unwrap();
    let ask = format!("TOKEN={token} '{}' ask.py", Path::new(&python).display());

    let output = run(shell(&ask), &server, &home).await;

    assert_eq!(expect_success(&output).trim(), "1 2 3 4 5");
}

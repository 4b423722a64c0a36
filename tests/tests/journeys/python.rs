//! The client for Python against the real server, with what networks and machines do.
//!
//! The tests are in `clients/python/tests/live`. Here is what they need: a server, a proxy that
//! breaks connections, and someone who kills the server.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
};

use parlor_testkit::{process::Parlor, tcp_proxy::TcpProxy};
use tokio::process::{Child, Command};

use crate::{
    MACHINE,
    clients::{MESSAGES, PATIENCE, check_history, finish},
    cuts::cut_until_ended,
    soak_factor,
    stage::{Place, in_both_places},
    until,
};

/// Returns the Python in which the client's requirements are installed.
fn python() -> PathBuf {
    let python = std::env::var_os("PARLOR_CLIENT_PYTHON").filter(|python| !python.is_empty());
    PathBuf::from(python.expect(
        "set PARLOR_CLIENT_PYTHON to a Python with the client's requirements, such as \
         `scripts/require.sh --path python-client` prints; `make test` does it",
    ))
}

/// Starts a file of the client's tests against a server.
fn begin(file: &str, server: SocketAddr) -> Child {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients/python");
    Command::new(python())
        .args(["-m", "pytest", "-q", &format!("tests/live/{file}")])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PARLOR_TEST_URL", format!("http://{server}"))
        .env("PARLOR_TEST_MESSAGES", (MESSAGES * soak_factor()).to_string())
        .current_dir(project)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("{} cannot be started: {error}", python().display()))
}

async fn everyday(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    finish(begin("test_everyday.py", stage.addr())).await;
}

async fn documents_work_as_they_stand(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    finish(begin("test_documents.py", stage.addr())).await;
}

async fn cut_connections_neither_lose_nor_double_a_message(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let reader = stage.register("reader").await;
    stage.register("writer").await;
    let proxy = TcpProxy::start(stage.addr()).await;
    let mut running = begin("test_faults.py", proxy.addr());
    let begun = || async { !reader.history("general").await.is_empty() };
    until("the first message", PATIENCE, begun).await;

    cut_until_ended(&proxy, &mut running).await;

    finish(running).await;
    check_history(&reader.history("general").await);
}

async fn killed_server_neither_loses_nor_doubles_a_message(place: Place) {
    let _shared = MACHINE.read().await;
    let mut stage = place.start().await;
    let reader = stage.register("reader").await;
    stage.register("writer").await;
    let running = begin("test_faults.py", stage.addr());
    let part = MESSAGES * soak_factor() / 6;
    let begun = || async { reader.history("general").await.len() >= part };
    until("a part of the messages", PATIENCE, begun).await;

    stage.kill().await;
    stage.restart().await;

    finish(running).await;
    check_history(&reader.history("general").await);
}

in_both_places!(
    everyday,
    documents_work_as_they_stand,
    cut_connections_neither_lose_nor_double_a_message,
    killed_server_neither_loses_nor_doubles_a_message,
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_token_is_renewed() {
    let _shared = MACHINE.read().await;
    let server = Parlor::builder().env("PARLOR_AUTH__ACCESS_TOKEN_EXPIRE", "10s").start().await;
    finish(begin("test_expiry.py", server.addr())).await;
}

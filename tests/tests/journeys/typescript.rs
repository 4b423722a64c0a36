//! The client for TypeScript against the real server, with what networks and machines do.
//!
//! The tests are in `clients/typescript/tests/live`. Here is what they need: a server, a proxy that
//! breaks connections, and someone who kills the server.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
};

use parlor_testkit::{
    process::{PASSWORD, Parlor},
    tcp_proxy::{Direction, Mode, TcpProxy},
};
use tokio::process::{Child, Command};

use crate::{
    MACHINE,
    clients::{MESSAGES, PATIENCE, check_history, finish},
    cuts::cut_until_ended,
    soak_factor,
    stage::{Builder, Place, Stage, in_both_places},
    until,
};

in_both_places! {
    client_does_what_people_do,
    documents_of_the_client_work_as_they_stand,
    client_loses_and_doubles_nothing_while_connections_are_cut,
    client_loses_and_doubles_nothing_when_the_server_is_killed,
    client_loses_and_doubles_nothing_when_the_server_drains,
    slow_client_is_closed_and_resumes,
    client_that_missed_too_much_reads_the_rest,
}

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients/typescript")
}

/// Starts a file of the client's tests against a server.
///
/// # Panics
/// When there is no Node, or what the tests need is not installed.
fn begin(file: &str, server: SocketAddr) -> Child {
    let vitest = project().join("node_modules/vitest/vitest.mjs");
    assert!(
        vitest.exists(),
        "{} is missing; run `scripts/web.sh client`, which `make test` does",
        vitest.display()
    );
    Command::new("node")
        .args(["node_modules/vitest/vitest.mjs", "run", "--config", "vitest.live.config.ts"])
        .arg(format!("tests/live/{file}"))
        .env("PARLOR_TEST_URL", format!("http://{server}"))
        .env("PARLOR_TEST_PASSWORD", PASSWORD)
        .env("PARLOR_TEST_MESSAGES", (MESSAGES * soak_factor()).to_string())
        .env("NO_COLOR", "1")
        .current_dir(project())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("the tests of clients/typescript need node: {error}"))
}

async fn client_does_what_people_do(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    finish(begin("everyday.test.ts", stage.addr())).await;
}

async fn documents_of_the_client_work_as_they_stand(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    finish(begin("documents.test.ts", stage.addr())).await;
}

async fn client_loses_and_doubles_nothing_while_connections_are_cut(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let reader = stage.register("reader").await;
    stage.register("writer").await;
    let proxy = TcpProxy::start(stage.addr()).await;
    let mut running = begin("faults.test.ts", proxy.addr());
    let begun = || async { !reader.history("general").await.is_empty() };
    until("the first message", PATIENCE, begun).await;

    cut_until_ended(&proxy, &mut running).await;

    finish(running).await;
    check_history(&reader.history("general").await);
}

async fn client_loses_and_doubles_nothing_when_the_server_is_killed(place: Place) {
    let _shared = MACHINE.read().await;
    client_goes_on_while(place.builder(), async |stage| stage.kill().await).await;
}

async fn client_loses_and_doubles_nothing_when_the_server_drains(place: Place) {
    let _shared = MACHINE.read().await;
    let builder = place.builder().env("PARLOR_LIFECYCLE__DRAIN", "1s");
    client_goes_on_while(builder, async |stage| drop(stage.terminate().await)).await;
}

/// Ends and restarts the server while a client writes.
async fn client_goes_on_while(builder: Builder, end: impl AsyncFnOnce(&mut Stage)) {
    let mut stage = builder.start().await;
    let reader = stage.register("reader").await;
    stage.register("writer").await;
    let running = begin("faults.test.ts", stage.addr());
    let part = MESSAGES * soak_factor() / 6;
    let begun = || async { reader.history("general").await.len() >= part };
    until("a part of the messages", PATIENCE, begun).await;

    end(&mut stage).await;
    stage.restart().await;

    finish(running).await;
    check_history(&reader.history("general").await);
}

async fn slow_client_is_closed_and_resumes(place: Place) {
    let _alone = MACHINE.write().await;
    let builder = place
        .builder()
        .env("PARLOR_LIMITS__OUTBOX", "64MiB")
        .env("PARLOR_LIMITS__WRITE_TIMEOUT", "1s")
        .env("PARLOR_LIMITS__REPLAY_EVENTS", "100000");
    let stage = builder.start().await;
    let ada = stage.register("ada").await;
    stage.register("reader").await;
    let proxy = TcpProxy::start(stage.addr()).await;
    let running = begin("slow.test.ts", proxy.addr());
    let ready = || async { !ada.history("general").await.is_empty() };
    until("the reader is ready", PATIENCE, ready).await;

    proxy.set_mode_for(Direction::ToClient, Mode::Stall);
    let slow = || async {
        for _ in 0..20 {
            ada.say("general", &"x".repeat(15_000)).await;
        }
        let closed = stage.counts(&["reason=\"slow_consumer\""]).await;
        closed.into_iter().sum::<u64>() > 0
    };
    until("the reader is too slow", PATIENCE, slow).await;
    ada.say("general", "the end").await;
    proxy.set_mode(Mode::Pass);

    finish(running).await;
}

async fn client_that_missed_too_much_reads_the_rest(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.builder().env("PARLOR_LIMITS__REPLAY_EVENTS", "5").start().await;
    let ada = stage.register("ada").await;
    stage.register("reader").await;
    let proxy = TcpProxy::start(stage.addr()).await;
    let running = begin("resync.test.ts", proxy.addr());
    let ready = || async { !ada.history("general").await.is_empty() };
    until("the reader is ready", PATIENCE, ready).await;

    proxy.set_mode(Mode::Refuse);
    proxy.cut_all();
    for number in 2..=60 {
        ada.say("general", &format!("n {number}")).await;
    }
    proxy.set_mode(Mode::Pass);

    finish(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_token_of_the_client_is_renewed() {
    let _shared = MACHINE.read().await;
    let server = Parlor::builder().env("PARLOR_AUTH__ACCESS_TOKEN_EXPIRE", "10s").start().await;
    finish(begin("expiry.test.ts", server.addr())).await;
}

//! The example configurations in `deploy/nats`: they are valid, let the roles do their work, and
//! keep everybody from the rest.

use std::path::{Path, PathBuf};
use std::process::Command;

use async_nats::{Client, ConnectOptions, Event, ServerError};
use parlor_bus::{Bus, BusStatus, Control, NatsBus, NatsError, NatsOptions};
use parlor_testkit::services::{Nats, free_port};
use prometheus::Registry;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::harness::{Node, PATIENCE, options};
use crate::login::Certificates;
use crate::make::{begun, delta, ended, message, room, said, typing};

const PASSWORDS: &str = "BROKER_PASSWORD = \"b\"\nBOT_WORKER_PASSWORD = \"w\"\n";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/nats")
}

fn example(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).unwrap()
}

/// The users of the example, with passwords of their own.
fn users() -> String {
    let include = "include \"../../run/secrets/nats-passwords.conf\"";
    let users = example("users.conf");
    assert!(users.contains(include), "the passwords are in a file of their own");
    users.replace(include, PASSWORDS)
}

fn login(nats: &Nats, login: &str) -> NatsOptions {
    NatsOptions { url: format!("nats://{login}@127.0.0.1:{}", nats.port()), ..options(nats) }
}

/// A client that hears what the server refuses.
async fn raw(nats: &Nats, user: &str, password: &str) -> (Client, mpsc::Receiver<String>) {
    let (refused, refusals) = mpsc::channel(100);
    let options = ConnectOptions::new()
        .user_and_password(user.into(), password.into())
        .custom_inbox_prefix("parlor.r")
        .event_callback(move |event| {
            let refused = refused.clone();
            async move {
                if let Event::ServerError(ServerError::Other(text)) = event {
                    refused.send(text).await.unwrap();
                }
            }
        });
    (options.connect(nats.url()).await.unwrap(), refusals)
}

async fn next_refusal(refusals: &mut mpsc::Receiver<String>) -> String {
    timeout(PATIENCE, refusals.recv()).await.expect("the server refuses").unwrap()
}

#[tokio::test]
async fn broker_and_worker_can_do_their_work() {
    let nats = Nats::builder().config(&users()).start().await;
    let mut broker = Node::with(login(&nats, "broker:b")).await;
    let mut other = Node::with(login(&nats, "broker:b")).await;
    let mut worker = Node::with(login(&nats, "bot-worker:w")).await;
    broker.follow(room(1)).await;
    other.follow(room(1)).await;

    broker.bus.publish_events(vec![said(room(1), 1)]);
    broker.bus.publish_signal(typing(room(1)));
    broker.bus.publish_control(Control::JobQueued);
    worker.hear_control(Control::JobQueued).await;
    let reply = message(7);
    worker.bus.publish_events(vec![begun(room(1), 2, reply)]);
    worker.bus.publish_signal(delta(room(1), reply, 1, 1, "a"));
    other.hear_chunk(1).await;
    worker.wait_metric("parlor_bus_subscriptions", &[], 2.0).await;
    worker.bus.wait_followed(room(2)).await;

    let late = Node::with(login(&nats, "broker:b")).await;
    late.follow(room(1)).await;
    assert_eq!(late.bus.list_streaming(room(1)).await.len(), 1, "the worker answers");

    // The worker hears of the end although somebody else tells it.
    broker.bus.publish_events(vec![ended(room(1), 3, reply)]);
    worker.wait_metric("parlor_bus_subscriptions", &[], 0.0).await;
    broker.heard();
    for node in [&broker, &other, &worker, &late] {
        assert!(node.metric("parlor_bus_server_errors_total", &[]) < 0.5);
        assert_eq!(*node.bus.status().borrow(), BusStatus::Connected);
    }
}

#[tokio::test]
async fn nobody_else_comes_in() {
    let nats = Nats::builder().config(&users()).start().await;
    for stranger in ["broker:w", "bot-worker:b", "node:b", "token"] {
        let options = login(&nats, stranger);
        let error = NatsBus::connect(options, &Registry::new()).await.unwrap_err();
        assert!(matches!(error, NatsError::WrongCredentials { .. }), "{stranger}: {error:?}");
    }
    async_nats::connect(nats.url()).await.expect_err("anonymous clients are refused");
}

#[tokio::test]
async fn each_role_is_refused_what_it_does_not_need() {
    let nats = Nats::builder().config(&users()).start().await;
    let roles: [(&str, &str, &[&str], &[&str]); 2] = [
        (
            "broker",
            "b",
            // Only workers answer.
            &["parlor.r.n1.1", "parlor.x", "parlor.e.a.b", "other", "$SYS.REQ.SERVER.PING"],
            // Only workers are asked; nobody takes everything at once.
            &["parlor.q.*", "parlor.>", ">", "*.e.*", "$SYS.>", "_INBOX.>"],
        ),
        (
            "bot-worker",
            "w",
            &["parlor.q.1", "parlor.x", "other", "$SYS.REQ.SERVER.PING"],
            &["parlor.s.*", "parlor.s.1", "parlor.>", ">", "$SYS.>", "_INBOX.>"],
        ),
    ];
    for (user, password, publish, subscribe) in roles {
        let (client, mut refusals) = raw(&nats, user, password).await;
        for subject in publish {
            client.publish(*subject, "x".into()).await.unwrap();
            let refusal = next_refusal(&mut refusals).await;
            let expected = format!("Permissions Violation for Publish to \"{subject}\"");
            assert_eq!(refusal, expected, "{user}");
        }
        for subject in subscribe {
            let subscription = client.subscribe(*subject).await.unwrap();
            let refusal = next_refusal(&mut refusals).await;
            let expected = format!("Permissions Violation for Subscription to \"{subject}\"");
            assert_eq!(refusal, expected, "{user}");
            drop(subscription);
        }
    }
}

#[tokio::test]
async fn user_who_may_not_do_the_work_is_told_so() {
    let config = r#"authorization { users: [
        { user: blind, password: x, permissions: { subscribe: { deny: "parlor.c" } } }
        { user: deaf, password: x, permissions: { subscribe: { deny: "parlor.r.>" } } }
        { user: mute, password: x, permissions: { publish: { deny: "parlor.>" } } }
    ] }"#;
    let nats = Nats::builder().config(config).start().await;
    for user in ["blind", "deaf", "mute"] {
        let options = login(&nats, &format!("{user}:x"));
        let error = NatsBus::connect(options, &Registry::new()).await.unwrap_err();
        assert!(matches!(&error, NatsError::Forbidden { .. }), "{user}: {error:?}");
        assert!(error.to_string().contains("Permissions Violation"), "{error}");
    }
}

#[test]
fn examples_are_valid() {
    let certificates = Certificates::new();
    let root = tempfile::tempdir().unwrap();
    let (etc, secrets) = (root.path().join("etc/nats"), root.path().join("run/secrets"));
    std::fs::create_dir_all(&etc).unwrap();
    std::fs::create_dir_all(&secrets).unwrap();
    std::fs::write(secrets.join("nats-passwords.conf"), PASSWORDS).unwrap();
    for file in std::fs::read_dir(folder()).unwrap() {
        let file = file.unwrap();
        let text = std::fs::read_to_string(file.path()).unwrap();
        std::fs::write(etc.join(file.file_name()), with_certificates(&text, &certificates))
            .unwrap();
    }
    let server = std::env::var_os("PARLOR_TEST_NATS_SERVER").unwrap_or("nats-server".into());
    for name in ["nats.conf", "cluster.conf"] {
        let checked = Command::new(&server)
            .arg("-t")
            .arg("-c")
            .arg(etc.join(name))
            .env("NATS_SERVER_NAME", "nats-1")
            .env("NATS_ROUTE_PASSWORD", "r")
            .env("NATS_ROUTES", r#"["nats://route:r@nats-1:6222", "nats://route:r@nats-2:6222"]"#)
            .output()
            .expect("nats-server is installed");
        assert!(checked.status.success(), "{name}: {}", String::from_utf8_lossy(&checked.stderr));
    }
}

/// Puts certificates of a test where the example has those of the machine.
fn with_certificates(text: &str, certificates: &Certificates) -> String {
    ["ca.pem", "server.pem", "server.key"].into_iter().fold(text.to_owned(), |text, name| {
        let path = certificates.path(name);
        text.replace(&format!("/etc/nats/certs/{name}"), path.to_str().unwrap())
    })
}

/// The example of a cluster as one file, for this machine.
fn cluster(port: u16, ports: &[u16], certificates: &Certificates) -> String {
    let routes: Vec<_> =
        ports.iter().map(|port| format!("\"nats://route:r@127.0.0.1:{port}\"")).collect();
    let mut config = with_certificates(&example("cluster.conf"), certificates)
        .replace("0.0.0.0:6222", &format!("127.0.0.1:{port}"))
        .replace("$NATS_ROUTE_PASSWORD", "r")
        .replace("$NATS_ROUTES", &format!("[{}]", routes.join(", ")));
    for part in ["limits.conf", "tls.conf"] {
        let text = with_certificates(&example(part), certificates);
        config = config.replace(&format!("include \"./{part}\""), &text);
    }
    config = config.replace("include \"./users.conf\"", &users());
    let set_elsewhere = ["server_name:", "listen: \"0.0.0.0:4222\"", "http:"];
    let lines = config.lines().filter(|line| !set_elsewhere.iter().any(|s| line.starts_with(s)));
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn cluster_of_three_goes_on_while_one_of_them_is_there() {
    let certificates = Certificates::new();
    let ports = [free_port(), free_port(), free_port()];
    let mut servers = Vec::new();
    for port in ports {
        let config = cluster(port, &ports, &certificates);
        servers.push(Nats::builder().config(&config).start().await);
    }
    let url = |user: &str, nats: &Nats| format!("tls://{user}@127.0.0.1:{}", nats.port());
    let secured = |url: String| NatsOptions {
        url,
        tls_ca: Some(certificates.path("ca.pem")),
        tls_cert: Some(certificates.path("client.pem")),
        tls_key: Some(certificates.path("client.key")),
        ..options(&servers[0])
    };
    let all: Vec<_> = servers.iter().map(|nats| url("broker:b", nats)).collect();
    let here = Node::with(secured(all.join(","))).await;
    let mut there = Node::with(secured(url("broker:b", &servers[2]))).await;
    there.follow(room(1)).await;
    hears(&here, &mut there).await;

    servers[0].kill().await;
    hears(&here, &mut there).await;
    servers[1].kill().await;
    hears(&here, &mut there).await;
}

/// Publishes until it is heard: servers tell each other of subscriptions a little later.
async fn hears(here: &Node, there: &mut Node) {
    there.heard();
    let heard = timeout(PATIENCE, async {
        loop {
            here.bus.publish_events(vec![said(room(1), 1)]);
            let waiting = timeout(std::time::Duration::from_millis(50), there.hear_event());
            if waiting.await.is_ok() {
                return;
            }
        }
    });
    heard.await.expect("the event arrives");
}

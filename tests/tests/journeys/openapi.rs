//! The served OpenAPI against the served answers: schemathesis makes up requests from the document
//! and holds each answer against it.
//!
//! No answer may be an error of the server, have a status or a media type that the document does not
//! name, or a body of another shape. Every run has a fixed seed and a bounded number of requests;
//! `make soak` makes more.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use parlor_testkit::process::ADMIN;
use serde_json::{Value, json};
use tokio::{process::Command, time::timeout};

use crate::{
    MACHINE,
    rest::Caller,
    soak_factor,
    stage::{Place, in_both_places},
};

/// How long one run may take, on a machine that does other things, too.
const PATIENCE: Duration = Duration::from_mins(4);
/// Rooms of each kind, so that some are left when others were deleted.
const ROOMS: usize = 8;
/// Streams without an end, and the upgrade to another protocol: journeys of their own test them.
const UNENDING: &[&str] = &["follow_room", "open_websocket"];
/// Operations after which there is less to find. They come last.
const ENDING: &[&str] = &[
    "deactivate_me",
    "delete_me",
    "delete_member",
    "delete_room",
    "delete_rooms",
    "log_out",
    "reset_history",
    "transfer_room",
];
/// What is not demanded: a value that fits the schema may still be refused, since not every rule can
/// be told in a schema, and operations without a description are not made up.
const NOT_DEMANDED: &str = "positive_data_acceptance";

/// Returns the Python in which schemathesis is installed.
fn schemathesis() -> PathBuf {
    let python = std::env::var_os("PARLOR_SCHEMATHESIS_PYTHON").filter(|path| !path.is_empty());
    let python = python.expect(
        "set PARLOR_SCHEMATHESIS_PYTHON to a Python with schemathesis, such as \
         `scripts/require.sh --path schemathesis` prints; `make test` does it",
    );
    PathBuf::from(python).with_file_name("st")
}

/// Who asks, about what, and how often.
#[derive(Debug)]
struct Run<'a> {
    name: &'a str,
    token: Option<&'a str>,
    only: &'a [&'a str],
    without: &'a [&'a str],
    /// Made-up requests for each operation, besides the ones at the edges of the schema.
    examples: usize,
}

/// Runs schemathesis once.
async fn run(server: SocketAddr, known: &Value, run: &Run<'_>) {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi");
    let reports = tempfile::tempdir().unwrap();
    let mut command = Command::new(schemathesis());
    command
        .args(["run", &format!("http://{server}/openapi.json"), "--no-color"])
        .args(["--phases", "examples,coverage,fuzzing", "--checks", "all"])
        .args(["--exclude-checks", NOT_DEMANDED, "--warnings", "off"])
        .args(["--seed", "20", "--generation-database", "none", "--request-timeout", "20"])
        .args(["--max-examples", &(run.examples * soak_factor()).to_string()])
        .args(["--continue-on-failure", "--max-failures", "20", "--report-dir"])
        .arg(reports.path());
    if let Some(token) = run.token {
        command.args(["--header", &format!("Authorization: Bearer {token}")]);
    }
    for (option, operations) in
        [("--include-operation-id", run.only), ("--exclude-operation-id", run.without)]
    {
        command.args(operations.iter().flat_map(|operation| [option, operation]));
    }
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("PYTHONPATH", &project)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .env("PARLOR_FUZZ_KNOWN", known.to_string())
        .current_dir(reports.path())
        .stdin(Stdio::null())
        .kill_on_drop(true);

    let patience = PATIENCE * u32::try_from(soak_factor()).unwrap();
    let output = timeout(patience, command.output()).await.expect("schemathesis ends").unwrap();

    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "as {}:\n{said}\n{errors}", run.name);
    let made = said.lines().find(|line| line.contains(" generated")).unwrap_or_default();
    assert!(!made.is_empty(), "as {}, nothing was asked:\n{said}\n{errors}", run.name);
}

/// Makes things that exist, and returns the parts of paths that lead to them.
async fn furnish(server: SocketAddr, me: &Caller, other: &Caller) -> Value {
    let mut places = Vec::new();
    for (whose, maker, friend) in [("own", me, "fuzz-other"), ("other", other, "fuzz-user")] {
        for kind in ["public", "private"] {
            for number in 0..ROOMS {
                let slug = format!("{whose}-{kind}-{number}");
                let members = if number % 2 == 0 { vec![friend] } else { Vec::new() };
                let bots = if number == 0 { vec!["guide"] } else { Vec::new() };
                let room = json!({
                    "name": slug, "slug": slug, "kind": kind, "members": members, "bots": bots,
                });
                maker.post("/v1/rooms", room).await.ok();
                let messages = format!("/v1/rooms/{slug}/messages");
                let message = maker.post(&messages, json!({"body": "hello"})).await.text("id");
                maker.put(&format!("{messages}/{message}/reactions/%F0%9F%91%8D"), json!({})).await;
                places.push(json!({
                    "room": slug, "message": message, "emoji": "👍", "username": friend,
                }));
            }
        }
    }
    let mut bots = Vec::new();
    for number in 0..4 {
        let name = format!("fuzz-bot-{number}");
        me.post("/v1/bots", json!({"name": name})).await.ok();
        bots.push(json!({"bot": name}));
    }
    let invite = me.post("/v1/rooms/own-private-1/invites", json!({})).await.text("code");
    // A name that is not in the way of the others: administrators may deactivate it.
    Caller::register(server, "fuzz-victim").await;
    let users = ["fuzz-other", "guide", "fuzz-victim"].map(|name| json!({"username": name}));
    json!({"places": places, "bots": bots, "invites": [{"code": invite}], "users": users})
}

async fn answers_are_as_the_document_says(place: Place) {
    let _shared = MACHINE.read().await;
    let builder = place.builder().env("ACCESS_TOKEN_EXPIRE_MINUTES", "600");
    let stage = builder.start().await;
    let addr = stage.addr();
    let me = Caller::register(addr, "fuzz-user").await;
    let other = Caller::register(addr, "fuzz-other").await;
    let admin = Caller::log_in(addr, ADMIN).await;
    let known = furnish(addr, &me, &other).await;
    let document = me.get("/openapi.json").await.ok().to_string();
    let served = |operations: &[&'static str]| -> Vec<&'static str> {
        let named = |id: &str| document.contains(&format!("\"operationId\":\"{id}\""));
        operations.iter().copied().filter(|id| named(id)).collect()
    };
    let unending = served(UNENDING);
    let ending = served(ENDING);
    assert_eq!(unending, UNENDING);
    // The proxy before a cluster does not let people see the metrics.
    let unending = [unending, place.pick(Vec::new(), vec!["get_metrics"])].concat();
    let without = [unending.clone(), ending.clone()].concat();
    let (user, administrator) = (Some(me.token()), Some(admin.token()));

    let few = place.pick(8, 4);
    let runs = [
        Run { name: "nobody", token: None, only: &[], without: &unending, examples: 1 },
        Run { name: "user", token: user, only: &[], without: &without, examples: 2 * few },
        Run { name: "admin", token: administrator, only: &[], without: &without, examples: few },
        Run { name: "the end", token: user, only: &ending, without: &[], examples: few },
    ];
    for one in &runs {
        run(addr, &known, one).await;
    }
}

in_both_places!(answers_are_as_the_document_says);

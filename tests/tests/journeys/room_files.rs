//! Rooms as files, through the command line: what comes out of one server goes into another.

use std::{path::Path, time::Duration};

use futures_util::{StreamExt as _, stream};
use parlor_protocol::{
    http::{CreateTokenRequest, ImportReport, Scope},
    limits::PAGE_MAX,
};
use parlor_testkit::process::{Outcome, Parlor, User};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    MACHINE,
    stage::{Place, Stage, in_both_places},
    until,
};

in_both_places!(
    room_comes_out_of_its_file_as_it_went_in,
    file_that_is_not_in_order_is_refused_and_leaves_nothing,
    server_that_dies_in_the_middle_of_a_file_leaves_nothing,
);

const PATIENCE: Duration = Duration::from_mins(1);

/// Runs a command for someone.
async fn run(stage: &Stage, user: &User, arguments: &[&str]) -> Outcome {
    let scopes: Vec<Scope> = Scope::ALL
        .into_iter()
        .filter(|scope| *scope != Scope::Admin || user.name == parlor_testkit::process::ADMIN)
        .collect();
    let request = CreateTokenRequest {
        name: format!("{} {}", arguments[0], uuid::Uuid::new_v4().simple()),
        scopes,
        expires_in: None,
    };
    let token = user.http.create_token(&request).await.unwrap();
    let command = Parlor::builder().arguments(arguments);
    let server = format!("http://{}", stage.addr());
    command.env("PARLOR_SERVER", &server).env("PARLOR_TOKEN", &token.secret).run().await
}

/// Runs a command that must succeed, and returns what it wrote.
async fn output(stage: &Stage, user: &User, arguments: &[&str]) -> String {
    let outcome = run(stage, user, arguments).await;
    assert_eq!(outcome.code(), 0, "{arguments:?}: {}", outcome.stderr);
    outcome.stdout
}

/// What must be the same in a room and in that of its file: all but ids and positions.
fn essence(file: &str) -> Vec<Value> {
    let mut lines: Vec<Value> =
        file.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<(String, String)> = lines
        .iter()
        .filter_map(|line| Some((line["id"].as_str()?.to_owned(), line["type"].to_string())))
        .enumerate()
        .map(|(number, (id, kind))| (id, format!("{} {number}", kind.trim_matches('"'))))
        .collect();
    for line in &mut lines {
        let mut text = line.to_string();
        for (id, name) in &names {
            text = text.replace(id, name);
        }
        *line = serde_json::from_str(&text).unwrap();
        let fields = line.as_object_mut().unwrap();
        for field in ["seq", "exported_at", "sha256"] {
            fields.remove(field);
        }
        if let Some(room) = fields.get_mut("room") {
            room.as_object_mut().unwrap().remove("slug");
        }
    }
    lines
}

async fn talk(ada: &User, bob: &User) {
    ada.create_room("zoo", &[]).await;
    bob.join("zoo").await;
    let first = ada.say("zoo", "one").await;
    ada.http.edit_message("zoo", first.id, "two @bob").await.unwrap();
    ada.http.edit_message("zoo", first.id, "a zebra, @bob").await.unwrap();
    bob.http.add_reaction("zoo", first.id, "👍").await.unwrap();
    ada.http.add_reaction("zoo", first.id, "👍").await.unwrap();
    ada.http.pin_message("zoo", first.id).await.unwrap();
    let gone = bob.say("zoo", "never said this").await;
    bob.http.redact_message("zoo", gone.id).await.unwrap();
    for number in 0..20 {
        bob.say("zoo", &format!("line {number} *with* \u{1f98a}")).await;
    }
}

async fn room_comes_out_of_its_file_as_it_went_in(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.builder().env("PARLOR_LIMITS__ENABLED", "false").start().await;
    let (ada, bob) = (stage.register("ada").await, stage.register("bob").await);
    let admin = stage.admin().await;
    talk(&ada, &bob).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("zoo.jsonl");
    let file = path.to_str().unwrap();

    output(&stage, &bob, &["history", "zoo", "--export", file]).await;
    let exported = std::fs::read_to_string(&path).unwrap();
    assert!(!exported.contains("never said this"));
    let piped = output(&stage, &bob, &["history", "zoo", "--export", "-"]).await;
    assert_eq!(essence(&piped), essence(&exported));
    let json = ["history", "zoo", "--export", "-", "--format", "json"];
    let listed: Vec<Value> = serde_json::from_str(&output(&stage, &bob, &json).await).unwrap();
    assert_eq!(listed.len(), 22);
    let markdown = ["history", "zoo", "--export", "-", "--format", "markdown"];
    assert!(output(&stage, &bob, &markdown).await.contains("a zebra, @bob"));

    let refused = run(&stage, &bob, &["import", file]).await;
    assert_ne!(refused.code(), 0, "{}", refused.stdout);
    let map = ["--map", "ada=ada", "--map", "bob=bob"];
    let check = [&["import", file, "--dry-run", "--json"][..], &map].concat();
    let report: ImportReport = serde_json::from_str(&output(&stage, &admin, &check).await).unwrap();
    assert!(report.dry_run && report.room.is_none());
    assert_eq!((report.counts.messages, report.counts.members), (22, 2));
    assert!(ada.http.room("zoo-2").await.is_err());
    let import = [&["import", file, "--json"][..], &map].concat();
    let report: ImportReport =
        serde_json::from_str(&output(&stage, &admin, &import).await).unwrap();
    let room = report.room.unwrap();
    assert_eq!(room.slug, "zoo-2");

    output(&stage, &ada, &["history", "zoo-2", "--export", file]).await;
    assert_eq!(essence(&std::fs::read_to_string(&path).unwrap()), essence(&exported));
    let seen = bob.http.room("zoo-2").await.unwrap();
    assert_eq!((seen.unread, seen.mentions, seen.read_seq), (0, 0, seen.seq));
    let query = parlor_client::SearchQuery {
        text: "zebra in:zoo-2".to_owned(),
        ..parlor_client::SearchQuery::default()
    };
    assert_eq!(bob.http.search(&query).await.unwrap().items.len(), 1);
    // It can be read from its beginning, and goes on.
    ada.say("zoo-2", "on we go, @bob").await;
    let log = bob.log("zoo-2").await;
    assert!(log.iter().zip(1..).all(|(event, seq)| event.seq == seq));
    let seen = bob.http.room("zoo-2").await.unwrap();
    assert_eq!((seen.unread, seen.mentions), (1, 1));

    // Nobody here is taken for somebody of the file.
    output(&stage, &admin, &["import", file]).await;
    let mine = ada.http.room("zoo-2-2").await;
    assert!(mine.is_ok_and(|room| room.role.is_none()), "the room is public, and she is not in it");
    assert!(ada.http.user("ada-imported").await.is_ok());
}

/// Writes the beginning of a file: a room with one owner and many messages.
fn beginning(messages: usize) -> String {
    let (ada, at) = ("00000000-0000-4000-8000-00000000000a", "2026-01-31T12:00:00.000Z");
    let mut lines = vec![
        json!({"format": "parlor.room", "version": 1, "exported_at": at, "room": {
            "slug": "cut", "name": "Cut", "kind": "public", "created_at": at}}),
        json!({"type": "person", "id": ada, "username": "zed", "display_name": "Zed",
            "kind": "user"}),
        json!({"type": "member", "person": ada, "role": "owner", "joined_at": at}),
    ];
    lines.extend((1..=messages).map(|seq| {
        json!({"type": "message", "id": format!("00000000-0000-4000-9000-{seq:012}"), "seq": seq,
            "author": ada, "body": "hi", "status": "complete", "created_at": at})
    }));
    lines.iter().flat_map(|line| [line.to_string(), "\n".to_owned()]).collect()
}

async fn file_that_is_not_in_order_is_refused_and_leaves_nothing(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let admin = stage.admin().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.jsonl");
    // More than is written at once, so there is something to take back.
    let messages = 3 * PAGE_MAX as usize;
    std::fs::write(&path, beginning(messages)).unwrap();
    let refused = run(&stage, &admin, &["import", path.to_str().unwrap()]).await;
    assert_ne!(refused.code(), 0);
    assert!(refused.stderr.contains(&format!("ine {}", messages + 4)), "{}", refused.stderr);
    assert!(admin.http.room("cut").await.is_err());
    assert!(admin.http.user("zed-imported").await.is_err());
    let missing = run(&stage, &admin, &["import", "no-such-file"]).await;
    assert_ne!(missing.code(), 0);
    assert!(Path::new("no-such-file").metadata().is_err());
}

async fn server_that_dies_in_the_middle_of_a_file_leaves_nothing(place: Place) {
    let _shared = MACHINE.read().await;
    // A process that is alone knows at its start that nobody goes on.
    let idle = place.pick("10m", "5s");
    let mut stage = place.builder().env("PARLOR_LIMITS__IMPORT_IDLE", idle).start().await;
    let admin = stage.admin().await;
    let begun = beginning(3 * PAGE_MAX as usize).into();
    let file = stream::iter([Ok::<_, std::io::Error>(begun)]).chain(stream::pending());
    let http = admin.http.clone();
    let mut sending = JoinSet::new();
    sending.spawn(async move { http.import_room(file, &[], false).await });
    let came = async || admin.http.user("zed-imported").await.is_ok();
    until("a part of the file is written", PATIENCE, came).await;
    assert!(admin.http.room("cut").await.is_err(), "nobody sees the room");

    stage.kill_all().await;
    stage.restart().await;
    assert!(sending.join_next().await.unwrap().unwrap().is_err());
    let gone = async || admin.http.user("zed-imported").await.is_err();
    until("the part is taken back", PATIENCE, gone).await;
    assert!(admin.http.room("cut").await.is_err());
}

//! Rooms of files: what comes out is what went in, and nothing comes of a file that is not in order.

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::api::{Answer, Api};
use crate::harness::TestNode;

mod broken;
mod meanwhile;

use self::broken::broken;

const ADA: &str = "00000000-0000-4000-8000-00000000000a";
const BOB: &str = "00000000-0000-4000-8000-00000000000b";
const GUIDE: &str = "00000000-0000-4000-8000-00000000000c";
const TIME: &str = "2026-01-31T12:00:00.000Z";

/// Returns bytes in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(digit).collect()
}

fn digit(half: u8) -> char {
    char::from_digit(half.into(), 16).unwrap()
}

/// Sends a file.
async fn import(api: &Api, query: &str, file: impl Into<reqwest::Body>) -> Answer {
    let request = api.request(reqwest::Method::POST, &format!("/v1/rooms/import{query}"));
    api.send(request.header("content-type", "application/jsonl").body(file)).await
}

/// The id of the `n`th message.
fn id(n: u64) -> String {
    format!("00000000-0000-4000-9000-{n:012}")
}

fn person(id: &str, username: &str, kind: &str) -> Value {
    json!({"type": "person", "id": id, "username": username, "display_name": username, "kind": kind})
}

fn member(person: &str, role: &str) -> Value {
    json!({"type": "member", "person": person, "role": role, "joined_at": TIME})
}

fn message(n: u64, author: &str, body: &str) -> Value {
    json!({
        "type": "message", "id": id(n), "seq": n, "author": author, "body": body,
        "status": "complete", "created_at": TIME,
    })
}

fn reaction(n: u64, emoji: &str, by: &str) -> Value {
    json!({"type": "reaction", "message": id(n), "emoji": emoji, "by": by, "at": TIME})
}

fn version(n: u64, body: &str) -> Value {
    json!({"type": "version", "message": id(n), "body": body, "at": TIME})
}

/// The same line with other fields.
fn with(mut line: Value, fields: Value) -> Value {
    let Value::Object(fields) = fields else { panic!("{fields} are no fields") };
    line.as_object_mut().unwrap().extend(fields);
    line
}

fn header() -> Value {
    json!({
        "format": "parlor.room", "version": 1, "exported_at": TIME, "wallpaper": "roses",
        "room": {"slug": "den", "name": "Den", "kind": "private", "created_at": TIME},
    })
}

/// A room of two people and a bot, before its messages.
fn begun() -> Vec<Value> {
    vec![
        header(),
        person(ADA, "ada", "user"),
        member(ADA, "owner"),
        person(BOB, "bob", "user"),
        member(BOB, "member"),
        person(GUIDE, "guide2", "bot"),
    ]
}

/// Writes lines, and the last one for them.
fn file(lines: &[Value]) -> String {
    let whole: String = lines.iter().flat_map(|line| [line.to_string(), "\n".to_owned()]).collect();
    let hash = hex(&Sha256::digest(&whole));
    let many = |kind: &str| lines.iter().filter(|line| line["type"] == kind).count();
    let end = json!({
        "type": "end", "people": many("person"), "members": many("member"),
        "messages": many("message"), "versions": many("version"),
        "reactions": many("reaction"), "sha256": hash,
    });
    format!("{whole}{end}\n")
}

/// A file with what comes after the beginning.
fn of(lines: Vec<Value>) -> String {
    file(&begun().into_iter().chain(lines).collect::<Vec<_>>())
}

/// What must be the same in a room and in the room of its file: everything but ids, positions and
/// where names are from.
fn essence(file: &str) -> Vec<Value> {
    let mut names: Vec<(String, String)> = Vec::new();
    let mut lines: Vec<Value> =
        file.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &lines {
        let kind = line["type"].as_str().unwrap_or_default();
        if let ("person" | "message", Some(id)) = (kind, line["id"].as_str()) {
            names.push((id.to_owned(), format!("{kind} {}", names.len())));
        }
    }
    for line in &mut lines {
        let mut text = line.to_string().replace("-imported", "");
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

/// Talks a while in a public room of three, and returns it.
async fn talk(ada: &Api, bob: &Api, name: &str) -> String {
    let room = ada.room(name, "public").await;
    bob.put(&format!("/v1/rooms/{room}/members/me"), json!({})).await.expect(204);
    let path = format!("/v1/rooms/{room}/messages");
    let say = async |who: &Api, body: Value| {
        let said = who.post(&path, body).await.expect(201);
        said["id"].as_str().unwrap().to_owned()
    };
    let first = say(ada, json!({"body": "one @bob"})).await;
    for text in ["two @bob", "three @bob"] {
        ada.patch(&format!("{path}/{first}"), json!({"body": text})).await.expect(200);
    }
    say(bob, json!({"body": "a thread", "thread": first})).await;
    say(bob, json!({"body": "an answer", "reply_to": first})).await;
    for (who, emoji) in [(bob, "👍"), (ada, "🎉"), (ada, "👍")] {
        who.put(&format!("{path}/{first}/reactions/{emoji}"), json!({})).await.expect(204);
    }
    ada.put(&format!("{path}/{first}/pin"), json!({})).await.expect(204);
    let gone = say(bob, json!({"body": "not for anyone"})).await;
    bob.delete(&format!("{path}/{gone}")).await.expect(204);
    say(ada, json!({"body": "@room zebra crossing"})).await;
    // More than is written at once.
    for n in 0..20 {
        say(bob, json!({"body": format!("line {n}")})).await;
    }
    ada.patch(&format!("/v1/rooms/{room}"), json!({"topic": "stripes"})).await.expect(200);
    room
}

#[tokio::test]
async fn room_of_a_file_is_the_room_that_it_was_made_of() {
    let node = TestNode::start().await;
    let root = Api::admin(&node).await;
    let (ada, bob) = (Api::register(&node, "ada").await, Api::register(&node, "bob").await);
    let room = talk(&ada, &bob, "Zoo").await;
    let exported = bob.get(&format!("/v1/rooms/{room}/export")).await.text;
    assert!(!exported.contains("not for anyone"));

    // People who are told are who they are here; then nothing differs.
    let report = import(&root, "?map=ada=ada,bob=bob", exported.clone()).await.expect(201);
    let copy = report["room"]["id"].as_str().unwrap().to_owned();
    assert_eq!(report["room"]["slug"], "zoo-2");
    assert_eq!(report["counts"]["messages"], 25);
    assert_eq!(report["people"][0], json!({"username": "ada", "here": "ada", "existing": true}));
    let again = ada.get(&format!("/v1/rooms/{copy}/export")).await.text;
    assert_eq!(essence(&again), essence(&exported));
    // Nothing of it is new to them, and they can go on.
    let seen = bob.get(&format!("/v1/rooms/{copy}")).await.expect(200);
    assert_eq!((&seen["unread"], &seen["mentions"]), (&json!(0), &json!(0)));
    assert_eq!(seen["read_seq"], seen["seq"]);
    assert_eq!(seen["role"], "member");
    let found = ada.get(&format!("/v1/search?q=zebra&room={copy}")).await.expect(200);
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
    let texts = format!("/v1/rooms/{copy}/messages/{}/versions", first_message(&ada, &copy).await);
    assert_eq!(ada.get(&texts).await.expect(200)["items"][0]["body"], "one @bob");
    ada.say(&copy, "@bob on we go").await;
    let seen = bob.get(&format!("/v1/rooms/{copy}")).await.expect(200);
    assert_eq!((&seen["unread"], &seen["mentions"]), (&json!(1), &json!(1)));

    // Without being told it takes nobody for anybody. Twice is two rooms.
    let mut slugs = Vec::new();
    for _ in 0..2 {
        let report = import(&root, "", exported.clone()).await.expect(201);
        slugs.push(report["room"]["slug"].as_str().unwrap().to_owned());
        assert_eq!(report["room"]["role"], "owner", "somebody has to rule");
        assert!(report["people"].as_array().unwrap().iter().all(|who| who["existing"] == false));
    }
    assert_eq!(slugs, ["zoo-3", "zoo-4"]);
    let strange = root.get("/v1/rooms/zoo-3/export").await.text;
    let of_people = |file: &str| -> Vec<Value> {
        let lines = essence(file).into_iter();
        lines
            .filter(|line| {
                ["message", "version", "reaction"].contains(&line["type"].as_str().unwrap_or(""))
            })
            .collect()
    };
    assert_eq!(of_people(&strange).len(), of_people(&exported).len());
    let ada_there = root.get("/v1/users/ada-imported").await.expect(200);
    assert_eq!(ada_there["display_name"], "ada");
    assert_eq!(root.get("/v1/users/ada-imported-2").await.status, 200);
    let login = json!({"username": "ada-imported", "password": super::api::PASSWORD});
    Api::anonymous(&node).post("/v1/auth/token", login).await.refused("unauthenticated");
}

async fn first_message(api: &Api, room: &str) -> String {
    let page = api.get(&format!("/v1/rooms/{room}/messages?after=0")).await.expect(200);
    page["items"][0]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn file_is_only_checked_when_that_is_asked_for() {
    let node = TestNode::start().await;
    let root = Api::admin(&node).await;
    let good = of(vec![message(1, ADA, "hi")]);
    let report = import(&root, "?dry_run=true", good).await.expect(200);
    assert_eq!(report["dry_run"], true);
    assert_eq!(report["counts"]["messages"], 1);
    assert_eq!(root.get("/v1/rooms/den").await.status, 404);
    assert_eq!(root.get("/v1/users/ada-imported").await.status, 404);
    // As of a file without a caption that another import has left out.
    import(&root, "?dry_run=true", of(vec![message(1, ADA, "")])).await.expect(200);
    import(&root, "?dry_run=true", of(vec![message(1, ADA, " ")]))
        .await
        .refused("validation_failed");
}

#[tokio::test]
async fn only_administrators_import_and_only_they_say_who_somebody_is() {
    let node = TestNode::start().await;
    let root = Api::admin(&node).await;
    let eve = Api::register(&node, "eve").await;
    let good = of(vec![message(1, ADA, "hi")]);
    import(&eve, "", good.clone()).await.refused("forbidden");
    import(&Api::anonymous(&node), "", good.clone()).await.refused("unauthenticated");
    for (map, code) in [
        ("ada=nobody", "unknown"),
        ("zoe=eve", "unknown"),
        ("ada", "invalid"),
        ("ada=eve,bob=eve", "invalid"),
        ("ada=eve,ada=root", "invalid"),
        ("ada=deleted-eve", "erased"),
        ("Deleted-ada=eve", "erased"),
    ] {
        let refused = import(&root, &format!("?map={map}"), good.clone()).await;
        assert_eq!(refused.fields(), [("map".to_owned(), code.to_owned())], "{map}");
    }
    let report = import(&root, "?map=ada=eve", good).await.expect(201);
    // She rules; whoever brought the file is not even in.
    assert_eq!(report["room"]["role"], Value::Null);
    let said = eve.get("/v1/rooms/den/messages").await.expect(200);
    assert_eq!(said["items"][0]["sender"]["username"], "eve");
}

#[tokio::test]
async fn file_that_is_not_in_order_is_refused_with_its_line_and_leaves_nothing() {
    let node = TestNode::start().await;
    let root = Api::admin(&node).await;
    let users = root.get("/v1/admin/users?limit=200").await.expect(200)["items"].clone();
    for (what, place, file) in broken() {
        let refused = import(&root, "", file).await;
        refused.refused("validation_failed");
        let told = refused.fields().first().map(|(field, _)| field.clone()).unwrap_or_default();
        assert_eq!(told, place, "{what}: {}", refused.text);
    }
    let mut invalid = of(vec![message(1, ADA, "hi")]).into_bytes();
    let place = invalid.windows(4).position(|word| word == b"\"hi\"").unwrap();
    invalid[place + 1] = 0xff;
    let refused = import(&root, "", invalid).await;
    assert_eq!(refused.fields(), [("line 7".to_owned(), "utf8".to_owned())]);
    // A text that is larger than a message may be.
    let large = of(vec![message(1, ADA, &"x".repeat(17 << 10))]);
    let refused = import(&root, "", large).await;
    assert_eq!(refused.fields(), [("line 7: body".to_owned(), "too_large".to_owned())]);

    let left = root.get("/v1/admin/users?limit=200").await.expect(200)["items"].clone();
    assert_eq!(left, users);
    assert_eq!(root.get("/v1/rooms/den").await.status, 404);
    let idle = node.node().store.list_idle_imports(std::time::Duration::ZERO).await.unwrap();
    assert_eq!(idle, []);
    // The same people and messages can still come.
    import(&root, "", of(vec![message(1, ADA, "hi")])).await.expect(201);
    let counted = &node.node().metrics.http.imports;
    assert_eq!(counted.with_label_values(&["done"]).get(), 1);
    assert_eq!(counted.with_label_values(&["refused"]).get(), broken().len() as u64 + 2);
}

#[tokio::test]
async fn size_people_and_messages_of_a_file_are_bounded() {
    let node = TestNode::start_with(|config| config.limits.import_messages = 1).await;
    let root = Api::admin(&node).await;
    let refused = import(&root, "", of(vec![message(1, ADA, "hi"), message(2, ADA, "ho")])).await;
    assert_eq!(refused.fields(), [("line 8".to_owned(), "too_many".to_owned())]);
    let node = TestNode::start_with(|config| config.limits.import_people = 2).await;
    let root = Api::admin(&node).await;
    let refused = import(&root, "", of(vec![message(1, ADA, "hi")])).await;
    assert_eq!(refused.fields(), [("line 6".to_owned(), "too_many".to_owned())]);
    let node = TestNode::start_with(|config| {
        config.limits.import = parlor_runtime::config::ByteSize::kib(1);
    })
    .await;
    let root = Api::admin(&node).await;
    let large = of(vec![message(1, ADA, &"x".repeat(2 << 10))]);
    import(&root, "", large).await.refused("payload_too_large");
    assert_eq!(root.get("/v1/rooms/den").await.status, 404);
}

#[tokio::test]
async fn only_one_file_is_read_at_a_time_and_one_that_stops_leaves_nothing() {
    let node = TestNode::start().await;
    let root = Api::admin(&node).await;
    let good = of(vec![message(1, ADA, "hi")]);
    let begin = good.split_at(400).0.to_owned();
    // It goes no further.
    let body = stream::iter([Ok::<_, std::io::Error>(begin)]).chain(stream::pending());
    let mut sending = tokio::task::JoinSet::new();
    let request = root.request(reqwest::Method::POST, "/v1/rooms/import");
    sending.spawn(request.body(reqwest::Body::wrap_stream(body)).send());
    let store = &node.node().store;
    while store.list_idle_imports(std::time::Duration::ZERO).await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    let room = store.list_idle_imports(std::time::Duration::ZERO).await.unwrap()[0];
    import(&root, "", good).await.refused("unavailable");
    // Nobody sees it, not even by its id.
    assert_eq!(root.get(&format!("/v1/rooms/{room}")).await.status, 404);
    assert_eq!(root.get("/v1/rooms").await.expect(200)["items"].as_array().unwrap().len(), 1);
    sending.abort_all();
    while !store.list_idle_imports(std::time::Duration::ZERO).await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(root.get("/v1/users/ada-imported").await.status, 404);
}

/// A message, its texts, reactions, a removed one and a bot's reply are events that can be resumed.
#[tokio::test]
async fn log_of_an_imported_room_can_be_followed_from_its_beginning() {
    let node = TestNode::start().await;
    let root = Api::admin(&node).await;
    let file = of(vec![
        with(message(1, ADA, "now"), json!({"edits": 1, "edited_at": TIME, "mentions": [BOB]})),
        version(1, "before"),
        reaction(1, "👍", BOB),
        with(message(2, BOB, ""), json!({"redacted_at": TIME})),
        with(
            message(3, GUIDE, "reply"),
            json!({
                "status": "completed", "bot": {"trigger": id(1), "provider": "demo", "model": "m"},
                "usage": {"prompt_tokens": 1, "completion_tokens": 2, "estimated": false},
            }),
        ),
        with(
            message(5, ADA, "see"),
            json!({
                "attachments": [{"id": id(8), "name": "a.txt", "media_type": "text/plain", "bytes": 3}],
            }),
        ),
    ]);
    let report = import(&root, "", file).await.expect(201);
    assert_eq!(report["attachments_left_out"], 1);
    let room = report["room"]["id"].as_str().unwrap();
    let seq = report["room"]["seq"].as_u64().unwrap();
    let events = node.node().store.read_events(room.parse().unwrap(), 0, 100).await.unwrap();
    let kinds: Vec<&str> = events.iter().map(|event| event.body.kind()).collect();
    assert_eq!(
        kinds,
        [
            "room.created",
            "member.joined",
            "member.joined",
            "message.created",
            "message.edited",
            "reaction.added",
            "message.created",
            "message.redacted",
            "message.created",
            "message.created",
            "member.joined",
        ]
    );
    assert!(events.iter().zip(1..).all(|(event, seq)| event.seq == seq));
    assert_eq!(seq, events.len() as u64);
    let listed = root.get(&format!("/v1/rooms/{room}/messages")).await.expect(200);
    let reply = &listed["items"][2];
    assert_eq!(
        (&reply["status"], &reply["usage"]["completion_tokens"]),
        (&json!("completed"), &json!(2))
    );
    assert_eq!(reply["bot"]["trigger"], listed["items"][0]["id"]);
    assert_eq!(listed["items"][0]["created_at"], TIME);
}

#[tokio::test]
async fn text_that_is_removed_while_a_room_is_exported_is_not_in_the_file() {
    // More than the connection holds, so that the end is read after it was asked for.
    let long = "x".repeat(12 << 10);
    let lines = (1..=1_250).map(|n| message(n, ADA, if n == 1_250 { "canary" } else { &long }));
    // Before anything is connected: it takes longer than a connection may be silent.
    let file = of(lines.collect());
    let node = TestNode::start().await;
    let root = Api::admin(&node).await;
    import(&root, "", file).await.expect(201);
    let newest = root.get("/v1/rooms/den/messages?limit=1").await.expect(200);
    let last = newest["items"][0]["id"].as_str().unwrap();
    let file = root.request(reqwest::Method::GET, "/v1/rooms/den/export").send().await.unwrap();
    let mut pieces = file.bytes_stream();
    let first = pieces.next().await.unwrap().unwrap();

    root.delete(&format!("/v1/rooms/den/messages/{last}")).await.expect(204);
    let mut text = String::from_utf8(first.to_vec()).unwrap();
    while let Some(piece) = pieces.next().await {
        text.push_str(std::str::from_utf8(&piece.unwrap()).unwrap());
    }
    assert!(!text.contains("canary"));
    let removed = text.lines().filter(|line| line.contains("redacted_at")).count();
    assert_eq!(removed, 1);
    assert_eq!(text.lines().filter(|line| line.contains("\"type\":\"message\"")).count(), 1_250);
    // What was exported is whole, and can be imported.
    import(&root, "?dry_run=true", text).await.expect(200);
}

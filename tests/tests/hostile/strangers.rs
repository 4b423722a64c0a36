//! What belongs to others, on every path that the server itself documents and with every command:
//! not to be had, and not to be told from what is not there.

use reqwest::Method;
use serde_json::{Value, json};

use crate::raw::Raw;
use crate::stage::{CANARY, HALL, PRIVATE, Stage, answer};

/// An id that nothing has.
const NOWHERE: &str = "018f2f3e-7b1c-7000-8000-000000000000";

/// One documented operation.
struct Operation {
    method: Method,
    path: String,
    id: String,
    protected: bool,
}

async fn operations(stage: &Stage) -> Vec<Operation> {
    let text = stage.server.get_text("/openapi.json").await;
    let document: Value = serde_json::from_str(&text).unwrap();
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            operations.push(Operation {
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
                id: operation["operationId"].as_str().unwrap().to_owned(),
                protected: operation["security"].as_array().is_some_and(|list| !list.is_empty()),
            });
        }
    }
    assert!(operations.len() > 40, "only {} operations are documented", operations.len());
    operations
}

/// A body that would be right.
fn body(operation: &str) -> Option<Value> {
    Some(match operation {
        "publish" | "edit_message" => json!({"body": "mine now"}),
        "patch_room" => json!({"name": "mine now"}),
        "create_room" => json!({"name": "New", "kind": "public"}),
        "create_invite" | "put_member" => json!({}),
        "create_webhook" => json!({"url": "https://1.1.1.1/mallory"}),
        "create_command" => {
            json!({"room": "x", "name": "obey", "description": "", "url": "https://1.1.1.1/"})
        }
        "run_command" => json!({"text": "/me obeys mallory"}),
        "transfer_room" => json!({"username": "mallory"}),
        "mark_read" => json!({"seq": 1}),
        "set_notifications" => json!({"level": "none"}),
        "patch_bot" => json!({"system_prompt": "obey mallory"}),
        "create_bot" | "create_integration" => json!({"name": "parrot"}),
        "test_prompt" => json!({"prompt": "hi"}),
        "admin_patch_user" => json!({"role": "admin"}),
        "create_upload" => json!({"name": "mine.txt", "bytes": 1}),
        "patch_me" => json!({"display_name": "Mallory"}),
        "admin_erase_user" => json!({"messages": "redact"}),
        "deactivate_me" => json!({"password": "x"}),
        "delete_me" => json!({"password": "x", "messages": "keep"}),
        "put_password" => {
            json!({"current_password": "x", "new_password": "copper-lantern-77-harbor"})
        }
        _ => return None,
    })
}

/// Bodies with which something is wrong, or which want more than a call of this kind may.
fn wrong_bodies(operation: &str) -> Vec<Value> {
    let mut bodies = vec![json!({}), json!({"mine": "now"}), json!([]), Value::Null];
    if operation == "put_member" {
        bodies.extend([
            json!({"invite": "x"}),
            json!({"role": "owner"}),
            json!({"role": "owner", "mute": {}}),
            json!({"mute": {"until": "2001-01-01T00:00:00Z"}}),
            json!({"ban": {}}),
            json!({"ban": {"reason": "x".repeat(600)}}),
        ]);
    }
    if operation == "delete_member" {
        bodies.extend([json!({"reason": "x"}), json!({"reason": "x".repeat(600)})]);
    }
    let Some(Value::Object(right)) = body(operation) else { return bodies };
    for name in right.keys() {
        for value in [Value::Null, json!(""), json!(-1), json!("x".repeat(70_000))] {
            let mut wrong = right.clone();
            wrong.insert(name.clone(), value);
            bodies.push(wrong.into());
        }
    }
    bodies
}

fn filled(path: &str, room: &str, message: &str) -> String {
    path.replace("{room}", room)
        .replace("{message}", message)
        .replace("{emoji}", "%F0%9F%91%8D")
        .replace("{username}", "wanda")
        .replace("{bot}", "guide")
        .replace("{file}", NOWHERE)
        .replace("{upload}", NOWHERE)
        .replace("{code}", "x")
}

/// Without what differs between any two answers.
fn comparable((status, mut problem): (u16, Value)) -> (u16, Value) {
    if let Some(fields) = problem.as_object_mut() {
        fields.remove("request_id");
    }
    (status, problem)
}

#[tokio::test]
async fn every_protected_operation_wants_a_login() {
    let stage = Stage::start().await;
    let mut wrong = Vec::new();
    for operation in operations(&stage).await.iter().filter(|operation| operation.protected) {
        let path = filled(&operation.path, PRIVATE, &stage.message);
        let url = format!("{}{path}", stage.server.url());
        for token in [None, Some("x.y.z")] {
            let mut request = stage.http.request(operation.method.clone(), &url);
            if let Some(body) = body(&operation.id) {
                request = request.json(&body);
            }
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            let (status, problem) = answer(request.send().await.unwrap()).await;
            if status != 401 || problem["code"] != "unauthenticated" {
                wrong.push(format!("{} {path}: {status} {problem}", operation.method));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    stage.unharmed().await;
}

#[tokio::test]
async fn private_room_is_like_none_on_every_path() {
    let stage = Stage::start().await;
    let mut wrong = Vec::new();
    for operation in operations(&stage).await {
        if !operation.path.contains("{room}") {
            continue;
        }
        let ask = async |room: &str, message: &str| {
            let path = filled(&operation.path, room, message);
            let body = body(&operation.id);
            comparable(
                stage.ask(&stage.mallory, operation.method.clone(), &path, body.as_ref()).await,
            )
        };
        let nowhere = ask(NOWHERE, &stage.message).await;
        for room in [PRIVATE, &stage.private, &stage.private.to_uppercase(), "no-such-room"] {
            let answered = ask(room, &stage.message).await;
            if answered.0 != 404 || answered != nowhere {
                let Operation { method, path, .. } = &operation;
                wrong.push(format!("{method} {path} for {room}: {answered:?}, not {nowhere:?}"));
            }
        }
        if operation.path.contains("{message}") {
            // Through a room that the attacker is in.
            let (there, nowhere) = (ask(HALL, &stage.message).await, ask(HALL, NOWHERE).await);
            // What no member may do is refused before anyone looks for the message.
            let expected = if operation.id.ends_with("pin_message") { 403 } else { 404 };
            if there.0 != expected || there != nowhere {
                wrong.push(format!(
                    "{} through another room: {there:?}, not {nowhere:?}",
                    operation.id
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    stage.unharmed().await;
}

#[tokio::test]
async fn private_room_is_like_none_also_when_something_else_is_wrong() {
    let stage = Stage::start().await;
    let request = json!({"name": "reader", "scopes": ["read"]});
    let (status, made) =
        stage.ask(&stage.mallory, Method::POST, "/v1/users/me/tokens", Some(&request)).await;
    assert_eq!(status, 201, "{made}");
    let tokens = [stage.mallory.token().await, made["secret"].as_str().unwrap().to_owned()];
    let mut wrong = Vec::new();
    for operation in operations(&stage).await {
        if !operation.path.contains("{room}") {
            continue;
        }
        let queries = ["", "?limit=x", "?cursor=x", "?before=x", "?format=x"];
        let with_queries = queries.map(|query| (query, body(&operation.id)));
        let with_bodies = wrong_bodies(&operation.id).into_iter().map(|body| ("", Some(body)));
        for (query, body) in with_queries.into_iter().chain(with_bodies) {
            for token in &tokens {
                let ask = async |room: &str| {
                    let path = filled(&operation.path, room, &stage.message);
                    let url = format!("{}{path}{query}", stage.server.url());
                    let request = stage.http.request(operation.method.clone(), url);
                    let request = request.bearer_auth(token);
                    let request = match &body {
                        Some(body) => request.json(body),
                        None => request,
                    };
                    comparable(answer(request.send().await.unwrap()).await)
                };
                let (there, nowhere) = (ask(PRIVATE).await, ask("no-such-room").await);
                if there != nowhere || there.0 < 400 {
                    let mut body = format!("{body:?}");
                    body.truncate(200);
                    let Operation { method, path, .. } = &operation;
                    wrong.push(format!(
                        "{method} {path}{query} with {body}: {there:?}, not {nowhere:?}"
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    stage.unharmed().await;
}

#[tokio::test]
async fn administration_is_for_administrators() {
    let stage = Stage::start().await;
    let mut tried = 0;
    for operation in operations(&stage).await {
        if !operation.path.starts_with("/v1/admin") && operation.id != "test_prompt" {
            continue;
        }
        tried += 1;
        let path = filled(&operation.path, PRIVATE, &stage.message);
        let body = body(&operation.id);
        let refused = stage.ask(&stage.mallory, operation.method, &path, body.as_ref()).await;
        assert_eq!((refused.0, &refused.1["code"]), (403, &json!("forbidden")), "{path}");
    }
    assert!(tried >= 5, "{tried} operations");
    for (method, path) in [(Method::PATCH, "/v1/bots/guide"), (Method::DELETE, "/v1/bots/guide")] {
        let body = body("patch_bot");
        let (status, problem) = stage.ask(&stage.mallory, method, path, body.as_ref()).await;
        assert_eq!(status, 403, "{path}: {problem}");
    }
    let bot = stage.ask(&stage.mallory, Method::GET, "/v1/bots/guide", None).await.1;
    assert!(bot.get("system_prompt").is_none_or(Value::is_null), "{bot}");
    stage.unharmed().await;
}

#[tokio::test]
async fn private_room_is_like_none_for_every_command() {
    let stage = Stage::start().await;
    let token = stage.mallory.token().await;
    let commands = |room: &str| {
        let message = &stage.message;
        vec![
            json!({"op": "subscribe", "id": "1", "room": room}),
            json!({"op": "subscribe", "id": "1", "room": room, "since": 0}),
            json!({"op": "publish", "id": "1", "room": room, "body": "mine now"}),
            json!({"op": "publish", "id": "1", "room": room, "body": "x", "reply_to": message}),
            json!({"op": "typing", "id": "1", "room": room, "on": true}),
            json!({"op": "signal", "id": "1", "room": room, "data": 1}),
            json!({"op": "read", "id": "1", "room": room, "seq": 1}),
            json!({"op": "cancel", "id": "1", "room": room, "message": message}),
            json!({"op": "command", "id": "1", "room": room, "text": "/me is in"}),
            json!({"op": "command", "id": "1", "room": room, "text": "/kick wanda"}),
            json!({"op": "command", "id": "1", "room": room, "text": "/nothing"}),
            json!({"op": "unsubscribe", "id": "1", "room": room}),
        ]
    };
    let mut wrong = Vec::new();
    for room in [PRIVATE, &stage.private] {
        for (command, nowhere) in commands(room).into_iter().zip(commands(NOWHERE)) {
            let mut raw = Raw::log_in(stage.addr(), &token).await;
            raw.say(&command).await;
            let there = raw.json().await;
            raw.say(&nowhere).await;
            let not_there = raw.json().await;
            // Leaving a room that one does not follow is no error, whatever room.
            let expected =
                if command["op"] == "unsubscribe" { Value::Null } else { json!("not_found") };
            if there != not_there || there["code"] != expected {
                wrong.push(format!("{command}: {there}, not {not_there}"));
            }
        }
    }
    // Messages of the private room, through a room that the attacker is in.
    let mut raw = Raw::log_in(stage.addr(), &token).await;
    for (name, op) in [("reply_to", "publish"), ("thread", "publish"), ("message", "cancel")] {
        let command = |message: &str| {
            let mut command = json!({"op": op, "id": "1", "room": HALL, name: message});
            if op == "publish" {
                command["body"] = json!("x");
            }
            command
        };
        raw.say(&command(&stage.message)).await;
        let there = raw.json().await;
        raw.say(&command(NOWHERE)).await;
        let not_there = raw.json().await;
        if there != not_there || there["code"] != "not_found" {
            wrong.push(format!("{op} with {name}: {there}, not {not_there}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    stage.unharmed().await;
}

#[tokio::test]
async fn nothing_private_is_found_by_looking_around() {
    let stage = Stage::start().await;
    let paths = [
        "/v1/rooms?limit=200",
        "/v1/rooms?mine=true",
        "/v1/rooms?q=witness",
        "/v1/rooms?q=%25",
        "/v1/rooms?archived=true&limit=200",
        "/v1/users/wanda",
        "/v1/users/wanda/presence",
        "/v1/bots",
        "/v1/bots/guide",
        "/v1/users/me",
        "/v1/rooms/hall/messages",
        "/info",
        "/v1/rooms/hall/members",
        "/v1/rooms/hall/export",
        "/v1/rooms/hall/memory",
        "/metrics",
    ];
    for path in paths {
        let (status, found) = stage.ask(&stage.mallory, Method::GET, path, None).await;
        let found = found.to_string();
        assert_eq!(status, 200, "{path}: {found}");
        for secret in [CANARY, PRIVATE, &stage.private, &stage.message] {
            assert!(!found.contains(secret), "{path} tells {secret}: {found}");
        }
    }
    let (_, wanda) = stage.ask(&stage.mallory, Method::GET, "/v1/users/wanda", None).await;
    assert!(wanda.get("email").is_none_or(Value::is_null), "{wanda}");
    stage.unharmed().await;
}

#[tokio::test]
async fn what_others_said_in_a_shared_room_is_theirs() {
    let stage = Stage::start().await;
    let said = stage.witness.say(HALL, "as I said").await;
    let path = format!("/v1/rooms/{HALL}/messages/{}", said.id);
    let rest: [(Method, String, Option<Value>); 9] = [
        (Method::PATCH, path.clone(), Some(json!({"body": "as mallory said"}))),
        (Method::DELETE, path.clone(), None),
        (Method::DELETE, format!("/v1/rooms/{HALL}/messages"), None),
        (Method::DELETE, format!("/v1/rooms/{HALL}"), None),
        (Method::PATCH, format!("/v1/rooms/{HALL}"), Some(json!({"archived": true}))),
        (Method::PATCH, format!("/v1/rooms/{HALL}"), Some(json!({"name": "Mallory's"}))),
        (Method::DELETE, format!("/v1/rooms/{HALL}/members/wanda"), None),
        (Method::PUT, format!("/v1/rooms/{HALL}/members/wanda"), Some(json!({"ban": {}}))),
        (Method::PUT, format!("/v1/rooms/{HALL}/members/mallory"), Some(json!({"role": "owner"}))),
    ];
    for (method, path, body) in rest {
        let refused = stage.ask(&stage.mallory, method.clone(), &path, body.as_ref()).await;
        assert_eq!(
            (refused.0, &refused.1["code"]),
            (403, &json!("forbidden")),
            "{method} {path}: {}",
            refused.1
        );
    }
    let all = "/v1/rooms?mine=true";
    let (status, deleted) = stage.ask(&stage.mallory, Method::DELETE, all, None).await;
    assert_eq!((status, &deleted["deleted"]), (200, &json!([])), "{deleted}");
    let history = stage.witness.history(HALL).await;
    assert_eq!(history.len(), 1);
    assert_eq!((&history[0].body, history[0].edited_at), (&"as I said".to_owned(), None));
    stage.unharmed().await;
}

//! Rooms.

use reqwest::Method;
use serde_json::{Value, json};

use super::api::Api;
use crate::harness::TestNode;

#[tokio::test]
async fn room_is_made_found_changed_and_deleted() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;

    let new = json!({"name": "Tea & Cake", "kind": "public", "topic": "Earl Grey"});
    let room = ada.post("/v1/rooms", new).await.expect(201);
    assert_eq!((&room["slug"], &room["role"]), (&json!("tea-cake"), &json!("owner")));
    let found = ada.get("/v1/rooms?q=grey").await.expect(200);
    assert_eq!(found["items"][0]["id"], room["id"]);

    let changed = ada.patch("/v1/rooms/tea-cake", json!({"name": "Tea", "archived": true})).await;
    let changed = changed.expect(200);
    assert_eq!((&changed["name"], &changed["archived"]), (&json!("Tea"), &json!(true)));
    assert_eq!(changed["topic"], "Earl Grey", "what is absent stays");
    let closed = ada.post("/v1/rooms/tea-cake/messages", json!({"body": "hi"})).await;
    closed.refused("forbidden");

    ada.delete("/v1/rooms/tea-cake").await.expect(204);
    ada.get("/v1/rooms/tea-cake").await.refused("not_found");
}

#[tokio::test]
async fn same_key_is_one_room() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let new = json!({"name": "Tea", "kind": "private"});
    let make = async |key: &str| {
        let request = ada.request(Method::POST, "/v1/rooms").header("Idempotency-Key", key);
        ada.send(request.json(&new)).await
    };

    let first = make("k1").await.expect(201);
    let second = make("k1").await.expect(200);
    let third = make("k2").await.expect(201);

    assert_eq!(first["id"], second["id"]);
    assert_ne!(first["id"], third["id"]);
    assert_ne!(first["slug"], third["slug"], "a name that is taken gets another short name");
}

#[tokio::test]
async fn chosen_short_name_that_is_taken_is_a_conflict() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let new = json!({"name": "x", "kind": "public", "slug": "general"});
    let answer = ada.post("/v1/rooms", new).await;
    assert_eq!(answer.refused("conflict").fields(), [("slug".to_owned(), "taken".to_owned())]);
}

#[tokio::test]
async fn direct_room_exists_once_between_the_same_two() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let bob = Api::register(&node, "bob").await;
    let new = |other: &str| json!({"name": "us", "kind": "direct", "members": [other]});

    let first = ada.post("/v1/rooms", new("bob")).await.expect(201);
    let second = bob.post("/v1/rooms", new("ada")).await.expect(200);

    assert_eq!(first["id"], second["id"]);
    assert_eq!(first["participants"][0]["username"], "bob");
    ada.post("/v1/rooms", json!({"name": "me", "kind": "direct"}))
        .await
        .refused("validation_failed");
    let unknown = ada.post("/v1/rooms", new("nobody")).await;
    assert_eq!(unknown.refused("validation_failed").fields()[0].0, "members[0]");
}

#[tokio::test]
async fn bots_are_members_from_the_start() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let new = json!({"name": "Lab", "kind": "private", "bots": ["guide"]});
    let room = ada.post("/v1/rooms", new).await.expect(201);
    assert_eq!(room["members"], 2);
    let memory = ada.get("/v1/rooms/lab/memory").await.expect(200);
    assert_eq!(memory["items"][0]["bot"]["username"], "guide");
    let person = json!({"name": "Lab", "kind": "private", "bots": ["ada"]});
    assert_eq!(ada.post("/v1/rooms", person).await.fields()[0].0, "bots[0]");
}

#[tokio::test]
async fn list_is_paged_without_a_hole_or_a_double() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    for n in 0..5 {
        ada.room(&format!("room {n}"), "private").await;
    }
    let mut slugs: Vec<String> = Vec::new();
    let mut path = "/v1/rooms?mine=true&limit=2".to_owned();
    loop {
        let page = ada.get(&path).await.expect(200);
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 2);
        slugs.extend(items.iter().map(|room| room["slug"].as_str().unwrap().to_owned()));
        match &page["next"] {
            Value::String(next) => path = format!("/v1/rooms?mine=true&limit=2&cursor={next}"),
            _ => break,
        }
    }
    assert_eq!(slugs, ["general", "room-0", "room-1", "room-2", "room-3", "room-4"]);
}

#[tokio::test]
async fn all_own_rooms_of_a_kind_are_deleted_at_once() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let bob = Api::register(&node, "bob").await;
    let private = [ada.room("one", "private").await, ada.room("two", "private").await];
    ada.room("three", "public").await;
    let others = bob.room("four", "private").await;

    ada.delete("/v1/rooms?kind=private").await.refused("validation_failed");
    let deleted = ada.delete("/v1/rooms?mine=true&kind=private").await.expect(200);

    assert_eq!(deleted["deleted"].as_array().unwrap().len(), 2);
    for room in &private {
        ada.get(&format!("/v1/rooms/{room}")).await.refused("not_found");
    }
    ada.get("/v1/rooms/three").await.expect(200);
    bob.get(&format!("/v1/rooms/{others}")).await.expect(200);
}

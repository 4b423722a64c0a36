//! Searches over HTTP: what is refused, and cursors that belong elsewhere.

use serde_json::json;

use super::api::Api;
use crate::harness::TestNode;

#[tokio::test]
async fn search_that_cannot_be_meant_is_refused_with_its_field() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let den = ada.room("Den", "private").await;
    for (query, field, code) in [
        ("", "q", "required"),
        ("q=-milk", "q", "required"),
        ("q=before:2026-99-99", "q", "invalid"),
        ("q=tea&before=yesterday", "before", "invalid"),
        ("q=tea%20from:ada&from=bob", "from", "contradiction"),
        ("q=tea&limit=0", "limit", "range"),
        ("q=tea&cursor=x", "cursor", "invalid"),
    ] {
        let answer = ada.get(&format!("/v1/search?{query}")).await;
        let wanted = vec![(field.to_owned(), code.to_owned())];
        assert_eq!(answer.refused("validation_failed").fields(), wanted, "{query}");
    }
    let long = "a".repeat(301);
    ada.get(&format!("/v1/search?q={long}")).await.refused("validation_failed");
    ada.get("/v1/search?q=tea&color=red").await.refused("validation_failed");
    let eve = Api::register(&node, "eve").await;
    eve.get(&format!("/v1/search?q=tea&room={den}")).await.refused("not_found");
    assert_eq!(eve.get("/v1/search?q=tea%20in:den").await.expect(200)["items"], json!([]));
    assert_eq!(eve.get("/v1/search?q=tea%20from:nobody").await.expect(200)["items"], json!([]));
}

#[tokio::test]
async fn cursor_of_another_list_is_refused() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let den = ada.room("Den", "private").await;
    for n in 0..5 {
        ada.say(&den, &format!("tea {n}")).await;
    }
    let page = ada.get("/v1/search?q=tea&limit=2").await.expect(200);
    let next = page["next"].as_str().unwrap();
    let more = ada.get(&format!("/v1/search?q=tea&limit=2&cursor={next}")).await.expect(200);
    assert_eq!(more["items"][0]["message"]["body"], "tea 2");

    let history = ada.get(&format!("/v1/rooms/{den}/messages?limit=2")).await.expect(200);
    let foreign = history["next"].as_str().unwrap();
    ada.get(&format!("/v1/search?q=tea&cursor={foreign}")).await.refused("validation_failed");
    ada.get(&format!("/v1/search?q=cake&cursor={next}")).await.refused("validation_failed");
    ada.get(&format!("/v1/rooms/{den}/messages?cursor={next}")).await.refused("validation_failed");
    let bob = Api::register(&node, "bob").await;
    bob.get(&format!("/v1/search?q=tea&cursor={next}")).await.refused("validation_failed");
}

#[tokio::test]
async fn cursor_is_good_for_its_own_list_only() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let mut lists = vec!["/v1/search?q=tea".to_owned(), "/v1/rooms?mine=true".to_owned()];
    for room in ["den", "hall"] {
        ada.room(room, "private").await;
        for n in 0..2 {
            ada.say(room, &format!("tea {n}")).await;
            ada.post(&format!("/v1/rooms/{room}/invites"), json!({})).await.expect(201);
            let (guest, banned) = (format!("{room}-{n}"), format!("{room}-out-{n}"));
            for name in [&guest, &banned] {
                Api::register(&node, name).await;
            }
            ada.put(&format!("/v1/rooms/{room}/members/{guest}"), json!({})).await.expect(204);
            let ban = json!({"ban": {}});
            ada.put(&format!("/v1/rooms/{room}/members/{banned}"), ban).await.expect(204);
        }
        let of_room = ["members?", "bans?", "invites?", "messages?"];
        lists.extend(of_room.map(|list| format!("/v1/rooms/{room}/{list}")));
    }
    let mut cursors = Vec::new();
    for list in &lists {
        let page = ada.get(&format!("{list}&limit=1")).await.expect(200);
        cursors.push(page["next"].as_str().unwrap().to_owned());
    }

    for (list, own) in lists.iter().zip(&cursors) {
        for cursor in &cursors {
            let answer = ada.get(&format!("{list}&limit=1&cursor={cursor}")).await;
            if cursor == own {
                answer.expect(200);
            } else {
                let field = vec![("cursor".to_owned(), "invalid".to_owned())];
                assert_eq!(answer.refused("validation_failed").fields(), field, "{list}");
            }
        }
    }
}

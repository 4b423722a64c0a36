//! Memberships, roles, invites.

use reqwest::Method;
use serde_json::{Value, json};

use super::api::{Answer, Api};
use crate::harness::TestNode;

fn names(page: &Value) -> Vec<&str> {
    let items = page["items"].as_array().unwrap();
    items.iter().map(|member| member["user"]["username"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn people_join_are_invited_and_leave() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let bob = Api::register(&node, "bob").await;
    ada.room("Tea", "public").await;
    ada.room("Den", "private").await;

    bob.call(Method::PUT, "/v1/rooms/tea/members/me", None).await.expect(204);
    bob.put("/v1/rooms/den/members/me", json!({})).await.refused("not_found");
    ada.put("/v1/rooms/den/members/bob", json!({})).await.expect(204);
    ada.put("/v1/rooms/den/members/guide", json!({})).await.expect(204);

    assert_eq!(names(&ada.get("/v1/rooms/tea/members").await.expect(200)), ["ada", "bob"]);
    let den = bob.get("/v1/rooms/den/members").await.expect(200);
    assert_eq!(names(&den), ["ada", "bob", "guide"]);
    assert_eq!(den["items"][2]["status"], "online");
    bob.delete("/v1/rooms/den/members/bob").await.expect(204);
    bob.get("/v1/rooms/den").await.refused("not_found");
    ada.delete("/v1/rooms/tea/members/me").await.refused("conflict");
}

#[tokio::test]
async fn moderators_mute_kick_and_ban() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let bob = Api::register(&node, "bob").await;
    let eve = Api::register(&node, "eve").await;
    ada.room("Tea", "public").await;
    for api in [&bob, &eve] {
        api.put("/v1/rooms/tea/members/me", json!({})).await.expect(204);
    }
    let eve_path = "/v1/rooms/tea/members/eve";

    bob.put(eve_path, json!({"mute": {}})).await.refused("forbidden");
    bob.put("/v1/rooms/tea/members/bob", json!({"role": "owner"})).await.refused("forbidden");
    ada.put("/v1/rooms/tea/members/bob", json!({"role": "moderator"})).await.expect(204);
    bob.put(eve_path, json!({"mute": {"until": "2999-01-01T00:00:00Z"}})).await.expect(204);
    eve.post("/v1/rooms/tea/messages", json!({"body": "hi"})).await.refused("forbidden");
    bob.put(eve_path, json!({"mute": {"until": "2000-01-01T00:00:00Z"}})).await.expect(204);
    eve.say("tea", "hi").await;

    bob.put(eve_path, json!({"ban": {}})).await.expect(204);
    eve.get("/v1/rooms/tea/messages").await.refused("not_a_member");
    eve.put("/v1/rooms/tea/members/me", json!({})).await.refused("forbidden");
    bob.put(eve_path, json!({"ban": {"until": "2000-01-01T00:00:00Z"}})).await.expect(204);
    eve.put("/v1/rooms/tea/members/me", json!({})).await.expect(204);
}

#[tokio::test]
async fn reason_is_told_to_whom_it_concerns() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let eve = Api::register(&node, "eve").await;
    ada.room("Tea", "public").await;
    let (path, me) = ("/v1/rooms/tea/members/eve", "/v1/rooms/tea/members/me");
    eve.put(me, json!({})).await.expect(204);
    let why =
        |answer: &Answer| answer.refused("forbidden").body["detail"].as_str().unwrap().to_owned();
    let say = async || eve.post("/v1/rooms/tea/messages", json!({"body": "hi"})).await;

    ada.put(path, json!({"mute": {"reason": "  too loud "}})).await.expect(204);
    assert!(why(&say().await).ends_with(" The reason given: \"too loud\"."));
    let members = ada.get("/v1/rooms/tea/members").await.expect(200);
    assert_eq!(members["items"][1]["mute_reason"], "too loud");
    assert_eq!(members["items"][0].get("mute_reason"), None);
    ada.put(path, json!({"mute": {"reason": " "}})).await.expect(204);
    let told = why(&say().await);
    assert_eq!(told, "You may not write in this room until a moderator lifts that.");

    let kick = |reason: &str| ada.call(Method::DELETE, path, Some(json!({"reason": reason})));
    kick("no\u{200b}thing").await.refused("validation_failed");
    kick("out").await.expect(204);
    eve.put(me, json!({})).await.expect(204);
    let leave = eve.call(Method::DELETE, me, Some(json!({"reason": "bye"}))).await;
    assert_eq!(leave.refused("validation_failed").fields(), [field("reason", "unsupported")]);
    eve.call(Method::DELETE, me, Some(json!({"reason": ""}))).await.expect(204);

    ada.put(path, json!({"ban": {"reason": "spam"}})).await.expect(204);
    assert_eq!(ada.get("/v1/rooms/tea/bans").await.expect(200)["items"][0]["reason"], "spam");
    let told = why(&eve.put(me, json!({})).await);
    assert_eq!(told, "Banned from this room. The reason given: \"spam\".");
    assert!(!why(&ada.put(path, json!({})).await).contains("spam"), "she is told, who is out");
    let export = eve.get("/v1/users/me/export").await.text;
    assert!(export.contains("\"reason\":\"spam\""), "{export}");

    for (kind, wrong, code) in [
        ("ban", "x".repeat(501), "length"),
        ("mute", "a\nb".to_owned(), "characters"),
        ("mute", "sp\u{430}m".to_owned(), "look_alike"),
    ] {
        let refused = ada.put(path, json!({kind: {"reason": wrong}})).await;
        let fields = refused.refused("validation_failed").fields();
        assert_eq!(fields, [field(&format!("{kind}.reason"), code)]);
    }
}

fn field(name: &str, code: &str) -> (String, String) {
    (name.to_owned(), code.to_owned())
}

#[tokio::test]
async fn invite_link_opens_a_private_room_so_many_times() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let bob = Api::register(&node, "bob").await;
    let eve = Api::register(&node, "eve").await;
    ada.room("Den", "private").await;
    let path = "/v1/rooms/den/members/me";
    let made = ada.post("/v1/rooms/den/invites", json!({"max_uses": 1, "expires_in": 60})).await;
    let code = made.expect(201)["code"].clone();

    bob.put(path, json!({"invite": "forged"})).await.refused("not_found");
    bob.put(path, json!({"invite": code})).await.expect(204);
    eve.put(path, json!({"invite": code})).await.refused("forbidden");

    bob.post("/v1/rooms/den/invites", json!({})).await.refused("forbidden");
    for wrong in [json!({"max_uses": 0}), json!({"expires_in": 99_999_999})] {
        ada.post("/v1/rooms/den/invites", wrong).await.refused("validation_failed");
    }
}

#[tokio::test]
async fn members_are_counted_and_looked_for_by_status_role_and_name() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let bob = Api::register(&node, "bob").await;
    let adam = Api::register(&node, "adam").await;
    ada.room("Tea", "public").await;
    for guest in [&bob, &adam] {
        guest.put("/v1/rooms/tea/members/me", json!({})).await.expect(204);
    }
    ada.put("/v1/rooms/tea/members/bob", json!({"role": "moderator"})).await.expect(204);
    let (here, too) = (adam.connect(&node).await, bob.connect(&node).await);

    let page = ada.get("/v1/rooms/tea/members?limit=2").await.expect(200);
    assert_eq!((&page["total"], &page["online"]), (&json!(3), &json!(2)));
    assert_eq!(names(&page), ["ada", "adam"]);
    let next = page["next"].as_str().unwrap();
    let rest = ada.get(&format!("/v1/rooms/tea/members?limit=2&cursor={next}")).await.expect(200);
    assert_eq!((names(&rest), &rest["next"]), (vec!["bob"], &Value::Null));
    for (query, expected) in [
        ("status=online", vec!["adam", "bob"]),
        ("status=online&role=moderator", vec!["bob"]),
        ("status=online&q=AD", vec!["adam"]),
        ("role=owner", vec!["ada"]),
        ("q=ad", vec!["ada", "adam"]),
        ("q=zoe", vec![]),
    ] {
        let page = ada.get(&format!("/v1/rooms/tea/members?{query}")).await.expect(200);
        assert_eq!(names(&page), expected, "{query}");
        assert_eq!(page["total"], 3, "all of them");
    }
    let first = ada.get("/v1/rooms/tea/members?status=online&limit=1").await.expect(200);
    let next = first["next"].as_str().unwrap();
    let path = format!("/v1/rooms/tea/members?status=online&limit=1&cursor={next}");
    assert_eq!(names(&ada.get(&path).await.expect(200)), ["bob"]);
    for wrong in ["status=away", "role=king", &format!("q={}", "x".repeat(101))] {
        ada.get(&format!("/v1/rooms/tea/members?{wrong}")).await.refused("validation_failed");
    }
    drop((here, too));
}

#[tokio::test]
async fn page_of_those_who_are_there_is_filled_up_when_some_have_left() {
    // The room counts as large, so who is there is known as of a moment ago.
    let node = TestNode::start_with(|config| config.limits.presence_room = 1).await;
    let ada = Api::register(&node, "ada").await;
    ada.room("Tea", "public").await;
    let mut there = Vec::new();
    let mut guests = Vec::new();
    for name in ["bob", "cyd", "dan", "eve"] {
        let guest = Api::register(&node, name).await;
        guest.put("/v1/rooms/tea/members/me", json!({})).await.expect(204);
        there.push(guest.connect(&node).await);
        guests.push(guest);
    }
    let path = "/v1/rooms/tea/members?status=online&limit=1";
    assert_eq!(names(&ada.get(path).await.expect(200)), ["bob"]);
    for nth in [0, 2] {
        guests[nth].delete("/v1/rooms/tea/members/me").await.expect(204);
    }

    let first = ada.get(path).await.expect(200);
    assert_eq!(names(&first), ["cyd"]);
    let next = first["next"].as_str().unwrap();
    let last = ada.get(&format!("{path}&cursor={next}")).await.expect(200);
    assert_eq!((names(&last), &last["next"]), (vec!["eve"], &Value::Null));
    drop(there);
}

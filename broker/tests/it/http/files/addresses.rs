//! For whom an address works, and how long.

use reqwest::Method;
use serde_json::json;

use super::{address, publish, start, upload};
use crate::http::api::Api;

#[tokio::test]
async fn address_ends_with_the_right_to_read_of_the_one_it_was_made_for() {
    let (node, _folder) = start(|_| {}).await;
    let (ada, bob) = (Api::register(&node, "ada").await, Api::register(&node, "bob").await);
    let admin = Api::admin(&node).await;
    let room = ada.room("Den", "public").await;
    let member = format!("/v1/rooms/{room}/members/bob");
    let file = upload(&ada, "notes.txt", b"secret notes").await;
    publish(&ada, &room, "", &[&file]).await.expect(201);
    let hers = address(&ada, &room, &file).await;

    for ends in ["leave", "kick", "ban", "deactivate"] {
        ada.put(&member, json!({})).await.expect(204);
        let his = address(&bob, &room, &file).await;
        assert_eq!(bob.get(&his).await.text, "secret notes");
        match ends {
            "leave" => bob.delete(&member).await.expect(204),
            "kick" => ada.delete(&member).await.expect(204),
            "ban" => ada.put(&member, json!({"ban": {}})).await.expect(204),
            _ => admin.patch("/v1/admin/users/bob", json!({"active": false})).await.expect(200),
        };
        bob.get(&his).await.refused("not_found");
        let known = bob.request(Method::GET, &his).header("if-none-match", "*");
        bob.send(known).await.refused("not_found");
        // It is his, whoever asks and however it is written.
        ada.get(&his).await.refused("not_found");
        let id = ada.get("/v1/users/me").await.expect(200)["id"].as_str().unwrap().to_owned();
        let (before, after) = his.split_once("user=").unwrap();
        let (_, signature) = after.split_once('&').unwrap();
        let forged = format!("{before}user={id}&{signature}");
        bob.get(&forged).await.refused("forbidden");
        assert_eq!(bob.get(&hers).await.text, "secret notes", "{ends}: hers works");
        ada.put(&member, json!({"ban": {"until": "2000-01-01T00:00:00Z"}})).await;
    }
}

//! Uploads that begin again, because an answer was lost.

use reqwest::Method;
use serde_json::json;

use super::{publish, send, start};
use crate::http::api::Api;

#[tokio::test]
async fn upload_that_begins_again_under_its_key_is_the_same() {
    let (node, _folder) = start(|config| config.files.open_uploads = 2).await;
    let (ada, bob) = (Api::register(&node, "ada").await, Api::register(&node, "bob").await);
    let new = || json!({"name": "notes.txt", "bytes": 5, "client_id": "k1"});
    let first = ada.post("/v1/uploads", new()).await.expect(201);
    let id = first["id"].as_str().unwrap();
    send(&ada, id, 0, b"he").await.expect(200);
    let keyed = || {
        let request = ada.request(Method::POST, "/v1/uploads").header("idempotency-key", "k1");
        request.json(&json!({"name": "notes.txt", "bytes": 5}))
    };
    for _ in 0..5 {
        assert_eq!(ada.send(keyed()).await.expect(200)["id"], id);
        assert_eq!(ada.post("/v1/uploads", new()).await.expect(200)["offset"], 2);
    }
    let contradiction = keyed().json(&json!({"name": "n", "bytes": 5, "client_id": "k2"}));
    ada.send(contradiction).await.refused("validation_failed");
    assert_ne!(bob.post("/v1/uploads", new()).await.expect(201)["id"], id);

    // What messages have is told as it is; what has ended stays so for a while.
    send(&ada, id, 2, b"llo").await.expect(200);
    publish(&ada, "general", "", &[id]).await.expect(201);
    assert_eq!(ada.post("/v1/uploads", new()).await.expect(200)["attachment"]["id"], id);
    let other = json!({"name": "notes.txt", "bytes": 5, "client_id": "k3"});
    let id = ada.post("/v1/uploads", other.clone()).await.expect(201)["id"].clone();
    ada.delete(&format!("/v1/uploads/{}", id.as_str().unwrap())).await.expect(204);
    let refused = ada.post("/v1/uploads", other).await;
    refused.refused("conflict");
    assert_eq!(refused.fields(), [("client_id".to_owned(), "ended".to_owned())]);
}

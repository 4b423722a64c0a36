//! Downloads of a room's history.

use serde_json::{Value, json};

use super::api::Api;
use crate::harness::TestNode;

#[tokio::test]
async fn export_has_every_message_in_every_format() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let den = ada.room("Den *of* tea", "private").await;
    let path = format!("/v1/rooms/{den}/messages");
    // More than a page.
    for n in 0..205 {
        ada.post(&path, json!({"body": format!("line {n}")})).await.expect(201);
    }
    let export = async |format: &str| ada.get(&format!("/v1/rooms/{den}/export{format}")).await;

    let jsonl = export("").await;
    assert_eq!(jsonl.header("content-type"), "application/jsonl");
    assert!(jsonl.header("content-disposition").contains("attachment"));
    let lines: Vec<Value> =
        jsonl.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 205);
    assert!(lines.iter().enumerate().all(|(n, line)| line["body"] == format!("line {n}")));

    let json = export("?format=json").await;
    assert_eq!(json.body.as_array().unwrap().as_slice(), lines.as_slice());

    let markdown = export("?format=markdown").await;
    assert!(
        markdown.text.starts_with("# Den \\*of\\* tea\n"),
        "{:?}",
        markdown.text.lines().next()
    );
    assert_eq!(markdown.text.matches("(@ada)").count(), 205);
    export("?format=pdf").await.refused("validation_failed");
}

#[tokio::test]
async fn export_of_an_empty_room_is_valid() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let den = ada.room("Den", "private").await;
    let json = ada.get(&format!("/v1/rooms/{den}/export?format=json")).await;
    assert_eq!(json.expect(200), json!([]));
    assert_eq!(ada.get(&format!("/v1/rooms/{den}/export")).await.text, "");
}

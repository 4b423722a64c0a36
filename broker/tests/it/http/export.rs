//! Downloads of a room's history.

use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

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
    let messages: Vec<&Value> = lines.iter().filter(|line| line["type"] == "message").collect();
    assert_eq!(messages.len(), 205);
    assert!(messages.iter().enumerate().all(|(n, line)| line["body"] == format!("line {n}")));

    let json = export("?format=json").await;
    let listed = json.body.as_array().unwrap();
    assert_eq!(listed.len(), 205);
    assert!(listed.iter().zip(&messages).all(|(listed, line)| listed["id"] == line["id"]));

    let markdown = export("?format=markdown").await;
    assert!(
        markdown.text.starts_with("# Den \\*of\\* tea\n"),
        "{:?}",
        markdown.text.lines().next()
    );
    assert_eq!(markdown.text.matches("(@ada)").count(), 205);
    export("?format=pdf").await.refused("validation_failed");

    for format in ["jsonl", "json", "markdown"] {
        let path = format!("/v1/rooms/{den}/export?format={format}");
        let packed = ada.request(Method::GET, &path).header("accept-encoding", "gzip");
        let packed = packed.send().await.unwrap();
        assert_eq!(packed.headers()["content-encoding"], "gzip");
        assert!(!packed.bytes().await.unwrap().is_empty(), "{format} comes to its end");
    }
}

#[tokio::test]
async fn export_of_an_empty_room_is_valid() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let den = ada.room("Den", "private").await;
    let json = ada.get(&format!("/v1/rooms/{den}/export?format=json")).await;
    assert_eq!(json.expect(200), json!([]));
    let jsonl = ada.get(&format!("/v1/rooms/{den}/export")).await.text;
    let kinds: Vec<Value> = jsonl.lines().map(|line| line_of(line)["type"].clone()).collect();
    assert_eq!(kinds, [Value::Null, "person".into(), "member".into(), "end".into()]);
}

fn line_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test]
async fn file_holds_everything_durable_and_says_that_it_is_whole() {
    let node = TestNode::start().await;
    let ada = Api::register(&node, "ada").await;
    let bob = Api::register(&node, "bob").await;
    let den = ada.room("Den", "public").await;
    bob.put(&format!("/v1/rooms/{den}/members/me"), json!({})).await.expect(204);
    let path = format!("/v1/rooms/{den}/messages");
    let say = async |who: &Api, body: Value| who.post(&path, body).await.expect(201);
    let first = say(&ada, json!({"body": "one, @bob"})).await;
    let id = first["id"].as_str().unwrap();
    let at = |rest: &str| format!("{path}/{id}{rest}");
    for text in ["two", "three"] {
        ada.patch(&at(""), json!({"body": text})).await.expect(200);
    }
    for who in [&bob, &ada] {
        who.put(&at("/reactions/👍"), json!({})).await.expect(204);
    }
    ada.put(&at("/pin"), json!({})).await.expect(204);
    let answer = say(&bob, json!({"body": "yes", "reply_to": id, "thread": id})).await;
    let gone = say(&bob, json!({"body": "do not tell"})).await;
    let path_of_gone = format!("{path}/{}", gone["id"].as_str().unwrap());
    bob.delete(&path_of_gone).await.expect(204);

    let text = bob.get(&format!("/v1/rooms/{den}/export")).await.text;
    let (whole, end) = text.trim_end().rsplit_once('\n').unwrap();
    let whole = format!("{whole}\n");
    let lines: Vec<Value> = whole.lines().map(line_of).collect();
    let header = lines.first().unwrap();
    assert_eq!(header["format"], "parlor.room");
    assert_eq!(header["version"], 1);
    assert_eq!(header["room"]["name"], "Den");
    let of =
        |kind: &str| -> Vec<&Value> { lines.iter().filter(|line| line["type"] == kind).collect() };
    let people = of("person");
    let id_of =
        |name: &str| people.iter().find(|person| person["username"] == name).unwrap()["id"].clone();
    let message = of("message")[0];
    assert_eq!(message["body"], "three");
    assert_eq!(message["edits"], 2);
    assert_eq!(message["pinned"]["by"], id_of("ada"));
    let texts: Vec<&Value> = of("version").iter().map(|line| &line["body"]).collect();
    assert_eq!(texts, ["one, @bob", "two"]);
    let reacted: Vec<&Value> = of("reaction").iter().map(|line| &line["by"]).collect();
    assert_eq!(reacted, [&id_of("bob"), &id_of("ada")]);
    let replied = of("message")[1];
    assert_eq!((&replied["thread"], &replied["reply_to"]), (&message["id"], &message["id"]));
    assert_eq!(replied["id"], answer["id"]);
    assert!(of("message")[2]["redacted_at"].is_string());
    assert!(!text.contains("do not tell"));

    let end = line_of(end);
    assert_eq!(end["type"], "end");
    assert_eq!((&end["messages"], &end["versions"]), (&json!(3), &json!(2)));
    assert_eq!(end["sha256"], super::import::hex(&Sha256::digest(&whole)));
}

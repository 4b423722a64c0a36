//! Files: uploads, attachments, their addresses, and pictures of users.

use std::path::{Path, PathBuf};
use std::time::Duration;

use image::{DynamicImage, ImageFormat, RgbImage};
use parlor_files::{Objects, Place};
use parlor_runtime::config::{ByteSize, Config};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::api::{Answer, Api};
use crate::harness::TestNode;

mod addresses;
mod again;
mod arriving;

/// How long to wait for what is done in the background.
const PATIENCE: Duration = Duration::from_secs(20);

/// A node whose files are in a folder that the test sees.
async fn start(change: impl FnOnce(&mut Config)) -> (TestNode, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let objects = Objects::open(Place::Folder(folder.path().to_owned())).unwrap();
    let sweep = |config: &mut Config| {
        config.files.sweep = Duration::from_millis(20);
        change(config);
    };
    let node = TestNode::start_as(sweep, |backends| backends.objects = objects).await;
    (node, folder)
}

fn objects(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    let found = paths.flat_map(|path| if path.is_dir() { objects(&path) } else { vec![path] });
    // The name of the place is no object of anyone.
    found.filter(|path| !path.ends_with("parlor-files")).collect()
}

/// Waits until there are so many objects.
async fn until_objects(folder: &Path, count: usize) {
    let since = Instant::now();
    while objects(folder).len() != count {
        assert!(since.elapsed() < PATIENCE, "objects stay: {:?}", objects(folder));
        sleep(Duration::from_millis(5)).await;
    }
}

fn png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let image = DynamicImage::ImageRgb8(RgbImage::new(width, height));
    image.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

async fn begin(api: &Api, name: &str, bytes: usize) -> String {
    let upload = api.post("/v1/uploads", json!({"name": name, "bytes": bytes})).await.expect(201);
    upload["id"].as_str().unwrap().to_owned()
}

fn part(api: &Api, upload: &str, offset: usize) -> RequestBuilder {
    let request = api.request(Method::PATCH, &format!("/v1/uploads/{upload}"));
    request.header("upload-offset", offset)
}

async fn send(api: &Api, upload: &str, offset: usize, bytes: &[u8]) -> Answer {
    api.send(part(api, upload, offset).body(bytes.to_vec())).await
}

async fn upload(api: &Api, name: &str, bytes: &[u8]) -> String {
    let id = begin(api, name, bytes.len()).await;
    let done = send(api, &id, 0, bytes).await.expect(200);
    assert_eq!(done["attachment"]["id"], *id);
    id
}

async fn publish(api: &Api, room: &str, body: &str, files: &[&str]) -> Answer {
    let path = format!("/v1/rooms/{room}/messages");
    api.post(&path, json!({"body": body, "attachments": files})).await
}

async fn address(api: &Api, room: &str, file: &str) -> String {
    let path = format!("/v1/rooms/{room}/attachments/{file}");
    api.get(&path).await.expect(200)["url"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn file_travels_from_its_author_to_members_and_goes_with_its_message() {
    let (node, folder) = start(|_| {}).await;
    let (ada, bob) = (Api::register(&node, "ada").await, Api::register(&node, "bob").await);
    let mut socket = bob.connect(&node).await;
    socket.request(json!({"op": "subscribe", "room": "general"})).await;
    let bytes = b"0123456789 these are my notes";
    let file = upload(&ada, "my notes.txt", bytes).await;

    let message = publish(&ada, "general", "", &[&file]).await.expect(201);
    let attachment = json!({
        "id": file, "name": "my notes.txt", "media_type": "text/plain; charset=utf-8",
        "bytes": bytes.len(),
    });
    assert_eq!(message["attachments"], json!([attachment]));
    let event = socket.next_durable().await;
    assert_eq!(event["type"], "message.created");
    assert_eq!(event["data"]["attachments"], json!([attachment]));
    let history = bob.get("/v1/rooms/general/messages").await.expect(200);
    let last = history["items"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(last["attachments"], json!([attachment]));

    let url = address(&bob, "general", &file).await;
    // Whoever has the address needs no login.
    let anyone = Api::anonymous(&node);
    let got = anyone.get(&url).await;
    assert_eq!((got.status, got.text.as_bytes()), (200, &bytes[..]));
    assert_eq!(got.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(got.header("x-content-type-options"), "nosniff");
    assert_eq!(got.header("content-security-policy"), "sandbox; default-src 'none'");
    assert_eq!(got.header("cache-control"), "private, no-cache");
    assert!(got.header("content-disposition").starts_with("attachment; filename=\"my notes.txt\""));
    let tag = got.header("etag").to_owned();
    let ranged = anyone.request(Method::GET, &url).header("range", "bytes=2-4");
    let ranged = anyone.send(ranged).await;
    assert_eq!((ranged.status, &*ranged.text), (206, "234"));
    assert_eq!(ranged.header("content-range"), format!("bytes 2-4/{}", bytes.len()));
    let beyond = anyone.request(Method::GET, &url).header("range", "bytes=99-");
    assert_eq!(anyone.send(beyond).await.status, 416);
    let known = anyone.request(Method::GET, &url).header("if-none-match", tag);
    assert_eq!(anyone.send(known).await.status, 304);

    let path = format!("/v1/rooms/general/messages/{}", message["id"].as_str().unwrap());
    ada.delete(&path).await.expect(204);
    anyone.get(&url).await.refused("not_found");
    bob.get(&format!("/v1/rooms/general/attachments/{file}")).await.refused("not_found");
    until_objects(folder.path(), 0).await;
}

#[tokio::test]
async fn part_that_was_cut_off_is_gone_on_with_from_where_it_ended() {
    let (node, _folder) = start(|_| {}).await;
    let ada = Api::register(&node, "ada").await;
    let id = begin(&ada, "notes.txt", 10).await;
    let first = send(&ada, &id, 0, b"0123").await.expect(200);
    assert_eq!((first["offset"].as_u64(), first.get("attachment")), (Some(4), None));

    for wrong in [0, 5, 10] {
        let refused = send(&ada, &id, wrong, b"x").await;
        refused.refused("conflict");
        assert_eq!(refused.header("upload-offset"), "4");
        assert_eq!(refused.fields(), [("Upload-Offset".to_owned(), "offset".to_owned())]);
    }
    let known = ada.get(&format!("/v1/uploads/{id}")).await;
    assert_eq!(known.header("upload-offset"), "4");
    send(&ada, &id, 4, b"456789x").await.refused("payload_too_large");
    let nameless = ada.request(Method::PATCH, &format!("/v1/uploads/{id}")).body("x");
    ada.send(nameless).await.refused("validation_failed");
    let done = send(&ada, &id, 4, b"456789").await.expect(200);
    assert_eq!(done["attachment"]["bytes"], 10);
    // The answer may have been lost.
    assert_eq!(send(&ada, &id, 10, b"").await.expect(200), done);

    let bob = Api::register(&node, "bob").await;
    bob.get(&format!("/v1/uploads/{id}")).await.refused("not_found");
    send(&bob, &id, 10, b"").await.refused("not_found");
    bob.delete(&format!("/v1/uploads/{id}")).await.refused("not_found");
    publish(&bob, "general", "mine", &[&id]).await.refused("validation_failed");
    ada.delete(&format!("/v1/uploads/{id}")).await.expect(204);
    ada.delete(&format!("/v1/uploads/{id}")).await.refused("not_found");
}

/// An image that becomes larger by being made anew.
fn coarse_jpeg() -> Vec<u8> {
    let mut state = 1_u32;
    let image = RgbImage::from_fn(128, 128, |_, _| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let [_, r, g, b] = state.to_le_bytes();
        image::Rgb([r, g, b])
    });
    let mut bytes = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 5);
    image.write_with_encoder(encoder).unwrap();
    bytes
}

#[tokio::test]
async fn image_that_became_too_large_is_refused() {
    let bytes = coarse_jpeg();
    let limit = ByteSize::bytes(bytes.len() + 100);
    let (node, folder) = start(|config| config.files.file = limit).await;
    let ada = Api::register(&node, "ada").await;
    let id = begin(&ada, "noise.jpg", bytes.len()).await;
    let refused = send(&ada, &id, 0, &bytes).await;
    refused.refused("payload_too_large");
    assert_eq!(refused.fields(), [("file".to_owned(), "too_large".to_owned())]);
    assert!(refused.text.contains(&limit.get().to_string()), "{}", refused.text);
    ada.get(&format!("/v1/uploads/{id}")).await.refused("not_found");
    until_objects(folder.path(), 0).await;

    let (node, folder) = start(|config| config.files.user_quota = limit).await;
    let bob = Api::register(&node, "bob").await;
    let id = begin(&bob, "noise.jpg", bytes.len()).await;
    let refused = send(&bob, &id, 0, &bytes).await;
    refused.refused("payload_too_large");
    assert_eq!(refused.fields(), [("bytes".to_owned(), "quota".to_owned())]);
    // It may be tried again when there is room; until then only what was sent is kept.
    let kept = bob.get(&format!("/v1/uploads/{id}")).await.expect(200);
    assert_eq!(kept["offset"].as_u64(), Some(bytes.len() as u64));
    until_objects(folder.path(), 1).await;
}

#[tokio::test]
async fn image_is_made_anew_and_may_be_shown() {
    let (node, folder) = start(|_| {}).await;
    let ada = Api::register(&node, "ada").await;
    let mut bytes = png(30, 20);
    bytes.extend(b"what follows the image");
    let id = begin(&ada, "cat.jpg", bytes.len()).await;
    let (first, rest) = bytes.split_at(20);
    send(&ada, &id, 0, first).await.expect(200);
    let done = send(&ada, &id, 20, rest).await.expect(200);
    let attachment = &done["attachment"];
    assert_eq!(attachment["name"], "cat.png");
    assert_eq!(attachment["media_type"], "image/png");
    assert_eq!((attachment["width"].as_u64(), attachment["height"].as_u64()), (Some(30), Some(20)));
    publish(&ada, "general", "look", &[&id]).await.expect(201);
    let url = address(&ada, "general", &id).await;
    let got = ada.request(Method::GET, &url).send().await.unwrap();
    let shown = got.headers()["content-disposition"].to_str().unwrap().to_owned();
    assert!(shown.starts_with("inline; "), "{shown}");
    let got = got.bytes().await.unwrap();
    assert!(!got.windows(4).any(|part| part == b"what"));
    assert_eq!(image::load_from_memory(&got).unwrap().width(), 30);
    // What was sent is not kept beside it.
    until_objects(folder.path(), 1).await;
}

#[tokio::test]
async fn file_that_is_not_what_it_says_ends_its_upload() {
    let (node, folder) = start(|config| config.files.image_side = 1_000).await;
    let ada = Api::register(&node, "ada").await;
    let large = png(1_001, 3);
    let broken = &png(30, 20)[..60];
    let cases: [(&str, &[u8], &str, &str, &str); 5] = [
        ("cat.png", b"<script>alert(1)</script>", "validation_failed", "name", "type"),
        ("letter.pdf", &png(3, 3), "validation_failed", "name", "type"),
        ("cat.png", broken, "validation_failed", "file", "broken"),
        ("cat.png", &large, "payload_too_large", "file", "pixels"),
        ("letter.pdf", b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0padpadpadpadpadpadpadpadpadpadpad", "validation_failed", "name", "type"),
    ];
    for (name, bytes, code, field, why) in cases {
        let id = begin(&ada, name, bytes.len()).await;
        let refused = send(&ada, &id, 0, bytes).await;
        refused.refused(code);
        assert_eq!(refused.fields(), [(field.to_owned(), why.to_owned())]);
        ada.get(&format!("/v1/uploads/{id}")).await.refused("not_found");
    }
    until_objects(folder.path(), 0).await;
    for name in ["", "a/b", "..", "cat\u{202e}gpj.exe"] {
        let refused = ada.post("/v1/uploads", json!({"name": name, "bytes": 1})).await;
        refused.refused("validation_failed");
        assert_eq!(refused.fields()[0].0, "name");
    }
}

#[tokio::test]
async fn uploads_and_attachments_are_bounded() {
    let small = |config: &mut Config| {
        config.files.file = ByteSize::kib(4);
        config.files.part = ByteSize::kib(1);
        config.files.parts_per_file = 4;
        config.files.per_message = 1;
        config.files.open_uploads = 3;
        config.files.user_quota = ByteSize::kib(8);
        config.files.avatar = ByteSize::kib(1);
    };
    let (node, _folder) = start(small).await;
    let ada = Api::register(&node, "ada").await;
    let new = |bytes: usize| ada.post("/v1/uploads", json!({"name": "x", "bytes": bytes}));
    new(0).await.refused("validation_failed");
    let refused = new(4_097).await;
    refused.refused("payload_too_large");
    assert_eq!(refused.fields(), [("bytes".to_owned(), "too_large".to_owned())]);

    let id = begin(&ada, "x", 4_096).await;
    send(&ada, &id, 0, &[b'x'; 1_025]).await.refused("payload_too_large");
    for offset in 0..4 {
        send(&ada, &id, offset, b"x").await.expect(200);
    }
    send(&ada, &id, 4, b"x").await.refused("conflict");
    let (one, two) = (upload(&ada, "1", b"one").await, upload(&ada, "2", b"two").await);
    new(1).await.refused("conflict");
    publish(&ada, "general", "x", &[&one, &two]).await.refused("validation_failed");
    publish(&ada, "general", "x", &[&one, &one]).await.refused("validation_failed");
    publish(&ada, "general", "", &[]).await.refused("validation_failed");
    publish(&ada, "general", "", &[&one]).await.expect(201);
    publish(&ada, "general", "again", &[&one]).await.refused("validation_failed");

    let bob = Api::register(&node, "bob").await;
    let (_, _) = (begin(&bob, "x", 4_096).await, begin(&bob, "x", 4_000).await);
    let refused = bob.post("/v1/uploads", json!({"name": "x", "bytes": 97})).await;
    refused.refused("payload_too_large");
    assert_eq!(refused.fields(), [("bytes".to_owned(), "quota".to_owned())]);
    let large = bob.request(Method::PUT, "/v1/users/me/avatar").body(vec![0; 1_025]);
    bob.send(large).await.refused("payload_too_large");
}

#[tokio::test]
async fn only_members_get_addresses_and_only_signed_ones_work() {
    let (node, _folder) = start(|_| {}).await;
    let (ada, bob) = (Api::register(&node, "ada").await, Api::register(&node, "bob").await);
    let room = ada.room("Private", "private").await;
    let file = upload(&ada, "notes.txt", b"secret notes").await;
    publish(&ada, &room, "", &[&file]).await.expect(201);
    let path = format!("/v1/rooms/{room}/attachments/{file}");
    bob.get(&path).await.refused("not_found");
    bob.get(&format!("/v1/rooms/general/attachments/{file}")).await.refused("not_found");

    let url = address(&ada, &room, &file).await;
    let (base, _) = url.split_once('?').unwrap();
    bob.get(base).await.refused("validation_failed");
    let forged = format!("{base}?expires=99999999999&user={file}&signature=AAAA");
    bob.get(&forged).await.refused("forbidden");
    let other = upload(&bob, "other.txt", b"other").await;
    publish(&bob, "general", "", &[&other]).await.expect(201);
    let moved = url.replace(&file, &other);
    bob.get(&moved).await.refused("forbidden");
    let later = url.replace("expires=", "expires=1");
    bob.get(&later).await.refused("forbidden");
}

#[tokio::test]
async fn address_works_for_its_time_only() {
    let (node, _folder) =
        start(|config| config.files.address_expire = Duration::from_secs(1)).await;
    let ada = Api::register(&node, "ada").await;
    let file = upload(&ada, "notes.txt", b"notes").await;
    publish(&ada, "general", "", &[&file]).await.expect(201);
    let url = address(&ada, "general", &file).await;
    let since = Instant::now();
    loop {
        let answer = ada.get(&url).await;
        if answer.status == 403 {
            answer.refused("forbidden");
            break;
        }
        assert!(since.elapsed() < PATIENCE);
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn upload_that_no_message_has_is_forgotten_with_its_bytes() {
    let (node, folder) = start(|config| config.files.upload_expire = Duration::from_secs(5)).await;
    let ada = Api::register(&node, "ada").await;
    let kept = upload(&ada, "kept.txt", b"kept").await;
    publish(&ada, "general", "", &[&kept]).await.expect(201);
    let open = begin(&ada, "open.txt", 10).await;
    send(&ada, &open, 0, b"some").await.expect(200);
    let ready = upload(&ada, "ready.txt", b"ready").await;
    until_objects(folder.path(), 1).await;
    for gone in [open, ready] {
        ada.get(&format!("/v1/uploads/{gone}")).await.refused("not_found");
    }
    let url = address(&ada, "general", &kept).await;
    assert_eq!(ada.get(&url).await.text, "kept");
}

#[tokio::test]
async fn picture_is_set_shown_replaced_and_removed() {
    let (node, folder) = start(|_| {}).await;
    let (ada, bob) = (Api::register(&node, "ada").await, Api::register(&node, "bob").await);
    let put =
        |bytes: Vec<u8>| ada.send(ada.request(Method::PUT, "/v1/users/me/avatar").body(bytes));
    put(b"no image".to_vec()).await.refused("validation_failed");
    put(Vec::new()).await.refused("bad_request");
    let path = put(png(300, 200)).await.expect(200)["avatar"].as_str().unwrap().to_owned();
    let profile = bob.get("/v1/users/ada").await.expect(200);
    assert_eq!(profile["avatar"], *path);

    let anyone = Api::anonymous(&node);
    let got = anyone.request(Method::GET, &path).send().await.unwrap();
    assert_eq!(got.headers()["content-type"], "image/png");
    assert_eq!(got.headers()["cache-control"], "private, max-age=31536000, immutable");
    let tag = got.headers()["etag"].to_str().unwrap().to_owned();
    let picture = image::load_from_memory(&got.bytes().await.unwrap()).unwrap();
    assert_eq!((picture.width(), picture.height()), (256, 256));
    anyone.get("/v1/users/ada/avatar").await.refused("unauthenticated");
    anyone.get("/v1/users/ada/avatar?version=guess").await.refused("unauthenticated");
    let mine = ada.request(Method::GET, "/v1/users/ada/avatar").header("if-none-match", tag);
    let mine = ada.send(mine).await;
    assert_eq!((mine.status, mine.header("cache-control")), (304, "private, no-cache"));
    bob.get("/v1/users/bob/avatar").await.refused("not_found");
    bob.get("/v1/users/nobody/avatar").await.refused("not_found");

    let next = put(png(20, 20)).await.expect(200)["avatar"].clone();
    assert_ne!(next, *path);
    anyone.get(&path).await.refused("unauthenticated");
    until_objects(folder.path(), 1).await;
    ada.delete("/v1/users/me/avatar").await.expect(204);
    assert_eq!(ada.get("/v1/users/me").await.expect(200).get("avatar"), None);
    bob.get("/v1/users/ada/avatar").await.refused("not_found");
    until_objects(folder.path(), 0).await;
}

#[tokio::test]
async fn node_with_another_storage_than_the_others_takes_no_files() {
    let (first, folder) = start(|_| {}).await;
    let other = tempfile::tempdir().unwrap();
    let objects = Objects::open(Place::Folder(other.path().to_owned())).unwrap();
    let store = std::sync::Arc::clone(&first.node().store);
    let shared = |config: &mut Config| {
        config.store.url = Some(parlor_runtime::Secret::from("postgres://db/parlor"));
        config.files.sweep = Duration::from_millis(20);
    };
    let swap = |backends: &mut parlor_broker::start::Backends| {
        backends.store = store;
        backends.objects = objects;
    };
    // A store that several nodes share serves nobody until it has an administrator.
    Api::admin(&first).await;
    let second = TestNode::start_as(shared, swap).await;
    let ada = Api::register(&first, "ada").await;
    let there = Api::log_in(&second, "ada").await;
    let ready: Value = there.get("/readyz").await.expect(200);
    assert_eq!(ready["dependencies"]["files"]["ok"], false, "{ready}");
    there.post("/v1/uploads", json!({"name": "x", "bytes": 1})).await.refused("unavailable");
    let ready = ada.get("/readyz").await.expect(200);
    assert_eq!(ready["dependencies"]["files"]["ok"], true, "{ready}");
    // The operator mounts the right folder.
    std::fs::copy(folder.path().join("parlor-files"), other.path().join("parlor-files")).unwrap();
    let since = Instant::now();
    while there.post("/v1/uploads", json!({"name": "x", "bytes": 1})).await.status != 201 {
        assert!(since.elapsed() < PATIENCE);
        sleep(Duration::from_millis(20)).await;
    }
}

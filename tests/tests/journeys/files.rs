//! Files, on the way that people take: parts, cuts, addresses, and the end with their message.

mod ending;
mod limits;
mod png;

use std::{
    io::Write as _,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    time::Duration,
};

use parlor_testkit::fake_s3::{self, FakeS3};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    MACHINE,
    rest::{Answer, Caller},
    stage::{Builder, Place, Stage, in_both_places},
    until,
};

use ending::{
    address_ends_with_the_right_to_read,
    file_ends_with_its_message_also_at_an_address_given_before, kill_leaves_nothing_half,
    what_is_for_a_time_ends,
};
use limits::{every_limit_is_told_with_what_was_given, file_that_lies_or_bursts_is_refused};
use png::png;

in_both_places! {
    part_that_was_cut_goes_on_at_another_node,
    address_is_for_members_and_safe_to_open,
    picture_is_set_seen_replaced_and_taken_away,
    bucket_holds_the_files,
    every_limit_is_told_with_what_was_given,
    file_that_lies_or_bursts_is_refused,
    file_ends_with_its_message_also_at_an_address_given_before,
    address_ends_with_the_right_to_read,
    kill_leaves_nothing_half,
    what_is_for_a_time_ends,
}

/// How long to wait for what is done in the background.
const PATIENCE: Duration = Duration::from_secs(30);

/// Cleans up soon.
fn tidy(place: Place) -> Builder {
    place.builder().env("PARLOR_FILES__SWEEP", "50ms")
}

/// Returns the addresses of two nodes; of the same one where there is only one.
fn two_nodes(stage: &Stage) -> (SocketAddr, SocketAddr) {
    let brokers = stage.brokers();
    (brokers.first().unwrap().addr(), brokers.last().unwrap().addr())
}

/// Returns the folder in which all nodes keep files.
fn folder(stage: &Stage) -> PathBuf {
    match stage {
        Stage::Alone(server) => server.data_dir().join("files"),
        Stage::Cluster(cluster, _) => cluster.files.path().to_owned(),
    }
}

/// Counts the objects below a folder, without the one that names the place.
fn count_objects(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
    let count = |path: PathBuf| {
        if path.is_dir() {
            count_objects(&path)
        } else {
            usize::from(!path.ends_with("parlor-files"))
        }
    };
    paths.map(count).sum()
}

async fn until_objects(folder: &Path, count: usize) {
    until("no object is left over", PATIENCE, || async { count_objects(folder) == count }).await;
}

/// Begins to send a part, and sends so much of it.
fn begin_part(
    node: SocketAddr,
    ada: &Caller,
    upload: &str,
    (offset, announced): (usize, usize),
    bytes: &[u8],
) -> TcpStream {
    let mut stream = TcpStream::connect(node).unwrap();
    let head = format!(
        "PATCH /v1/uploads/{upload} HTTP/1.1\r\nHost: parlor\r\nAuthorization: Bearer {}\r\n\
         Upload-Offset: {offset}\r\nContent-Length: {announced}\r\n\r\n",
        ada.token()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(bytes).unwrap();
    stream
}

async fn create_upload(caller: &Caller, name: &str, bytes: usize) -> Answer {
    caller.post("/v1/uploads", json!({"name": name, "bytes": bytes})).await
}

async fn say_with(caller: &Caller, room: &str, files: &[&str]) -> Answer {
    let body = json!({"body": "look", "attachments": files});
    caller.post(&format!("/v1/rooms/{room}/messages"), body).await
}

/// Returns the path at which a file can be had for a time.
async fn address(caller: &Caller, room: &str, file: &str) -> String {
    caller.get(&format!("/v1/rooms/{room}/attachments/{file}")).await.text("url")
}

/// Opens an address without a login.
async fn open(node: SocketAddr, path: &str) -> reqwest::Response {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.get(format!("http://{node}{path}")).send().await.unwrap()
}

async fn part_that_was_cut_goes_on_at_another_node(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let (first, last) = two_nodes(&stage);
    let ada = Caller::register(first, "ada").await;
    let (there, bob) = (Caller::log_in(last, "ada").await, Caller::register(last, "bob").await);
    let bytes: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    let upload = create_upload(&ada, "numbers.bin", bytes.len()).await.text("id");
    ada.send_part(&upload, 0, &bytes[..1_000]).await.ok();
    let cut = begin_part(first, &ada, &upload, (1_000, bytes.len() - 1_000), &bytes[1_000..60_000]);
    drop(cut);
    let path = format!("/v1/uploads/{upload}");
    let arrived = || async { there.get(&path).await.ok()["offset"].as_u64().unwrap() };
    until("what arrived is kept", PATIENCE, || async { arrived().await > 1_000 }).await;

    let offset = usize::try_from(arrived().await).unwrap();
    let wrong = there.send_part(&upload, offset - 1, &bytes[offset..]).await;
    assert_eq!((wrong.status, &wrong.body["code"]), (StatusCode::CONFLICT, &json!("conflict")));
    bob.get(&path).await.expect_code("not_found");
    let done = there.send_part(&upload, offset, &bytes[offset..]).await.ok();
    assert_eq!(done["attachment"]["media_type"], "application/octet-stream");
    say_with(&there, "general", &[&upload]).await.ok();
    let found = bob.get("/v1/search?q=look%20has:attachment").await.ok();
    assert_eq!(found["items"][0]["message"]["attachments"][0]["id"], *upload, "{found}");
    for node in [first, last] {
        let got = open(node, &address(&bob, "general", &upload).await).await;
        assert_eq!(got.status(), StatusCode::OK);
        assert!(got.bytes().await.unwrap() == bytes, "other bytes than were sent");
    }
}

async fn address_is_for_members_and_safe_to_open(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place.start().await;
    let (first, last) = two_nodes(&stage);
    let (ada, eve) = (Caller::register(first, "ada").await, Caller::register(last, "eve").await);
    let den = json!({"name": "Den", "slug": "den", "kind": "private"});
    ada.post("/v1/rooms", den).await.ok();
    let page = b"<script>alert(document.domain)</script>";
    let file = ada.upload("page.html", page).await;
    say_with(&ada, "den", &[&file]).await.ok();

    let of_room = format!("/v1/rooms/den/attachments/{file}");
    eve.get(&of_room).await.expect_code("not_found");
    eve.get(&format!("/v1/rooms/general/attachments/{file}")).await.expect_code("not_found");
    eve.get(&format!("/v1/uploads/{file}")).await.expect_code("not_found");
    say_with(&eve, "general", &[&file]).await.expect_code("validation_failed");
    Caller::anonymous(last).get(&of_room).await.expect_code("unauthenticated");

    let url = address(&ada, "den", &file).await;
    let got = open(last, &url).await;
    let header = |name: &str| got.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "text/plain; charset=utf-8");
    assert!(header("content-disposition").starts_with("attachment; filename=\"page.html\""));
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("content-security-policy"), "sandbox; default-src 'none'");
    assert_eq!(got.bytes().await.unwrap(), &page[..]);

    let other = eve.upload("other.txt", b"other").await;
    say_with(&eve, "general", &[&other]).await.ok();
    let (bare, _) = url.split_once('?').unwrap();
    for forged in [
        format!("{bare}?expires=99999999999&user={file}&signature=AAAA"),
        url.replace(&file, &other),
        url.replace("expires=", "expires=1"),
    ] {
        let refused = open(first, &forged).await;
        assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{forged}");
        assert!(!refused.text().await.unwrap().contains("<script>"));
    }
    assert!(!stage.log().contains("signature="), "an address that works is in the log");
}

async fn picture_is_set_seen_replaced_and_taken_away(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = tidy(place).start().await;
    let (first, last) = two_nodes(&stage);
    let (ada, bob) = (stage.register("ada").await, Caller::register(last, "bob").await);
    let seen = async || bob.get("/v1/users/ada").await.ok()["avatar"].clone();
    let mut before = String::new();
    for side in [3, 500] {
        let set = ada.through(first).http.put_avatar(png(side, side).into()).await.unwrap();
        let path = set.avatar.unwrap();
        assert_eq!(seen().await, *path);
        assert_ne!(path, before);
        let got = open(last, &path).await;
        assert_eq!(got.headers()["content-type"], "image/png");
        let picture = got.bytes().await.unwrap();
        // 256 pixels wide and high, whatever it was.
        assert_eq!(picture[16..24], [0, 0, 1, 0, 0, 0, 1, 0]);
        if !before.is_empty() {
            assert_eq!(open(last, &before).await.status(), StatusCode::UNAUTHORIZED);
        }
        before = path;
    }
    until_objects(&folder(&stage), 1).await;
    ada.http.delete_avatar().await.unwrap();
    assert_eq!(seen().await, Value::Null);
    bob.call(Method::GET, "/v1/users/ada/avatar", None).await.expect_code("not_found");
    until_objects(&folder(&stage), 0).await;
}

async fn bucket_holds_the_files(place: Place) {
    let _shared = MACHINE.read().await;
    let service = FakeS3::start().await;
    let stage = tidy(place)
        .env("PARLOR_FILES__S3_BUCKET", fake_s3::BUCKET)
        .env("PARLOR_FILES__S3_ENDPOINT", &service.url())
        .env("PARLOR_FILES__S3_PREFIX", "chat")
        .env("AWS_ACCESS_KEY_ID", fake_s3::ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", fake_s3::SECRET_KEY)
        .start()
        .await;
    let (first, last) = two_nodes(&stage);
    let (ada, bob) = (Caller::register(first, "ada").await, Caller::register(last, "bob").await);
    let upload = create_upload(&ada, "notes.txt", 11).await.text("id");
    ada.send_part(&upload, 0, b"hello ").await.ok();
    ada.send_part(&upload, 6, b"world").await.ok();
    let message = say_with(&ada, "general", &[&upload]).await.text("id");
    let url = address(&bob, "general", &upload).await;
    assert_eq!(open(last, &url).await.text().await.unwrap(), "hello world");
    assert_eq!(service.keys().len(), 3, "{:?}", service.keys());

    let path = format!("/v1/rooms/general/messages/{message}");
    ada.call(Method::DELETE, &path, None).await.ok();
    assert_eq!(open(last, &url).await.status(), StatusCode::NOT_FOUND);
    let name_only = || async { service.keys() == ["chat/parlor-files"] };
    until("the bucket is empty", PATIENCE, name_only).await;
    assert!(!stage.log().contains(fake_s3::SECRET_KEY));
}

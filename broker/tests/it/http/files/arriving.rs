//! Parts and pictures that arrive at once.

use parlor_runtime::config::{ByteSize, Config};
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::{Answer, Api, Duration, PATIENCE, begin, png, send, start, until_objects, upload};
use crate::harness::TestNode;

/// Sends the head of a part and, when the node has begun to take it, its first bytes; the rest is kept
/// back.
async fn hold_part(
    node: &TestNode,
    api: &Api,
    upload: &str,
    bytes: usize,
    first: &[u8],
) -> TcpStream {
    let url: reqwest::Url = node.url().parse().unwrap();
    let port = url.port().unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let head = format!(
        "PATCH /v1/uploads/{upload} HTTP/1.1\r\nHost: parlor\r\nAuthorization: Bearer {}\r\n\
         Upload-Offset: 0\r\nExpect: 100-continue\r\nContent-Length: {bytes}\r\n\r\n",
        api.token.as_deref().unwrap()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 25];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(first).await.unwrap();
    stream
}

/// Sends a part without bytes until it is answered so: it takes a place, and changes nothing.
async fn until_answered(api: &Api, upload: &str, code: &str) -> Answer {
    let since = Instant::now();
    loop {
        let answer = send(api, upload, 0, b"").await;
        if answer.body["code"] == code {
            return answer;
        }
        assert!(since.elapsed() < PATIENCE, "{} is not {code}", answer.text);
        sleep(Duration::from_millis(10)).await;
    }
}

/// Memory for so many parts or pictures of 1 KiB.
async fn start_small(parts: usize) -> (TestNode, tempfile::TempDir) {
    let change = |config: &mut Config| {
        let files = &mut config.files;
        (files.part, files.avatar, files.parts_in_flight) =
            (ByteSize::kib(1), ByteSize::kib(1), parts);
    };
    start(change).await
}

#[tokio::test]
async fn parts_that_arrive_at_once_are_bounded() {
    let (node, folder) = start_small(4).await;
    let ada = Api::register(&node, "ada").await;
    let (one, two) = (begin(&ada, "x", 1_024).await, begin(&ada, "x", 10).await);
    let held = hold_part(&node, &ada, &one, 1_024, &[0; 1_000]).await;
    let refused = until_answered(&ada, &two, "unavailable").await;
    refused.header("retry-after");
    // Whoever takes what one may have leaves the rest to the others.
    let bob = Api::register(&node, "bob").await;
    let other = begin(&bob, "x", 1).await;
    send(&bob, &other, 0, b"x").await.expect(200);
    drop(held);
    // There is room again, and what came of the part that was cut is kept.
    until_answered(&ada, &two, "bad_request").await;
    send(&ada, &two, 0, b"0123456789").await.expect(200);
    assert_eq!(ada.get(&format!("/v1/uploads/{one}")).await.expect(200)["offset"], 1_000);
    until_objects(folder.path(), 3).await;
}

#[tokio::test]
async fn part_that_others_leave_too_little_memory_for_is_kept_as_far_as_it_fits() {
    let (node, _folder) = start_small(1).await;
    let (ada, bob) = (Api::register(&node, "ada").await, Api::register(&node, "bob").await);
    let (held, upload) = (begin(&bob, "x", 10).await, begin(&ada, "x", 1_024).await);
    // It takes a sixteenth.
    let held = hold_part(&node, &bob, &held, 10, b"").await;
    let picture = ada.request(Method::PUT, "/v1/users/me/avatar").body(vec![0; 1_000]);
    ada.send(picture).await.refused("unavailable");
    let part = send(&ada, &upload, 0, &[1; 1_024]).await.expect(200);
    assert_eq!((&part["offset"], part.get("attachment")), (&json!(960), None));
    assert_eq!(node.node().files.metrics.crowded.get(), 2);
    let done = send(&ada, &upload, 960, &[1; 64]).await.expect(200);
    assert_eq!(done["attachment"]["bytes"], 1_024);
    drop(held);
}

#[tokio::test]
async fn four_who_send_slowly_do_not_keep_others_out() {
    let (node, _folder) = start(|_| {}).await;
    let mut held = Vec::new();
    for name in ["ada", "bob", "cleo", "dan"] {
        let user = Api::register(&node, name).await;
        for _ in 0..4 {
            let upload = begin(&user, "x", 1 << 20).await;
            held.push(hold_part(&node, &user, &upload, 1 << 20, b"x").await);
        }
    }
    let eve = Api::register(&node, "eve").await;
    upload(&eve, "notes.txt", "x".repeat(100_000).as_bytes()).await;
    let picture = eve.request(Method::PUT, "/v1/users/me/avatar").body(png(30, 30));
    assert_eq!(eve.send(picture).await.status, 200);
    drop(held);
}

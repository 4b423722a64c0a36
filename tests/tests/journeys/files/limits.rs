//! What is refused, and that it is said why.

use reqwest::StatusCode;
use serde_json::json;

use super::{
    count_objects, create_upload, folder,
    png::{png, png_that_says},
    say_with, tidy, until_objects,
};
use crate::{
    MACHINE,
    rest::{Answer, Caller},
    stage::Place,
};

/// Expects a refusal that names the field, and in its detail the limit and what was given.
#[track_caller]
fn expect(answer: &Answer, status: StatusCode, field: &str, named: &[&str]) {
    let Answer { status: answered, body } = answer;
    assert_eq!(*answered, status, "{body}");
    let error = &body["errors"][0];
    assert_eq!(error["field"], field, "{body}");
    let detail = error["detail"].as_str().unwrap();
    for part in named {
        assert!(detail.contains(part), "{part:?} is not in {detail:?}");
    }
}

pub(super) async fn every_limit_is_told_with_what_was_given(place: Place) {
    let _shared = MACHINE.read().await;
    let stage = place
        .builder()
        .env("PARLOR_FILES__FILE", "64KiB")
        .env("PARLOR_FILES__PART", "32KiB")
        .env("PARLOR_FILES__PER_MESSAGE", "2")
        .env("PARLOR_FILES__PARTS_PER_FILE", "2")
        .env("PARLOR_FILES__OPEN_UPLOADS", "4")
        .env("PARLOR_FILES__USER_QUOTA", "128KiB")
        .env("PARLOR_FILES__AVATAR", "1KiB")
        .start()
        .await;
    let ada = Caller::register(stage.addr(), "ada").await;
    let too_large = StatusCode::PAYLOAD_TOO_LARGE;
    let invalid = StatusCode::UNPROCESSABLE_ENTITY;

    let large = create_upload(&ada, "x", 65_537).await;
    expect(&large, too_large, "bytes", &["65536", "65537"]);
    let upload = create_upload(&ada, "x", 60_000).await.text("id");
    let part = ada.send_part(&upload, 0, &vec![0; 40_000]).await;
    expect(&part, too_large, "body", &["32768", "40000"]);
    let ahead = ada.send_part(&upload, 7, &[0; 5]).await;
    expect(&ahead, StatusCode::CONFLICT, "Upload-Offset", &["0"]);
    let short = create_upload(&ada, "x", 10).await.text("id");
    let long = ada.send_part(&short, 0, &[0; 11]).await;
    expect(&long, too_large, "body", &["10", "11"]);
    for offset in 0..2 {
        ada.send_part(&short, offset, b"x").await.ok();
    }
    let parts = ada.send_part(&short, 2, b"x").await;
    expect(&parts, StatusCode::CONFLICT, "upload", &["2"]);

    create_upload(&ada, "x", 60_000).await.ok();
    let quota = create_upload(&ada, "x", 20_000).await;
    expect(&quota, too_large, "bytes", &["131072", "11062", "20000"]);
    create_upload(&ada, "x", 1).await.ok();
    expect(&create_upload(&ada, "x", 1).await, StatusCode::CONFLICT, "uploads", &["4"]);

    let bob = Caller::register(stage.addr(), "bob").await;
    let mut files = Vec::new();
    for _ in 0..3 {
        files.push(bob.upload("x", b"x").await);
    }
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let many = say_with(&bob, "general", &files).await;
    expect(&many, invalid, "attachments", &["2", "3"]);
    say_with(&bob, "general", &files[..2]).await.ok();
    say_with(&bob, "general", &files[..1]).await.expect_code("validation_failed");
    let info = Caller::anonymous(stage.addr()).get("/info").await.ok();
    assert_eq!(info["limits"]["file_bytes"], 65_536, "{info}");
}

/// A file by its name and bytes; the answer, the field at fault, and what is named.
type Case = (&'static str, Vec<u8>, StatusCode, &'static str, &'static [&'static str]);

pub(super) async fn file_that_lies_or_bursts_is_refused(place: Place) {
    let _alone = MACHINE.write().await;
    let stage = tidy(place).env("PARLOR_FILES__FILE", "64KiB").start().await;
    let ada = Caller::register(stage.addr(), "ada").await;
    let memory = || stage.brokers().iter().map(|broker| broker.resident_bytes()).max().unwrap();
    let before = memory();
    let invalid = StatusCode::UNPROCESSABLE_ENTITY;
    let too_large = StatusCode::PAYLOAD_TOO_LARGE;
    let program = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0";
    let program = [&program[..], &[0; 40]].concat();
    let cases: [Case; 7] = [
        ("cat.png", b"<script>alert(1)</script>".to_vec(), invalid, "name", &[]),
        ("letter.pdf", png(3, 3), invalid, "name", &[]),
        ("letter.pdf", program, invalid, "name", &[]),
        ("cat.png", png(30, 20)[..60].to_vec(), invalid, "file", &["broken"]),
        ("cat.png", png_that_says(30_000, 30_000), too_large, "file", &["10000", "30000 × 30000"]),
        // A few bytes that would be 232 MiB of pixels.
        ("cat.png", png_that_says(9_000, 9_000), too_large, "file", &["128 MiB", "9000 × 9000"]),
        ("cat.jpg", b"GIF89a\xff\xff\xff\xff\0\0\0".to_vec(), too_large, "file", &["65535"]),
    ];
    for (name, bytes, status, field, named) in cases {
        let upload = create_upload(&ada, name, bytes.len()).await.text("id");
        let refused = ada.send_part(&upload, 0, &bytes).await;
        expect(&refused, status, field, named);
        ada.get(&format!("/v1/uploads/{upload}")).await.expect_code("not_found");
    }
    let grown = memory().saturating_sub(before);
    assert!(grown < 100 << 20, "{grown} bytes for images that are refused");
    until_objects(&folder(&stage), 0).await;
    for name in ["", "a/b", "..", "cat\u{202e}gpj.exe", "nul\0"] {
        let refused = ada.post("/v1/uploads", json!({"name": name, "bytes": 1})).await;
        expect(&refused, invalid, "name", &[]);
    }
    assert_eq!(count_objects(&folder(&stage)), 0);
}

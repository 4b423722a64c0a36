//! What every place for objects does, over a folder, a bucket and memory.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail")]

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use parlor_files::{Objects, ObjectsError, Place, S3Place};
use parlor_testkit::fake_s3::{self, FakeS3};

fn bucket(service: &FakeS3, prefix: Option<&str>, secret: &str) -> Objects {
    Objects::open(Place::S3(S3Place {
        bucket: fake_s3::BUCKET.to_owned(),
        endpoint: Some(service.url()),
        region: "eu-central-1".to_owned(),
        prefix: prefix.map(str::to_owned),
        access_key: Some((fake_s3::ACCESS_KEY.to_owned(), secret.to_owned())),
    }))
    .unwrap()
}

async fn part(objects: &Objects, key: &str, from: u64, to: u64) -> Vec<u8> {
    let pieces = objects.read(key, from..to).await.unwrap();
    let pieces: Vec<Bytes> = pieces.try_collect().await.unwrap();
    pieces.concat()
}

async fn is_missing(objects: &Objects, key: &str) -> bool {
    matches!(objects.read_all(key).await, Err(ObjectsError::Missing))
}

/// Opens the same place several times, as several nodes do.
async fn keeps_the_contract(open: impl Fn() -> Objects) {
    let (one, other) = (open(), open());
    assert_eq!(one.name("first").await.unwrap(), "first");
    assert_eq!(other.name("second").await.unwrap(), "first");
    other.check().await.unwrap();
    one.rename("third").await.unwrap();
    assert_eq!(other.name("fourth").await.unwrap(), "third");

    for (key, text) in [
        ("files/1/0-x", "hello"),
        ("files/1/5-y", " world"),
        ("files/1/11-z", "!"),
        ("files/10/0-x", "other"),
        ("avatars/1/v1", "picture"),
    ] {
        one.put(key, Bytes::from_static(text.as_bytes())).await.unwrap();
    }
    assert_eq!(part(&other, "files/1/0-x", 1, 4).await, b"ell");
    assert_eq!(part(&other, "files/1/5-y", 0, 6).await, b" world");
    assert!(other.read("files/1/none", 0..1).await.is_err());
    other.put("files/1/0-x", Bytes::from_static(b"again")).await.unwrap();
    assert_eq!(one.read_all("files/1/0-x").await.unwrap(), "again");
    let large = Bytes::from(vec![7; 4 << 20]);
    one.put("files/2/0", large.clone()).await.unwrap();
    assert_eq!(other.read_all("files/2/0").await.unwrap(), large);

    other.remove("avatars/1/v1").await.unwrap();
    other.remove("avatars/1/v1").await.unwrap();
    assert!(is_missing(&one, "avatars/1/v1").await);
    // All below the key, and nothing beside it.
    one.remove("files/1/").await.unwrap();
    one.remove("files/1/").await.unwrap();
    for key in ["files/1/0-x", "files/1/5-y", "files/1/11-z"] {
        assert!(is_missing(&other, key).await, "{key}");
    }
    assert_eq!(other.read_all("files/10/0-x").await.unwrap(), "other");
    assert_eq!(one.name("fifth").await.unwrap(), "third");
}

#[tokio::test]
async fn folder_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Objects::open(Place::Folder(folder.path().join("a/b"))).unwrap();
    keeps_the_contract(open).await;
}

#[tokio::test]
async fn bucket_keeps_the_contract() {
    let service = FakeS3::start().await;
    keeps_the_contract(|| bucket(&service, None, fake_s3::SECRET_KEY)).await;
}

#[tokio::test]
async fn part_of_a_bucket_keeps_the_contract_and_leaves_the_rest_alone() {
    let service = FakeS3::start().await;
    let whole = bucket(&service, None, fake_s3::SECRET_KEY);
    whole.put("files/1/0-x", Bytes::from_static(b"of someone else")).await.unwrap();
    keeps_the_contract(|| bucket(&service, Some("chat/parlor"), fake_s3::SECRET_KEY)).await;
    assert_eq!(whole.read_all("files/1/0-x").await.unwrap(), "of someone else");
    let own = |key: &String| key.starts_with("chat/parlor/") || key == "files/1/0-x";
    assert!(service.keys().iter().all(own), "{:?}", service.keys());
}

#[tokio::test]
async fn memory_keeps_the_contract() {
    let objects = Objects::open(Place::Memory).unwrap();
    keeps_the_contract(|| objects.clone()).await;
}

#[tokio::test]
async fn wrong_secret_is_told_and_not_shown() {
    let service = FakeS3::start().await;
    let objects = bucket(&service, None, "hunter2");
    let error = objects.name("x").await.unwrap_err();
    let told = format!("{error:?} {error} {objects:?}");
    assert!(matches!(error, ObjectsError::Unavailable(_)), "{told}");
    assert!(!told.contains("hunter2"));
    assert_eq!(service.keys(), [""; 0]);
}

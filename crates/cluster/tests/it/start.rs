//! Addresses that cannot be used, each with a sentence.

use std::error::Error as _;

use parlor_cluster::redis::ConnectError;
use parlor_testkit::services::{Redis, free_port};
use prometheus::Registry;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use crate::harness::{ADA, Node, connect, online};

const PASSWORD: &str = "keep-this-to-yourself";

async fn fails(url: &str) -> ConnectError {
    let error = connect(url, |_| (), &Registry::new()).await.unwrap_err();
    let mut said = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(cause) = source {
        said = format!("{said} {cause} {cause:?}");
        source = cause.source();
    }
    assert!(!said.contains(PASSWORD), "{said}");
    error
}

#[tokio::test]
async fn address_where_nothing_listens_is_told_and_may_pass() {
    let port = free_port();
    let error = fails(&format!("redis://:{PASSWORD}@127.0.0.1:{port}")).await;
    assert_eq!(
        error.to_string(),
        format!("nothing listens at 127.0.0.1:{port}: is Redis running?")
    );
    assert!(error.may_pass());
}

#[tokio::test]
async fn start_can_be_tried_again_with_the_same_registry() {
    let registry = Registry::new();
    let nowhere = format!("redis://127.0.0.1:{}", free_port());
    connect(&nowhere, |_| (), &registry).await.unwrap_err();
    let redis = Redis::start().await;
    connect(&redis.url(), |_| (), &registry).await.unwrap();
}

#[tokio::test]
async fn wrong_or_missing_password_is_told() {
    let redis = Redis::start().await;
    redis.command(&format!("CONFIG SET requirepass {PASSWORD}")).await;
    for user_info in ["", ":wrong@", "nobody:wrong@"] {
        let error = fails(&format!("redis://{user_info}127.0.0.1:{}", redis.port())).await;
        assert!(matches!(error, ConnectError::Password { .. }), "{user_info} {error:?}");
        assert!(!error.may_pass());
    }
    let node = Node::start(&format!("redis://:{PASSWORD}@127.0.0.1:{}", redis.port())).await;
    assert_eq!(node.connected(ADA).await, Some(online(ADA)));
}

#[tokio::test]
async fn user_who_may_not_run_scripts_is_told() {
    let redis = Redis::start().await;
    redis.command(&format!("ACL SETUSER weak on >{PASSWORD} ~* +@all -@scripting")).await;
    let error = fails(&format!("redis://weak:{PASSWORD}@127.0.0.1:{}", redis.port())).await;
    assert!(matches!(error, ConnectError::Forbidden { .. }), "{error:?}");
    redis.command(&format!("ACL SETUSER other on >{PASSWORD} ~other:* +@all")).await;
    let error = fails(&format!("redis://other:{PASSWORD}@127.0.0.1:{}", redis.port())).await;
    assert!(matches!(error, ConnectError::Forbidden { .. }), "{error:?}");
}

#[tokio::test]
async fn user_of_the_prefix_alone_is_enough() {
    let redis = Redis::start().await;
    redis.command(&format!("ACL SETUSER chat on >{PASSWORD} ~chat:* +@all")).await;
    let url = format!("redis://chat:{PASSWORD}@127.0.0.1:{}", redis.port());
    let node = Node::start_with(&url, |options| options.prefix = "chat:".to_owned()).await;
    assert_eq!(node.connected(ADA).await, Some(online(ADA)));
}

#[tokio::test]
async fn something_else_that_listens_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let answers = async {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"INFO {\"server_id\":\"x\"}\r\n").await.unwrap();
            std::future::pending::<()>().await;
        }
    };
    let error = tokio::select! {
        () = answers => unreachable!("it answers for ever"),
        error = fails(&url) => error,
    };
    assert!(matches!(error, ConnectError::NotRedis { .. }), "{error:?}");
}

#[tokio::test]
async fn silence_is_told_and_may_pass() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let error = fails(&format!("redis://{}", listener.local_addr().unwrap())).await;
    assert!(matches!(error, ConnectError::Silent { .. }), "{error:?}");
    assert!(error.may_pass());
}

#[tokio::test]
async fn addresses_that_are_none_are_told() {
    for url in ["", "redis", "http://127.0.0.1", "redis://127.0.0.1:port", "redis://h/no-number"] {
        let error = fails(url).await;
        assert!(matches!(error, ConnectError::Address), "{url} {error:?}");
    }
    let redis = Redis::start().await;
    let error = fails(&format!("{}/99", redis.url())).await;
    assert!(matches!(error, ConnectError::Database { .. }), "{error:?}");
}

#[tokio::test]
async fn certificates_that_cannot_be_read_are_told() {
    let registry = Registry::new();
    let with_ca = |path: &'static str| {
        move |options: &mut parlor_cluster::redis::ClusterOptions| {
            options.tls_ca = Some(path.into());
        }
    };
    let url = "rediss://127.0.0.1:1";
    for path in ["/no/such/file.pem", "/proc/self/exe", "/proc/version"] {
        let error = connect(url, with_ca(path), &registry).await.unwrap_err();
        assert!(!error.may_pass() && error.to_string().contains(path), "{error}");
    }
}

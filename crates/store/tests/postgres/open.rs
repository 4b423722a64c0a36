//! What stands in the way of opening a store is told in a sentence, and never with the password.

use std::time::Duration;

use parlor_store::postgres::OpenError;
use parlor_store::{PostgresOptions, PostgresStore};
use parlor_testkit::services::{Postgres, free_port};

use super::{database, open, options, server};

/// Opens what cannot be opened, and returns the error with everything that it would tell anyone.
async fn refused(options: PostgresOptions) -> (OpenError, String) {
    let error = PostgresStore::open(options).await.unwrap_err();
    let mut told = format!("{error:?}");
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(error) = cause {
        told = format!("{told}\n{error}");
        cause = error.source();
    }
    (error, told)
}

#[tokio::test]
async fn host_that_nobody_knows_is_named() {
    let (error, told) = refused(options("postgres://ada:s3cret@db.invalid:5432/parlor")).await;
    assert!(matches!(error, OpenError::UnknownHost { .. }), "{told}");
    assert!(told.contains("db.invalid:5432") && !told.contains("s3cret"), "{told}");
}

#[tokio::test]
async fn server_that_is_not_there_is_named() {
    let port = free_port();
    let url = format!("postgres://ada:s3cret@127.0.0.1:{port}/parlor");
    let (error, told) = refused(options(&url)).await;
    assert!(matches!(error, OpenError::Unreachable { .. }), "{told}");
    assert!(told.contains(&format!("127.0.0.1:{port}")) && !told.contains("s3cret"), "{told}");
    assert!(!error.is_setting());
}

#[tokio::test]
async fn server_that_does_not_answer_is_not_waited_for_without_end() {
    // Takes connections and never says a word.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://ada@{}/parlor", listener.local_addr().unwrap());
    let options = PostgresOptions { connect_timeout: Duration::from_millis(200), ..options(&url) };
    let (error, told) = refused(options).await;
    assert!(matches!(error, OpenError::Silent { .. }), "{told}");
}

#[tokio::test]
async fn wrong_password_is_refused_without_being_shown() {
    let server = Postgres::builder().password("right-one").start().await;
    open(&server.url()).await;

    let wrong = server.url().replace("right-one", "wrong-one");
    let (error, told) = refused(options(&wrong)).await;
    assert!(matches!(&error, OpenError::Password { user } if user == "parlor"), "{told}");
    assert!(!told.contains("wrong-one"), "{told}");

    let none = server.url().replace(":right-one", "");
    let (error, told) = refused(options(&none)).await;
    assert!(matches!(error, OpenError::Password { .. }), "{told}");
}

#[tokio::test]
async fn missing_database_is_named() {
    let (error, told) = refused(options(&server().database_url("nowhere"))).await;
    assert!(
        matches!(&error, OpenError::NoDatabase { database } if database == "nowhere"),
        "{told}"
    );
}

#[tokio::test]
async fn user_who_may_not_make_tables_is_told_what_helps() {
    let server = server();
    let url = server.create_database("foreign");
    server.sql("foreign", "CREATE ROLE guest LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC");
    let (error, told) = refused(options(&url.replace("parlor@", "guest@"))).await;
    assert!(matches!(&error, OpenError::NotPermitted { user, .. } if user == "guest"), "{told}");
    assert!(told.contains("owner of the database"), "{told}");
}

#[tokio::test]
async fn user_who_may_not_read_the_identity_is_told_what_helps() {
    let server = server();
    server.sql("postgres", "CREATE ROLE blind LOGIN");
    server.sql("postgres", "CREATE DATABASE hidden OWNER blind");
    server.sql("hidden", "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC");
    let url = server.database_url("hidden").replace("parlor@", "blind@");
    let (error, told) = refused(options(&url)).await;
    assert!(matches!(&error, OpenError::Nameless { user } if user == "blind"), "{told}");
    assert!(told.contains("grant it EXECUTE on"), "{told}");

    server.sql("hidden", "GRANT EXECUTE ON FUNCTION pg_control_system() TO blind");
    open(&url).await;
}

#[tokio::test]
async fn wrong_address_is_a_wrong_setting() {
    let (error, _) = refused(options("mysql://ada:s3cret@db/chat")).await;
    assert!(error.is_setting());
}

#[tokio::test]
async fn database_in_another_encoding_is_refused() {
    let server = server();
    server.sql("postgres", "CREATE DATABASE ascii TEMPLATE template0 ENCODING 'SQL_ASCII'");
    let (error, told) = refused(options(&server.database_url("ascii"))).await;
    assert!(matches!(error, OpenError::Encoding { .. }), "{told}");
}

#[tokio::test]
async fn connections_are_named_and_bounded() {
    let (name, url) = database();
    let store = open(&url).await;
    let reads = (0..40).map(|_| parlor_store::Users::has_admin(&store));
    for read in futures_util::future::join_all(reads).await {
        read.unwrap();
    }
    let names = server().sql(
        "postgres",
        &format!("SELECT application_name FROM pg_stat_activity WHERE datname = '{name}'"),
    );
    let n_reads = names.lines().filter(|name| *name == "parlor reads").count();
    assert_eq!(n_reads, 2, "{names}");
}

//! Encrypted connections: demanded, offered, trusted or not.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use parlor_store::postgres::OpenError;
use parlor_store::{PostgresOptions, PostgresStore};
use parlor_testkit::services::Postgres;
use tokio::time::sleep;

use super::{options, server, soon};

const CERTIFICATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/postgres/certificates");

fn ca_file() -> PathBuf {
    Path::new(CERTIFICATES).join("ca.pem")
}

/// Starts a server that offers TLS, and returns it with the address that asks for it.
async fn encrypting_server() -> (Postgres, String) {
    let server = Postgres::start().await;
    let folder = PathBuf::from(server.query("SHOW data_directory").trim());
    let owner = std::fs::metadata(format!("/proc/{}", server.pid())).unwrap();
    for name in ["server.pem", "server.key"] {
        let path = folder.join(name);
        std::fs::copy(Path::new(CERTIFICATES).join(name), &path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
    for setting in ["ssl_cert_file = 'server.pem'", "ssl_key_file = 'server.key'", "ssl = on"] {
        server.query(&format!("ALTER SYSTEM SET {setting}"));
    }
    server.query("SELECT pg_reload_conf()");
    let encrypts = async {
        while server.query("SHOW ssl").trim() != "on" {
            sleep(Duration::from_millis(20)).await;
        }
    };
    soon(encrypts).await;
    let url = format!("{}?sslmode=verify-full", server.url());
    (server, url)
}

#[tokio::test]
async fn certificate_of_a_known_authority_is_trusted() {
    let (server, url) = encrypting_server().await;
    let trusting = PostgresOptions { ca_file: Some(ca_file()), ..options(&url) };
    let _store = PostgresStore::open(trusting).await.unwrap();

    // The address may name the file too, as with other programs.
    let url = format!("{url}&sslrootcert={}", ca_file().display());
    let _named = PostgresStore::open(options(&url)).await.unwrap();

    let encrypted = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                     WHERE ssl AND application_name LIKE 'parlor%'";
    assert_ne!(server.query(encrypted).trim(), "0");
}

#[tokio::test]
async fn certificate_of_an_unknown_authority_is_refused() {
    let (_server, url) = encrypting_server().await;
    for url in [url.clone(), url.replace("verify-full", "require")] {
        let error = PostgresStore::open(options(&url)).await.unwrap_err();
        assert!(matches!(error, OpenError::Tls { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn certificate_of_another_host_is_refused() {
    let (_server, url) = encrypting_server().await;
    // Reaches the same server by a name that the certificate does not have.
    let url = url.replace("127.0.0.1", "127.0.0.2");
    let trusting = PostgresOptions { ca_file: Some(ca_file()), ..options(&url) };
    let error = PostgresStore::open(trusting).await.unwrap_err();
    assert!(matches!(error, OpenError::Tls { .. } | OpenError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn server_without_encryption_is_refused_when_it_is_demanded() {
    let url = format!("{}?sslmode=require", server().url());
    let error = PostgresStore::open(options(&url)).await.unwrap_err();
    assert!(matches!(error, OpenError::Tls { .. }), "{error:?}");
}

#[tokio::test]
async fn server_that_demands_encryption_says_what_to_write() {
    let (server, url) = encrypting_server().await;
    let rules = server.query("SHOW hba_file");
    let rules = Path::new(rules.trim());
    let text = std::fs::read_to_string(rules).unwrap();
    std::fs::write(rules, text.replace("\nhost ", "\nhostssl ")).unwrap();
    server.query("SELECT pg_reload_conf()");

    let refused = async {
        loop {
            match PostgresStore::open(options(&server.url())).await {
                Err(error) => break error,
                // The rules are read a little later.
                Ok(_) => sleep(Duration::from_millis(20)).await,
            }
        }
    };
    let error = soon(Box::pin(refused)).await;
    assert!(matches!(error, OpenError::TlsDemanded), "{error:?}");
    assert!(error.to_string().contains("sslmode=verify-full"), "{error}");
    let trusting = PostgresOptions { ca_file: Some(ca_file()), ..options(&url) };
    PostgresStore::open(trusting).await.unwrap();
}

#[tokio::test]
async fn file_without_a_certificate_is_named() {
    let missing = PostgresOptions {
        ca_file: Some(PathBuf::from("/nowhere/ca.pem")),
        ..options("postgres://ada@127.0.0.1/parlor")
    };
    let error = PostgresStore::open(missing).await.unwrap_err();
    assert!(matches!(&error, OpenError::CaFile { .. }), "{error:?}");
    assert!(error.is_setting() && error.to_string().contains("/nowhere/ca.pem"), "{error}");
}

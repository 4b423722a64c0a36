//! Redis behind TLS.

use std::path::PathBuf;

use parlor_cluster::redis::{ClusterOptions, ConnectError};
use parlor_testkit::services::{Redis, free_port};
use prometheus::Registry;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use crate::harness::{ADA, Node, connect, online};

/// An authority, and the certificate that it gave to a server.
struct Authority {
    folder: TempDir,
}

impl Authority {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap());
        let authority = authority.unwrap();
        let key = KeyPair::generate().unwrap();
        let server = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let server = server.signed_by(&key, &authority).unwrap();
        let write = |name: &str, text: String| {
            std::fs::write(folder.path().join(name), text).unwrap();
        };
        write("ca.pem", authority.pem());
        write("server.pem", server.pem());
        write("server.key", key.serialize_pem());
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a server that speaks TLS on a second port, and returns that.
    async fn server(&self) -> (Redis, u16) {
        let port = free_port();
        let path = |name| self.path(name).display().to_string();
        let redis = Redis::builder().arguments(&[
            "--tls-port",
            &port.to_string(),
            "--tls-cert-file",
            &path("server.pem"),
            "--tls-key-file",
            &path("server.key"),
            "--tls-ca-cert-file",
            &path("ca.pem"),
            "--tls-auth-clients",
            "no",
        ]);
        (redis.start().await, port)
    }
}

fn trusting(authority: &Authority) -> impl FnOnce(&mut ClusterOptions) {
    |options| options.tls_ca = Some(authority.path("ca.pem"))
}

#[tokio::test]
async fn connection_is_encrypted_and_the_server_checked() {
    let authority = Authority::new();
    let (_redis, port) = authority.server().await;
    let url = format!("rediss://127.0.0.1:{port}");
    let node = Node::start_with(&url, trusting(&authority)).await;
    assert_eq!(node.connected(ADA).await, Some(online(ADA)));

    let registry = Registry::new();
    let stranger = connect(&url, |_| (), &registry).await.unwrap_err();
    let other = connect(&url, trusting(&Authority::new()), &registry).await.unwrap_err();
    for error in [stranger, other] {
        assert!(matches!(error, ConnectError::Tls { .. }) && !error.may_pass(), "{error:?}");
    }
}

#[tokio::test]
async fn authority_without_encryption_is_a_mistake() {
    let (authority, redis) = (Authority::new(), Redis::start().await);
    let error = connect(&redis.url(), trusting(&authority), &Registry::new()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Address), "{error:?}");
}

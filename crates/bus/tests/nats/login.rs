//! Who may come in, and that nobody listens at the door.

use std::path::PathBuf;

use parlor_bus::{Bus, BusStatus, NatsBus, NatsError, NatsOptions};
use parlor_testkit::services::{Nats, NatsBuilder};
use prometheus::Registry;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use crate::harness::{Node, options};
use crate::make::{room, said};

fn with_login(nats: &Nats, login: &str) -> NatsOptions {
    let url = format!("nats://{login}127.0.0.1:{}", nats.port());
    NatsOptions { url, ..options(nats) }
}

async fn refused(options: NatsOptions) -> NatsError {
    NatsBus::connect(options, &Registry::new()).await.unwrap_err()
}

#[tokio::test]
async fn password_has_to_be_right() {
    let config = r#"authorization { user: ada, password: "p@ss/word" }"#;
    let nats = Nats::builder().config(config).start().await;

    let node = Node::with(with_login(&nats, "ada:p%40ss%2Fword@")).await;
    assert_eq!(*node.bus.status().borrow(), BusStatus::Connected);
    for login in ["ada:guess@", "bob:p%40ss%2Fword@", "token@", ""] {
        let error = refused(with_login(&nats, login)).await;
        assert!(matches!(error, NatsError::WrongCredentials { .. }), "{login}: {error:?}");
        let text = format!("{error} {error:?}");
        assert!(text.contains(&format!("nats://127.0.0.1:{}", nats.port())), "{text}");
        assert!(!text.contains("guess"), "{text}");
    }
}

#[tokio::test]
async fn token_has_to_be_right() {
    let nats = Nats::builder().config(r#"authorization { token: "s3cret" }"#).start().await;

    let node = Node::with(with_login(&nats, "s3cret@")).await;
    assert_eq!(*node.bus.status().borrow(), BusStatus::Connected);
    let error = refused(with_login(&nats, "guess@")).await;
    assert!(matches!(error, NatsError::WrongCredentials { .. }), "{error:?}");
}

#[tokio::test]
async fn key_signs_in() {
    let key = nkeys::KeyPair::new_user();
    let config = format!("authorization {{ users: [ {{ nkey: {} }} ] }}", key.public_key());
    let nats = Nats::builder().config(&config).start().await;

    let seed = Some(format!("{}\n", key.seed().unwrap()));
    let node = Node::with(NatsOptions { nkey_seed: seed, ..options(&nats) }).await;
    assert_eq!(*node.bus.status().borrow(), BusStatus::Connected);
    let error = refused(options(&nats)).await;
    assert!(matches!(error, NatsError::WrongCredentials { .. }), "{error:?}");
    for bad in [
        NatsOptions { nkey_seed: Some("SUA".into()), ..options(&nats) },
        NatsOptions { credentials: Some("nothing".into()), ..options(&nats) },
    ] {
        let error = refused(bad).await;
        assert!(matches!(error, NatsError::Credentials), "{error:?}");
        assert!(error.is_setting());
    }
}

#[tokio::test]
async fn secrets_are_not_shown() {
    let options = NatsOptions {
        url: "nats://ada:hush1@host".into(),
        credentials: Some("hush2".into()),
        nkey_seed: Some("hush3".into()),
        ..NatsOptions::default()
    };
    assert!(!format!("{options:?}").contains("hush"));
    let config = r#"authorization { user: ada, password: "hush4" }"#;
    let nats = Nats::builder().config(config).start().await;
    let node = Node::with(with_login(&nats, "ada:hush4@")).await;
    assert!(!format!("{:?}", node.bus).contains("hush"));
}

/// Certificates of one authority, as files.
pub(crate) struct Certificates {
    folder: TempDir,
}

impl Certificates {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap());
        let authority = authority.unwrap();
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
        for name in ["server", "client"] {
            let key = KeyPair::generate().unwrap();
            let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
            let certificate = CertificateParams::new(names).unwrap();
            let certificate = certificate.signed_by(&key, &authority).unwrap();
            std::fs::write(folder.path().join(format!("{name}.pem")), certificate.pem()).unwrap();
            let file = folder.path().join(format!("{name}.key"));
            std::fs::write(file, key.serialize_pem()).unwrap();
        }
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns a server that speaks TLS.
    fn server(&self, more: &str) -> NatsBuilder {
        let path = |name| self.path(name).display().to_string();
        let (cert, key, ca) = (path("server.pem"), path("server.key"), path("ca.pem"));
        Nats::builder().config(&format!(
            r#"tls {{ cert_file: "{cert}", key_file: "{key}", ca_file: "{ca}" {more} }}"#
        ))
    }

    fn trusted(&self, nats: &Nats) -> NatsOptions {
        let url = format!("tls://127.0.0.1:{}", nats.port());
        NatsOptions { url, tls_ca: Some(self.path("ca.pem")), ..options(nats) }
    }
}

#[tokio::test]
async fn connection_is_encrypted_and_the_server_checked() {
    let certificates = Certificates::new();
    let nats = certificates.server("").start().await;
    let trusted = certificates.trusted(&nats);

    let here = Node::with(trusted.clone()).await;
    let mut there = Node::with(trusted.clone()).await;
    there.follow(room(1)).await;
    here.bus.publish_events(vec![said(room(1), 1)]);
    assert_eq!(there.hear_event().await, 1);

    let stranger = NatsOptions { tls_ca: None, ..trusted.clone() };
    let others = NatsOptions { tls_ca: Some(Certificates::new().path("ca.pem")), ..trusted };
    for options in [stranger, others.clone()] {
        let error = refused(NatsOptions { ..options }).await;
        let is_tls = matches!(&error, NatsError::Tls { .. } | NatsError::Certificates(_));
        assert!(is_tls, "{error:?}");
    }
}

#[tokio::test]
async fn server_without_encryption_is_not_talked_to_when_it_is_demanded() {
    let config = r#"authorization { user: ada, password: "secret" }"#;
    let nats = Nats::builder().config(config).start().await;
    let url = format!("tls://ada:secret@127.0.0.1:{}", nats.port());

    let error = refused(NatsOptions { url, ..options(&nats) }).await;

    assert!(matches!(error, NatsError::Tls { .. }), "{error:?}");
}

#[tokio::test]
async fn certificate_is_shown_to_a_server_that_asks_for_it() {
    let certificates = Certificates::new();
    let nats = certificates.server(", verify: true").start().await;
    let without = certificates.trusted(&nats);
    let with = NatsOptions {
        tls_cert: Some(certificates.path("client.pem")),
        tls_key: Some(certificates.path("client.key")),
        ..without.clone()
    };

    let node = Node::with(with.clone()).await;
    assert_eq!(*node.bus.status().borrow(), BusStatus::Connected);
    let error = refused(without).await;
    assert!(matches!(error, NatsError::Tls { .. }), "{error:?}");
    let missing = NatsOptions { tls_key: Some("/nowhere.key".into()), ..with };
    let error = refused(missing).await;
    assert!(matches!(error, NatsError::Certificates(_)) && error.is_setting(), "{error:?}");
}

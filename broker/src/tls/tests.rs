use std::fs;

use rcgen::{CertifiedKey as Made, KeyPair, generate_simple_self_signed};
use tempfile::TempDir;

use super::*;

/// A folder with certificate and key, and settings that name them.
struct Folder {
    folder: TempDir,
    config: ServerConfig,
}

fn made() -> Made<KeyPair> {
    generate_simple_self_signed(vec!["chat.example.org".to_owned()]).unwrap()
}

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = ServerConfig {
            tls_cert: Some(folder.path().join("cert.pem")),
            tls_key: Some(folder.path().join("key.pem")),
            ..ServerConfig::default()
        };
        let made = made();
        let folder = Self { folder, config };
        folder.put("cert.pem", &made.cert.pem());
        folder.put("key.pem", &made.signing_key.serialize_pem());
        folder
    }

    /// Puts a new file in the place of one.
    fn put(&self, name: &str, text: &str) {
        let draft = self.folder.path().join("draft");
        fs::write(&draft, text).unwrap();
        fs::rename(draft, self.folder.path().join(name)).unwrap();
    }

    fn open(&self) -> Result<Option<Tls>, TlsError> {
        Tls::open(&self.config)
    }

    fn sentence(&self) -> String {
        self.open().unwrap_err().to_string().replace(&self.folder.path().display().to_string(), "")
    }
}

fn certificate(tls: &Tls) -> Vec<u8> {
    tls.shown.0.read().unwrap().cert.first().unwrap().to_vec()
}

#[test]
fn without_settings_there_is_no_tls() {
    assert!(Tls::open(&ServerConfig::default()).unwrap().is_none());
    assert!(Folder::new().open().unwrap().is_some());
}

#[test]
fn file_that_cannot_be_used_is_named_with_its_setting() {
    let folder = Folder::new();
    folder.put("key.pem", &made().signing_key.serialize_pem());
    let other = "server.tls_key in /key.pem is not the key of the certificate in /cert.pem";
    assert_eq!(folder.sentence(), other);
    folder.put("key.pem", "-----BEGIN PRIVATE KEY-----\nc2VjcmV0!\n-----END PRIVATE KEY-----\n");
    let malformed = "server.tls_key in /key.pem does not hold a private key in PEM";
    assert_eq!(folder.sentence(), malformed);
    fs::remove_file(folder.folder.path().join("key.pem")).unwrap();
    assert_eq!(folder.sentence(), "cannot read server.tls_key in /key.pem");
    folder.put("cert.pem", "no certificate");
    let malformed = "server.tls_cert in /cert.pem does not hold a certificate in PEM";
    assert_eq!(folder.sentence(), malformed);
    fs::remove_file(folder.folder.path().join("cert.pem")).unwrap();
    assert_eq!(folder.sentence(), "cannot read server.tls_cert in /cert.pem");
}

#[test]
fn renewal_is_taken_once_and_only_whole() {
    let folder = Folder::new();
    let tls = folder.open().unwrap().unwrap();
    let first = certificate(&tls);
    assert!(!tls.renew().unwrap(), "nothing has changed");

    let next = made();
    folder.put("cert.pem", &next.cert.pem());
    assert!(matches!(tls.renew(), Err(TlsError::Mismatch { .. })));
    assert_eq!(certificate(&tls), first, "the one before stays");

    folder.put("key.pem", &next.signing_key.serialize_pem());
    assert!(tls.renew().unwrap());
    assert_eq!(certificate(&tls), next.cert.der().to_vec());
    assert!(!tls.renew().unwrap());
}

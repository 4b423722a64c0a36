//! TLS on the node's own listener: the certificate, and how it is renewed.
//!
//! A node without a certificate speaks plain TCP, for a proxy in front of it. One with a certificate
//! speaks TLS 1.2 and later and nothing else. The files are looked at once a minute; a certificate
//! that cannot be used is told of and the one that is in use stays.

use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use parlor_runtime::Lifecycle;
use parlor_runtime::config::ServerConfig;
use prometheus::IntCounterVec;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_mins(1);
/// What is spoken inside, the best first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Why there is no TLS. A setting or a file is wrong; starting again changes nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {setting} in {}", path.display())]
    Unreadable {
        /// The setting that names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{setting} in {} does not hold {what} in PEM", path.display())]
    Malformed {
        /// The setting that names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// The key is not that of the certificate.
    #[error(
        "server.tls_key in {} is not the key of the certificate in {}",
        key.display(),
        cert.display()
    )]
    Mismatch {
        /// The file of the certificate.
        cert: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// The certificate or its key is of a kind that cannot be used.
    #[error("the certificate in {} cannot be used", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What rustls said.
        source: rustls::Error,
    },
}

/// What a node shows to those who connect.
#[derive(Debug)]
pub struct Tls {
    files: Files,
    shown: Arc<Shown>,
    /// The state of the files from which the certificate came.
    seen: Mutex<Option<Stamp>>,
    acceptor: Acceptor,
}

/// The certificate in use.
#[derive(Debug)]
struct Shown(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// tokio-rustls's, which cannot be shown.
struct Acceptor(TlsAcceptor);

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Acceptor")
    }
}

impl Tls {
    /// Reads what the settings name; `None` when they name nothing.
    ///
    /// # Errors
    ///
    /// Fails when a file cannot be read or is not what it should be, or key and certificate are not
    /// of each other.
    pub fn open(config: &ServerConfig) -> Result<Option<Self>, TlsError> {
        let (Some(cert), Some(key)) = (&config.tls_cert, &config.tls_key) else { return Ok(None) };
        let files = Files { cert: cert.clone(), key: key.clone() };
        files.warn_of_readers();
        let seen = files.stamp().ok();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let certified = Arc::new(files.read(&provider)?);
        let shown = Arc::new(Shown(RwLock::new(certified)));
        let unusable = |source| TlsError::Unusable { path: cert.clone(), source };
        let mut server = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&shown) as _);
        server.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        // Those who come back need no signature, and the node remembers none of them.
        server.ticketer = aws_lc_rs::Ticketer::new().map_err(unusable)?;
        let acceptor = Acceptor(TlsAcceptor::from(Arc::new(server)));
        Ok(Some(Self { files, shown, seen: Mutex::new(seen), acceptor }))
    }

    /// Shakes hands, within `limit`.
    ///
    /// # Errors
    ///
    /// Fails when the other side is late, speaks something else, or does not agree.
    pub(crate) async fn accept(
        &self,
        socket: TcpStream,
        limit: Duration,
    ) -> io::Result<TlsStream<TcpStream>> {
        timeout(limit, self.acceptor.0.accept(socket)).await?
    }

    /// Takes the certificate of the files, if they have changed. `true` when they have.
    ///
    /// # Errors
    ///
    /// Fails when they cannot be used; what is in use stays, and the next call tries again. Half of
    /// a renewal, with a new certificate and the old key, is such a case.
    pub fn renew(&self) -> Result<bool, TlsError> {
        let stamp = self.files.stamp()?;
        if *self.seen.lock().unwrap_or_else(PoisonError::into_inner) == Some(stamp) {
            return Ok(false);
        }
        let certified = Arc::new(self.files.read(&aws_lc_rs::default_provider())?);
        *self.shown.0.write().unwrap_or_else(PoisonError::into_inner) = certified;
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(stamp);
        Ok(true)
    }

    /// Looks at the files until the node drains.
    pub(crate) async fn watch(self: Arc<Self>, lifecycle: Lifecycle, renewals: IntCounterVec) {
        let draining = lifecycle.draining();
        let mut tick = interval(LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = draining.cancelled() => return,
                _ = tick.tick() => {}
            }
            let tls = Arc::clone(&self);
            // Files may be on a network.
            match tokio::task::spawn_blocking(move || tls.renew()).await {
                Ok(Ok(false)) | Err(_) => {}
                Ok(Ok(true)) => {
                    renewals.with_label_values(&["taken"]).inc();
                    tracing::info!(path = %self.files.cert.display(), "new certificate in use");
                }
                Ok(Err(error)) => {
                    renewals.with_label_values(&["failed"]).inc();
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "new certificate cannot be used; the one before stays"
                    );
                }
            }
        }
    }
}

/// Where certificate and key are.
#[derive(Debug)]
struct Files {
    cert: PathBuf,
    key: PathBuf,
}

/// What changes when a file does: the file itself, its length, seconds and nanoseconds of its last
/// change.
type Stamp = [(u64, u64, i64, i64); 2];

const CERT: &str = "server.tls_cert";
const KEY: &str = "server.tls_key";

impl Files {
    fn stamp(&self) -> Result<Stamp, TlsError> {
        let stamp = |setting, path: &Path| match std::fs::metadata(path) {
            Ok(file) => Ok((file.ino(), file.len(), file.mtime(), file.mtime_nsec())),
            Err(source) => Err(TlsError::Unreadable { setting, path: path.to_path_buf(), source }),
        };
        Ok([stamp(CERT, &self.cert)?, stamp(KEY, &self.key)?])
    }

    fn warn_of_readers(&self) {
        let readers =
            std::fs::metadata(&self.key).map_or(0, |key| key.permissions().mode() & 0o077);
        if readers != 0 {
            tracing::warn!(
                path = %self.key.display(),
                "key of the certificate can be read by others; run chmod 600 on it"
            );
        }
    }

    fn read(&self, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
        let chain = CertificateDer::pem_file_iter(&self.cert)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| wrong_file(CERT, &self.cert, "a certificate", error))?;
        if chain.is_empty() {
            let (setting, path) = (CERT, self.cert.clone());
            return Err(TlsError::Malformed { setting, path, what: "a certificate" });
        }
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|error| wrong_file(KEY, &self.key, "a private key", error))?;
        CertifiedKey::from_der(chain, key, provider).map_err(|source| match source {
            rustls::Error::InconsistentKeys(_) => {
                TlsError::Mismatch { cert: self.cert.clone(), key: self.key.clone() }
            }
            source => TlsError::Unusable { path: self.cert.clone(), source },
        })
    }
}

/// What the parser says of a key is not passed on: it may have parts of the file in it.
fn wrong_file(
    setting: &'static str,
    path: &Path,
    what: &'static str,
    error: pem::Error,
) -> TlsError {
    let path = path.to_path_buf();
    match error {
        pem::Error::Io(source) => TlsError::Unreadable { setting, path, source },
        _ => TlsError::Malformed { setting, path, what },
    }
}

#[cfg(test)]
mod tests;

//! Where the database is and how the way to it is protected.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::open::OpenError;

/// An address, understood.
#[derive(Clone)]
pub(super) struct Address {
    /// What the driver needs.
    pub(super) config: Config,
    /// Hosts and ports, for sentences. Holds no secret.
    pub(super) servers: String,
    /// The file with certificates that the address itself names.
    ca_file: Option<PathBuf>,
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Address").field("servers", &self.servers).finish_non_exhaustive()
    }
}

impl Address {
    /// Reads an address such as `postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full`.
    ///
    /// Nothing of a wrong address is repeated in the error: parts of a password may be anywhere in
    /// it.
    pub(super) fn parse(url: &str) -> Result<Self, OpenError> {
        let (base, query) = url.trim().split_once('?').unwrap_or((url.trim(), ""));
        let rest = base.strip_prefix("postgres://").or_else(|| base.strip_prefix("postgresql://"));
        let rest = rest.ok_or(OpenError::BadAddress)?;
        let authority = rest.split('/').next().unwrap_or_default();
        // With a special character in the password nobody can tell where the host begins.
        if authority.matches('@').count() != 1 {
            return Err(OpenError::BadAddress);
        }
        let (mut mode, mut ca_file, mut kept) = (SslMode::Disable, None, Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", word)) => mode = ssl_mode(word)?,
                Some(("sslrootcert", "system")) => {}
                Some(("sslrootcert", path)) => ca_file = Some(PathBuf::from(path)),
                _ => kept.push(pair),
            }
        }
        let url = format!("{base}?{}", kept.join("&"));
        let mut config: Config = url.parse().map_err(|_| OpenError::BadAddress)?;
        if config.get_hosts().is_empty() || config.get_user().is_none() {
            return Err(OpenError::BadAddress);
        }
        config.ssl_mode(mode);
        if config.get_hosts().len() > 1 {
            // Of several servers, the one that takes writes.
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        let servers = servers(&config);
        Ok(Self { config, servers, ca_file })
    }

    /// Makes what encrypts: certificates are checked against the well-known authorities and those
    /// of a file.
    pub(super) fn tls(&self, ca_file: Option<&PathBuf>) -> Result<MakeRustlsConnect, OpenError> {
        let mut roots = RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        for path in [ca_file, self.ca_file.as_ref()].into_iter().flatten() {
            let unusable = |source: Option<rustls::pki_types::pem::Error>| OpenError::CaFile {
                path: path.clone(),
                source,
            };
            let certificates = CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|error| unusable(Some(error)))?;
            let (added, _) = roots.add_parsable_certificates(certificates);
            if added == 0 {
                return Err(unusable(None));
            }
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|source| OpenError::Database(Box::new(source)))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(MakeRustlsConnect::new(config))
    }

    /// Returns the name of the user.
    pub(super) fn user(&self) -> String {
        self.config.get_user().unwrap_or_default().to_owned()
    }

    /// Returns the name of the database.
    pub(super) fn database(&self) -> String {
        self.config.get_dbname().or(self.config.get_user()).unwrap_or_default().to_owned()
    }
}

/// With TLS the certificate is always checked, with its name: encryption towards whoever answers
/// protects from nobody who can change what is sent.
fn ssl_mode(word: &str) -> Result<SslMode, OpenError> {
    match word {
        "disable" => Ok(SslMode::Disable),
        "require" | "verify-ca" | "verify-full" => Ok(SslMode::Require),
        _ => Err(OpenError::BadTlsMode),
    }
}

fn servers(config: &Config) -> String {
    let ports = config.get_ports();
    let one = |(n, host): (usize, &Host)| {
        let port = ports.get(n).or(ports.first()).copied().unwrap_or(5432);
        match host {
            Host::Tcp(name) if name.contains(':') => format!("[{name}]:{port}"),
            Host::Tcp(name) => format!("{name}:{port}"),
            Host::Unix(path) => path.display().to_string(),
        }
    };
    config.get_hosts().iter().enumerate().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_is_shown_without_its_secret() {
        let address =
            Address::parse("postgres://ada:s3cret@db:5433/chat?sslmode=verify-full").unwrap();

        assert_eq!(address.servers, "db:5433");
        assert_eq!(address.config.get_ssl_mode(), SslMode::Require);
        assert_eq!((address.user().as_str(), address.database().as_str()), ("ada", "chat"));
        assert!(!format!("{address:?}").contains("s3cret"));
    }

    #[test]
    fn several_servers_are_asked_for_the_one_that_writes() {
        let address = Address::parse("postgres://ada@one,two:5433/chat").unwrap();

        assert_eq!(address.config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
        assert_eq!(address.config.get_ssl_mode(), SslMode::Disable);
    }

    #[test]
    fn wrong_address_is_refused_and_nothing_of_it_is_shown() {
        for url in [
            "mysql://ada:s3cret@db/chat",
            "postgres://ada:s3@cret@db/chat",
            "postgres://ada:s3?cret@db/chat",
            "postgres://ada:s3/cret@db/chat",
            "postgres://db/chat",
            "postgres:///chat",
            "postgres://ada:s3cret@db:port/chat",
            "postgres://ada:s3cret@db/chat?s3cret=1",
        ] {
            let error = Address::parse(url).expect_err(url);
            assert!(matches!(error, OpenError::BadAddress), "{url}");
            assert!(!format!("{error} {error:?}").contains("cret"), "{error}");
        }
        let vague = Address::parse("postgres://ada@db/chat?sslmode=prefer");
        assert!(matches!(vague, Err(OpenError::BadTlsMode)));
    }
}

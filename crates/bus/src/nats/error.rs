//! Why the bus cannot be started.

/// What went wrong when the bus was started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NatsError {
    /// An address cannot be used.
    #[error("use an address of NATS: it must be nats://HOST:PORT or tls://HOST:PORT")]
    Address,
    /// The content of a credentials file or the seed of a key cannot be used.
    #[error("use the credentials for NATS: they are neither a credentials file nor an NKey seed")]
    Credentials,
    /// A certificate or a key cannot be used.
    #[error("use the certificates for NATS: a file is missing, or holds no certificate or key")]
    Certificates(#[source] std::io::Error),
    /// The server does not know this process.
    #[error(
        "log in to NATS at {server}: the password, token, key or certificate is wrong or missing"
    )]
    WrongCredentials {
        /// The server, without credentials.
        server: String,
    },
    /// The server forbids what a node has to do.
    #[error("use NATS at {server}: the user may not do what a node has to do ({denied})")]
    Forbidden {
        /// The server, without credentials.
        server: String,
        /// What the server said.
        denied: String,
    },
    /// The two sides cannot agree on encryption.
    #[error(
        "agree with NATS at {server} on TLS: check the certificates of both sides, and that it speaks TLS"
    )]
    Tls {
        /// The server, without credentials.
        server: String,
        /// What was wrong.
        #[source]
        source: async_nats::ConnectError,
    },
    /// There is no answer.
    #[error("reach NATS at {server}: there is no answer")]
    Silent {
        /// The server, without credentials.
        server: String,
    },
    /// There is no server.
    #[error("reach NATS at {server}: is it running, and is the address right?")]
    Unreachable {
        /// The server, without credentials.
        server: String,
        /// What was wrong.
        #[source]
        source: async_nats::ConnectError,
    },
    /// A metric is registered already.
    #[error("register the metrics of the bus")]
    Metrics(#[from] prometheus::Error),
}

impl NatsError {
    /// Tells whether a setting has to be changed before another attempt makes sense.
    pub fn is_setting(&self) -> bool {
        matches!(self, Self::Address | Self::Credentials | Self::Certificates(_))
    }
}

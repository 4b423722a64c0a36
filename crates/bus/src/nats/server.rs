//! One connection to one server.

use std::sync::{Arc, Mutex, PoisonError};

use async_nats::rustls;
use async_nats::{
    Client, ConnectError, ConnectErrorKind, ConnectOptions, Event, ServerAddr, ServerError,
};
use percent_encoding::percent_decode_str;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::error::NatsError;
use super::options::NatsOptions;
use super::shared::Shared;

/// What the server says when a user may not do something.
const FORBIDDEN: &str = "Permissions Violation";
/// Commands that may wait in the driver. What waits longer waits in our own queue, where it is
/// counted.
const DRIVER_QUEUE: usize = 2_048;

/// A server and how to log in there.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) address: ServerAddr,
    pub(super) name: String,
    user: Option<(String, String)>,
    token: Option<String>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

/// An open connection.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) client: Client,
    pub(super) server: String,
    pub(super) state: Arc<LinkState>,
}

/// What the driver reports of a connection.
#[derive(Debug, Default)]
pub(super) struct LinkState {
    /// The connection has ended.
    pub(super) lost: CancellationToken,
    /// What the server has forbidden, in its words.
    denied: Mutex<Option<String>>,
}

impl LinkState {
    pub(super) fn denied(&self) -> Option<String> {
        self.denied.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, shared: &Shared, event: &Event) {
        match event {
            Event::Disconnected | Event::Closed | Event::ClientError(_) => self.lost.cancel(),
            Event::SlowConsumer(_) => shared.note_slow(),
            Event::ServerError(error) => {
                shared.metrics.server_errors.inc();
                if let ServerError::Other(text) = error
                    && text.starts_with(FORBIDDEN)
                {
                    tracing::warn!(%text, "NATS forbids something that a node has to do");
                    let mut denied = self.denied.lock().unwrap_or_else(PoisonError::into_inner);
                    denied.get_or_insert_with(|| text.clone());
                }
            }
            Event::Connected | Event::LameDuckMode | Event::Draining => {}
        }
    }
}

/// Reads the addresses.
pub(super) fn servers(options: &NatsOptions) -> Result<Vec<Server>, NatsError> {
    options.url.split(',').map(|text| server(text.trim())).collect()
}

fn server(text: &str) -> Result<Server, NatsError> {
    let mut url = Url::parse(text).map_err(|_| NatsError::Address)?;
    if !matches!(url.scheme(), "nats" | "tls") || url.host_str().is_none_or(str::is_empty) {
        return Err(NatsError::Address);
    }
    let decode = |text: &str| {
        percent_decode_str(text)
            .decode_utf8()
            .map(std::borrow::Cow::into_owned)
            .map_err(|_| NatsError::Address)
    };
    let name = decode(url.username())?;
    let password = url.password().map(decode).transpose()?;
    let (user, token) = match (name.is_empty(), password) {
        (true, None) => (None, None),
        (false, None) => (None, Some(name)),
        (_, Some(password)) => (Some((name, password)), None),
    };
    // The driver logs addresses.
    url.set_username("").and_then(|()| url.set_password(None)).map_err(|()| NatsError::Address)?;
    let address = ServerAddr::from_url(url).map_err(|_| NatsError::Address)?;
    let name = format!("{}://{}:{}", address.scheme(), address.host(), address.port());
    Ok(Server { address, name, user, token })
}

/// Connects to one server.
pub(super) async fn connect(server: &Server, shared: &Arc<Shared>) -> Result<Link, NatsError> {
    let state = Arc::new(LinkState::default());
    let options = connect_options(server, &shared.options)?.event_callback({
        let (state, shared) = (Arc::clone(&state), Arc::downgrade(shared));
        move |event| {
            if let Some(shared) = shared.upgrade() {
                state.note(&shared, &event);
            }
            std::future::ready(())
        }
    });
    match Box::pin(options.connect(server.address.clone())).await {
        Ok(client) => Ok(Link { client, server: server.name.clone(), state }),
        Err(error) => Err(explain(server, error)),
    }
}

pub(super) fn connect_options(
    server: &Server,
    options: &NatsOptions,
) -> Result<ConnectOptions, NatsError> {
    let mut connect = ConnectOptions::new()
        .name(&options.name)
        .no_echo()
        .ping_interval(options.ping_interval)
        .connection_timeout(options.connect_timeout)
        .subscription_capacity(options.receive_queue)
        .client_capacity(DRIVER_QUEUE)
        .ignore_discovered_servers()
        // We connect again ourselves: the driver gives up for ever when a login is refused once,
        // and says that it is back before its subscriptions are.
        .max_reconnects(1)
        .reconnect_delay_callback(|_| std::time::Duration::ZERO);
    if let Some((user, password)) = &server.user {
        connect = connect.user_and_password(user.clone(), password.clone());
    }
    if let Some(token) = &server.token {
        connect = connect.token(token.clone());
    }
    if let Some(credentials) = &options.credentials {
        connect = connect.credentials(credentials).map_err(|_| NatsError::Credentials)?;
    }
    if let Some(seed) = &options.nkey_seed {
        let seed = seed.trim();
        connect = connect.nkey(seed.to_owned());
    }
    if let Some(ca) = &options.tls_ca {
        readable(ca)?;
        connect = connect.add_root_certificates(ca.clone());
    }
    if let (Some(cert), Some(key)) = (&options.tls_cert, &options.tls_key) {
        readable(cert)?;
        readable(key)?;
        connect = connect.add_client_certificate(cert.clone(), key.clone());
    }
    Ok(connect)
}

fn readable(path: &std::path::Path) -> Result<(), NatsError> {
    std::fs::File::open(path).map(drop).map_err(NatsError::Certificates)
}

pub(super) fn explain(server: &Server, source: ConnectError) -> NatsError {
    let name = server.name.clone();
    match source.kind() {
        ConnectErrorKind::AuthorizationViolation => NatsError::WrongCredentials { server: name },
        // The seed cannot be used to sign.
        ConnectErrorKind::Authentication => NatsError::Credentials,
        ConnectErrorKind::TimedOut => NatsError::Silent { server: name },
        ConnectErrorKind::Tls => NatsError::Tls { server: name, source },
        ConnectErrorKind::ServerParse => NatsError::Address,
        ConnectErrorKind::Dns | ConnectErrorKind::Io | ConnectErrorKind::MaxReconnects => {
            if is_tls(&source) {
                NatsError::Tls { server: name, source }
            } else {
                NatsError::Unreachable { server: name, source }
            }
        }
    }
}

/// Tells whether an error came from the TLS library, however deep it is wrapped.
fn is_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    if error.is::<rustls::Error>() {
        return true;
    }
    let io = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    io.is_some_and(|inner| is_tls(inner)) || error.source().is_some_and(is_tls)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<Vec<Server>, NatsError> {
        servers(&NatsOptions { url: url.to_owned(), ..NatsOptions::default() })
    }

    #[test]
    fn addresses_carry_their_own_logins() {
        let servers =
            read("nats://ada:p%40ss@one:4222, tls://to%2Fken@two , nats://[::1]:5222").unwrap();
        let user = servers[0].user.as_ref().map(|(user, password)| (&**user, &**password));
        assert_eq!(user, Some(("ada", "p@ss")));
        assert_eq!(servers[1].token.as_deref(), Some("to/ken"));
        assert!(servers[1].address.tls_required());
        assert!(servers[2].user.is_none() && servers[2].token.is_none());
        let shown = format!("{servers:?}");
        assert_eq!(shown, "[nats://one:4222, tls://two:4222, nats://::1:5222]");
    }

    #[test]
    fn logins_are_not_in_the_address_that_the_driver_logs() {
        for server in read("nats://ada:secret@one:4222,nats://secret@two").unwrap() {
            assert!(!server.address.as_url_str().contains("secret"));
        }
    }

    #[test]
    fn other_addresses_are_refused() {
        for url in ["", "one:4222", "http://one", "nats://", "nats://one,,nats://two", "ws://one"] {
            let error = read(url).unwrap_err();
            assert!(matches!(error, NatsError::Address) && error.is_setting(), "{url}");
        }
    }
}

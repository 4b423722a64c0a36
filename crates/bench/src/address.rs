//! Where load goes, and whether it may go there.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};

use url::{Host, Url};

use crate::target::BenchError;

/// Addresses that a client can connect to without TLS, and the port where none is named.
const SCHEMES: &[(&str, u16)] =
    &[("http", 80), ("ws", 80), ("tcp", 0), ("nats", 4222), ("mqtt", 1883)];

/// Where clients connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Host and port, as in a `Host` header.
    pub authority: String,
    /// The path, `/` when there is none.
    pub path: String,
    /// What the host's name stands for.
    pub socket: SocketAddr,
}

impl Address {
    /// Reads an address such as `ws://127.0.0.1:9000/ws`, and looks the host up.
    ///
    /// # Errors
    /// [`BenchError::Elsewhere`] for another machine, unless `elsewhere` allows it;
    /// [`BenchError::Address`] for what is no address.
    pub fn parse(text: &str, elsewhere: bool) -> Result<Self, BenchError> {
        let url = Url::parse(text).map_err(|_| BenchError::Address)?;
        let known = SCHEMES.iter().find(|(scheme, _)| *scheme == url.scheme());
        let (_, usual) = known.ok_or(BenchError::Address)?;
        check_owner(&url, elsewhere)?;
        let port = url.port().unwrap_or(*usual);
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(BenchError::Address)?;
        if port == 0 {
            return Err(BenchError::Address);
        }
        let authority = format!("{host}:{port}");
        let mut found = authority.to_socket_addrs().map_err(|_| BenchError::Address)?;
        let socket = found.next().ok_or(BenchError::Address)?;
        if !elsewhere && !socket.ip().is_loopback() {
            return Err(BenchError::Elsewhere(host.to_owned()));
        }
        let path = if url.path().is_empty() { "/" } else { url.path() };
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        Ok(Self { authority, path: format!("{path}{query}"), socket })
    }
}

/// Refuses another machine, unless `elsewhere` allows it.
///
/// # Errors
/// [`BenchError::Elsewhere`].
pub(crate) fn check_owner(url: &Url, elsewhere: bool) -> Result<(), BenchError> {
    if elsewhere || is_this_machine(url) {
        return Ok(());
    }
    Err(BenchError::Elsewhere(url.host_str().unwrap_or_default().to_owned()))
}

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        // Schemes that the URL standard does not know keep an address as a name.
        Some(Host::Domain(name)) => {
            name == "localhost" || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
        }
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_machines_are_refused_whatever_is_spoken() {
        for scheme in ["http", "ws", "tcp", "nats", "mqtt"] {
            for host in ["127.0.0.1", "127.8.9.1", "[::1]"] {
                let address = Address::parse(&format!("{scheme}://{host}:9000/ws"), false).unwrap();
                assert!(address.socket.ip().is_loopback() && address.socket.port() == 9000);
            }
            for host in ["192.0.2.7", "[2001:db8::1]", "localhost.example", "0.0.0.0"] {
                let refused = Address::parse(&format!("{scheme}://{host}:9000"), false);
                assert!(matches!(refused, Err(BenchError::Elsewhere(_))), "{scheme}://{host}");
            }
            assert!(Address::parse(&format!("{scheme}://192.0.2.7:9000"), true).is_ok());
        }
    }

    #[test]
    fn parts_of_an_address_are_told_apart() {
        let address = Address::parse("ws://127.0.0.1/chat?room=1", false).unwrap();
        let socket = "127.0.0.1:80".parse().unwrap();
        let (authority, path) = ("127.0.0.1:80".to_owned(), "/chat?room=1".to_owned());
        assert_eq!(address, Address { authority, path, socket });
        assert_eq!(Address::parse("nats://127.0.0.1", false).unwrap().socket.port(), 4222);
        for text in ["127.0.0.1:1", "https://127.0.0.1", "tcp://127.0.0.1", "ws://", ""] {
            assert!(matches!(Address::parse(text, false), Err(BenchError::Address)), "{text}");
        }
    }
}

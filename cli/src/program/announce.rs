//! What a program says when it is ready: a line on standard output for machines, words on standard
//! error for people.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use parlor_broker::start::Broker;
use parlor_runtime::Config;

/// Tells where the node is, and how to make the first administrator.
pub(crate) fn node(config: &Config, broker: &Broker) -> anyhow::Result<()> {
    let address = broker.address();
    let scheme = if broker.node().tls.is_some() { "https" } else { "http" };
    if let Some(token) = broker.setup_token() {
        let url = config
            .server
            .public_url
            .as_ref()
            .map_or_else(|| format!("{scheme}://{}", reachable(address)), ToString::to_string);
        let url = url.trim_end_matches('/');
        writeln!(
            std::io::stderr().lock(),
            "\nThere is no administrator yet. Open this link within 30 minutes to become it:\n\
             \n    {url}/setup#token={token}\n\n\
             Until then only this machine can connect.\n"
        )?;
    }
    listening(scheme, address)
}

/// Tells where the program listens.
pub(crate) fn listening(scheme: &str, address: SocketAddr) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "listening on {scheme}://{address}")?;
    out.flush()?;
    Ok(())
}

/// Returns an address that a browser on this machine can open.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, address.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, address.port()).into(),
        _ => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_names_an_address_that_can_be_opened() {
        let reachable = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(reachable("0.0.0.0:7777"), "127.0.0.1:7777");
        assert_eq!(reachable("[::]:7777"), "[::1]:7777");
        assert_eq!(reachable("192.0.2.1:80"), "192.0.2.1:80");
    }
}

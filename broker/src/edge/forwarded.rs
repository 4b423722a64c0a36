//! Whose request it is, where trusted proxies stand in between.

use std::net::IpAddr;

use ::http::HeaderMap;
use ipnet::IpNet;

/// Tells whether an address is one of a proxy that is trusted.
pub(super) fn is_trusted(proxies: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    proxies.iter().any(|proxy| proxy.contains(&address))
}

/// Returns the address of whoever asked: the last one in `X-Forwarded-For` that is not a trusted
/// proxy, if the connection comes from one.
pub(super) fn client_address(peer: IpAddr, headers: &HeaderMap, proxies: &[IpNet]) -> IpAddr {
    if !is_trusted(proxies, peer) {
        return peer;
    }
    let forwarded = headers.get_all("x-forwarded-for");
    let hops: Vec<&str> = forwarded
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    let mut address = peer;
    for hop in hops.iter().rev() {
        let Ok(hop) = hop.trim().parse() else { break };
        address = hop;
        if !is_trusted(proxies, hop) {
            break;
        }
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forwarded(value: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", http_value(value));
        headers
    }

    fn http_value(value: &'static str) -> ::http::HeaderValue {
        ::http::HeaderValue::from_static(value)
    }

    #[test]
    fn forwarded_address_counts_only_from_a_trusted_proxy() {
        let proxies = ["10.0.0.0/8".parse().unwrap()];
        let headers = forwarded("203.0.113.9, 198.51.100.7, 10.0.0.2");
        let address = |peer: &str| client_address(peer.parse().unwrap(), &headers, &proxies);
        assert_eq!(address("10.0.0.1"), "198.51.100.7".parse::<IpAddr>().unwrap());
        assert_eq!(address("192.0.2.1"), "192.0.2.1".parse::<IpAddr>().unwrap());
    }

    #[test]
    fn garbage_in_the_header_is_not_an_address() {
        let proxies = ["10.0.0.0/8".parse().unwrap()];
        let headers = forwarded("203.0.113.9, unknown");
        let address = client_address("10.0.0.1".parse().unwrap(), &headers, &proxies);
        assert_eq!(address, "10.0.0.1".parse::<IpAddr>().unwrap());
    }
}

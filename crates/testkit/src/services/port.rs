//! Ports for what cannot say which port it got.

use std::{
    net::{Ipv4Addr, TcpListener},
    ops::Range,
};

use rand::Rng as _;

/// Below the ports that systems give to outgoing connections, so that no connection takes the port
/// of a service while it is down.
const PORTS: Range<u16> = 12_000..32_000;
const TRIES: usize = 200;

/// Returns a port on which nothing listens now. Someone else may take it before its use, so those
/// who bind it try again with another.
pub fn free_port() -> u16 {
    let mut random = rand::rng();
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let found = (0..TRIES).map(|_| random.random_range(PORTS)).find(is_free);
    found.unwrap_or_else(|| panic!("no free port in {TRIES} tries"))
}

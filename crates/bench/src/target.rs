//! The server under load: is it ours, who logs in, which rooms there are.

use parlor_client::{ClientConfig, ClientError, Http};
use parlor_protocol::http::{CreateRoomRequest, RegisterRequest};
use parlor_protocol::id::RoomId;
use parlor_protocol::room::RoomKind;
use url::Url;
use uuid::Uuid;

use crate::address::{Address, check_owner};
use crate::scrape::Scrape;

/// Where the load goes.
#[derive(Debug, Clone)]
pub struct TargetOptions {
    /// Where clients connect.
    pub server: String,
    /// Where each node tells its metrics; the server's own address when empty.
    pub nodes: Vec<String>,
    /// Whether the server may be on another machine.
    pub elsewhere: bool,
}

/// Why there is no measurement.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// The address is none of a server.
    #[error("the address must be http://HOST:PORT, or ws, nats, mqtt or tcp where that is spoken")]
    Address,
    /// The server is on another machine.
    #[error(
        "this is load that can take a server down, and {0} is not this machine; if it is yours, \
         add --yes-i-own-this"
    )]
    Elsewhere(String),
    /// The server refused something that the measurement needs.
    #[error(transparent)]
    Refused(#[from] ClientError),
    /// The server's metrics cannot be read.
    #[error("the metrics of the server cannot be read")]
    Metrics(#[from] reqwest::Error),
    /// A connection was lost or never made.
    #[error("a connection failed: {0}")]
    Connection(String),
    /// The server answers a frame that nobody expected.
    #[error("the server refused a command: {0}")]
    Command(String),
    /// What was asked for cannot be measured.
    #[error("{0}")]
    Plan(String),
    /// A thread of the generator cannot be made.
    #[error("a thread cannot be made")]
    Thread(#[source] std::io::Error),
}

/// A server that is ready for load.
#[derive(Debug)]
pub struct Target {
    base: Url,
    nodes: Vec<Url>,
    /// Sends requests outside the measurement.
    plain: reqwest::Client,
    run: String,
}

/// Someone who can connect.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) http: Http,
    pub(crate) username: String,
}

impl Target {
    /// Checks the address.
    ///
    /// # Errors
    /// [`BenchError::Elsewhere`] for another machine, unless that is allowed.
    pub fn new(options: &TargetOptions) -> Result<Self, BenchError> {
        let parse = |address: &String| Url::parse(address).map_err(|_| BenchError::Address);
        let base = parse(&options.server)?;
        let nodes = match options.nodes.as_slice() {
            [] => vec![base.clone()],
            nodes => nodes.iter().map(parse).collect::<Result<_, _>>()?,
        };
        for url in nodes.iter().chain([&base]) {
            if url.scheme() != "http" {
                return Err(BenchError::Address);
            }
            check_owner(url, options.elsewhere)?;
        }
        let plain = reqwest::Client::builder().no_proxy().build()?;
        let run = Uuid::new_v4().simple().to_string().chars().take(8).collect();
        Ok(Self { base, nodes, plain, run })
    }

    /// Returns host and port for the WebSocket.
    pub(crate) fn authority(&self) -> String {
        let host = self.base.host_str().unwrap_or_default();
        format!("{host}:{}", self.base.port_or_known_default().unwrap_or(80))
    }

    /// Returns where clients connect. The owner was checked before.
    pub(crate) fn address(&self) -> Result<Address, BenchError> {
        Address::parse(self.base.as_str(), true)
    }

    /// Reads the metrics of all nodes.
    pub(crate) async fn scrape(&self) -> Result<Scrape, BenchError> {
        let mut all = Scrape::default();
        for node in &self.nodes {
            all.add(Scrape::read(&self.plain, node).await?);
        }
        Ok(all)
    }

    /// Makes accounts and logs them in.
    pub(crate) async fn accounts(&self, count: usize) -> Result<Vec<Account>, BenchError> {
        let mut accounts = Vec::with_capacity(count);
        for number in 0..count {
            let username = format!("bench-{}-{number}", self.run);
            let password = format!("{}{}", Uuid::new_v4(), Uuid::new_v4());
            let http = Http::new(ClientConfig::new(self.base.as_str())?)?;
            http.register(&RegisterRequest {
                username: username.clone(),
                password: password.clone(),
                email: None,
                display_name: None,
                invite: None,
            })
            .await?;
            http.log_in(&username, &password).await?;
            accounts.push(Account { http, username });
        }
        Ok(accounts)
    }

    /// Makes private rooms with all of the accounts as members; they own them in turn, because one
    /// may own only so many.
    pub(crate) async fn rooms(
        &self,
        accounts: &[Account],
        count: usize,
    ) -> Result<Vec<RoomId>, BenchError> {
        let mut rooms = Vec::with_capacity(count);
        for (number, owner) in (0..count).zip(accounts.iter().cycle()) {
            let name = format!("bench-{}-{number}", self.run);
            let others = accounts.iter().filter(|account| account.username != owner.username);
            let request = CreateRoomRequest {
                name: name.clone(),
                slug: Some(name),
                kind: RoomKind::Private,
                topic: None,
                members: others.map(|member| member.username.clone()).collect(),
                bots: Vec::new(),
                client_id: None,
            };
            rooms.push(owner.http.create_room(&request).await?.id);
        }
        Ok(rooms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(server: &str, elsewhere: bool) -> Result<Target, BenchError> {
        Target::new(&TargetOptions { server: server.to_owned(), nodes: Vec::new(), elsewhere })
    }

    #[test]
    fn other_machines_are_refused_unless_they_are_ones_own() {
        for server in ["http://127.0.0.1:7777", "http://localhost:1", "http://[::1]:7777"] {
            assert!(target(server, false).is_ok(), "{server}");
        }
        for server in
            ["http://192.0.2.7:7777", "http://chat.example.org", "http://localhost.example"]
        {
            assert!(matches!(target(server, false), Err(BenchError::Elsewhere(_))), "{server}");
            assert!(target(server, true).is_ok(), "{server}");
        }
        for server in ["127.0.0.1:7777", "ftp://127.0.0.1", ""] {
            assert!(matches!(target(server, true), Err(BenchError::Address)), "{server}");
        }
    }
}

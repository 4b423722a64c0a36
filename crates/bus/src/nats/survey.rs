//! What an operator is told about NATS.

use std::time::Duration;

use tokio::time::Instant;

use super::error::NatsError;
use super::options::NatsOptions;
use super::server::{connect_options, explain, servers};

/// What was found out about one server. Looking changes nothing there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatsSurvey {
    /// The server, without credentials.
    pub server: String,
    /// Its version.
    pub version: String,
    /// How long connecting took, with the login.
    pub connected_in: Duration,
    /// Largest message that it takes, in bytes.
    pub max_payload: usize,
    /// Whether it lets in only those with a login.
    pub wants_login: bool,
    /// Whether it is being stopped.
    pub stopping: bool,
}

impl NatsOptions {
    /// Looks at each server of the address, in its order.
    ///
    /// # Errors
    ///
    /// When the address is not valid. What is wrong with one server stands in its place.
    pub async fn survey(&self) -> Result<Vec<Result<NatsSurvey, NatsError>>, NatsError> {
        let mut found = Vec::new();
        for server in servers(self)? {
            let begun = Instant::now();
            let connecting = connect_options(&server, self)?.connect(server.address.clone());
            found.push(match Box::pin(connecting).await {
                Err(error) => Err(explain(&server, error)),
                Ok(client) => {
                    let connected_in = begun.elapsed();
                    let info = client.server_info();
                    Ok(NatsSurvey {
                        server: server.name,
                        version: info.version,
                        connected_in,
                        max_payload: info.max_payload,
                        wants_login: info.auth_required,
                        stopping: info.lame_duck_mode,
                    })
                }
            });
        }
        Ok(found)
    }
}

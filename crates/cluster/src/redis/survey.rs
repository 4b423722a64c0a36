//! What an operator is told about Redis.

use std::collections::HashMap;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, InfoDict, RedisResult};
use tokio::time::{Instant, timeout};

use super::connection::{START_LIMIT, client};
use super::{ClusterOptions, ConnectError};

/// What was found out about the server. Looking changes nothing there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisSurvey {
    /// Its version; empty, as all that follows but the times, when it does not say.
    pub version: String,
    /// How long connecting took, with the login.
    pub connected_in: Duration,
    /// How long one short question took.
    pub answered_in: Duration,
    /// `master`, or `slave` when it follows another one.
    pub role: String,
    /// Bytes that it uses.
    pub used_memory: u64,
    /// Bytes that it may use; 0: as many as there are.
    pub max_memory: u64,
    /// What it does when they are used up; empty when it does not say.
    pub eviction: String,
    /// Whether it appends what it is told to a file, or `None` when it does not say.
    pub appends_to_file: Option<bool>,
}

impl ClusterOptions {
    /// Looks at the server.
    ///
    /// # Errors
    ///
    /// When it cannot be reached or does not let us in.
    pub async fn survey(&self) -> Result<RedisSurvey, ConnectError> {
        let (client, host) = client(self)?;
        let looked = timeout(START_LIMIT, async {
            let begun = Instant::now();
            // The driver's own limits are too short to find out how slow it is.
            let patient = AsyncConnectionConfig::new()
                .set_connection_timeout(None)
                .set_response_timeout(None);
            let mut connection =
                client.get_multiplexed_async_connection_with_config(&patient).await?;
            let connected_in = begun.elapsed();
            let asked = Instant::now();
            let _pong: String = ::redis::cmd("PING").query_async(&mut connection).await?;
            let answered_in = asked.elapsed();
            // A user who may not ask this may still do all that a node does.
            let info: RedisResult<InfoDict> =
                ::redis::cmd("INFO").query_async(&mut connection).await;
            let info = info.unwrap_or_else(|_| InfoDict::new(""));
            let eviction = setting(&mut connection, "maxmemory-policy").await;
            let text = |key: &str| info.get::<String>(key).unwrap_or_default();
            let number = |key: &str| info.get::<u64>(key).unwrap_or_default();
            RedisResult::Ok(RedisSurvey {
                version: text("redis_version"),
                connected_in,
                answered_in,
                role: text("role"),
                used_memory: number("used_memory"),
                max_memory: number("maxmemory"),
                eviction: eviction.unwrap_or_else(|| text("maxmemory_policy")),
                appends_to_file: info.get::<u8>("aof_enabled").map(|enabled| enabled == 1),
            })
        });
        let silent = || ConnectError::Silent { host: host.clone() };
        looked.await.map_err(|_| silent())?.map_err(|error| ConnectError::of(&host, error))
    }
}

/// Reads one setting; many providers do not let anyone.
async fn setting(connection: &mut MultiplexedConnection, name: &str) -> Option<String> {
    let mut command = ::redis::cmd("CONFIG");
    command.arg("GET").arg(name);
    let found: RedisResult<HashMap<String, String>> = command.query_async(connection).await;
    found.ok()?.remove(name)
}

//! What nodes share in Redis.

use parlor_cluster::redis::{ClusterOptions, ClusterState, ConnectError};
use parlor_runtime::config::place;
use parlor_runtime::{Clock as _, Config, SystemClock};
use prometheus::Registry;

use super::fault::{Service, ServiceFault, with_causes};

/// Returns how to reach Redis; nothing when presence and limits stay in this process.
pub(crate) fn options(config: &Config) -> Option<ClusterOptions> {
    let cluster = &config.cluster;
    let secret = config.auth.secret_key.as_ref()?.expose().as_bytes();
    let mut options = ClusterOptions::new(cluster.redis()?, SystemClock.new_id(), secret);
    options.tls_ca.clone_from(&cluster.tls_ca);
    options.prefix.clone_from(&cluster.prefix);
    options.timeout = cluster.timeout;
    options.presence.expire = cluster.presence_expire;
    // Two renewals may fail before a user seems to be gone.
    options.presence.refresh = cluster.presence_expire / 3;
    options.presence.idle_after = cluster.presence_idle;
    options.presence.grace = cluster.presence_grace;
    Some(options)
}

/// Connects, if the server is there now.
pub(super) async fn open(
    options: ClusterOptions,
    config: &Config,
    registry: &Registry,
) -> Result<ClusterState, ServiceFault> {
    ClusterState::connect(options, registry).await.map_err(|error| fault(config, &error))
}

/// Returns what an error means to an operator.
pub(crate) fn fault(config: &Config, error: &ConnectError) -> ServiceFault {
    let place = place(config.cluster.redis().unwrap_or_default());
    let kind = match error {
        error if error.may_pass() => ServiceFault::away,
        ConnectError::TooOld { .. } => ServiceFault::unfit,
        _ => ServiceFault::wrong,
    };
    let why = match error {
        // What the driver says of it fills a page.
        ConnectError::NotRedis { .. } => error.to_string(),
        _ => with_causes(error),
    };
    kind(Service::Redis, &place, &why)
}

//! The bus over NATS.

use parlor_bus::{NatsBus, NatsError, NatsOptions};
use parlor_runtime::config::place;
use parlor_runtime::{Config, Secret};
use prometheus::Registry;

use super::fault::{Service, ServiceFault, with_causes};

/// Returns how to reach NATS; nothing when the bus stays in this process.
pub(crate) fn options(config: &Config) -> Option<NatsOptions> {
    let bus = &config.bus;
    let text = |secret: &Option<Secret<String>>| secret.as_ref().map(|it| it.expose().clone());
    Some(NatsOptions {
        url: bus.nats()?.to_owned(),
        credentials: text(&bus.credentials),
        nkey_seed: text(&bus.nkey_seed),
        tls_ca: bus.tls_ca.clone(),
        tls_cert: bus.tls_cert.clone(),
        tls_key: bus.tls_key.clone(),
        subject_prefix: bus.subject_prefix.clone(),
        publish_queue: bus.publish_queue,
        receive_queue: config.limits.bus_queue,
        release_after: bus.release_after,
        ping_interval: bus.ping_interval,
        ..NatsOptions::default()
    })
}

/// Connects, if the server is there now.
pub(super) async fn open(
    options: NatsOptions,
    config: &Config,
    registry: &Registry,
) -> Result<NatsBus, ServiceFault> {
    NatsBus::connect(options, registry).await.map_err(|error| fault(config, &error))
}

/// Returns what an error means to an operator.
pub(crate) fn fault(config: &Config, error: &NatsError) -> ServiceFault {
    let place = place(config.bus.nats().unwrap_or_default());
    let kind = match error {
        NatsError::Unreachable { .. } | NatsError::Silent { .. } => ServiceFault::away,
        _ => ServiceFault::wrong,
    };
    kind(Service::Nats, &place, &format!("cannot {}", with_causes(error)))
}

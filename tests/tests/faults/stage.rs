//! The cluster that fault tests run on: short leases and timeouts, so that it recovers soon.

use std::time::Duration;

use parlor_testkit::{
    cluster::{Cluster, ClusterBuilder},
    fake_llm::{FakeLlm, Script},
};

/// The right to a reply, without a sign of life.
pub(crate) const LEASE: Duration = Duration::from_secs(3);

/// Returns a cluster with a fake model, proxies on all links, and short times.
pub(crate) fn builder(llm: &FakeLlm) -> ClusterBuilder {
    Cluster::builder()
        .brokers(3)
        .workers(2)
        .proxies()
        .model(llm)
        .env("PARLOR_LIMITS__REPLAY_EVENTS", "1000000")
        .env("PARLOR_LIMITS__HEARTBEAT", "2s")
        .env("PARLOR_LIMITS__IDLE_TIMEOUT", "8s")
        .env("PARLOR_BOTS__LEASE", "3s")
        .env("PARLOR_BOTS__CHECKPOINT", "200ms")
        .env("PARLOR_BOTS__DRAIN", "2s")
        .env("PARLOR_LLM__FIRST_TOKEN_TIMEOUT", "2s")
        .env("PARLOR_LLM__BETWEEN_TOKENS_TIMEOUT", "2s")
        .env("PARLOR_LLM__RETRIES", "1")
        .env("PARLOR_CLUSTER__PRESENCE_EXPIRE", "15s")
        .env("PARLOR_CLUSTER__PRESENCE_GRACE", "1s")
        .env("PARLOR_LIFECYCLE__DRAIN", "1s")
        .env("PARLOR_LIFECYCLE__ABORT_AFTER", "8s")
        .env("PARLOR_STORE__CONNECT_TIMEOUT", "2s")
}

/// Returns what the model says when nothing is wrong with it.
pub(crate) fn healthy() -> Script {
    Script::counting(12).with_delay(Duration::from_millis(25))
}

//! What stands in `deploy/` is true: the files name things that exist, the tools that read them take
//! them, every setting in them is one, and the local cluster runs.
//!
//! Needs promtool, haproxy and what `deploy/local-cluster` needs: see `scripts/require.sh`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail")]

#[path = "deploy/chart.rs"]
mod chart;
#[path = "deploy/cluster.rs"]
mod cluster;
#[path = "deploy/compose.rs"]
mod compose;
#[path = "deploy/files.rs"]
mod files;
#[path = "deploy/image.rs"]
mod image;
#[path = "deploy/metrics.rs"]
mod metrics;
#[path = "deploy/proxy.rs"]
mod proxy;
#[path = "deploy/rules.rs"]
mod rules;
#[path = "deploy/settings.rs"]
mod settings;
#[path = "deploy/units.rs"]
mod units;

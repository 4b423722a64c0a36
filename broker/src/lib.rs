//! The edge node: HTTP, WebSocket, fan-out, and the way into rooms' logs.

pub mod admission;
pub mod bootstrap;
pub mod commands;
mod committer;
pub mod crowd;
pub mod edge;
mod erasure;
pub mod files;
pub mod grant;
pub mod http;
pub mod metrics;
pub mod names;
pub mod node;
pub mod outgoing;
pub mod presence;
pub mod rate;
pub mod reads;
pub mod refusal;
mod relay;
pub mod setup;
mod shard;
pub mod start;
pub mod stream;
pub mod tls;
mod webhooks;
mod ws;

#[cfg(feature = "bench-internals")]
#[doc(hidden)]
pub use shard::bench_support;

//! The edge node: HTTP, WebSocket, fan-out, and the way into rooms' logs.

pub mod admission;
pub mod committer;
pub mod metrics;
pub mod node;
pub mod rate;
pub mod refusal;
pub mod setup;
pub mod shard;
pub mod stream;

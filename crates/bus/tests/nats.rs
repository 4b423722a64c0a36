//! The bus over a real NATS server.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail at once")]

#[path = "nats/flow.rs"]
mod flow;
#[path = "nats/harness.rs"]
mod harness;
#[path = "nats/login.rs"]
mod login;
#[path = "nats/make.rs"]
mod make;
#[path = "nats/outages.rs"]
mod outages;
#[path = "nats/permissions.rs"]
mod permissions;
#[path = "nats/streaming.rs"]
mod streaming;

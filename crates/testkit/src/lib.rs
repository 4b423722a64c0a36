//! Doubles and tools for tests. Nothing here is part of a released binary.

#![expect(clippy::unwrap_used, reason = "a harness that cannot go on should fail its test at once")]

pub mod api;
pub mod cluster;
pub mod fake_llm;
pub mod fake_s3;
pub mod history;
pub mod nemesis;
pub mod process;
pub mod services;
pub mod socket;
pub mod tcp_proxy;

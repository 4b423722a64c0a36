//! One node in this process, on loopback, with real sockets.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::large_futures,
    reason = "these are tests"
)]

mod drain;
mod fairness;
mod fan_out;
mod faults;
mod harness;
mod http;
mod nodes;
mod presence;
mod regressions;
mod remembered;
mod session;
mod storm;
mod subscribe;
mod timers;
mod tls;

//! Load on a Parlor server, and what comes of it: latencies, rates, processor time, losses.
//!
//! The generator speaks the WebSocket itself, on as many threads as it is given, so that it costs
//! little beside what it measures. Latencies of an open loop count from the time at which a command
//! was due, not from when it could be sent: a server that stalls does not hide what it did to those
//! who would have come meanwhile.

pub mod accounts;
mod address;
mod cpu;
pub mod dialect;
mod engine;
pub mod fanout;
pub mod idle;
pub mod limits;
mod link;
pub mod login;
mod measurement;
mod meter;
mod pace;
pub mod processes;
pub mod progress;
pub mod provider;
pub mod publish;
pub mod report;
pub mod resume;
mod scrape;
mod socket;
mod spread;
pub mod stream;
mod summary;
mod target;

pub use accounts::{Crowd, Origin, Person, Seat, Seed, SeedError, Shape, over_http, seed};
pub use address::Address;
pub use cpu::{CpuSeconds, cpu_seconds};
pub use engine::PAYLOAD_MIN;
pub use measurement::{DeliveryCheck, Figure, Measurement, MemoryUse, Second};
pub use scrape::Scrape;
pub use summary::{Latency, Summary};
pub use target::{BenchError, Target, TargetOptions};

//! Private copies of the services of a cluster: Postgres, NATS, Redis, Prometheus and HAProxy.
//!
//! Each starts from an installed program, on a free port of the loopback interface and with a
//! folder of its own, and answers when `start` returns. A program that is not installed fails the
//! test with a sentence that says how to get it. A copy ends with the value that stands for it, and
//! only that copy; when the test process is killed, a guardian process ends it instead.
//!
//! Works as a normal user and as root. Postgres refuses to run as root, so root starts it as the
//! user `postgres`, or `nobody` where there is none.

mod daemon;
mod guardian;
mod haproxy;
mod nats;
mod port;
mod postgres;
mod program;
mod prometheus;
mod redis;
mod standby;
mod tree;

pub use haproxy::Haproxy;
pub use nats::{Nats, NatsBuilder};
pub use port::free_port;
pub use postgres::{Postgres, PostgresBuilder};
pub use program::faketime;
pub use prometheus::{Prometheus, check_rules};
pub use redis::{Redis, RedisBuilder};
pub use standby::Standby;

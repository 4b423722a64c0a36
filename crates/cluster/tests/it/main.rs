//! What nodes share through a real Redis that dies, stalls, forgets and comes back.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail at once")]

mod connection;
mod harness;
mod limits;
mod logins;
mod outage;
mod presence;
mod start;
mod tickets;
mod tls;

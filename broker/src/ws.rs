//! WebSocket: the upgrade, the session, and what its commands do.

mod command;
mod context;
mod decode;
mod flood;
mod session;
mod socket;
mod upgrade;

pub(crate) use upgrade::{NotUpgraded, upgrade};

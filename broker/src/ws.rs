//! WebSocket: the upgrade, the session, and what its commands do.

mod boundary;
mod command;
mod context;
pub(crate) mod decode;
mod farewell;
mod flood;
mod reading;
mod session;
mod slash;
mod socket;
mod upgrade;

pub(crate) use upgrade::{NotUpgraded, upgrade};

//! WebSocket: the upgrade, the session, and what its commands do.

mod command;
mod session;
mod socket;
mod upgrade;

pub(crate) use upgrade::upgrade;

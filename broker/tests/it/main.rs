//! One node in this process, on loopback, with real sockets.

mod drain;
mod harness;
mod session;
mod subscribe;

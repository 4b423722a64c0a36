//! The rules of rooms, as functions of values.
//!
//! No I/O, no clock, no async: the time and everything else that a rule needs is passed in, so a
//! rule gives the same answer on every node and in every test. The store applies these rules inside
//! its transactions; the broker applies those that need no stored state.

pub mod body;
pub mod file;
pub mod log;
pub mod mention;
pub mod naming;
pub mod permission;
#[cfg(feature = "planted-bugs")]
pub mod planted;
pub mod search;
pub mod slash;
pub mod turn;

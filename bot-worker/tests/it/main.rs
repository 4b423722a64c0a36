//! Workers over a real store, a local bus and providers that misbehave.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail at once")]

mod cancel;
mod context;
mod drain;
mod faults;
mod flaky;
mod hand_over;
mod harness;
mod observe;
mod providers;
mod puppet;
mod queue;
mod reply;
mod secrecy;
mod stall;
mod turn_taking;

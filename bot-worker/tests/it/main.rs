//! Workers over a real store, a local bus and providers that misbehave.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail at once")]

mod cancel;
mod context;
mod faults;
mod flaky;
mod hand_over;
mod harness;
mod providers;
mod reply;
mod secrecy;
mod turn_taking;

//! Bots as participants: claims the jobs that messages have queued, and writes the replies.
//!
//! A worker may run beside others over the same store, in the same process as a broker or alone.
//! It guarantees that
//! - each job gets exactly one reply with exactly one ending, whichever workers are killed, stalled
//!   or cut off: the store refuses writes of every turn but the latest;
//! - the deltas of the last turn, joined, are the final text;
//! - members' text reaches the model as data of a member, never as an instruction of the operator,
//!   and only from the room of the message that called the bot;
//! - a worker that cannot prove that it still holds a job says nothing more of it: its own clock
//!   tells when the lease may have ended, so this holds also after it was stalled or cut off;
//! - stopping a reply closes the connection to the provider, also while the bus is away;
//! - at most [`BotWorkerConfig::concurrency`] replies run at a time, each bounded in bytes and time,
//!   and rooms get their turn evenly;
//! - a worker that is asked to stop finishes what it can and hands over the rest.
//!
//! It does not decide which bots a message calls (the store does, by the rules of the domain), keeps
//! nothing of its own between turns, and never logs prompts or messages.

mod config;
mod context;
mod draft;
mod ending;
mod metrics;
pub mod observe;
mod pairs;
mod prompt;
mod shared;
mod turn;
mod worker;

pub use config::BotWorkerConfig;
pub use prompt::GUIDE_SYSTEM_PROMPT;
pub use worker::{BotWorker, BotWorkerError};

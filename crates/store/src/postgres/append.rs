//! Intents: messages of people in one call, everything else in one transaction.
//!
//! Most of what is appended are messages of people, so these have a way of their own: one call of a
//! function in the database writes a whole batch (`messages`). What does not fit it, and all other
//! intents, are carried out one after the other in a transaction (`transaction`). Both lock the rows
//! of the rooms in the order of their ids and hold them to the commit, so a room has one writer at a
//! time, `seq` has no hole, and nothing deadlocks. A room of a batch goes one way as a whole, which
//! keeps the order of its intents.

mod answer;
mod batch;
mod called;
mod desk;
mod edit;
mod erase;
mod members;
mod mentions;
mod messages;
mod pins;
mod publish;
mod replies;
mod reset;
mod room;
mod transaction;

pub(super) use batch::append_all;
pub(super) use called::Remembered;
pub(super) use replies::storable;

use desk::Desk;

use super::fault::Stop;
use crate::append::{AppendRefused, Appended};

/// What the contract returns for one intent.
type Answer = Result<Appended, AppendRefused>;
/// What comes of one step, which may stop.
type Step<T> = Result<T, Stop>;

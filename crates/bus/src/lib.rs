//! What just happened, told to every node that has a member of the room.
//!
//! The bus is fast and may lose, double and reorder; nothing depends on it for correctness. Events
//! carry their `seq`, so a receiver finds what is missing and reads it from the store. Publishing
//! never waits: a subscriber whose mailbox is full misses deliveries and is told so by
//! [`Mailbox::take_overflow`].

mod contract;
mod encode;
mod local;
mod memory;
mod nats;

pub use contract::{Bus, BusStatus, Control, Delivery, Mailbox, SubscriberId};
pub use local::LocalBus;
pub use nats::{NatsBus, NatsError, NatsOptions, NatsSurvey};

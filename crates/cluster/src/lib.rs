//! What the nodes share for a moment: presence, single-use tickets, ended logins, rate limits.
//!
//! Nothing here is durable; all of it can be rebuilt. When it is lost, people appear offline until
//! their next sign of life and rate limits start anew.

mod presence;
mod rate_limit;
mod revocation;
mod ticket;

pub use presence::{LocalPresence, Presence, Seen, Transition};
pub use rate_limit::{Rate, RateLimited, RateLimiter};
pub use revocation::Revocations;
pub use ticket::{LocalTickets, Ticket, Tickets, TooManyTickets};

//! What the nodes share for a moment: presence, single-use tickets, ended logins, rate limits.
//!
//! Nothing here is durable; all of it can be rebuilt. Each contract has a backend for one process
//! and one on Redis ([`redis`]). When Redis is away, every node goes on with what it knows itself;
//! only what guards passwords and registration refuses, because to fail open there is what a
//! guesser would wish for. When Redis is back, the nodes write their state again by themselves.

mod login;
mod presence;
mod rate_limit;
pub mod redis;
mod revocation;
mod shared;
mod ticket;

pub use login::{LocalLogins, LoginBudget, LoginRule, Logins};
pub use presence::{LocalPresence, Presence, Seen, Transition};
pub use rate_limit::{Left, LimitKey, Rate, RateLimited, RateLimiter};
pub use revocation::Revocations;
pub use shared::{ClusterStatus, LocalLimits, SharedBudget, SharedLimits, TakeRefused};
pub use ticket::{LocalTickets, Ticket, Tickets, TooManyTickets};

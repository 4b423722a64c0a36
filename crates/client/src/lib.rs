//! The client of a Parlor server: typed HTTP calls and a WebSocket that survives failures.
//!
//! Three layers, each usable alone:
//!
//! - [`Http`]: every HTTP call, with the access token refreshed when it expires;
//! - [`Connection`]: one WebSocket, with commands matched to their answers;
//! - [`Feed`]: a supervised WebSocket that reconnects, resumes every room where it was, delivers
//!   each event once and in order, and repeats a publish until the server has acknowledged it.
//!
//! [`StreamTracker`] and [`Cursor`] are the rules of streaming replies and of resuming, without
//! I/O. Every queue and every wait has a bound, stated in [`ClientConfig`]. Dropping a value ends
//! what it started.
//!
//! # Examples
//!
//! ```no_run
//! use parlor_client::{ClientConfig, Feed, Http, Update};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let http = Http::new(ClientConfig::new("http://127.0.0.1:7777")?)?;
//! http.log_in("ada", "correct horse battery staple").await?;
//! let (feed, mut updates) = Feed::start(http);
//! feed.subscribe("general", None).await?;
//! feed.publish("general", "hi @guide").await?;
//! while let Some(update) = updates.next().await {
//!     if let Update::Event(event) = update {
//!         println!("{}", event.seq);
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod backoff;
mod config;
mod connection;
mod cursor;
mod error;
#[cfg(test)]
mod fake;
mod feed;
mod http;
mod tokens;
mod tracker;

pub use backoff::Backoff;
pub use config::{ClientConfig, USER_AGENT};
pub use connection::{Connection, Frames, Reply};
pub use cursor::{Arrival, Cursor};
pub use error::{ClientError, Ended};
pub use feed::{Feed, Publish, Update, Updates};
pub use http::messages::{ExportFormat, MessageQuery};
pub use http::rooms::{MembersQuery, RoomQuery};
pub use http::search::SearchQuery;
pub use http::{ByteStream, Http};
pub use tokens::{MemoryTokens, TokenLock, TokenStore, Tokens};
pub use tracker::{StreamTracker, Streamed, Written};

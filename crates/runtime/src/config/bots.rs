//! `[bots]`.

use std::net::SocketAddr;
use std::time::Duration;

use super::section::section;
use super::size::ByteSize;

section! {
    /// Bots as members of rooms.
    bots: BotsConfig {
        /// Lets bots answer.
        enabled: bool = true;
        /// Replies that are written at the same time.
        concurrency: usize = 8, where |n| (1..=10_000).contains(n) => "must be from 1 to 10000";
        /// Replies that one provider writes at the same time for this process.
        provider_concurrency: usize = 8, where |n| (1..=10_000).contains(n) => "must be from 1 to 10000";
        /// Right to one reply; a worker that does not renew it for so long loses it to another.
        lease: Duration = Duration::from_secs(30), where |d| (1..=600).contains(&d.as_secs()) => "must be from 1s to 10m";
        /// How often the text so far is stored.
        checkpoint: Duration = Duration::from_secs(1), where |d| d.as_millis() >= 50 => "must be at least 50ms";
        /// Tokens that arrive within this time are sent together.
        cork: Duration = Duration::from_millis(20), where |d| d.as_millis() <= 1_000 => "must be at most 1s";
        /// Attempts at one reply before it is closed as failed.
        max_attempts: u32 = 3, where |n| (1..=20).contains(n) => "must be from 1 to 20";
        /// Messages of the room that the model is given.
        context_messages: usize = 40, where |n| (1..=1_000).contains(n) => "must be from 1 to 1000";
        /// Tokens of the room that the model is given.
        context_tokens: usize = 3_000, where |n| (100..=10_000_000).contains(n) => "must be from 100 to 10000000";
        /// Messages older than this are not given to the model; 0 means no age.
        memory_ttl: Duration = Duration::ZERO, also "MEMORY_TTL_SECONDS" in "s";
        /// Longest reply that is stored; a longer one is cut.
        reply: ByteSize = ByteSize::kib(64), where |s| (1 << 10..=1 << 20).contains(&s.get()) => "must be from 1KiB to 1MiB";
        /// Replies of bots to bots in a row before nobody answers any more.
        max_hops: u32 = 3, where |n| *n <= 20 => "must be at most 20";
        /// Replies of one bot to another in a minute.
        pair_limit_per_minute: u32 = 10, where |n| *n >= 1 => "must be at least 1";
        /// Where `parlor bot-worker` tells its health and metrics. When it is not set, nowhere.
        listen: Option<SocketAddr> = None;
        /// `parlor bot-worker` finishes replies for so long when it is stopped, then gives the rest to other workers.
        drain: Duration = Duration::from_mins(1), where |d| d.as_secs() <= 3_600 => "must be at most 1h";
    }
}

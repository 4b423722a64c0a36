//! `[relay]`.

use std::time::Duration;

use super::section::section;

section! {
    /// How a node learns from the store what the bus did not tell it.
    relay: RelayConfig {
        /// How often it looks for what other nodes wrote.
        tail_every: Duration = Duration::from_millis(500), where |d| (10..=60_000).contains(&d.as_millis()) => "must be from 10ms to 1m";
        /// How often it looks while the bus is away.
        tail_every_away: Duration = Duration::from_millis(100), where |d| (10..=60_000).contains(&d.as_millis()) => "must be from 10ms to 1m";
        /// How often it compares all rooms in memory with the store.
        compare_every: Duration = Duration::from_mins(1), where |d| (1..=3_600).contains(&d.as_secs()) => "must be from 1s to 1h";
    }
}

//! `[webhooks]`.

use std::time::Duration;

use super::section::section;

section! {
    /// Telling other programs what happens in rooms.
    webhooks: WebhooksConfig {
        /// Lets this node tell them.
        enabled: bool = true;
        /// Hosts that may be called although their addresses are not public: names or addresses, without a port.
        allowed_hosts: Vec<String> = Vec::new();
        /// Time for one call, answer included.
        timeout: Duration = Duration::from_secs(10), where |d| (100..=60_000).contains(&d.as_millis()) => "must be from 100ms to 1m";
        /// Time for the answer of the program behind a slash command.
        command_timeout: Duration = Duration::from_secs(5), where |d| (100..=30_000).contains(&d.as_millis()) => "must be from 100ms to 30s";
        /// Attempts at one event before it is given up.
        attempts: u32 = 10, where |n| (1..=100).contains(n) => "must be from 1 to 100";
        /// The wait after the first failed attempt; each further one waits twice as long.
        retry_after: Duration = Duration::from_secs(1), where |d| d.as_millis() >= 10 => "must be at least 10ms";
        /// The longest such wait.
        retry_after_max: Duration = Duration::from_mins(15), where |d| !d.is_zero() => "must be more than 0";
        /// A webhook to which nothing could be delivered for so long is switched off.
        disable_after: Duration = Duration::from_hours(5 * 24), where |d| !d.is_zero() => "must be more than 0";
        /// Right to tell one webhook; a node that does not renew it for so long loses it to another. More than twice `timeout`, since it is renewed after each call.
        lease: Duration = Duration::from_secs(90), where |d| (1..=600).contains(&d.as_secs()) => "must be from 1s to 10m";
        /// How often a node looks for something to tell.
        poll: Duration = Duration::from_millis(500), where |d| (10..=60_000).contains(&d.as_millis()) => "must be from 10ms to 1m";
        /// Webhooks that one node tells at the same time.
        concurrency: usize = 16, where |n| (1..=1_000).contains(n) => "must be from 1 to 1000";
        /// Time after which a webhook lets others have their turn, with whatever is left to tell. The event that is under way is ended.
        turn: Duration = Duration::from_secs(5), where |d| (10..=60_000).contains(&d.as_millis()) => "must be from 10ms to 1m";
        /// Calls that somebody waits for, of commands and of single events again, that one node makes at the same time.
        calls: usize = 200, where |n| (1..=10_000).contains(n) => "must be from 1 to 10000";
    }
}

//! `[auth]`.

use std::time::Duration;

use super::section::section;
use super::setting::words;
use super::size::ByteSize;
use crate::secret::Secret;

/// Who may make an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    /// Everyone.
    Open,
    /// Whoever has an invite.
    Invite,
    /// Nobody; an admin makes accounts.
    Closed,
}

words! { Registration { "open" => Open, "invite" => Invite, "closed" => Closed } }

const MINUTE: u64 = 60;
const DAY: u64 = 86_400;

section! {
    /// Accounts, passwords and tokens.
    auth: AuthConfig {
        /// Who may make an account.
        registration: Registration = Registration::Open;
        /// Life of an access token.
        access_token_expire: Duration = Duration::from_secs(15 * MINUTE), also "ACCESS_TOKEN_EXPIRE_MINUTES" in "m", where |d| (10..=7 * DAY).contains(&d.as_secs()) => "must be from 10s to 7d";
        /// A login that was not used for so long ends.
        refresh_idle: Duration = Duration::from_secs(30 * DAY), where |d| d.as_secs() >= MINUTE => "must be at least 1m";
        /// A login ends after so long, however often it was used.
        refresh_absolute: Duration = Duration::from_secs(90 * DAY), where |d| d.as_secs() >= MINUTE => "must be at least 1m";
        /// For so long a spent refresh token gives the same successor again, because an answer can get lost.
        refresh_grace: Duration = Duration::from_secs(30), where |d| d.as_secs() <= 5 * MINUTE => "must be at most 5m";
        /// Signs access tokens. When it is not set, one is made and kept in the data folder.
        secret_key: Option<Secret<String>> = None, also "SECRET_KEY", where |key| key.as_ref().is_none_or(|key| key.expose().len() >= 32) => "must have at least 32 bytes";
        /// Name of the first admin, made at the start when there is no admin yet.
        admin_username: Option<String> = None, also "PARLOR_ADMIN_USERNAME";
        /// Password of the first admin.
        admin_password: Option<Secret<String>> = None, also "PARLOR_ADMIN_PASSWORD";
        /// Memory of one password hash.
        argon2_memory: ByteSize = ByteSize::kib(19_456), where |size| (8 << 10..=1 << 30).contains(&size.get()) => "must be from 8KiB to 1GiB";
        /// Passes of one password hash.
        argon2_iterations: u32 = 2, where |n| (1..=100).contains(n) => "must be from 1 to 100";
        /// Lanes of one password hash.
        argon2_parallelism: u32 = 1, where |n| (1..=16).contains(n) => "must be from 1 to 16";
        /// Shortest password, in characters.
        password_min: usize = 8, where |n| (8..=64).contains(n) => "must be from 8 to 64";
        /// Longest password, in characters.
        password_max: usize = 128, where |n| (64..=1024).contains(n) => "must be from 64 to 1024";
        /// Password hashes at the same time; 0 means one for every two cores, so that chat goes on.
        hash_concurrency: usize = 0, where |n| *n <= 256 => "must be at most 256";
        /// Password hashes that may wait; more are refused with `unavailable`.
        hash_queue: usize = 64, where |n| (1..=10_000).contains(n) => "must be from 1 to 10000";
        /// Life of the ticket that opens a WebSocket.
        ws_ticket_ttl: Duration = Duration::from_secs(30), where |d| (1..=5 * MINUTE).contains(&d.as_secs()) => "must be from 1s to 5m";
    }
}

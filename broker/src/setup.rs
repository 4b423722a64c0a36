//! The one-time token for the first administrator.

use std::sync::Mutex;

use parlor_protocol::time::Timestamp;

/// Holds the token until it is used or expires. Only its owner's terminal ever shows it.
#[derive(Default)]
pub struct SetupToken {
    open: Mutex<Option<Open>>,
}

struct Open {
    token: String,
    expires_at: Timestamp,
}

impl std::fmt::Debug for SetupToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SetupToken").finish_non_exhaustive()
    }
}

impl SetupToken {
    /// Sets the token; it replaces the one before.
    pub fn set(&self, token: String, expires_at: Timestamp) {
        *self.lock() = Some(Open { token, expires_at });
    }

    /// Tells whether `presented` is the token. It stays until [`SetupToken::clear`].
    pub fn matches(&self, presented: &str, now: Timestamp) -> bool {
        self.lock().as_ref().is_some_and(|open| {
            open.expires_at > now && parlor_auth::ticket::same(&open.token, presented)
        })
    }

    /// Tells whether the first administrator is still to be made.
    pub fn is_open(&self) -> bool {
        self.lock().is_some()
    }

    /// Ends the token: there is an administrator now.
    pub fn clear(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

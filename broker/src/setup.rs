//! The way to the first administrator.
//!
//! A node that has its store to itself prints a link with a one-time token, and serves only its own
//! machine until the link was used. Nodes that share a store cannot: another node would not know the
//! token, and behind a proxy everyone comes from the same machine. They serve nobody until an
//! administrator was made in the store.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use parlor_protocol::time::Timestamp;

/// Holds the token until it is used or expires. Only its owner's terminal ever shows it.
#[derive(Default)]
pub struct SetupToken {
    open: Mutex<Option<Open>>,
    closed: AtomicBool,
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

    /// Has the node serve nobody until [`SetupToken::clear`].
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Tells whether the node serves nobody, for want of an administrator.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// There is an administrator now: ends the token and opens the node.
    pub fn clear(&self) {
        *self.lock() = None;
        self.closed.store(false, Ordering::Release);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

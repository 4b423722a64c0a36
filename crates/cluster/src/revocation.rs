//! Logins that have ended while their access tokens have not expired.

use std::sync::atomic::{AtomicU64, Ordering};

use parlor_protocol::id::SessionId;
use parlor_protocol::time::Timestamp;

/// Ended logins. Asked on every request, so it is a lock-free map; an entry stays until the last
/// access token of its login has expired, so the map is bounded by logouts within that time.
#[derive(Debug, Default)]
pub struct Revocations {
    ended: papaya::HashMap<SessionId, Timestamp>,
    changes: AtomicU64,
}

impl Revocations {
    /// Remembers that a login has ended, until its last access token expires.
    pub fn revoke(&self, session: SessionId, until: Timestamp) {
        self.ended.pin().insert(session, until);
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// Returns how often a login was told to have ended: whoever looked at an earlier number has not
    /// seen them all.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Tells whether a login has ended.
    pub fn is_revoked(&self, session: SessionId) -> bool {
        self.ended.pin().contains_key(&session)
    }

    /// Forgets logins whose last access token has expired.
    pub fn sweep(&self, now: Timestamp) {
        self.ended.pin().retain(|_, until| *until > now);
    }

    /// Returns how many are remembered.
    pub fn len(&self) -> usize {
        self.ended.len()
    }

    /// Tells whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.ended.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn ended_login_is_remembered_until_its_tokens_expire() {
        let revocations = Revocations::default();
        let session = SessionId(Uuid::from_u128(1));
        revocations.revoke(session, Timestamp::from_millis(100));
        assert!(revocations.is_revoked(session));
        assert_eq!(revocations.changes(), 1);
        revocations.sweep(Timestamp::from_millis(99));
        assert!(revocations.is_revoked(session));
        revocations.sweep(Timestamp::from_millis(100));
        assert!(revocations.is_empty());
    }
}
